//! The verdict: from what the witnesses say of an instance to what lookups are told. docs/liveness.md is its table.

use crate::{
    liveness::witness::{
        EndpointWitness, Intent, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
    },
    state::{Reason, State},
};

/// Says what becomes of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Listed(State, Reason),
    Removed,
}

/// Weighs the witnesses; total, without memory, and the same on every replica that heard the same. What comes first
/// outvotes what comes later: the end of a pod, the wish to leave, Kubernetes' readiness, the app, the sessions.
pub fn verdict(witnesses: &Witnesses) -> Verdict {
    match leaving(witnesses).or_else(|| unready(witnesses)) {
        Some(verdict) => verdict,
        None if observed(witnesses) => by_kubernetes_alone(witnesses),
        None => match by_the_app(witnesses) {
            Some(verdict @ Verdict::Listed(State::Suspect, _)) => worse(by_the_session(witnesses), verdict),
            Some(verdict) => verdict,
            None => by_the_session(witnesses),
        },
    }
}

/// Gone, or on its way out.
fn leaving(witnesses: &Witnesses) -> Option<Verdict> {
    let draining = |reason| Some(Verdict::Listed(State::Draining, reason));
    match witnesses.pod {
        PodWitness::Gone | PodWitness::Ended => return Some(Verdict::Removed),
        PodWitness::Terminating => return draining(Reason::Terminating),
        PodWitness::NoPod | PodWitness::Ready | PodWitness::NodeUnknown | PodWitness::NotReady => {}
    }
    match (witnesses.endpoint, witnesses.intent) {
        (EndpointWitness::Terminating, _) => draining(Reason::Terminating),
        (_, Intent::Drain) => draining(Reason::DrainRequested),
        (_, Intent::Stay) => None,
    }
}

/// Not ready by Kubernetes' word. A Service that publishes what is not ready has asked for it.
fn unready(witnesses: &Witnesses) -> Option<Verdict> {
    let starting = |reason| Some(Verdict::Listed(State::Starting, reason));
    match (witnesses.pod, witnesses.endpoint) {
        (PodWitness::NotReady, EndpointWitness::Published) => None,
        (PodWitness::NotReady, _) => starting(Reason::NotReady),
        (PodWitness::NoPod, EndpointWitness::NotReady) => starting(Reason::EndpointNotReady),
        // A slice also says "not ready" when our own sidecar restarts, and when the node controller infers it: of
        // such pods the pod's own facts are the better witness.
        (PodWitness::Ready, EndpointWitness::NotReady)
            if witnesses.session == SessionWitness::NotExpected
                && witnesses.registry != RegistryHealth::Frozen =>
        {
            starting(Reason::EndpointNotReady)
        }
        _ => None,
    }
}

/// Nobody but Kubernetes is to be heard. Of an address outside the cluster it knows nothing.
fn observed(witnesses: &Witnesses) -> bool {
    let outside = (witnesses.pod, witnesses.endpoint) == (PodWitness::NoPod, EndpointWitness::NoEndpoint);
    witnesses.registry == RegistryHealth::Observing && !outside
}

fn by_kubernetes_alone(witnesses: &Witnesses) -> Verdict {
    if node_is_unknown(witnesses) {
        Verdict::Listed(State::Failing, Reason::NodeLost)
    } else {
        Verdict::Listed(State::Serving, ready_reason(witnesses))
    }
}

/// What the app's own answers and words come to; none where they raise no doubt.
fn by_the_app(witnesses: &Witnesses) -> Option<Verdict> {
    let failing = |reason| Some(Verdict::Listed(State::Failing, reason));
    match witnesses.probe {
        ProbeWitness::Dead => failing(Reason::ProbeRefused),
        ProbeWitness::Unwell => failing(Reason::ProbeFailed),
        ProbeWitness::LoopbackOnly => failing(Reason::ListensOnLoopbackOnly),
        ProbeWitness::BeatMissed => failing(Reason::HeartbeatMissed),
        ProbeWitness::SaysFailing => failing(Reason::AppSaysFailing),
        ProbeWitness::AwaitingBeat => Some(Verdict::Listed(State::Suspect, Reason::AwaitingBeat)),
        // Kubernetes has vouched for the rest already. Its registration is all there is to go by, after each restart of
        // the registry too: that must not empty a service.
        ProbeWitness::Pending
            if (witnesses.pod, witnesses.endpoint) == (PodWitness::NoPod, EndpointWitness::NoEndpoint) =>
        {
            Some(Verdict::Listed(State::Suspect, Reason::NotProbedYet))
        }
        ProbeWitness::Pending | ProbeWitness::Passing | ProbeWitness::NotAsked => None,
    }
}

/// What the sessions come to; while the registry doubts itself, nothing that would take an instance out.
fn by_the_session(witnesses: &Witnesses) -> Verdict {
    let (state, reason) = if node_is_unknown(witnesses) {
        match witnesses.session {
            SessionWitness::Live | SessionWitness::HeardByPeer => (State::Serving, Reason::NodeUnknown),
            SessionWitness::NeverCame | SessionWitness::Quiet | SessionWitness::Lost => {
                (State::Suspect, Reason::NodeUnknown)
            }
            SessionWitness::NotExpected | SessionWitness::Silent | SessionWitness::LostLong => {
                (State::Failing, Reason::NodeLost)
            }
        }
    } else {
        match witnesses.session {
            SessionWitness::NotExpected | SessionWitness::Live | SessionWitness::HeardByPeer => {
                (State::Serving, ready_reason(witnesses))
            }
            SessionWitness::NeverCame => (State::Serving, Reason::SessionNeverCame),
            SessionWitness::Lost => (State::Serving, Reason::SidecarLost),
            SessionWitness::LostLong => (State::Suspect, Reason::SidecarLost),
            SessionWitness::Quiet => (State::Suspect, Reason::SessionQuiet),
            SessionWitness::Silent => (State::Failing, Reason::SessionSilent),
        }
    };
    if witnesses.registry == RegistryHealth::Frozen && state != State::Serving {
        return Verdict::Listed(State::Serving, Reason::MassLossGuard);
    }
    Verdict::Listed(state, reason)
}

fn node_is_unknown(witnesses: &Witnesses) -> bool {
    witnesses.pod == PodWitness::NodeUnknown && witnesses.endpoint != EndpointWitness::Published
}

fn ready_reason(witnesses: &Witnesses) -> Reason {
    let unready = matches!(witnesses.pod, PodWitness::NotReady | PodWitness::NodeUnknown);
    match (unready, witnesses.endpoint) {
        (true, EndpointWitness::Published) => Reason::PublishedNotReady,
        _ => Reason::Ready,
    }
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    if one.rank() < other.rank() { one } else { other }
}

// === impl Verdict ===

impl Verdict {
    /// How far up in the lookups it is: served, served when nothing better is left, listed, gone.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Removed => 0,
            Self::Listed(State::Starting | State::Failing | State::Draining, _) => 1,
            Self::Listed(State::Suspect, _) => 2,
            Self::Listed(State::Serving, _) => 3,
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
