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

/// A session that was lost with its replica has this long to appear at another one.
pub const PEER_LOST_AFTER_MS: u64 = 10_000;

/// Holds what the sessions know of a pod's sidecar; `*_ms` are of the monotonic clock of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFacts {
    /// The pod has a sidecar of ours.
    pub expected: bool,
    pub ours: Ours,
    pub peers: Peers,
}

/// Says how one process' own session with the pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    Never,
    /// Open; its last frame came then.
    Open {
        heard_ms: u64,
    },
    /// Ended then. The newest word counts: a second session takes the place of the first.
    Reset {
        at_ms: u64,
        /// Its last frame came then.
        heard_ms: u64,
        /// The pod's end closed it, which says that its node is alive. Our own hanging up says nothing, nor does a
        /// timeout of our kernel.
        by_peer: bool,
    },
}

/// Says what the other replicas have of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// None of them ever told of it.
    Never,
    /// One has it in an open session, and has heard it of late.
    Hear,
    /// None has heard it of late, and this was their last word on it. They tell ages, which the receiver turns into its own
    /// clock.
    Told(Ours),
    /// The one that had it in an open session was lost itself then.
    Lost { at_ms: u64 },
}

/// Where the time that passes has brought one session: what that says, and when it says something else.
type Step = (SessionWitness, Option<u64>);

// === impl SessionFacts ===

impl SessionFacts {
    /// A frame came from the pod, here.
    pub fn heard(&mut self, now_ms: u64) {
        self.ours = Ours::Open { heard_ms: now_ms };
    }

    /// Our session with the pod has ended; see [`Ours::Reset`].
    pub fn ended(&mut self, now_ms: u64, by_peer: bool) {
        if let Ours::Open { heard_ms } = self.ours {
            self.ours = Ours::Reset { at_ms: now_ms, heard_ms, by_peer };
        }
    }

    pub fn witness(&self, now_ms: u64) -> SessionWitness {
        self.step(now_ms).0
    }

    /// When the witness says something else by time alone; none while only an event can change it. For a queue of
    /// deadlines: nothing need be scanned.
    pub fn changes_at_ms(&self, now_ms: u64) -> Option<u64> {
        self.step(now_ms).1
    }

    /// When the pod was last heard, anywhere; none where it never was. A session that is silent had its last word
    /// [`SILENT_AFTER_MS`] ago or longer, and no other had.
    pub fn last_word_ms(&self, now_ms: u64) -> Option<u64> {
        let peers = if self.peers == Peers::Hear { Some(now_ms) } else { self.peers.word_ms() };
        self.ours.word_ms().max(peers.map(|word_ms| word_ms.min(now_ms)))
    }

    fn step(&self, now_ms: u64) -> Step {
        let ours = self.ours.step(now_ms);
        if let Some((SessionWitness::Live, _)) = ours {
            return (SessionWitness::Live, ours.and_then(|(_, at_ms)| at_ms));
        }
        // Of both, whose last word is the newer.
        let newer = self.peers.word_ms() > self.ours.word_ms();
        let theirs = match self.peers {
            Peers::Hear => Some((SessionWitness::HeardByPeer, None)),
            Peers::Told(theirs) if newer => theirs.step(now_ms),
            Peers::Lost { at_ms } if newer => match later(at_ms, PEER_LOST_AFTER_MS, now_ms) {
                Some(silent) => Some((SessionWitness::HeardByPeer, Some(silent))),
                None => Some((SessionWitness::Silent, None)),
            },
            Peers::Never | Peers::Told(_) | Peers::Lost { .. } => None,
        };
        match (theirs, ours) {
            (Some((SessionWitness::Live, at_ms)), _) => (SessionWitness::HeardByPeer, at_ms),
            (Some(step), _) | (None, Some(step)) => step,
            (None, None) if self.expected => (SessionWitness::NeverCame, None),
            (None, None) => (SessionWitness::NotExpected, None),
        }
    }
}

// === impl Peers ===

impl Peers {
    /// What is left of it when the replica that told it was lost itself then. That a session has ended still stands, and so
    /// does a silence that was complete by then. One that was only late may have been back before anybody could tell.
    #[must_use]
    pub fn lost(self, at_ms: u64) -> Self {
        match self {
            Self::Hear => Self::Lost { at_ms },
            Self::Told(Ours::Open { heard_ms }) if at_ms.saturating_sub(heard_ms) < SILENT_AFTER_MS => {
                Self::Lost { at_ms }
            }
            Self::Never | Self::Told(_) | Self::Lost { .. } => self,
        }
    }

