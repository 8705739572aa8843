//! The last instances of a service: what the sessions alone say must not empty it.

use crate::{
    instance::Instance,
    state::{Reason, State},
};

/// Says in which state the instances stand on which nobody but their sessions has bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Others are served: these are out.
    Out,
    /// Nothing better is left: these are Suspect, and served, until Kubernetes agrees that they are dead.
    Spared,
}

/// Counts the instances of a service as far as the fate of its silent ones hangs on them. The verdict sees one
/// instance at a time and cannot know. Versions are not counted apart: a caller that asks for one may be left with
/// nothing, as when it asks for one that nobody runs; were every version's last instance spared, a roll-out on a dying
/// node would keep serving the old version from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    silent: usize,
    better: usize,
}

// === impl Standing ===

impl Standing {
    pub fn of<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Self {
        let mut standing = Self::default();
        instances.into_iter().for_each(|instance| standing.join(instance));
        standing
    }

    pub(crate) fn join(&mut self, instance: &Instance) {
        self.silent += usize::from(is_silent(instance));
        self.better += usize::from(is_better(instance));
    }

    /// One that has joined is no longer there.
    pub(crate) fn leave(&mut self, instance: &Instance) {
        self.silent -= usize::from(is_silent(instance));
        self.better -= usize::from(is_better(instance));
    }

    pub(crate) fn has_silent(self) -> bool {
        self.silent > 0
    }

    /// What becomes of the silent ones.
    pub fn settled(self) -> Settled {
        if self.better > 0 { Settled::Out } else { Settled::Spared }
    }
}

pub(crate) fn is_silent(instance: &Instance) -> bool {
    instance.reason == Reason::SessionSilent
}

/// Whether callers can go there instead: of weight 0 it is listed, and never picked.
fn is_better(instance: &Instance) -> bool {
    matches!(instance.state, State::Serving | State::Suspect)
        && !is_silent(instance)
        && instance.profile.weight > 0
}

// === impl Settled ===

impl Settled {
    /// The state of an instance once its service is settled: silence is judged anew, all else stays.
    pub fn state(self, instance: &Instance) -> State {
        match (is_silent(instance), self) {
            (true, Self::Out) => State::Failing,
            (true, Self::Spared) => State::Suspect,
            (false, _) => instance.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Profile, testing};

    fn instance(state: State, reason: Reason, weight: u16) -> Instance {
        let profile = Arc::new(Profile { weight, ..testing::profile() });
        Instance { state, reason, profile, ..testing::instance(1) }
    }

    #[test]
    fn silence_takes_out_the_many_and_spares_the_last() {
        use Reason::*;
        use State::*;
        let silent = (Failing, SessionSilent, 100);
        type Row<'a> = (&'a [(State, Reason, u16)], State);
        let table: &[Row<'_>] = &[
            (&[(Failing, SessionSilent, 100)], Suspect),
            (&[silent.clone(), silent.clone()], Suspect),
            (&[silent.clone(), (Serving, Ready, 100)], Failing),
            (&[silent.clone(), (Serving, Ready, 1)], Failing),
            (&[silent.clone(), (Suspect, SessionQuiet, 100)], Failing),
            (&[silent.clone(), (Suspect, SidecarLost, 100)], Failing),
            (&[silent.clone(), (Draining, Terminating, 100)], Suspect),
            (&[silent.clone(), (Failing, ProbeRefused, 100)], Suspect),
            (&[silent.clone(), (Starting, NotReady, 100)], Suspect),
            // Listed and never picked: nobody can go there instead.
            (&[silent.clone(), (Serving, Ready, 0)], Suspect),
            (&[silent.clone(), (Suspect, SidecarLost, 0)], Suspect),
            // A spared one is none that others could be taken out for, and is taken out itself when they are back.
            (&[(Suspect, SessionSilent, 100), silent.clone()], Suspect),
            (&[(Suspect, SessionSilent, 100), (Serving, Ready, 100)], Failing),
        ];
        for (service, expected) in table {
            let all: Vec<_> = service.iter().map(|(s, r, weight)| instance(*s, r.clone(), *weight)).collect();
            let mut standing = Standing::of(&all);
            for one in &all {
                let now = standing.settled().state(one);
                assert_eq!(
                    now,
                    if one.reason == SessionSilent { *expected } else { one.state },
                    "{service:?}"
                );
            }
            all.iter().for_each(|one| standing.leave(one));
            assert_eq!(standing, Standing::default(), "who leaves is counted no more");
        }
    }
}
