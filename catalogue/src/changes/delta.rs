//! The difference between two states of a service, instance by instance.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    balance::Policy,
    instance::Instance,
    instance_id::InstanceId,
    names::ServiceKey,
    snapshot::{ContentHash, Service},
};

/// Holds what turns one state of a service into a later one; each list by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub key: ServiceKey,
    /// What it starts from; none where the service was unknown.
    pub from: Option<Head>,
    /// What it comes to; none where the service is unknown from then on.
    pub to: Option<Head>,
    /// Instances that were not there.
    pub added: Vec<Arc<Instance>>,
    /// Instances that were there, and are different.
    pub changed: Vec<Arc<Instance>>,
    /// Instances that were there, and are gone.
    pub removes: Vec<InstanceId>,
}

/// Holds what everyone is told of a service beside its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub revision: u64,
    pub hash: ContentHash,
    /// How callers spread their requests, where they do not say so themselves.
    pub policy: Policy,
    pub truncated: bool,
}

/// Says that a delta does not start where its receiver stands: it needs the whole service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a delta from revision {expected:?} cannot follow revision {held:?}; ask for the whole service")]
pub struct OutOfStep {
    pub expected: Option<u64>,
    pub held: Option<u64>,
}

// === impl Delta ===

impl Delta {
    /// What turns `before` into `after`; none where that is nothing.
    pub fn between(key: &ServiceKey, before: Option<&Service>, after: Option<&Service>) -> Option<Self> {
        if before == after {
            return None;
        }
        let by_id = |service: Option<&Service>| -> BTreeMap<InstanceId, Arc<Instance>> {
            let instances = service.into_iter().flat_map(|service| service.instances.iter());
            instances.map(|instance| (instance.id.clone(), instance.clone())).collect()
        };
        let (old, new) = (by_id(before), by_id(after));
        let upserts = new.values().filter(|instance| old.get(&instance.id) != Some(instance)).cloned();
        let (changed, added) = upserts.partition(|instance| old.contains_key(&instance.id));
        Some(Self {
            key: key.clone(),
            from: before.map(Service::head),
            to: after.map(Service::head),
            added,
            changed,
            removes: old.into_keys().filter(|id| !new.contains_key(id)).collect(),
        })
    }

    pub(crate) fn gone(key: ServiceKey, held: &Service) -> Self {
        let removes = held.instances.by_id().map(|instance| instance.id.clone()).collect();
        let (added, changed) = (Vec::new(), Vec::new());
        Self { key, from: Some(held.head()), to: None, added, changed, removes }
    }

    /// Instances that are new or different.
    pub fn upserts(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.added.iter().chain(&self.changed)
    }

    /// The state that follows `held`; none where the service is unknown from then on.
    pub fn apply(&self, held: Option<&Service>) -> Result<Option<Service>, OutOfStep> {
        self.follows(held.map(Service::head).as_ref())?;
        let Some(head) = &self.to else { return Ok(None) };
        let held = held.map(|service| service.instances.clone()).unwrap_or_default();
        let new: Vec<_> = self.upserts().cloned().collect();
        let named: BTreeSet<&InstanceId> = self.removes.iter().chain(new.iter().map(|one| &one.id)).collect();
        let gone: Vec<_> = named.into_iter().filter_map(|id| held.find(id)).cloned().collect();
        Ok(Some(Service::with(*head, held.edited(&gone, &new))))
    }

    /// This one and the one after it as one, which says nothing of what came and went in between.
    pub fn then(&self, later: &Self) -> Result<Self, OutOfStep> {
        self.and_all([later])
    }

    /// This one and all that follow it as one, at the cost of what they name.
    pub fn and_all<'a>(&'a self, later: impl IntoIterator<Item = &'a Self>) -> Result<Self, OutOfStep> {
        let mut words: BTreeMap<&InstanceId, Word<'a>> = BTreeMap::new();
        hear(&mut words, self);
        let mut to = &self.to;
        for delta in later {
            delta.follows(to.as_ref())?;
            hear(&mut words, delta);
            to = &delta.to;
        }
        let now = |was_there| {
            let of = words.values().filter(move |word| word.was_there == was_there);
            of.filter_map(|word| word.now).cloned().collect()
        };
        let gone = words.iter().filter(|(_, word)| word.was_there && word.now.is_none());
        Ok(Self {
            key: self.key.clone(),
            from: self.from,
            to: *to,
            added: now(false),
            changed: now(true),
            removes: gone.map(|(id, _)| (*id).clone()).collect(),
        })
    }

    /// A revision stands for one content, so that it says all.
    fn follows(&self, held: Option<&Head>) -> Result<(), OutOfStep> {
        let revision = |head: Option<&Head>| head.map(|head| head.revision);
        let (expected, held) = (revision(self.from.as_ref()), revision(held));
        if expected == held { Ok(()) } else { Err(OutOfStep { expected, held }) }
    }
}

/// Holds what several deltas come to for one instance.
struct Word<'a> {
    /// Whether it was there before the first of them.
    was_there: bool,
    /// What it is after the last; none where it is gone.
    now: Option<&'a Arc<Instance>>,
}

fn hear<'a>(words: &mut BTreeMap<&'a InstanceId, Word<'a>>, delta: &'a Delta) {
    let removed = delta.removes.iter().map(|id| (id, true, None));
    let changed = delta.changed.iter().map(|one| (&one.id, true, Some(one)));
    let added = delta.added.iter().map(|one| (&one.id, false, Some(one)));
    for (id, was_there, now) in removed.chain(changed).chain(added) {
        match words.entry(id) {
            Entry::Vacant(vacant) => drop(vacant.insert(Word { was_there, now })),
            Entry::Occupied(mut word) => word.get_mut().now = now,
        }
    }
}
