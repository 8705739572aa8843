//! How fast, and how soon again: sans IO.

use std::{collections::VecDeque, time::Duration};

use rollcall_net::{Backoff, Jitter};
use tokio::time::Instant;

/// Lets so many things through within any one second.
#[derive(Debug)]
pub(super) struct Pace {
    max: usize,
    recent: VecDeque<Instant>,
}

/// Holds how long to leave the API server alone after its last failure.
#[derive(Debug)]
pub(super) struct Pause {
    backoff: Backoff,
    jitter: Jitter,
    until: Option<Instant>,
}

const WINDOW: Duration = Duration::from_secs(1);

// === impl Pace ===

impl Pace {
    pub(super) fn new(max_per_second: usize) -> Self {
        Self { max: max_per_second, recent: VecDeque::with_capacity(max_per_second) }
    }

    /// When the next one may go.
    pub(super) fn next_at(&self, now: Instant) -> Instant {
        match self.recent.front() {
            Some(first) if self.recent.len() >= self.max => now.max(*first + WINDOW),
            _ => now,
        }
    }

    /// One goes now, or may go at the time that is told.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let at = self.next_at(now);
        if at > now {
            return Err(at);
        }
        if self.recent.len() >= self.max {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        Ok(())
    }
}

// === impl Pause ===

impl Pause {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self { backoff: Backoff::default(), jitter, until: None }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.until = Some(now + self.backoff.next(&mut self.jitter));
    }

    /// The API server answered, whatever it said.
    pub(super) fn answered(&mut self) {
        self.backoff.reset();
        self.until = None;
    }

    /// When it may be asked again; now, if it need not be left alone.
    pub(super) fn over_at(&self, now: Instant) -> Instant {
        self.until.map_or(now, |until| until.max(now))
    }

    /// A pause for one thing alone.
    pub(super) fn of(&mut self, backoff: &mut Backoff) -> Duration {
        backoff.next(&mut self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_its_share(gaps in prop::collection::vec(0_u64..200, 1..300)) {
            let (mut now, mut pace, mut went) = (Instant::now(), Pace::new(5), Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                match pace.take(now) {
                    Ok(()) => went.push(now),
                    Err(at) => prop_assert!(at > now && at <= now + WINDOW),
                }
            }
            for six in went.windows(6) {
                prop_assert!(six[5] - six[0] >= WINDOW);
            }
        }
    }
}
