//! Which managed registrations are to be created and deleted: sans IO.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::index::{Managed, ManagedSpec, ObjectKey, Origin};

/// How often what there is is compared with what there should be: people see a new service within seconds.
pub const KEEP_EVERY: Duration = Duration::from_secs(2);
/// A version whose pods are all gone stays visible for so long: a service scaled to zero, or between two rollouts, is
/// no reason to delete and create. By our own clock, and from the time that we ourselves first saw it unwanted.
pub const UNWANTED_FOR: Duration = Duration::from_secs(600);
/// Writes of one round: ten a second, and a cluster of 1,000 services is there in two minutes.
pub(super) const STEPS_MAX: usize = 20;
/// After an object was created or deleted, the same is not done again for so long: the watch has shown the result by
/// then, and somebody else's object of the same name is not asked for again and again. The opposite is free at once: a
/// Service that opts out right after it was adopted is forgotten right then.
pub(super) const REST: Duration = Duration::from_secs(60);

/// Holds since when objects are unwanted, and which were just seen to.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    unwanted: BTreeMap<ObjectKey, Unwanted>,
    resting: BTreeMap<(ObjectKey, Doing), Instant>,
}

/// Says what to do about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create(ObjectKey, ManagedSpec),
    Delete { object: ObjectKey, uid: Arc<str> },
}

/// Says what a step does, whichever object it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    Creating,
    Deleting,
}

#[derive(Debug)]
struct Unwanted {
    uid: Arc<str>,
    since: Instant,
}

// === impl Keeper ===

impl Keeper {
    /// What is to be done now, the deletions first: a name may be wanted for something else.
    pub(super) fn plan(&mut self, managed: &Managed, now: Instant) -> Vec<Step> {
        let Managed { wanted, present } = managed;
        self.resting.retain(|_, until| now < *until);
        self.unwanted.retain(|key, held| {
            !wanted.contains_key(key) && present.get(key).is_some_and(|present| present.uid == held.uid)
        });
        let mut due = Vec::new();
        for (key, present) in present.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            let unwanted = || Unwanted { uid: present.uid.clone(), since: now };
            let since = self.unwanted.entry(key.clone()).or_insert_with(unwanted).since;
            if present.of_service || now >= since + UNWANTED_FOR {
                due.push(Step::Delete { object: key.clone(), uid: present.uid.clone() });
            }
        }
        let missing = wanted.iter().filter(|(key, spec)| !present.contains_key(*key) && can_be(spec));
        due.extend(missing.map(|(key, spec)| Step::Create(key.clone(), spec.clone())));
        due.retain(|step| !self.resting.contains_key(&(step.object().clone(), step.doing())));
        due.truncate(STEPS_MAX);
        due
    }

    /// This step was taken, whatever came of it.
    pub(super) fn rest(&mut self, step: &Step, now: Instant) {
        self.resting.insert((step.object().clone(), step.doing()), now + REST);
    }
}

// === impl Step ===

impl Step {
    pub(super) fn object(&self) -> &ObjectKey {
        match self {
            Self::Create(object, _) | Self::Delete { object, .. } => object,
        }
    }

    pub(super) fn doing(&self) -> Doing {
        match self {
            Self::Create(..) => Doing::Creating,
            Self::Delete { .. } => Doing::Deleting,
        }
    }
}

/// Whether the schema takes it: pods that name no port have no instance either.
fn can_be(spec: &ManagedSpec) -> bool {
    match &spec.origin {
        Origin::Pods { ports, .. } => !ports.is_empty(),
        Origin::Service { .. } => true,
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
