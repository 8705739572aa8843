//! How often the Secret is written: whoever keeps writing something else there does not find in us one who never tires.

use std::time::Duration;

use tokio::time::Instant;

use super::terms::Terms;

/// Writes in a row: a rotation takes two, and a repair one.
const WRITES_MAX: u32 = 6;
/// One more is allowed after so long.
const ANOTHER_AFTER_MAX: Duration = Duration::from_secs(5 * 60);

/// Holds how many writes are left, and since when they come back.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
    another_after: Duration,
}

// === impl Allowance ===

impl Allowance {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        Self { left: WRITES_MAX, since: now, another_after: ANOTHER_AFTER_MAX.min(terms.overlap) }
    }

    /// Takes one; false where there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while self.left < WRITES_MAX && now.duration_since(self.since) >= self.another_after {
            self.left += 1;
            self.since += self.another_after;
        }
        if self.left == WRITES_MAX {
            self.since = now;
        }
        let is_there = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_there
    }

    /// Gives one back: it was in vain, since another replica was faster.
    pub(super) fn give_back(&mut self) {
        self.left = (self.left + 1).min(WRITES_MAX);
    }

    /// How long a writer waits who has written all that it may.
    pub(super) fn another_after(&self) -> Duration {
        self.another_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_writes_come_at_once_and_further_ones_rarely() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(Terms::default(), begin);
        let writes = (0..3_600).filter(|second| allowance.take(begin + Duration::from_secs(*second))).count();
        assert_eq!(writes, 6 + 11, "in an hour of one that asks each second");
        let late = begin + Duration::from_secs(86_400);
        assert_eq!((0..100).filter(|_| allowance.take(late)).count(), 6, "after a quiet day");
        allowance.give_back();
        assert!(allowance.take(late) && !allowance.take(late));
    }
}
