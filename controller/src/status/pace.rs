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

/// Holds how often one object was seen to without its being settled thereby.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tries(u32);

const WINDOW: Duration = Duration::from_secs(1);
/// After something was done about an object, it is left alone for so long: the watch has shown the result by then, and
/// somebody else's object of the same name is not asked for again and again.
pub(super) const REST: Duration = Duration::from_secs(60);
/// Never longer than this: whoever raises a quota, or grants a right, sees what comes of it within so long.
pub(super) const REST_MAX: Duration = Duration::from_secs(600);
/// Rests after the first are cut short by up to this part of them, so that objects refused together part ways.
const REST_SPREAD: u32 = 4;

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

    /// A rest for one thing alone, longer each time.
    pub(super) fn rest(&mut self, tries: &mut Tries) -> Duration {
        let rest = REST.saturating_mul(1_u32.checked_shl(tries.0).unwrap_or(u32::MAX)).min(REST_MAX);
        let spread = if *tries == Tries::default() { Duration::ZERO } else { rest / REST_SPREAD };
        tries.again();
        (rest - spread) + self.jitter.up_to(spread)
    }

    /// A pause for one thing alone.
    pub(super) fn of(&mut self, backoff: &mut Backoff) -> Duration {
        backoff.next(&mut self.jitter)
    }
}

// === impl Tries ===

impl Tries {
    pub(super) fn again(&mut self) {
        self.0 = self.0.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rests_grow_to_their_limit_and_are_spread() {
        let (mut pause, mut tries) = (Pause::new(Jitter::new(7)), Tries::default());
        let rests: Vec<_> = (0..100).map(|_| pause.rest(&mut tries)).collect();
        assert_eq!(rests[0], REST);
        assert!(rests[..4].is_sorted() && rests[3] > 4 * REST, "{rests:?}");
        assert!(rests[4..].iter().all(|rest| (REST_MAX * 3 / 4..=REST_MAX).contains(rest)), "{rests:?}");
        assert_ne!(rests[50], rests[51]);
    }

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
