//! The difference between two states of a service, instance by instance.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    consolidate::Settings,
    instance::{Instance, InstanceId},
    names::ServiceKey,
    snapshot::{ContentHash, Service},
};

/// Holds what turns one state of a service into a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub key: ServiceKey,
    /// The revision that it starts from; none where the service was unknown.
    pub from: Option<u64>,
    /// What it comes to; none where the service is unknown from then on.
    pub to: Option<Head>,
    /// Instances that are new or different.
    pub upserts: Vec<Arc<Instance>>,
    /// Instances that are gone.
    pub removes: Vec<InstanceId>,
}

/// Holds what everyone is told of a service beside its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub revision: u64,
    pub hash: ContentHash,
    pub settings: Settings,
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
        Some(Self {
            key: key.clone(),
            from: before.map(|service| service.revision),
            to: after.map(Service::head),
            upserts: new
                .values()
                .filter(|instance| old.get(&instance.id) != Some(instance))
                .cloned()
                .collect(),
            removes: old.into_keys().filter(|id| !new.contains_key(id)).collect(),
        })
    }

    pub(crate) fn gone(key: ServiceKey, held: &Service) -> Self {
        let removes = held.instances.iter().map(|instance| instance.id.clone()).collect();
        Self { key, from: Some(held.revision), to: None, upserts: Vec::new(), removes }
    }

    /// The state that follows `held`; none where the service is unknown from then on.
    pub fn apply(&self, held: Option<&Service>) -> Result<Option<Service>, OutOfStep> {
        let revision = held.map(|service| service.revision);
        if revision != self.from {
            return Err(OutOfStep { expected: self.from, held: revision });
        }
        let Some(head) = &self.to else { return Ok(None) };
        let new: BTreeSet<&InstanceId> = self.upserts.iter().map(|instance| &instance.id).collect();
        let gone: BTreeSet<&InstanceId> = self.removes.iter().collect();
        let kept = held.into_iter().flat_map(|service| service.instances.iter());
        let kept = kept.filter(|instance| !new.contains(&instance.id) && !gone.contains(&instance.id));
        Ok(Some(Service::of(head.clone(), kept.chain(&self.upserts).cloned().collect())))
    }

    /// This one and the one after it as one.
    pub fn then(&self, later: &Self) -> Result<Self, OutOfStep> {
        self.and_all([later])
    }

    /// This one and all that follow it as one, at the cost of what they name.
    pub(super) fn and_all<'a>(
        &'a self,
        later: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, OutOfStep> {
        // The last word on each instance: what it is, or that it is gone.
        let mut words: BTreeMap<&InstanceId, Option<&Arc<Instance>>> = BTreeMap::new();
        let mut hear = |delta: &'a Self| {
            words.extend(delta.removes.iter().map(|id| (id, None)));
            words.extend(delta.upserts.iter().map(|instance| (&instance.id, Some(instance))));
        };
        hear(self);
        let mut to = &self.to;
        for delta in later {
            let stands = to.as_ref().map(|head| head.revision);
            if stands != delta.from {
                return Err(OutOfStep { expected: delta.from, held: stands });
            }
            hear(delta);
            to = &delta.to;
        }
        Ok(Self {
            key: self.key.clone(),
            from: self.from,
            to: to.clone(),
            upserts: words.values().copied().flatten().cloned().collect(),
            removes: words.iter().filter(|(_, word)| word.is_none()).map(|(id, _)| (*id).clone()).collect(),
        })
    }
}
