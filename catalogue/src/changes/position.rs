//! How far a replica has read Kubernetes, and what may be believed of one that has read less.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    limits::INSTANCES_MAX,
    names::ServiceKey,
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

    /// Whether nothing is said of any kind: whoever says so is older than positions are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Kinds that something is said of.
    pub fn kinds(&self) -> usize {
        self.0.len()
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

/// What is shown of a service after a replica has told of it. One that has not seen what the holder knows from
/// elsewhere (`behind`) may add, and take nothing away: what it lacks, it may not have read yet.
///
/// The revision is the holder's own count ([`next_local`]); the one that the replica gave is where its next delta
/// starts, and is kept apart. Where the content stays, so does what is shown.
pub fn receive(
    key: &ServiceKey,
    shown: Option<&Service>,
    told: Option<&Service>,
    behind: bool,
) -> Option<Service> {
    let Some(shown) = shown else { return told.cloned() };
    match told {
        None => behind.then(|| shown.clone()),
        Some(told) if !behind => Some(match told.hash == shown.hash {
            true => shown.clone(),
            false => Service { revision: next_local(shown.revision, told.revision), ..told.clone() },
        }),
        Some(told) => {
            let room = INSTANCES_MAX.saturating_sub(shown.instances.len());
            let unknown = told.instances.iter().filter(|one| shown.instance(&one.id).is_none());
            let added: Vec<_> = unknown.take(room).cloned().collect();
            if added.is_empty() {
                return Some(shown.clone());
            }
            let grown =
                added.iter().fold(shown.hash, |hash, one| hash.plus(ContentHash::of_instance(key, one)));
            Some(Service {
                revision: next_local(shown.revision, told.revision),
                // Of what is shown, as always: whoever compares finds out what it is.
                hash: grown,
                instances: shown.instances.edited(&[], &added),
                ..shown.clone()
            })
        }
    }
}

/// The number under which a holder shows other content than it showed under `shown`, when a replica tells it under
/// `told`. Replicas count on their own, and what is merged from two of them is of neither: were their numbers shown,
/// one number could stand for two contents. This is always a new one, and their own wherever that is higher.
pub fn next_local(shown: u64, told: u64) -> u64 {
    told.max(shown.saturating_add(1))
}

#[cfg(test)]
#[path = "position_tests.rs"]
mod tests;
