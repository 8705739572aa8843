//! Times as callers write them: `500ms`, `20s`, `5m`.

use std::time::Duration;

/// The time that a text says; none where it is none. Digits and a unit, and nothing between: one way to write it.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        for (text, expected) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("20s", Some(Duration::from_secs(20))),
            ("5m", Some(Duration::from_secs(300))),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("s", None),
            ("20", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1h", None),
            ("1s ", None),
            ("99999999999999999999s", None),
            ("18446744073709551615m", None),
            ("１s", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
