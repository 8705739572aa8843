//! How far a replica has read Kubernetes, and what may be believed of one that has read less.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    limits::INSTANCES_MAX,
    names::ServiceKey,
    snapshot::{ContentHash, Service},
};

/// Holds a resource version of each kind that a replica watches. They compare only within a kind, so that positions are
/// only partly ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(BTreeMap<Box<str>, u64>);

/// Holds how far a replica has come. A list is complete up to a version of the whole cluster, an event up to that of its
/// object: a replica that has just listed a quiet kind is far ahead of one that only watches it, and knows no more. So two
/// numbers are needed of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Everything up to here was read: by lists, events and bookmarks.
    pub reach: Position,
    /// The newest change that is known, which whoever is to know as much must have read.
    pub changed: Position,
}

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

    /// Whether a kind that both name was read less far here.
    pub fn lags(&self, other: &Self) -> bool {
        other.0.iter().any(|(kind, revision)| self.0.get(kind).is_some_and(|held| held < revision))
    }

    /// The place that has seen what both have.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(kind, revision)| self.saw(kind, *revision));
        self
    }
}

// === impl Reading ===

impl Reading {
    /// That of one who stands at `position`, and said of these kinds that their newest change is another one.
    pub fn of_told(position: Position, told: &Position) -> Self {
        let mut changed = position.clone();
        for (kind, revision) in &told.0 {
            match revision {
                0 => drop(changed.0.remove(kind)),
                revision => drop(changed.0.insert(kind.clone(), *revision)),
            }
        }
        Self { reach: position, changed }
    }

    /// The kinds of which the newest known change is not where this stands; 0 of one of which none is known.
    pub fn changed_otherwise(&self) -> Position {
        let (reach, changed) = (&self.reach.0, &self.changed.0);
        let other = changed.iter().filter(|(kind, revision)| reach.get(*kind) != Some(*revision));
        let none = reach.keys().filter(|kind| !changed.contains_key(*kind)).map(|kind| (kind.clone(), 0));
        Position(other.map(|(kind, revision)| (kind.clone(), *revision)).chain(none).collect())
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
