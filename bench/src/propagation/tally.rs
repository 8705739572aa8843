//! Who has seen a change, and after how long.

use std::time::{Duration, Instant};

/// Holds, for one change, who has seen it so far.
#[derive(Debug)]
pub(crate) struct Tally {
    since: Instant,
    /// By the watchers' numbers.
    after: Vec<Option<Duration>>,
    missing: usize,
}

// === impl Tally ===

impl Tally {
    /// For a change that was asked for at that moment.
    pub(crate) fn new(watchers: usize, since: Instant) -> Self {
        Self { since, after: vec![None; watchers], missing: watchers }
    }

    /// This watcher knew at that moment of a state that has the change. What is from before it is another change's.
    pub(crate) fn seen(&mut self, watcher: usize, at: Instant) {
        let Some(after) = self.after.get_mut(watcher) else { return };
        if after.is_none() && at >= self.since {
            *after = Some(at.duration_since(self.since));
            self.missing -= 1;
        }
    }

    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = Duration> {
        self.after.iter().copied().flatten()
    }

    /// None where one has not seen it.
    pub(crate) fn last(&self) -> Option<Duration> {
        (self.missing == 0).then(|| self.each().max())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_by_each_and_by_the_last_when_by_all() {
        let since = Instant::now();
        let at = |ms| since + Duration::from_millis(ms);
        let mut tally = Tally::new(3, since);
        for (watcher, ms) in [(2, 5), (0, 7), (0, 9)] {
            tally.seen(watcher, at(ms));
        }
        assert_eq!((tally.missing(), tally.last()), (1, None));
        // Of an earlier change, and of nobody who is asked.
        tally.seen(1, since - Duration::from_millis(1));
        tally.seen(3, at(1));
        assert_eq!(tally.missing(), 1);
        tally.seen(1, at(6));
        assert_eq!((tally.missing(), tally.last()), (0, Some(Duration::from_millis(7))));
        assert_eq!(tally.each().map(|after| after.as_millis()).collect::<Vec<_>>(), [7, 6, 5]);
    }
}
