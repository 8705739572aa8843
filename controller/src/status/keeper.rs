//! Which managed registrations are to be created and deleted: sans IO.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use rollcall_catalogue::Namespace;
use rollcall_net::{Backoff, Jitter};
use tokio::time::Instant;

use super::{
    app_object,
    managed_object::differs,
    pace::{Pause, Tries},
};
use crate::index::{Managed, ManagedSpec, ObjectKey, Origin};

/// How often what there is is compared with what there should be: people see a new service within seconds.
pub const KEEP_EVERY: Duration = Duration::from_secs(2);
/// A version whose pods are all gone stays visible for so long: a service scaled to zero, or between two rollouts, is
/// no reason to delete and create. By our own clock, and from the time that we ourselves first saw it unwanted.
pub const UNWANTED_FOR: Duration = Duration::from_secs(600);
/// What says something else than it should does so for this long before it is made anew: in the middle of a rollout
/// the pods themselves do not agree.
pub(super) const DIFFERENT_FOR: Duration = Duration::from_secs(60);
/// Writes of one round: ten a second, and a cluster of 1,000 services is there in two minutes.
pub(super) const STEPS_MAX: usize = 20;

/// Holds since when objects are unwanted or say something else than they should, which were just seen to, and whose
/// turn it is.
#[derive(Debug)]
pub(super) struct Keeper {
    unwanted: BTreeMap<ObjectKey, Since>,
    different: BTreeMap<ObjectKey, Since>,
    /// The opposite of what was done is free at once: a Service that opts out right after it was adopted is forgotten
    /// right then.
    resting: BTreeMap<(ObjectKey, Doing), Rest>,
    /// Namespaces that the API server had no answer for: a webhook of theirs may be down, and nothing else.
    troubled: BTreeMap<Namespace, Trouble>,
    /// The namespace that was seen to last: the next round begins behind it.
    last: Option<Namespace>,
    pause: Pause,
}

/// Says what to do about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create(ObjectKey, ManagedSpec),
    Delete {
        object: ObjectKey,
        uid: Arc<str>,
    },
    /// Not in place: its owner may be another one, and a new object begins without the old one's status.
    Replace {
        object: ObjectKey,
        uid: Arc<str>,
        spec: ManagedSpec,
    },
}

/// Says what a step does, whichever object it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Creating,
    Deleting,
    Replacing,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    tries: Tries,
}

#[derive(Debug)]
struct Trouble {
    until: Instant,
    backoff: Backoff,
}

