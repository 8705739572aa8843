//! The session clock: from when a sidecar was heard to what that says.

use crate::liveness::witness::SessionWitness;

/// An open session that is silent this long is doubted: each end sends a frame at least every 3 s, so one is
/// missing and the next is late.
pub const QUIET_AFTER_MS: u64 = 6_000;

/// An open session that is silent this long is dead or cut off: three frames are missing. With the removal on its
/// way to every sidecar this keeps the promise of 10 s.
pub const SILENT_AFTER_MS: u64 = 9_000;

/// A sidecar that was reset and is not back by now has more than a restart to do: pulling its image, or crashing.
pub const LOST_LONG_AFTER_MS: u64 = 15_000;

/// Holds what the sessions know of a pod's sidecar; `*_ms` are of the monotonic clock of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFacts {
    /// The pod has a sidecar of ours.
    pub expected: bool,
    pub ours: Ours,
    /// Another replica has the pod in a live session now.
    pub heard_by_peer: bool,
}

/// Says how this process' own session with the pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    Never,
    /// Open; its last frame came then.
    Open {
        heard_ms: u64,
    },
    /// Ended by either side then. The newest word counts: a second session takes the place of the first.
    Reset {
        at_ms: u64,
    },
}

// === impl SessionFacts ===

impl SessionFacts {
    pub fn witness(&self, now_ms: u64) -> SessionWitness {
        match self.steps(now_ms) {
            (_, SessionWitness::Live) => SessionWitness::Live,
            _ if self.heard_by_peer => SessionWitness::HeardByPeer,
            (_, witness) => witness,
        }
    }

    /// When the witness says something else by time alone; none while only an event can change it. For a queue of
    /// deadlines: nothing need be scanned.
    pub fn changes_at_ms(&self, now_ms: u64) -> Option<u64> {
        self.steps(now_ms).0
    }

    fn steps(&self, now_ms: u64) -> (Option<u64>, SessionWitness) {
        let later = |from: u64, after: u64| {
            (from.saturating_add(after) > now_ms).then_some(from.saturating_add(after))
        };
        match self.ours {
            Ours::Never if self.expected => (None, SessionWitness::NeverCame),
            Ours::Never => (None, SessionWitness::NotExpected),
            Ours::Open { heard_ms } => {
                match (later(heard_ms, QUIET_AFTER_MS), later(heard_ms, SILENT_AFTER_MS)) {
                    (Some(quiet), _) => (Some(quiet), SessionWitness::Live),
                    (None, Some(silent)) => (Some(silent), SessionWitness::Quiet),
                    (None, None) => (None, SessionWitness::Silent),
                }
            }
            Ours::Reset { at_ms } => match later(at_ms, LOST_LONG_AFTER_MS) {
                Some(long) => (Some(long), SessionWitness::Lost),
                None => (None, SessionWitness::LostLong),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(ours: Ours) -> SessionFacts {
        SessionFacts { expected: true, ours, heard_by_peer: false }
    }

    #[test]
    fn the_session_clock() {
        use SessionWitness::*;
        let open = Ours::Open { heard_ms: 1_000 };
        let reset = Ours::Reset { at_ms: 1_000 };
        let table = [
            (open, 1_000, Live, Some(7_000)),
            (open, 6_999, Live, Some(7_000)),
            (open, 7_000, Quiet, Some(10_000)),
            (open, 9_999, Quiet, Some(10_000)),
            (open, 10_000, Silent, None),
            (open, 0, Live, Some(7_000)),
            (reset, 1_000, Lost, Some(16_000)),
            (reset, 15_999, Lost, Some(16_000)),
            (reset, 16_000, LostLong, None),
            (Ours::Never, 1_000_000, NeverCame, None),
            (Ours::Open { heard_ms: u64::MAX }, 5, Live, Some(u64::MAX)),
        ];
        for (ours, now_ms, witness, next) in table {
            let facts = facts(ours);
            assert_eq!(
                (facts.witness(now_ms), facts.changes_at_ms(now_ms)),
                (witness, next),
                "{ours:?} at {now_ms}"
            );
        }
    }

    #[test]
    fn what_a_peer_hears_counts_unless_it_is_live_here() {
        let heard = |ours| SessionFacts { heard_by_peer: true, ..facts(ours) }.witness(20_000);
        assert_eq!(heard(Ours::Open { heard_ms: 1_000 }), SessionWitness::HeardByPeer);
        assert_eq!(heard(Ours::Reset { at_ms: 1_000 }), SessionWitness::HeardByPeer);
        assert_eq!(heard(Ours::Never), SessionWitness::HeardByPeer);
        assert_eq!(heard(Ours::Open { heard_ms: 19_000 }), SessionWitness::Live);
        let plain = SessionFacts { expected: false, ..facts(Ours::Never) };
        assert_eq!(plain.witness(20_000), SessionWitness::NotExpected);
    }

    proptest! {
        /// A queue of deadlines misses nothing: until the announced moment the witness stays, and then it changes.
        #[test]
        fn the_next_change_is_announced(from in 0u64..50_000, now in 0u64..50_000, wait in 0u64..50_000, open: bool) {
            let ours = if open { Ours::Open { heard_ms: from } } else { Ours::Reset { at_ms: from } };
            let facts = facts(ours);
            let witness = facts.witness(now);
            match facts.changes_at_ms(now) {
                Some(at) => {
                    prop_assert!(at > now);
                    prop_assert_eq!(facts.witness(now.max(wait).min(at - 1)), witness);
                    prop_assert_ne!(facts.witness(at), witness);
                }
                None => prop_assert_eq!(facts.witness(now + wait), witness),
            }
        }
    }
}
