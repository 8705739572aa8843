//! Outlier ejection: an instance that fails again and again is left alone for a while.

use super::balancer::Outcome;

/// Failures in a row until an instance is ejected: chance alone does this to an instance that fails every tenth
/// request once in 100,000.
const FAILURES_MAX: u32 = 5;

/// How long the first ejection lasts; each further one in a row lasts that much longer.
const EJECTION_MS: u64 = 10_000;

/// The longest ejection: what is repaired must come back without anybody's doing.
const EJECTION_MS_MAX: u64 = 300_000;

/// One in so many may be ejected: what many callers' instances fail at together is no outlier, and the rest must be
/// able to carry the load. So there is none among two, and never the last.
const EJECTED_ONE_IN: usize = 3;

/// Holds one instance's failures and whether it is ejected for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ejection {
    failures_in_a_row: u32,
    ejections_in_a_row: u32,
    returns_ms: Option<u64>,
}

/// How many of so many candidates may be ejected at a time.
pub(super) fn ejected_max(candidates: usize) -> usize {
    candidates / EJECTED_ONE_IN
}

// === impl Ejection ===

impl Ejection {
    /// When it returns; none where it is not ejected.
    pub(super) fn returns_ms(&self) -> Option<u64> {
        self.returns_ms
    }

    /// Takes in a report, and says whether the instance should be ejected for it. While it is ejected, reports are
    /// of requests that began before and say nothing new.
    pub(super) fn hear(&mut self, outcome: Outcome) -> bool {
        match outcome {
            _ if self.returns_ms.is_some() => return false,
            Outcome::Failure => self.failures_in_a_row = self.failures_in_a_row.saturating_add(1),
            Outcome::Success => *self = Self::default(),
        }
        self.failures_in_a_row >= FAILURES_MAX
    }

    pub(super) fn eject(&mut self, now_ms: u64) {
        self.ejections_in_a_row = self.ejections_in_a_row.saturating_add(1);
        let lasts_ms = (EJECTION_MS * u64::from(self.ejections_in_a_row)).min(EJECTION_MS_MAX);
        self.returns_ms = Some(now_ms.saturating_add(lasts_ms));
    }

    /// Lets it return, with as many failures ahead of it as any other; only a success makes the next ejection
    /// short again.
    pub(super) fn release(&mut self) {
        self.returns_ms = None;
        self.failures_in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(ejection: &mut Ejection, times: u32) -> bool {
        (0..times).map(|_| ejection.hear(Outcome::Failure)).last().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_and_no_success_between() {
        let mut ejection = Ejection::default();
        assert!(!fail(&mut ejection, 4));
        assert!(!ejection.hear(Outcome::Success));
        assert!(!fail(&mut ejection, 4));
        assert!(fail(&mut ejection, 1));
    }

    #[test]
    fn each_ejection_in_a_row_is_longer_up_to_a_bound_and_a_success_ends_the_row() {
        let mut ejection = Ejection::default();
        for nth in 1..100 {
            assert!(!fail(&mut ejection, 4) && fail(&mut ejection, 1), "{nth}");
            ejection.eject(1_000);
            assert_eq!(ejection.returns_ms(), Some(1_000 + (nth * 10_000).min(300_000)));
            assert!(!fail(&mut ejection, 10), "late reports");
            assert!(!ejection.hear(Outcome::Success), "a late success");
            ejection.release();
            assert_eq!(ejection.returns_ms(), None);
        }
        ejection.hear(Outcome::Success);
        assert!(fail(&mut ejection, 5));
        ejection.eject(0);
        assert_eq!(ejection.returns_ms(), Some(10_000));
    }

    #[test]
    fn a_third_at_most_and_never_the_last() {
        let table = [(0, 0), (1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (1_000, 333)];
        for (candidates, expected) in table {
            assert_eq!(ejected_max(candidates), expected);
        }
    }
}
