//! When an address that was taken away was seen no more: a function of what a watcher saw.

use crate::Line;

/// Holds what a watcher saw at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) at_ms: u64,
    pub(crate) is_present: bool,
}

/// Says when it was seen no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gone {
    /// So long after it was taken away: the first sight without it that none with it followed.
    AfterMs(u64),
    /// It was still seen when the watch ended, so long after.
    NotWithinMs(u64),
    /// Nobody had seen it before, so nothing is known.
    NeverThere,
    /// Nobody has looked to the end, so nothing is known.
    Blind,
}

/// A loop that looks many times a second, and has not for so long, does not look any more.
const SILENCE_MAX_MS: u64 = 3_000;

/// What lines say of an address, by what each of them is understood as; those that are not understood say nothing.
pub(crate) fn sights(lines: &[Line], is_present: impl Fn(&str) -> Option<bool>) -> Vec<Sight> {
    let sight = |line: &Line| Some(Sight { at_ms: line.at_ms, is_present: is_present(&line.text)? });
    lines.iter().filter_map(sight).collect()
}

// === impl Gone ===

impl Gone {
    /// Of a watch that ended then: what is seen later is of another story.
    pub(crate) fn of(sights: &[Sight], taken_ms: u64, ended_ms: u64) -> Self {
        let sights = until(sights, ended_ms);
        let before = sights.iter().rev().find(|sight| sight.at_ms <= taken_ms);
        if !before.is_some_and(|sight| sight.is_present) {
            return Self::NeverThere;
        }
        let last_present = sights.iter().rposition(|sight| sight.is_present).unwrap_or_default();
        match sights.get(last_present + 1) {
            Some(sight) => Self::AfterMs(sight.at_ms.saturating_sub(taken_ms)),
            None => Self::NotWithinMs(ended_ms.saturating_sub(taken_ms)),
        }
    }

    /// The same of a watcher that looks all the time, and not only when something changes.
    pub(crate) fn of_loop(sights: &[Sight], taken_ms: u64, ended_ms: u64) -> Self {
        let last = until(sights, ended_ms).last();
        match Self::of(sights, taken_ms, ended_ms) {
            Self::NeverThere => Self::NeverThere,
            _ if last.is_none_or(|last| last.at_ms + SILENCE_MAX_MS < ended_ms) => Self::Blind,
            gone => gone,
        }
    }

    pub(crate) fn is_within(self, limit_ms: u64) -> bool {
        matches!(self, Self::AfterMs(after_ms) if after_ms < limit_ms)
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::AfterMs(after_ms) => in_words(after_ms),
            Self::NotWithinMs(after_ms) => format!("not within {}", in_words(after_ms)),
            Self::NeverThere => "never seen".to_owned(),
            Self::Blind => "not watched".to_owned(),
        }
    }
}

/// Those up to a moment; they are in the order of their times.
fn until(sights: &[Sight], ended_ms: u64) -> &[Sight] {
    let count = sights.partition_point(|sight| sight.at_ms <= ended_ms);
    sights.get(..count).unwrap_or_default()
}

/// The middle one, of two the later: of what did not happen in time nothing better is said.
pub(crate) fn median(all: &[Gone]) -> Option<Gone> {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// A time as people say it, no finer than it was measured.
pub(crate) fn in_words(time_ms: u64) -> String {
    if time_ms < 1_000 {
        format!("{time_ms} ms")
    } else {
        format!("{}.{} s", time_ms / 1_000, time_ms % 1_000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(all: &[(u64, bool)]) -> Vec<Sight> {
        all.iter().map(|&(at_ms, is_present)| Sight { at_ms, is_present }).collect()
    }

    #[test]
    fn it_is_gone_with_the_first_sight_that_none_with_it_follows() {
        for (sights, expected) in [
            (&[(90, true), (110, true), (190, false), (210, false)][..], Gone::AfterMs(90)),
            // Back for one sight: gone only after that.
            (&[(90, true), (150, false), (190, true), (400, false)], Gone::AfterMs(300)),
            (&[(90, true), (150, false), (190, true)], Gone::NotWithinMs(900)),
            (&[(90, true), (150, true)], Gone::NotWithinMs(900)),
            // Whoever is healed after the watch is seen again.
            (&[(90, true), (150, false), (1_001, true)], Gone::AfterMs(50)),
            // Who has not looked since knows nothing better.
            (&[(90, true)], Gone::NotWithinMs(900)),
            (&[(90, false), (150, false)], Gone::NeverThere),
            (&[(90, true), (95, false), (150, true), (160, false)], Gone::NeverThere),
            (&[(150, false)], Gone::NeverThere),
            (&[], Gone::NeverThere),
        ] {
            assert_eq!(Gone::of(&seen(sights), 100, 1_000), expected, "{sights:?}");
        }
    }

    #[test]
    fn a_loop_that_looks_no_more_knows_nothing() {
        for (sights, expected) in [
            (&[(90, true), (150, false), (3_990, false)][..], Gone::AfterMs(50)),
            (&[(90, true), (3_990, true)], Gone::NotWithinMs(3_900)),
            // It may have come back since.
            (&[(90, true), (150, false), (990, false)], Gone::Blind),
            (&[(90, true), (990, true)], Gone::Blind),
            (&[(90, true), (990, true), (4_001, false)], Gone::Blind),
            (&[(150, false)], Gone::NeverThere),
        ] {
            assert_eq!(Gone::of_loop(&seen(sights), 100, 4_000), expected, "{sights:?}");
        }
    }

    #[test]
    fn only_what_is_gone_in_time_is_within_it() {
        assert!(Gone::AfterMs(999).is_within(1_000));
        for late in [Gone::AfterMs(1_000), Gone::NotWithinMs(10), Gone::NeverThere, Gone::Blind] {
            assert!(!late.is_within(1_000), "{late:?}");
        }
    }

    #[test]
    fn of_times_the_middle_one_counts_and_never_is_later_than_any() {
        let (a, b, never) = (Gone::AfterMs(5), Gone::AfterMs(7), Gone::NotWithinMs(6));
        assert_eq!(median(&[b, never, a]), Some(b));
        assert_eq!(median(&[never, a]), Some(never));
        assert_eq!(median(&[a, never, never]), Some(never));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn lines_that_say_nothing_are_no_sights() {
        let line = |at_ms, text: &str| Line { at_ms, text: text.to_owned() };
        let lines = [line(1, "in"), line(2, "?"), line(3, "out")];
        let read = |text: &str| match text {
            "in" => Some(true),
            "out" => Some(false),
            _ => None,
        };
        assert_eq!(sights(&lines, read), seen(&[(1, true), (3, false)]));
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!([0, 999, 1_000, 61_250].map(in_words), ["0 ms", "999 ms", "1.0 s", "61.2 s"]);
        assert_eq!(Gone::NotWithinMs(10_040).text(), "not within 10.0 s");
    }
}