    /// What is left of it while the replica that told it lives, and has told nothing since then: a session that was late may
    /// have been heard again the moment after.
    #[must_use]
    pub fn unheard(self, since_ms: u64) -> Self {
        match self {
            Self::Told(Ours::Open { heard_ms }) if since_ms.saturating_sub(heard_ms) < SILENT_AFTER_MS => {
                Self::Hear
            }
            Self::Never | Self::Hear | Self::Told(_) | Self::Lost { .. } => self,
        }
    }

    fn word_ms(self) -> Option<u64> {
        match self {
            Self::Never | Self::Hear => None,
            Self::Told(theirs) => theirs.word_ms(),
            // So that it is silent as long after its last word as every other session.
            Self::Lost { at_ms } => Some(at_ms.saturating_add(PEER_LOST_AFTER_MS - SILENT_AFTER_MS)),
        }
    }
}

// === impl Ours ===

impl Ours {
    /// When the pod gave its last sign of life. To be reset is one, unless the session was quiet by then: a node that
    /// is cut off does not answer, and what ends its sessions in the end is a timeout of somebody's.
    fn word_ms(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Open { heard_ms } => Some(heard_ms),
            Self::Reset { at_ms, heard_ms, .. } => Some(if self.lost() { at_ms } else { heard_ms }),
        }
    }

    fn lost(self) -> bool {
        let quiet = |at_ms: u64, heard_ms| at_ms.saturating_sub(heard_ms) >= QUIET_AFTER_MS;
        matches!(self, Self::Reset { at_ms, heard_ms, by_peer: true } if !quiet(at_ms, heard_ms))
    }

    fn step(self, now_ms: u64) -> Option<Step> {
        let word_ms = self.word_ms()?;
        let until = |after_ms| later(word_ms, after_ms, now_ms);
        Some(if self.lost() {
            match until(LOST_LONG_AFTER_MS) {
                Some(long) => (SessionWitness::Lost, Some(long)),
                None => (SessionWitness::LostLong, None),
            }
        } else {
            match (until(QUIET_AFTER_MS), until(SILENT_AFTER_MS)) {
                (Some(quiet), _) => (SessionWitness::Live, Some(quiet)),
                (None, Some(silent)) => (SessionWitness::Quiet, Some(silent)),
                (None, None) => (SessionWitness::Silent, None),
            }
        })
    }
}

