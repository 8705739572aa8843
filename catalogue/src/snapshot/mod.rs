//! The catalogue at one moment: immutable, shared, and cheap to follow with the next one.

mod hash;
mod instances;
mod service;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

pub use hash::ContentHash;
pub use instances::Instances;
use service::Listed;
pub use service::{Service, Update};

use crate::{
    changes::Delta,
    names::{Namespace, ServiceKey},
    registration::Visibility,
};

/// Parts of a snapshot that are copied on their own: a change copies one of them and the list of all. At 15,000
/// services that is some 60 entries and 256 pointers.
const SHARDS: usize = 256;

/// Holds all services of the cluster at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    shards: Box<[Arc<Shard>]>,
    /// Secret, so that nobody can choose names that meet in one shard.
    hasher: RandomState,
    len: usize,
    /// The highest revision of any service that is gone. One that comes back begins above it, so that a revision
    /// never stands for two contents, without remembering every name there ever was.
    floor: u64,
}

type Shard = HashMap<ServiceKey, Arc<Listed>>;

/// Holds a snapshot and how it came from the one before.
#[derive(Debug, Clone)]
pub struct Step {
    pub snapshot: Snapshot,
    /// One for each update that changed something, in their order: several of one service where several were given.
    pub deltas: Vec<Arc<Delta>>,
}

// === impl Snapshot ===

impl Default for Snapshot {
    fn default() -> Self {
        let empty = Arc::new(Shard::default());
        Self { shards: vec![empty; SHARDS].into(), hasher: RandomState::new(), len: 0, floor: 0 }
    }
}

impl Snapshot {
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.listed(key).map(|listed| &listed.service)
    }

    /// Who may see the service. It is told to nobody; people who look after the registry may ask.
    pub fn visibility(&self, key: &ServiceKey) -> Option<&Visibility> {
        self.listed(key).map(|listed| &listed.visibility)
    }

    /// Whether a caller in this namespace may know of the service. Who may not is told the same as of a name that
    /// nobody has.
    pub fn is_visible(&self, key: &ServiceKey, caller: &Namespace) -> bool {
        self.visibility(key).is_some_and(|visibility| visibility.includes(&key.namespace, caller))
    }

    /// All services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|(key, listed)| (key, &listed.service))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The snapshot after these updates; none where nothing has changed, who may see it included.
    pub fn next(&self, updates: impl IntoIterator<Item = (ServiceKey, Update)>, now_ms: u64) -> Option<Step> {
        let mut step: Option<Step> = None;
        for (key, update) in updates {
            let current = step.as_ref().map_or(self, |step| &step.snapshot);
            let held = current.listed(&key).map(AsRef::as_ref);
            let Some((service, delta)) = service::succeed(&key, held, update, current.floor, now_ms) else {
                continue;
            };
            let step = step.get_or_insert_with(|| Step { snapshot: self.clone(), deltas: Vec::new() });
            step.snapshot.set(key, service);
            step.deltas.push(Arc::new(delta));
        }
        step
    }

    fn listed(&self, key: &ServiceKey) -> Option<&Arc<Listed>> {
        self.shards.get(self.place(key))?.get(key)
    }

    fn set(&mut self, key: ServiceKey, service: Option<Listed>) {
        let place = self.place(&key);
        let Some(shard) = self.shards.get_mut(place).map(Arc::make_mut) else { return };
        let before = match service {
            Some(service) => {
                self.len += 1;
                shard.insert(key, Arc::new(service))
            }
            None => {
                let before = shard.remove(&key);
                self.floor = before.iter().map(|listed| listed.service.revision).fold(self.floor, u64::max);
                before
            }
        };
        self.len -= usize::from(before.is_some());
    }

    fn place(&self, key: &ServiceKey) -> usize {
        // Bits that the maps inside do not use themselves.
        (self.hasher.hash_one(key) >> 32) as usize % SHARDS
    }
}

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
