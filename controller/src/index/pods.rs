//! What is known of each pod, and who is in each namespace: there are as many of both as the cluster has pods.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use rollcall_catalogue::{Few, PodFacts, PodUid, ServiceKey, liveness::PodWitness};

use crate::index::sessions::Session;

/// Holds pods by the uids that are in them: a map would hold each uid once more, and room for as many others. Each is in a box,
/// since a table is up to half empty.
#[derive(Debug, Default)]
pub(super) struct Pods {
    entries: HashTable<Box<PodEntry>>,
    state: RandomState,
}

/// Holds what is known of one pod.
#[derive(Debug)]
pub(super) struct PodEntry {
    pub(super) facts: PodFacts,
    /// Its place among the pods of its namespace.
    pub(super) place: Place,
    /// A container of its app has one.
    pub(super) has_liveness_probe: bool,
    /// None while no session of it was ever open.
    pub(super) session: Option<Box<Session>>,
    /// The services it is a member of.
    pub(super) services: Few<ServiceKey>,
}

/// Holds the pods of one namespace, each at a place that it knows: a list has little room to spare, where a set is up to half
/// empty.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Vec<PodUid>);

/// Says where a pod stands in the list of its namespace. It is another one when the pod comes to the place of one that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

// === impl Pods ===

impl Pods {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PodEntry> {
        self.entries.iter().map(AsRef::as_ref)
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = &PodUid> {
        self.iter().map(|entry| &entry.facts.uid)
    }

    pub(super) fn has(&self, uid: &PodUid) -> bool {
        self.get(uid).is_some()
    }

    pub(super) fn get(&self, uid: &PodUid) -> Option<&PodEntry> {
        let hash = self.state.hash_one(uid);
        self.entries.find(hash, |entry| entry.facts.uid == *uid).map(AsRef::as_ref)
    }

    /// Whose uid stays as it is.
    pub(super) fn get_mut(&mut self, uid: &PodUid) -> Option<&mut PodEntry> {
        let hash = self.state.hash_one(uid);
        self.entries.find_mut(hash, |entry| entry.facts.uid == *uid).map(AsMut::as_mut)
    }

    /// One of whose uid there is none.
    pub(super) fn insert(&mut self, entry: PodEntry) {
        let Self { entries, state } = self;
        let hash = state.hash_one(&entry.facts.uid);
        entries.insert_unique(hash, Box::new(entry), |held| state.hash_one(&held.facts.uid));
    }

    pub(super) fn remove(&mut self, uid: &PodUid) -> Option<PodEntry> {
        let hash = self.state.hash_one(uid);
        let found = self.entries.find_entry(hash, |entry| entry.facts.uid == *uid).ok()?;
        let (entry, _) = found.remove();
        Some(*entry)
    }
}

// === impl PodEntry ===

impl PodEntry {
    /// Kubernetes has it, and does not end it.
    pub(super) fn is_alive(&self) -> bool {
        match self.facts.life.witness(false) {
            PodWitness::Ended | PodWitness::Terminating | PodWitness::Gone => false,
            PodWitness::NoPod | PodWitness::Ready | PodWitness::NodeUnknown | PodWitness::NotReady => true,
        }
    }
}

// === impl Neighbours ===

impl Neighbours {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PodUid> {
        self.0.iter()
    }

    /// One that is not among them.
    pub(super) fn enter(&mut self, uid: &PodUid) -> Place {
        // No cluster has as many.
        let place = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if self.0.len() == self.0.capacity() {
            // An eighth, where a list doubles on its own.
            self.0.reserve_exact(self.0.len() / 8 + 1);
        }
        self.0.push(uid.clone());
        Place(place)
    }

    /// This one, which is at this place, goes; gives who comes to the place, where one does.
    pub(super) fn leave(&mut self, uid: &PodUid, place: Place) -> Option<PodUid> {
        let index = usize::try_from(place.0).ok().filter(|index| self.0.get(*index) == Some(uid))?;
        self.0.swap_remove(index);
        if self.0.capacity() > self.0.len() + self.0.len() / 4 + 1 {
            self.0.shrink_to(self.0.len() + self.0.len() / 8 + 1);
        }
        self.0.get(index).cloned()
    }
}

#[cfg(test)]
impl crate::index::Index {
    /// Whether each pod is once in the list of its namespace, at the place that it knows.
    pub(super) fn pods_know_their_places(&self) -> bool {
        let is_right = |namespace: &rollcall_catalogue::Namespace, uid, place| {
            self.pods
                .get(uid)
                .is_some_and(|pod| pod.facts.namespace == *namespace && pod.place == Place(place))
        };
        let lists = || self.namespaces.iter().map(|(namespace, names)| (namespace, &names.pods.0));
        lists().map(|(_, list)| list.len()).sum::<usize>() == self.pods.len()
            && lists()
                .all(|(namespace, list)| (0..).zip(list).all(|(place, uid)| is_right(namespace, uid, place)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::index::tests::pod;

    /// Every other one is a UUID.
    fn facts(number: u8) -> PodFacts {
        let mut facts = pod(number, "a", None).facts;
        if number.is_multiple_of(2) {
            facts.uid = format!("{number:08x}-7d3f-4c7e-9a51-000000000000").as_str().into();
        }
        facts
    }

    proptest! {
        #[test]
        fn pods_are_those_of_a_map_and_each_knows_its_place(
            steps in proptest::collection::vec((0u8..40, any::<bool>()), 0..200),
        ) {
            let (mut pods, mut neighbours, mut model) = (Pods::default(), Neighbours::default(), BTreeMap::new());
            for (number, comes) in steps {
                let facts = facts(number);
                let uid = facts.uid.clone();
                let (held, known) = (pods.remove(&uid), model.remove(&uid));
                prop_assert_eq!(held.as_ref().map(|held| &held.facts.name), known.as_ref());
                if let Some(PodEntry { place, .. }) = held
                    && let Some(moved) = neighbours.leave(&uid, place)
                {
                    pods.get_mut(&moved).unwrap().place = place;
                }
                if comes {
                    model.insert(uid.clone(), facts.name.clone());
                    let place = neighbours.enter(&uid);
                    let services = Few::default();
                    pods.insert(PodEntry { facts, place, has_liveness_probe: false, session: None, services });
                }
                prop_assert_eq!((pods.has(&uid), pods.get(&uid).is_some()), (comes, comes));
                prop_assert_eq!((pods.len(), neighbours.is_empty()), (model.len(), model.is_empty()));
                let mut uids: Vec<_> = pods.uids().collect();
                uids.sort();
                prop_assert_eq!(uids, model.keys().collect::<Vec<_>>());
                prop_assert_eq!(neighbours.iter().count(), model.len());
                for (place, uid) in (0..).zip(neighbours.iter()) {
                    prop_assert_eq!(pods.get(uid).map(|held| held.place), Some(Place(place)));
                }
                prop_assert!(neighbours.0.capacity() <= model.len() + model.len() / 4 + 1);
            }
        }
    }
}