/// The end of a time, while it is still to come.
fn later(from_ms: u64, after_ms: u64, now_ms: u64) -> Option<u64> {
    let at_ms = from_ms.saturating_add(after_ms);
    (at_ms > now_ms).then_some(at_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        liveness::{Witnesses, verdict},
        testing::WELL,
    };

    fn facts(ours: Ours) -> SessionFacts {
        SessionFacts { expected: true, ours, peers: Peers::Never }
    }

    fn reset(at_ms: u64, heard_ms: u64, by_peer: bool) -> Ours {
        Ours::Reset { at_ms, heard_ms, by_peer }
    }

    #[test]
    fn the_session_clock() {
        use SessionWitness::*;
        let open = Ours::Open { heard_ms: 1_000 };
        let lost = reset(1_000, 500, true);
        let table = [
            (open, 1_000, Live, Some(7_000)),
            (open, 6_999, Live, Some(7_000)),
            (open, 7_000, Quiet, Some(10_000)),
            (open, 9_999, Quiet, Some(10_000)),
            (open, 10_000, Silent, None),
            (open, 0, Live, Some(7_000)),
            (lost, 1_000, Lost, Some(16_000)),
            (lost, 15_999, Lost, Some(16_000)),
            (lost, 16_000, LostLong, None),
            (reset(6_999, 1_000, true), 10_000, Lost, Some(21_999)),
            // It was quiet, or we hung up ourselves: the clock goes on.
            (reset(7_000, 1_000, true), 7_000, Quiet, Some(10_000)),
            (reset(10_100, 1_000, true), 10_100, Silent, None),
            (reset(2_000, 1_000, false), 2_000, Live, Some(7_000)),
            (reset(2_000, 1_000, false), 7_000, Quiet, Some(10_000)),
            (reset(10_100, 1_000, false), 10_100, Silent, None),
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
        let heard = |ours| SessionFacts { peers: Peers::Hear, ..facts(ours) }.witness(20_000);
        assert_eq!(heard(Ours::Open { heard_ms: 1_000 }), SessionWitness::HeardByPeer);
        assert_eq!(heard(reset(1_000, 500, true)), SessionWitness::HeardByPeer);
        assert_eq!(heard(Ours::Never), SessionWitness::HeardByPeer);
        assert_eq!(heard(Ours::Open { heard_ms: 19_000 }), SessionWitness::Live);
        let plain = SessionFacts { expected: false, ..facts(Ours::Never) };
        assert_eq!(plain.witness(20_000), SessionWitness::NotExpected);
    }

    #[test]
    fn what_a_peer_heard_is_not_heard_for_ever() {
        use SessionWitness::*;
        let lost = Peers::Lost { at_ms: 1_000 };
        let quiet = Peers::Told(Ours::Open { heard_ms: 1_000 });
        let table = [
            (Ours::Never, lost, 1_000, HeardByPeer, Some(11_000)),
            (Ours::Never, lost, 10_999, HeardByPeer, Some(11_000)),
            (Ours::Never, lost, 11_000, Silent, None),
            (Ours::Open { heard_ms: 10_000 }, lost, 11_000, Live, Some(16_000)),
            (Ours::Open { heard_ms: 2_001 }, lost, 11_000, Quiet, Some(11_001)),
            (Ours::Never, quiet, 7_000, Quiet, Some(10_000)),
            (Ours::Never, quiet, 10_000, Silent, None),
            (Ours::Never, Peers::Told(reset(1_000, 900, true)), 10_000, Lost, Some(16_000)),
            (
                Ours::Open { heard_ms: 500 },
                Peers::Told(Ours::Open { heard_ms: 900 }),
                6_800,
                HeardByPeer,
                Some(6_900),
            ),
            (reset(800, 500, true), quiet, 8_000, Quiet, Some(10_000)),
            (reset(1_800, 500, true), quiet, 8_000, Lost, Some(16_800)),
            (Ours::Never, Peers::Told(Ours::Never), 8_000, NeverCame, None),
        ];
        for (ours, peers, now_ms, witness, next) in table {
            let facts = SessionFacts { peers, ..facts(ours) };
            assert_eq!(
                (facts.witness(now_ms), facts.changes_at_ms(now_ms)),
                (witness, next),
                "{facts:?} at {now_ms}"
            );
        }
    }

    #[test]
    fn what_a_peer_told_before_it_was_lost() {
        let late = Peers::Told(Ours::Open { heard_ms: 1_000 });
        let closed = Peers::Told(reset(2_000, 1_000, true));
        let table = [
            (Peers::Hear, 5_000, Peers::Lost { at_ms: 5_000 }),
            (late, 9_999, Peers::Lost { at_ms: 9_999 }),
            // It was silent already: that who told it dies as well gives it no new time.
            (late, 10_000, late),
            (closed, 5_000, closed),
            (Peers::Lost { at_ms: 1_000 }, 5_000, Peers::Lost { at_ms: 1_000 }),
            (Peers::Never, 5_000, Peers::Never),
        ];
        for (told, at_ms, left) in table {
            assert_eq!(told.lost(at_ms), left, "{told:?} at {at_ms}");
        }
    }

    #[test]
    fn what_a_peer_told_before_it_was_unheard() {
        let late = Peers::Told(Ours::Open { heard_ms: 1_000 });
        let closed = Peers::Told(reset(2_000, 1_000, true));
        let table = [
            (late, 9_999, Peers::Hear),
            (late, 10_000, late),
            (closed, 2_000, closed),
            (Peers::Hear, 2_000, Peers::Hear),
        ];
        for (told, since_ms, left) in table {
            assert_eq!(told.unheard(since_ms), left, "{told:?} since {since_ms}");
        }
        // And when it is lost after that, its sessions have their time to be anywhere, however long it was unheard.
        assert_eq!(late.unheard(5_000).lost(90_000), Peers::Lost { at_ms: 90_000 });
    }

    fn any_ours() -> impl Strategy<Value = Ours> {
        let ended = (0u64..50_000, 0u64..20_000, any::<bool>());
        prop_oneof![
            Just(Ours::Never),
            (0u64..50_000).prop_map(|heard_ms| Ours::Open { heard_ms }),
            ended.prop_map(|(heard_ms, after, by_peer)| reset(heard_ms + after, heard_ms, by_peer)),
        ]
    }

    fn any_facts() -> impl Strategy<Value = SessionFacts> {
        let peers = prop_oneof![
            Just(Peers::Never),
            Just(Peers::Hear),
            any_ours().prop_map(Peers::Told),
            (0u64..50_000).prop_map(|at_ms| Peers::Lost { at_ms }),
        ];
        (any_ours(), peers).prop_map(|(ours, peers)| SessionFacts { expected: true, ours, peers })
    }

    /// Bad news of a session, as it can come at any time.
    #[derive(Debug, Clone, Copy)]
    enum Bad {
        EndedByUs,
        EndedByPeer,
        PeerLost,
        /// The peer that had it is no longer hearing it: for how long, and whether it was reset there.
        PeerDeaf(u64, Option<bool>),
    }

    fn any_bad() -> impl Strategy<Value = Bad> {
        prop_oneof![
            Just(Bad::EndedByUs),
            Just(Bad::EndedByPeer),
            Just(Bad::PeerLost),
            (0u64..9_000, proptest::option::of(any::<bool>())).prop_map(|(age, by)| Bad::PeerDeaf(age, by)),
        ]
    }

    proptest! {
        /// A queue of deadlines misses nothing: until the announced moment the witness stays, and then it changes.
        #[test]
        fn the_next_change_is_announced(facts in any_facts(), now in 0u64..70_000, wait in 0u64..70_000) {
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

        /// The guard hears of no session as silent that is not, and of all that are.
        #[test]
        fn silence_is_an_old_last_word(facts in any_facts(), now in 0u64..70_000) {
            let old = facts.last_word_ms(now).is_some_and(|word| now.saturating_sub(word) >= SILENT_AFTER_MS);
            let witness = facts.witness(now);
            let lost = matches!(witness, SessionWitness::Lost | SessionWitness::LostLong);
            prop_assert!(lost || old == (witness == SessionWitness::Silent), "{witness}");
        }

        /// Over the life of one session: from its last frame on, whatever ends or is lost, and when, and however time
        /// passes, its instance never gets healthier; unless who called it late turns out to be ill itself.
        #[test]
        fn more_bad_news_never_makes_it_healthier(
            by_us: bool,
            by_peers: bool,
            news in proptest::collection::vec((0u64..12_000, any_bad()), 0..8),
            node_unknown: bool,
        ) {
            let mut facts = facts(Ours::Never);
            if by_us || !by_peers {
                facts.heard(20_000);
            }
            if by_peers {
                facts.peers = Peers::Hear;
            }
            let pod = if node_unknown { crate::liveness::PodWitness::NodeUnknown } else { WELL.pod };
            let rank = |facts: &SessionFacts, now_ms| {
                verdict(&Witnesses { pod, session: facts.witness(now_ms), ..WELL }).rank()
            };
            let mut now_ms = 20_000;
            let mut before = rank(&facts, now_ms);
            let the_end = [(0, Bad::EndedByUs), (0, Bad::PeerLost), (30_000, Bad::PeerLost)];
            for (wait_ms, bad) in news.into_iter().chain(the_end) {
                for _ in 0..10 {
                    now_ms += wait_ms / 10;
                    let now = rank(&facts, now_ms);
                    prop_assert!(now <= before, "by time alone: {facts:?} at {now_ms}");
                    before = now;
                }
                match bad {
                    Bad::EndedByUs => facts.ended(now_ms, false),
                    Bad::EndedByPeer => facts.ended(now_ms, true),
                    Bad::PeerLost => {
                        let late = matches!(facts.peers, Peers::Told(Ours::Open { .. }));
                        facts.peers = facts.peers.lost(now_ms);
                        if late {
                            before = 3;
                        }
                    }
                    Bad::PeerDeaf(age_ms, ended) if facts.peers == Peers::Hear => {
                        let heard_ms = now_ms - age_ms;
                        facts.peers = Peers::Told(match ended {
                            Some(by_peer) => reset(now_ms, heard_ms, by_peer),
                            None => Ours::Open { heard_ms },
                        });
                    }
                    Bad::PeerDeaf(..) => {}
                }
                let now = rank(&facts, now_ms);
                prop_assert!(now <= before, "by {bad:?}: {facts:?} at {now_ms}");
                before = now;
            }
            prop_assert!(before < 3, "and ends up doubted: {facts:?}");
        }
    }
}
