//! The last instances of a service: what the sessions alone say must not empty it.

use crate::state::{Reason, State};

/// Says in which state the instances stand on which nobody but their sessions has bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Others are served: these are out.
    Out,
    /// Nothing better is left: these are Suspect, and served, until Kubernetes agrees that they are dead.
    Spared,
}

/// What becomes of a service's silent instances, given the states and reasons of all of them. The verdict sees one
/// instance at a time and cannot know.
pub fn settle<'a>(instances: impl IntoIterator<Item = (State, &'a Reason)>) -> Settled {
    let better = |(state, reason): (State, &Reason)| {
        matches!(state, State::Serving | State::Suspect) && *reason != Reason::SessionSilent
    };
    if instances.into_iter().any(better) { Settled::Out } else { Settled::Spared }
}

// === impl Settled ===

impl Settled {
    /// The state of an instance once its service is settled: silence is judged anew, all else stays.
    pub fn state(self, state: State, reason: &Reason) -> State {
        match (reason, self) {
            (Reason::SessionSilent, Self::Out) => State::Failing,
            (Reason::SessionSilent, Self::Spared) => State::Suspect,
            _ => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_takes_out_the_many_and_spares_the_last() {
        use Reason::*;
        use State::*;
        let silent = (Failing, SessionSilent);
        let table: &[(&[(State, Reason)], State)] = &[
            (std::slice::from_ref(&silent), Suspect),
            (&[silent.clone(), silent.clone()], Suspect),
            (&[silent.clone(), (Serving, Ready)], Failing),
            (&[silent.clone(), (Suspect, SessionQuiet)], Failing),
            (&[silent.clone(), (Suspect, SidecarLost)], Failing),
            (&[silent.clone(), (Draining, Terminating)], Suspect),
            (&[silent.clone(), (Failing, ProbeRefused)], Suspect),
            (&[silent.clone(), (Starting, NotReady)], Suspect),
            // A spared one is none that others could be taken out for, and is taken out itself when they are back.
            (&[(Suspect, SessionSilent), silent.clone()], Suspect),
            (&[(Suspect, SessionSilent), (Serving, Ready)], Failing),
        ];
        for (service, expected) in table {
            let settled = settle(service.iter().map(|(state, reason)| (*state, reason)));
            for (state, reason) in *service {
                let now = settled.state(*state, reason);
                assert_eq!(now, if *reason == SessionSilent { *expected } else { *state }, "{service:?}");
            }
        }
    }
}
