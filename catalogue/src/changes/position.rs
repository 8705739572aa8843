//! How far a replica has read Kubernetes, and what may be believed of one that has read less.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    changes::delta::Head,
    snapshot::{ContentHash, Service},
};

/// Holds the newest resource version that a replica has seen of each kind it watches. They compare only within a
/// kind, so that positions are only partly ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(BTreeMap<Box<str>, u64>);

// === impl Position ===

impl Position {
    /// Up to this revision of a kind has been seen. Kubernetes' own order may give an older one after a newer:
    /// a position never goes back.
    pub fn saw(&mut self, kind: &str, revision: u64) {
        match self.0.get_mut(kind) {
            Some(held) => *held = revision.max(*held),
            None => drop(self.0.insert(kind.into(), revision)),
        }
    }

    /// Whether whoever stands here has seen everything that `other` has.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(kind, revision)| self.0.get(kind).is_some_and(|held| held >= revision))
    }

    /// The place that has seen what both have.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(kind, revision)| self.saw(kind, *revision));
        self
    }
}

/// What a holder of `held` makes of a service as a replica tells it. One that has not seen what the holder knows
/// from elsewhere (`behind`) may add, and take nothing away: what it lacks, it may not have read yet.
pub fn receive(held: Option<&Service>, told: Option<&Service>, behind: bool) -> Option<Service> {
    let (Some(held), true) = (held, behind) else { return told.cloned() };
    let known: BTreeSet<_> = held.instances.iter().map(|instance| &instance.id).collect();
    let told_instances = told.into_iter().flat_map(|told| told.instances.iter());
    let added: Vec<_> = told_instances.filter(|instance| !known.contains(&instance.id)).cloned().collect();
    if added.is_empty() {
        return Some(held.clone());
    }
    let beyond = told.map_or(0, |told| told.revision).max(held.revision) + 1;
    let head = Head {
        revision: beyond,
        // Of no state that any replica has: whoever compares finds out, and tells all of it.
        hash: ContentHash(held.hash.0.wrapping_add(beyond)),
        ..held.head()
    };
    Some(Service::of(head, held.instances.iter().chain(&added).map(Arc::clone).collect()))
}
