//! A load that keeps its pace, whatever becomes of it.

use std::time::{Duration, Instant};

/// Holds when each of many requests is due: so many a second, from a beginning on. What is late is late by what it was due at,
/// so that a server which stands still pays for all who would have asked meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    begin: Instant,
    a_second: u32,
    all: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

// === impl Schedule ===

impl Schedule {
    pub(crate) fn new(begin: Instant, a_second: u32, lasts: Duration) -> Self {
        let all = lasts.as_secs_f64() * f64::from(a_second);
        Self { begin, a_second: a_second.max(1), all: all as u64 }
    }

    /// When each is due, in turn.
    pub(crate) fn dues(self) -> impl Iterator<Item = Instant> + Send {
        (0..self.all).map(move |turn| self.begin + self.after(turn))
    }

    /// Without the sum of small errors that a rounded distance would have.
    fn after(self, turn: u64) -> Duration {
        let a_second = u64::from(self.a_second);
        Duration::from_secs(turn / a_second) + Duration::from_nanos(turn % a_second * SECOND_NS / a_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly_and_the_last_as_exactly_as_the_first() {
        let begin = Instant::now();
        for (a_second, lasts_ms, all) in
            [(1, 3_000, 3), (3, 1_000, 3), (64_000, 1_500, 96_000), (7, 10_000, 70)]
        {
            let schedule = Schedule::new(begin, a_second, Duration::from_millis(lasts_ms));
            let dues: Vec<_> = schedule.dues().map(|due| (due - begin).as_nanos()).collect();
            assert_eq!(dues.len(), all, "{a_second}");
            for (turn, due) in dues.iter().enumerate() {
                assert_eq!(*due, turn as u128 * 1_000_000_000 / u128::from(a_second), "{a_second}: {turn}");
            }
        }
    }

    #[test]
    fn no_pace_is_no_request() {
        assert_eq!(Schedule::new(Instant::now(), 0, Duration::from_secs(1)).dues().count(), 0);
    }
}