#[derive(Debug)]
struct Since {
    uid: Arc<str>,
    since: Instant,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            unwanted: BTreeMap::new(),
            different: BTreeMap::new(),
            resting: BTreeMap::new(),
            troubled: BTreeMap::new(),
            last: None,
            pause: Pause::new(jitter),
        }
    }

    /// What is to be done now: the namespaces take turns, so that none has to wait for all that another one wants.
    pub(super) fn plan(&mut self, managed: &Managed, now: Instant) -> Vec<Step> {
        let due = self.due(managed, now);
        self.forget(&due, now);
        let mut queues: BTreeMap<&Namespace, Vec<&Step>> = BTreeMap::new();
        for step in &due {
            let namespace = &step.object().namespace;
            let rests = self.resting.get(&step.done()).is_some_and(|rest| now < rest.until);
            let troubled = self.troubled.get(namespace).is_some_and(|trouble| now < trouble.until);
            if !rests && !troubled {
                queues.entry(namespace).or_default().push(step);
            }
        }
        for queue in queues.values_mut() {
            // Those that were tried in vain have had their turn. Stable: the deletions stay first among equals.
            queue.sort_by_key(|step| {
                self.resting.get(&step.done()).map_or(Tries::default(), |rest| rest.tries)
            });
        }
        let (after, before): (Vec<_>, Vec<_>) = queues
            .into_iter()
            .partition(|(namespace, _)| self.last.as_ref().is_none_or(|last| *namespace > last));
        let mut turns: VecDeque<_> =
            after.into_iter().chain(before).map(|(_, queue)| queue.into_iter()).collect();
        let mut steps = Vec::new();
        while steps.len() < STEPS_MAX
            && let Some(mut queue) = turns.pop_front()
        {
            if let Some(step) = queue.next() {
                steps.push(step.clone());
                turns.push_back(queue);
            }
        }
        steps
    }

    /// This object was seen to, and the API server answered, whatever it said.
    pub(super) fn rest(&mut self, step: &Step, now: Instant) {
        let rest = self.resting.entry(step.done()).or_insert(Rest { until: now, tries: Tries::default() });
        rest.until = now + self.pause.rest(&mut rest.tries);
        self.troubled.remove(&step.object().namespace);
        self.last = Some(step.object().namespace.clone());
    }

    /// The API server had no answer about this object: others of its namespace may be next, after a pause.
    pub(super) fn unanswered(&mut self, step: &Step, now: Instant) {
        let object = step.object();
        self.resting.entry(step.done()).or_insert(Rest { until: now, tries: Tries::default() }).tries.again();
        let trouble = self
            .troubled
            .entry(object.namespace.clone())
            .or_insert(Trouble { until: now, backoff: Backoff::default() });
        trouble.until = now + self.pause.of(&mut trouble.backoff);
        self.last = Some(object.namespace.clone());
    }

    /// What differs from what there should be, the deletions first.
    fn due(&mut self, managed: &Managed, now: Instant) -> Vec<Step> {
        let Managed { wanted, present } = managed;
        self.unwanted.retain(|key, held| {
            !wanted.contains_key(key) && present.get(key).is_some_and(|present| present.uid == held.uid)
        });
        let mut due = Vec::new();
        for (key, present) in present.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            let unwanted = || Since { uid: present.uid.clone(), since: now };
            let since = self.unwanted.entry(key.clone()).or_insert_with(unwanted).since;
            if present.at_once || now >= since + UNWANTED_FOR {
                due.push(Step::Delete { object: key.clone(), uid: present.uid.clone() });
            }
        }
        self.different.retain(|key, held| {
            wanted.contains_key(key) && present.get(key).is_some_and(|present| present.uid == held.uid)
        });
        for (key, spec) in wanted.iter().filter(|(_, spec)| can_be(spec)) {
            let Some(present) = present.get(key) else { continue };
            if !differs(present, key, spec) {
                self.different.remove(key);
                continue;
            }
            let different = || Since { uid: present.uid.clone(), since: now };
            let since = self.different.entry(key.clone()).or_insert_with(different).since;
            if now >= since + different_for(spec) {
                let (object, uid, spec) = (key.clone(), present.uid.clone(), spec.clone());
                due.push(Step::Replace { object, uid, spec });
            }
        }
        let missing = wanted.iter().filter(|(key, spec)| !present.contains_key(*key) && can_be(spec));
        due.extend(missing.map(|(key, spec)| Step::Create(key.clone(), spec.clone())));
        due
    }

    /// Nothing is remembered of what is settled, or gone.
    fn forget(&mut self, due: &[Step], now: Instant) {
        let objects: BTreeSet<_> = due.iter().map(Step::object).collect();
        let namespaces: BTreeSet<_> = due.iter().map(|step| &step.object().namespace).collect();
        self.resting.retain(|(key, _), rest| {
            // One that differs again as soon as it was made anew is changed by somebody else: ever more rarely.
            now < rest.until || objects.contains(key) || self.different.contains_key(key)
        });
        self.troubled.retain(|namespace, _| namespaces.contains(namespace));
    }
}

// === impl Step ===

impl Step {
    pub(super) fn object(&self) -> &ObjectKey {
        match self {
            Self::Create(object, _) | Self::Delete { object, .. } | Self::Replace { object, .. } => object,
        }
    }

    fn done(&self) -> (ObjectKey, Doing) {
        let doing = match self {
            Self::Create(..) => Doing::Creating,
            Self::Delete { .. } => Doing::Deleting,
            Self::Replace { .. } => Doing::Replacing,
        };
        (self.object().clone(), doing)
    }
}

/// Whether the schema takes it: pods that name no port have no instance either.
fn can_be(spec: &ManagedSpec) -> bool {
    match &spec.origin {
        Origin::Pods { ports, .. } => !ports.is_empty(),
        Origin::Service { .. } => true,
        Origin::App { word, .. } => app_object::can_be(word),
    }
}

/// One app says one thing; pods of one version may not agree yet.
fn different_for(spec: &ManagedSpec) -> Duration {
    match &spec.origin {
        Origin::Pods { .. } | Origin::Service { .. } => DIFFERENT_FOR,
        Origin::App { .. } => Duration::ZERO,
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
