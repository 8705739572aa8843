//! What is under way: a pick counts until its report, or for a minute where none comes.
//!
//! A report does not say which pick it answers, so an instance keeps counts and no list: a ring of time slices,
//! each with the picks that began in it.

/// How long a pick without a report counts: the contract's promise.
pub(super) const EXPIRY_MS: u64 = 60_000;

/// Slices of the ring: one for the present and 15 for the past. A pick without a report counts for 60 to 64 s,
/// near enough, and an instance needs 64 bytes however many picks are under way.
const SLICES: u64 = 16;

const SLICE_MS: u64 = EXPIRY_MS / (SLICES - 1);

/// After how long no pick counts any more: the minute, and the slice it began in.
pub(super) const COUNTED_MS: u64 = EXPIRY_MS + SLICE_MS;

/// Says in which slice of time something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slice(u64);

/// Holds how many picks of one instance are under way, by the slice in which they began.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight {
    began: [u32; SLICES as usize],
    total: u32,
}

// === impl Slice ===

impl Slice {
    pub(super) fn at(now_ms: u64) -> Self {
        Self(now_ms / SLICE_MS)
    }

    /// The oldest slice whose picks still count.
    fn oldest(self) -> u64 {
        self.0.saturating_sub(SLICES - 1)
    }
}

// === impl InFlight ===

impl InFlight {
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    pub(super) fn begin(&mut self, now: Slice) {
        if let Some(count) = self.slot(now.0)
            && let Some(more) = count.checked_add(1)
        {
            *count = more;
            self.total = self.total.saturating_add(1);
        }
    }

    /// Ends one pick and says whether there was one. It is taken from the slice in which the pick must have begun;
    /// or from the nearest before it, since an app may start its stopwatch and send its report late. Always taking
    /// the oldest would let a steady stream of reports keep lost picks alive for ever, always the newest would
    /// let long requests expire.
    pub(super) fn end(&mut self, began: Slice, now: Slice) -> bool {
        if began.0 < now.oldest() {
            return false;
        }
        let before = (now.oldest()..=began.0).rev();
        for slice in before.chain(began.0 + 1..=now.0) {
            if let Some(count) = self.slot(slice)
                && *count > 0
            {
                *count -= 1;
                self.total = self.total.saturating_sub(1);
                return true;
            }
        }
        false
    }

    /// Forgets what began too long ago, now that time has gone on from `before` to `now`.
    pub(super) fn expire(&mut self, before: Slice, now: Slice) {
        if self.total == 0 {
            return;
        }
        for slice in (before.0 + 1).max(now.oldest())..=now.0 {
            let gone = self.slot(slice).map(std::mem::take).unwrap_or_default();
            self.total = self.total.saturating_sub(gone);
        }
    }

    fn slot(&mut self, slice: u64) -> Option<&mut u32> {
        self.began.get_mut((slice % SLICES) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unreported_pick_expires_after_a_minute_and_a_slice_at_most() {
        for began_ms in [0, 1, SLICE_MS - 1, SLICE_MS, 1_234_567] {
            for waited_ms in (0..70_000).step_by(499) {
                let mut load = InFlight::default();
                load.begin(Slice::at(began_ms));
                load.expire(Slice::at(began_ms), Slice::at(began_ms + waited_ms));
                if waited_ms <= EXPIRY_MS {
                    assert_eq!(load.total(), 1, "{began_ms} {waited_ms}");
                } else if waited_ms >= EXPIRY_MS + SLICE_MS {
                    assert_eq!(load.total(), 0, "{began_ms} {waited_ms}");
                }
            }
        }
    }

    #[test]
    fn a_report_of_a_pick_that_expired_ends_no_other() {
        let mut load = InFlight::default();
        let now = Slice::at(100_000);
        load.begin(now);
        assert!(!load.end(Slice::at(10_000), now));
        assert!(load.end(Slice::at(95_000), now));
        assert!(!load.end(now, now), "nothing is left");
    }

    /// One pick in ten is never reported, the others after `latency_ms`; both kinds must be counted right.
    #[test]
    fn lost_picks_expire_and_long_ones_do_not_under_a_steady_stream() {
        for latency_ms in [10, 3_000, 30_000, 55_000] {
            let mut load = InFlight::default();
            let (mut before, mut open) = (Slice::at(0), VecDeque::new());
            for step in 0..3_000 {
                let now_ms = step * 100;
                let now = Slice::at(now_ms);
                load.expire(before, now);
                before = now;
                load.begin(now);
                if step % 10 > 0 {
                    open.push_back(now_ms);
                }
                while let Some(began_ms) = open.pop_front_if(|began_ms| *began_ms + latency_ms <= now_ms) {
                    assert!(load.end(Slice::at(began_ms), now));
                }
            }
            // One lost pick a second, each counted for 60 to 64 s.
            let lost = u64::from(load.total()) - open.len() as u64;
            assert!((60..=64).contains(&lost), "{lost} lost picks are counted at {latency_ms} ms");
        }
    }

    proptest! {
        /// Whatever happens, the total is the sum of the slices, and nothing is left a minute later.
        #[test]
        fn the_total_is_the_sum(steps in proptest::collection::vec((0u64..20_000, 0u64..80_000, any::<bool>()), 1..200)) {
            let mut load = InFlight::default();
            let (mut now_ms, mut before) = (0, Slice::at(0));
            for (passed_ms, latency_ms, begins) in steps {
                now_ms += passed_ms;
                let now = Slice::at(now_ms);
                load.expire(before, now);
                before = now;
                if begins {
                    load.begin(now);
                } else {
                    let held = load.total();
                    let ended = load.end(Slice::at(now_ms.saturating_sub(latency_ms)), now);
                    prop_assert_eq!(load.total(), held - u32::from(ended));
                }
                prop_assert_eq!(load.total(), load.began.iter().sum::<u32>());
            }
            load.expire(before, Slice::at(now_ms + EXPIRY_MS + SLICE_MS));
            prop_assert_eq!(load.total(), 0);
        }
    }
}
