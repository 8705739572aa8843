//! The index: what the watches and the sessions said, joined into the instances of each service. A value that
//! events are applied to; the owner task gives them in order.

mod change;
mod outside;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rollcall_catalogue::{
    Namespace, PodFacts, PodUid, Registration, ServiceKey, Target, Update,
    consolidate::{Member, Owner, Profiles, consolidate, settings},
    liveness::{EndpointWitness, Intent, ProbeWitness, RegistryHealth, SessionWitness, Witnesses},
};

pub use change::{
    Change, Key, Kind, NamespaceFacts, NodeFacts, Object, ObjectKey, PodSeen, ServiceFacts, SliceEndpoint,
    SliceFacts, StatusDigest,
};
pub use outside::{OutsideId, OutsideTarget};
pub use report::{About, Managed, ManagedSpec, Notice, NoticeReason, Origin, Present, REPORTED_MAX, Report};

/// Holds everything known, joined both ways so that a change costs only what it touches.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pods: HashMap<PodUid, PodEntry>,
    namespaces: HashMap<Namespace, NamespaceEntry>,
    members: HashMap<ServiceKey, BTreeSet<PodUid>>,
    dirty: BTreeSet<ServiceKey>,
    pod_list: List<PodUid>,
    registration_list: List<ObjectKey>,
    /// A pod was removed since it was last asked.
    pods_removed: bool,
}

#[derive(Debug)]
struct PodEntry {
    facts: PodFacts,
    heard: Heard,
    /// The services it is a member of.
    services: BTreeSet<ServiceKey>,
}

/// Holds the names of one namespace, which bounds every join.
#[derive(Debug, Default)]
struct NamespaceEntry {
    pods: BTreeSet<PodUid>,
    registrations: BTreeMap<Arc<str>, Arc<Registration>>,
}

/// Says what was heard of a pod's sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Never,
    Now,
    Before,
}

/// Holds how far the listing of one kind is.
#[derive(Debug)]
struct List<K> {
    complete_once: bool,
    seen: Option<HashSet<K>>,
}

// === impl Index ===

impl Index {
    /// Whether every kind was listed once: before that, empty proves nothing.
    pub(crate) fn complete(&self) -> bool {
        self.pod_list.complete_once && self.registration_list.complete_once
    }

    pub(crate) fn pod(&self, uid: &PodUid) -> Option<&PodFacts> {
        self.pods.get(uid).map(|entry| &entry.facts)
    }

