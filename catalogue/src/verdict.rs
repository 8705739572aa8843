//! The verdict: from what the witnesses say of an instance to what lookups are told.
//!
//! | pod | session | verdict |
//! |---|---|---|
//! | Succeeded or Failed | any | removed |
//! | deletionTimestamp | any | Draining / Terminating |
//! | other containers not ready | any | Starting / NotReady |
//! | ready | not expected, or live | Serving / Ready |
//! | ready | expected, never came | Serving / SessionNeverCame |
//! | ready | lost | Serving / SidecarLost |
//!
//! The session sets the reason and never the state: a registry that is ill itself must not evict what Kubernetes
//! has ready. Our own sidecar's readiness is no part of `ready` (see [`PodWitness`]), so killing or upgrading a
//! sidecar evicts nobody.

use crate::state::{Reason, State};

/// Says where a pod is in its life, as the kubelet reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

/// Holds what Kubernetes says of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodWitness {
    /// It has a deletionTimestamp.
    pub deleting: bool,
    pub phase: Phase,
    /// All containers but our own sidecar, and all readiness gates, are ready. A pod without our sidecar: its
    /// `Ready` condition, the node controller's word included.
    pub ready: bool,
}

/// Holds what the controller's sessions say of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionWitness {
    /// The pod has no sidecar.
    NotExpected,
    /// It has one, which has not been heard by this process yet.
    NeverCame,
    Live,
    Lost,
}

/// Says what becomes of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Listed(State, Reason),
    Removed,
}

/// Weighs the witnesses; total, and the same on every replica that heard the same.
pub fn verdict(pod: &PodWitness, session: SessionWitness) -> Verdict {
    if matches!(pod.phase, Phase::Succeeded | Phase::Failed) {
        return Verdict::Removed;
    }
    if pod.deleting {
        return Verdict::Listed(State::Draining, Reason::Terminating);
    }
    if !pod.ready {
        return Verdict::Listed(State::Starting, Reason::NotReady);
    }
    let reason = match session {
        SessionWitness::NotExpected | SessionWitness::Live => Reason::Ready,
        SessionWitness::NeverCame => Reason::SessionNeverCame,
        SessionWitness::Lost => Reason::SidecarLost,
    };
    Verdict::Listed(State::Serving, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 4] = [Phase::Pending, Phase::Running, Phase::Succeeded, Phase::Failed];
    const SESSIONS: [SessionWitness; 4] =
        [SessionWitness::NotExpected, SessionWitness::NeverCame, SessionWitness::Live, SessionWitness::Lost];

    fn every_case() -> impl Iterator<Item = (PodWitness, SessionWitness)> {
        PHASES.into_iter().flat_map(|phase| {
            SESSIONS.into_iter().flat_map(move |session| {
                [(false, false), (false, true), (true, false), (true, true)]
                    .map(|(deleting, ready)| (PodWitness { deleting, phase, ready }, session))
            })
        })
    }

    #[test]
    fn the_table() {
        let running = PodWitness { deleting: false, phase: Phase::Running, ready: true };
        let listed = Verdict::Listed;
        let table = [
            (running, SessionWitness::Live, listed(State::Serving, Reason::Ready)),
            (running, SessionWitness::NotExpected, listed(State::Serving, Reason::Ready)),
            (running, SessionWitness::NeverCame, listed(State::Serving, Reason::SessionNeverCame)),
            (running, SessionWitness::Lost, listed(State::Serving, Reason::SidecarLost)),
            (
                PodWitness { ready: false, ..running },
                SessionWitness::Live,
                listed(State::Starting, Reason::NotReady),
            ),
            (
                PodWitness { deleting: true, ..running },
                SessionWitness::Live,
                listed(State::Draining, Reason::Terminating),
            ),
            (PodWitness { phase: Phase::Failed, ..running }, SessionWitness::Live, Verdict::Removed),
            (
                PodWitness { phase: Phase::Succeeded, deleting: true, ..running },
                SessionWitness::Live,
                Verdict::Removed,
            ),
        ];
        for (pod, session, expected) in table {
            assert_eq!(verdict(&pod, session), expected, "{pod:?} {session:?}");
        }
    }

    #[test]
    fn no_session_ever_changes_a_state() {
        let state = |verdict: Verdict| match verdict {
            Verdict::Listed(state, _) => Some(state),
            Verdict::Removed => None,
        };
        for (pod, session) in every_case() {
            let without = state(verdict(&pod, SessionWitness::NotExpected));
            assert_eq!(state(verdict(&pod, session)), without, "{pod:?} {session:?}");
        }
    }

    #[test]
    fn only_ready_pods_that_stay_are_served() {
        for (pod, session) in every_case() {
            let served = matches!(verdict(&pod, session), Verdict::Listed(State::Serving, _));
            let stays = !pod.deleting && matches!(pod.phase, Phase::Pending | Phase::Running);
            assert_eq!(served, pod.ready && stays, "{pod:?} {session:?}");
        }
    }
}
