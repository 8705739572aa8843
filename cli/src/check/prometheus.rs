//! A replica's metrics, as far as a check goes by them.

use super::facts::Metrics;

/// Reads the text of `/metrics`; what is not there is as if it were 0.
pub(super) fn metrics(text: &str) -> Metrics {
    let mut read = Metrics::default();
    for line in text.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        match name {
            "rollcall_freeze" => read.frozen = value > 0.0,
            "rollcall_session_places_missing" => read.places_missing = value,
            _ => {
                let kind = name
                    .strip_prefix("rollcall_watch_age_seconds{kind=\"")
                    .and_then(|rest| rest.strip_suffix("\"}"));
                let Some(kind) = kind else { continue };
                if read.oldest_watch.as_ref().is_none_or(|(_, oldest)| value > *oldest) {
                    read.oldest_watch = Some((kind.to_owned(), value));
                }
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_watch_counts() {
        let text = "# HELP rollcall_freeze Whether\nrollcall_freeze 1\nrollcall_watch_age_seconds{kind=\"Pod\"} 3.5\n\
                    rollcall_watch_age_seconds{kind=\"Node\"} 130\nrollcall_session_places_missing 2\nother 9\n";
        let expected =
            Metrics { frozen: true, oldest_watch: Some(("Node".to_owned(), 130.0)), places_missing: 2.0 };
        assert_eq!(metrics(text), expected);
        assert_eq!(metrics("nonsense"), Metrics::default());
    }
}