    /// Whether a pod was removed since the last call.
    pub(crate) fn pods_removed(&mut self) -> bool {
        std::mem::take(&mut self.pods_removed)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::ListBegins(Kind::Pod) => self.pod_list.begin(),
            Change::Pod(seen) => {
                self.pod_list.see(&seen.facts.uid);
                self.set_pod(seen.facts);
            }
            Change::Unreadable(Key::Pod(uid)) => self.pod_list.see(&uid),
            Change::Gone(Key::Pod(uid)) => self.remove_pod(&uid),
            Change::ListEnds(Kind::Pod) => {
                let seen = self.pod_list.end();
                let gone: Vec<_> = self.pods.keys().filter(|uid| !seen.contains(uid)).cloned().collect();
                gone.iter().for_each(|uid| self.remove_pod(uid));
            }
            Change::ListBegins(Kind::Registration) => self.registration_list.begin(),
            Change::Registration(key, object) => {
                self.registration_list.see(&key);
                if let Ok(registration) = &object.registration {
                    self.set_registration(&key, Some(registration));
                }
            }
            Change::Unreadable(Key::Registration(key)) => self.registration_list.see(&key),
            Change::Gone(Key::Registration(key)) => self.set_registration(&key, None),
            Change::ListEnds(Kind::Registration) => {
                let seen = self.registration_list.end();
                let known = self.namespaces.iter().flat_map(|(namespace, entry)| {
                    let key = |name: &Arc<str>| ObjectKey { namespace: namespace.clone(), name: name.clone() };
                    entry.registrations.keys().map(key).collect::<Vec<_>>()
                });
                let gone: Vec<_> = known.filter(|key| !seen.contains(key)).collect();
                gone.iter().for_each(|key| self.set_registration(key, None));
            }
            _ => {}
        }
    }

    /// What became true of registrations since it was last asked.
    pub(crate) fn take_reports(&mut self, _max: usize) -> Vec<Report> {
        Vec::new()
    }

    /// Everything is to be reported anew: whoever reported it before was somebody else.
    pub(crate) fn report_all(&mut self) {}

    pub(crate) fn managed(&self) -> Managed {
        Managed::default()
    }

    pub(crate) fn take_notices(&mut self, _max: usize) -> Vec<Notice> {
        Vec::new()
    }

    /// What an address outside the cluster answered.
    pub(crate) fn probed(&mut self, _id: &OutsideId, _witness: ProbeWitness) {}

    /// A session of this pod began or ended.
    pub(crate) fn heard(&mut self, uid: &PodUid, live: bool) {
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.heard = if live { Heard::Now } else { Heard::Before };
            self.dirty.extend(entry.services.iter().cloned());
        }
    }

    /// The services that changed since the last call, consolidated.
    pub(crate) fn take_changes(&mut self) -> Vec<(ServiceKey, Update)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| (key.clone(), self.service(&key))).collect()
    }

    fn service(&self, key: &ServiceKey) -> Update {
        let objects: Vec<&Registration> = self
            .namespaces
            .get(&key.namespace)
            .into_iter()
            .flat_map(|entry| entry.registrations.values())
            .filter(|registration| registration.key == *key)
            .map(AsRef::as_ref)
            .collect();
        let members: Vec<_> =
            self.members.get(key).into_iter().flatten().filter_map(|uid| self.pods.get(uid)).collect();
        if objects.is_empty() && members.is_empty() {
            return Update::Gone;
        }
        let own = |entry: &'_ PodEntry| entry.facts.registration.clone().filter(|own| own.key == *key);
        let words: Vec<_> = members.iter().map(|entry| own(entry)).collect();
        let (settings, _) =
            settings(objects.iter().copied().chain(words.iter().flatten().map(AsRef::as_ref)));
        let mut profiles = Profiles::default();
        let instances = members.iter().zip(&words).flat_map(|(entry, own)| {
            let selected = objects.iter().copied().filter(|object| selects(object, &entry.facts));
            let member = Member {
                owner: Owner::Pod(&entry.facts),
                endpoint: None,
                zone: None,
                registrations: own.iter().map(AsRef::as_ref).chain(selected).collect(),
                witnesses: entry.witnesses(),
            };
            consolidate(&member, &mut profiles).0.into_iter().map(|one| one.instance)
        });
        Update::Whole { settings, instances: instances.collect() }
    }

    fn set_pod(&mut self, facts: PodFacts) {
        let uid = facts.uid.clone();
        let services = self.services_of(&facts);
        let heard = match self.pods.get(&uid) {
            Some(held) if held.facts == facts && held.services == services => return,
            Some(held) => held.heard,
            None => Heard::Never,
        };
        self.namespaces.entry(facts.namespace.clone()).or_default().pods.insert(uid.clone());
        let before = self.pods.insert(uid.clone(), PodEntry { facts, heard, services: services.clone() });
        self.regroup(&uid, &before.map(|entry| entry.services).unwrap_or_default(), &services);
    }

    fn remove_pod(&mut self, uid: &PodUid) {
        let Some(entry) = self.pods.remove(uid) else { return };
        self.pods_removed = true;
        self.in_namespace(&entry.facts.namespace, |names| {
            names.pods.remove(uid);
        });
        self.regroup(uid, &entry.services, &BTreeSet::new());
    }

    fn set_registration(&mut self, key: &ObjectKey, registration: Option<&Arc<Registration>>) {
        let names = self.namespaces.entry(key.namespace.clone()).or_default();
        let before = match registration {
            Some(registration) => names.registrations.insert(key.name.clone(), registration.clone()),
            None => names.registrations.remove(&key.name),
        };
        if before.as_ref() == registration {
            self.in_namespace(&key.namespace, |_| {});
            return;
        }
        self.dirty.extend(before.iter().chain(registration).map(|registration| registration.key.clone()));
        // Its selector may take in or let go any pod of the namespace.
        for uid in names.pods.clone() {
            let Some(entry) = self.pods.get(&uid) else { continue };
            let services = self.services_of(&entry.facts);
            if let Some(entry) = self.pods.get_mut(&uid)
                && entry.services != services
            {
                let before = std::mem::replace(&mut entry.services, services.clone());
                self.regroup(&uid, &before, &services);
            }
        }
        self.in_namespace(&key.namespace, |_| {});
    }

    /// The services that this pod is a member of.
    fn services_of(&self, facts: &PodFacts) -> BTreeSet<ServiceKey> {
        let objects =
            self.namespaces.get(&facts.namespace).into_iter().flat_map(|entry| entry.registrations.values());
        let selected = objects.filter(|object| selects(object, facts));
        facts.registration.iter().chain(selected).map(|registration| registration.key.clone()).collect()
    }

    fn regroup(&mut self, uid: &PodUid, before: &BTreeSet<ServiceKey>, after: &BTreeSet<ServiceKey>) {
        for key in before.difference(after) {
            if let Some(members) = self.members.get_mut(key) {
                members.remove(uid);
                if members.is_empty() {
                    self.members.remove(key);
                }
            }
        }
        for key in after.difference(before) {
            self.members.entry(key.clone()).or_default().insert(uid.clone());
        }
        self.dirty.extend(before.union(after).cloned());
    }

    /// Changes a namespace's names, and forgets it when none are left: namespaces come and go without end.
    fn in_namespace(&mut self, namespace: &Namespace, change: impl FnOnce(&mut NamespaceEntry)) {
        if let Some(names) = self.namespaces.get_mut(namespace) {
            change(names);
            if names.pods.is_empty() && names.registrations.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }
}

