//! What became of requests: a function of the lines that their loop printed.

use crate::Line;

/// More examples of what failed help nobody.
const EXAMPLES_MAX: usize = 3;
/// Fewer requests prove nothing.
const SENT_MIN: usize = 100;
/// Who sends nothing for so long has not seen what failed meanwhile.
const SILENCE_MAX_MS: u64 = 3_000;

/// Holds what became of the requests of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) sent: usize,
    pub(crate) failed: usize,
    pub(crate) lasted_ms: u64,
    /// The longest time without a request.
    pub(crate) silence_ms: u64,
    pub(crate) last_failed_ms: Option<u64>,
    /// The first that failed, as their loop says it.
    pub(crate) examples: Vec<String>,
}

// === impl Load ===

impl Load {
    /// Of the lines between two moments. A line is `ok …`, or the request has failed, whatever else is said.
    pub(crate) fn between(lines: &[Line], from_ms: u64, to_ms: u64) -> Self {
        let mut load = Self {
            sent: 0,
            failed: 0,
            lasted_ms: to_ms.saturating_sub(from_ms),
            silence_ms: 0,
            last_failed_ms: None,
            examples: Vec::new(),
        };
        let mut last_ms = from_ms;
        for line in lines.iter().filter(|line| (from_ms..=to_ms).contains(&line.at_ms)) {
            load.sent += 1;
            load.silence_ms = load.silence_ms.max(line.at_ms.saturating_sub(last_ms));
            last_ms = line.at_ms;
            if line.text != "ok" && !line.text.starts_with("ok ") {
                load.failed += 1;
                load.last_failed_ms = Some(line.at_ms);
                if load.examples.len() < EXAMPLES_MAX {
                    load.examples.push(line.text.clone());
                }
            }
        }
        load.silence_ms = load.silence_ms.max(to_ms.saturating_sub(last_ms));
        load
    }

    pub(crate) fn per_second(&self) -> u64 {
        let sent = u64::try_from(self.sent).unwrap_or(u64::MAX);
        sent.saturating_mul(1_000).checked_div(self.lasted_ms).unwrap_or_default()
    }

    /// Why this is no proof that no request fails; none: it is one.
    pub(crate) fn doubt(&self) -> Option<String> {
        if self.failed > 0 {
            return Some(format!("{} of {} failed, as {:?}", self.failed, self.sent, self.examples));
        }
        if self.sent < SENT_MIN {
            return Some(format!("only {} were sent, which proves nothing", self.sent));
        }
        (self.silence_ms > SILENCE_MAX_MS).then(|| format!("none was sent for {} ms", self.silence_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request each 20 ms for ten seconds, with other words at some moments.
    fn lines(others: &[(u64, &str)]) -> Vec<Line> {
        let text =
            |at_ms| others.iter().find(|(at, _)| *at == at_ms).map_or("ok orders 1.4.2 a", |(_, text)| *text);
        (0..=500)
            .map(|number| number * 20)
            .map(|at_ms| Line { at_ms, text: text(at_ms).to_owned() })
            .collect()
    }

    #[test]
    fn a_roll_out_without_a_failed_request_is_beyond_doubt() {
        let load = Load::between(&lines(&[]), 1_000, 9_000);
        assert_eq!((load.sent, load.failed, load.per_second(), load.silence_ms), (401, 0, 50, 20));
        assert_eq!(load.doubt(), None);
    }

    #[test]
    fn one_failed_request_in_a_roll_out_turns_the_verdict() {
        for lie in ["fail 10.0.0.1 refused", "", "okay", "not understood"] {
            let load = Load::between(&lines(&[(5_000, lie)]), 1_000, 9_000);
            assert_eq!((load.failed, load.last_failed_ms), (1, Some(5_000)), "{lie}");
            assert!(load.doubt().unwrap().starts_with("1 of 401 failed"), "{lie}");
        }
        // Before and after it is none of the roll-out's.
        assert_eq!(Load::between(&lines(&[(980, "fail"), (9_020, "fail")]), 1_000, 9_000).doubt(), None);
    }

    #[test]
    fn who_was_silent_or_sent_little_proves_nothing() {
        let mut silent = lines(&[]);
        silent.retain(|line| !(4_000..7_500).contains(&line.at_ms));
        let load = Load::between(&silent, 1_000, 9_000);
        assert_eq!(load.silence_ms, 3_520);
        assert!(load.doubt().unwrap().contains("for 3520 ms"));
        // One that died early is silent to the end.
        let mut died = lines(&[]);
        died.truncate(300);
        assert!(Load::between(&died, 1_000, 9_990).doubt().unwrap().contains("for 4010 ms"));
        assert!(Load::between(&lines(&[]), 1_000, 1_500).doubt().unwrap().contains("proves nothing"));
        assert!(Load::between(&[], 0, 0).doubt().is_some());
    }
}