/// Whether an object means this pod. Services and addresses outside the cluster are not resolved yet.
fn selects(object: &Registration, pod: &PodFacts) -> bool {
    match &object.target {
        Target::Selector(selector) => selector.matches(&pod.labels),
        Target::Pod { uid, .. } => *uid == pod.uid,
        Target::Own | Target::Service(_) | Target::Addresses(_) => false,
    }
}

// === impl PodEntry ===

impl PodEntry {
    fn witnesses(&self) -> Witnesses {
        let session = match (self.heard, self.facts.has_sidecar) {
            (Heard::Now, _) => SessionWitness::Live,
            (_, false) => SessionWitness::NotExpected,
            (Heard::Never, true) => SessionWitness::NeverCame,
            (Heard::Before, true) => SessionWitness::Lost,
        };
        Witnesses {
            pod: self.facts.life.witness(false),
            endpoint: EndpointWitness::NoEndpoint,
            session,
            probe: ProbeWitness::NotAsked,
            intent: if self.facts.asks_to_drain { Intent::Drain } else { Intent::Stay },
            registry: RegistryHealth::Well,
        }
    }
}

// === impl List ===

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { complete_once: false, seen: None }
    }
}

impl<K: Clone + Eq + std::hash::Hash> List<K> {
    fn begin(&mut self) {
        self.seen = Some(HashSet::new());
    }

    fn see(&mut self, key: &K) {
        if let Some(seen) = &mut self.seen {
            seen.insert(key.clone());
        }
    }

    fn end(&mut self) -> HashSet<K> {
        self.complete_once = true;
        self.seen.take().unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
