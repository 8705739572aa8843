//! The index: what the watches and the sessions said, joined into the instances of each service. A value that
//! events are applied to; the owner task gives them in order.
//!
//! ```text
//!  Change ─► pods, nodes, namespaces { objects, Services + slices }     what there is
//!                 │ marks (service, owner)
//!                 ▼
//!            dirty ─► join: who means this owner, what do the witnesses say ─► Update ─► Snapshot
//!                       └─► reports, managed registrations, notices, addresses to be asked
//! ```
//!
//! Nothing is joined while events are applied: they only mark what may have changed, and the joining looks at all that
//! is known then. So the order of the events does not matter.

mod alarms;
mod by_address;
mod change;
mod clock;
mod duties;
mod early;
mod endpoints;
mod explain;
mod failing;
mod foreign;
mod hearings;
mod join;
mod lists;
mod lookout;
mod members;
mod namespace;
mod notes;
mod outside;
mod peers;
mod pods;
mod registering;
mod registrations;
mod replicas;
mod report;
mod report_queue;
mod reports;
mod retold;
mod said;
mod see;
mod selectors;
mod services;
mod sessions;
mod shared;
#[cfg(test)]
pub(crate) mod testing;
mod words;
mod written;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use ipnet::IpNet;
use rollcall_catalogue::{
    Namespace, PodFacts, PodUid, Registration, ServiceKey, Snapshot, ValueError, liveness::ProbeWitness,
};

use crate::index::{
    clock::SessionClock,
    early::Early,
    endpoints::OwnerId,
    failing::Failing,
    foreign::AddressBook,
    join::Dirt,
    lists::Lists,
    lookout::{Aside, Lookout},
    namespace::NamespaceEntry,
    peers::Sharing,
    pods::{PodEntry, Pods},
    replicas::Replicas,
    report_queue::ReportQueue,
    services::ServiceEntry,
    shared::Shared,
    written::Written,
};

pub(crate) use alarms::{Alarms, FALSE_ALARMS, OBSERVED, because};
pub(crate) use failing::{FailingPod, REMEDY as FAILING_REMEDY};
pub(crate) use hearings::Hearing;
pub(crate) use lists::Tally;
pub(crate) use lookout::{Lacking, WithoutSidecar};

pub use change::{
    AppWord, Change, InjectionFacts, Key, Kind, NamespaceFacts, NodeFacts, Object, ObjectKey, PodSeen,
    ServiceFacts, SliceEndpoint, SliceFacts, StatusDigest,
};
pub use notes::Tidings;
pub use outside::{OutsideId, OutsideTarget};
pub use peers::PeerStanding;
pub use replicas::Replica;
pub use report::{
    About, Managed, ManagedSpec, Notice, NoticeReason, Origin, Present, REPORTED_MAX, Report, Witnessed,
};
pub use said::Refused;
pub(crate) use sessions::is_late;
pub use sessions::{Hello, Opening};

/// The API server's own Service: it leads to what must not be called through us.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// Turns of pods that wait to be measured: more in one turn of the owner say nothing more of the delay.
const TURNS_MAX: usize = 1_024;

/// Notices that wait for somebody to write them: what nobody writes is not kept for ever.
const NOTICES_MAX: usize = 1_024;

/// Holds everything known, joined both ways so that a change costs only what it touches.
#[derive(Debug, Default)]
pub struct Index {
    lists: Lists,
    pods: Pods,
    /// What makes no sense in the annotations of those pods of which something does not: few.
    problems: HashMap<PodUid, Box<[ValueError]>>,
    /// What is kept besides of those pods of which something is: few.
    asides: HashMap<PodUid, Aside>,
    nodes: HashMap<Arc<str>, NodeFacts>,
    namespaces: HashMap<Namespace, NamespaceEntry>,
    /// Of nodes and zones, which pods, endpoints and instances name.
    names: Shared<str>,
    /// What pods say of themselves; those of one template say the same.
    words: Shared<Registration>,
    /// Registrations of all namespaces: shown after each snapshot, and there may be thousands of namespaces.
    objects_known: usize,
    /// The Service that each slice was a part of when it was seen last.
    slices: HashMap<ObjectKey, Arc<str>>,
    addresses: AddressBook,
    written: Written,
    /// Boxed, since a map is up to half empty.
    services: HashMap<ServiceKey, Box<ServiceEntry>>,
    dirty: BTreeMap<ServiceKey, Dirt>,
    /// The services in which each pod is marked.
    marked_pods: HashMap<PodUid, Vec<ServiceKey>>,
    published: Snapshot,
    /// Those to be asked, and what they answered.
    outside: BTreeMap<OutsideId, OutsideTarget>,
    outside_changed: bool,
    /// Of the target that was listed last.
    outside_epoch: u64,
    answers: BTreeMap<OutsideId, ProbeWitness>,
    answers_changed: bool,
    /// What another replica was answered by addresses that are not known here yet.
    early_answers: Early<OutsideId, ProbeWitness>,
    /// It is we who ask them.
    asks_outside: bool,
    reports: ReportQueue,
    notices: VecDeque<Notice>,
    lookout: Lookout,
    failing: Failing,
    /// When the pods turned that turned since it was last asked.
    turned_ms: Vec<u64>,
    clock: SessionClock,
    alarms: Alarms,
    /// The pods in session of which it is to be found out what they are now.
    on_duty: BTreeSet<PodUid>,
    /// The pods that had a session and were removed since it was last asked.
    orphans: Vec<PodUid>,
    /// The Lease that all replicas share: what is said of the registry as a whole is said of it.
    lease: Option<ObjectKey>,
    sharing: Sharing,
    replicas: Replicas,
}

// === impl Index ===

impl Index {
    /// An empty one. Addresses of these ranges are nobody's in particular, although the cluster gave them out.
    pub fn allowing(ranges: Vec<IpNet>) -> Self {
        Self { addresses: AddressBook::allowing(ranges), ..Self::default() }
    }

    /// The same for one machine without a cluster: its loopback leads to the same for everybody.
    #[must_use]
    pub fn of_this_machine(mut self) -> Self {
        self.addresses = self.addresses.of_this_machine();
        self
    }

    /// The same index, which has this Lease to speak of.
    #[must_use]
    pub fn speaking_of(mut self, lease: ObjectKey) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Whether every kind was listed once: before that, empty proves nothing.
    pub fn complete(&self) -> bool {
        self.lists.complete()
    }

    /// The kinds that were not listed yet.
    pub(crate) fn awaited(&self) -> Vec<Kind> {
        self.lists.awaited()
    }

    pub fn pod(&self, uid: &PodUid) -> Option<&PodFacts> {
        self.pods.get(uid).map(|entry| &entry.facts)
    }

    /// The zone of this node, where that is known.
    pub(crate) fn zone(&self, node: &Arc<str>) -> Option<Arc<str>> {
        self.nodes.get(node)?.zone.clone()
    }

    /// Whether there is anything to be joined.
    pub(crate) fn is_marked(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When the pods turned that turned since the last call, by their own clocks.
    pub(crate) fn take_turned(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.turned_ms)
    }

    /// Takes what a watch saw; says whether it was news.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::ListBegins(kind) => {
                self.lists.begin(kind);
                false
            }
            Change::ListEnds(kind) => self.list_ends(kind),
            Change::Unreadable(key) => {
                let kind = key.kind();
                self.lists.see(|| key, kind);
                false
            }
            Change::Gone(key) => self.gone(&key),
            Change::Pod(seen) => {
                self.lists.see(|| Key::Pod(seen.facts.uid.clone()), Kind::Pod);
                self.see_pod(*seen)
            }
            Change::Registration(key, object) => {
                self.lists.see(|| Key::Registration(key.clone()), Kind::Registration);
                self.see_object(&key, Some(&object))
            }
            Change::Service(key, facts) => {
                self.lists.see(|| Key::Service(key.clone()), Kind::Service);
                self.see_service(&key, Some(&facts))
            }
            Change::Slice(key, facts) => {
                self.lists.see(|| Key::Slice(key.clone()), Kind::Slice);
                self.see_slice(&key, Some(*facts))
            }
            Change::Namespace(name, facts) => {
                self.lists.see(|| Key::Namespace(name.clone()), Kind::Namespace);
                self.see_namespace(&name, Some(facts))
            }
            Change::Node(name, facts) => {
                self.lists.see(|| Key::Node(name.clone()), Kind::Node);
                self.see_node(&name, Some(&facts))
            }
        }
    }

    fn gone(&mut self, key: &Key) -> bool {
        match key {
            Key::Pod(uid) => self.lose_pod(uid),
            Key::Registration(key) => self.see_object(key, None),
            Key::Service(key) => self.see_service(key, None),
            Key::Slice(key) => self.see_slice(key, None),
            Key::Namespace(name) => self.see_namespace(name, None),
            Key::Node(name) => self.see_node(name, None),
        }
    }

    /// How many objects of this kind are known.
    pub fn known(&self, kind: Kind) -> usize {
        let names = self.namespaces.values();
        match kind {
            Kind::Pod => self.pods.len(),
            Kind::Node => self.nodes.len(),
            Kind::Slice => self.slices.len(),
            Kind::Namespace => names.filter(|names| names.facts.is_some()).count(),
            Kind::Registration => self.objects_known,
            Kind::Service => {
                let services = names.flat_map(|names| names.kube_services.values());
                services.filter(|service| service.facts.is_some()).count()
            }
        }
    }

    /// What is known and was not in a list that has ended is gone.
    fn list_ends(&mut self, kind: Kind) -> bool {
        let was_complete = self.complete();
        let Some(seen) = self.lists.end(kind) else { return false };
        let gone: Vec<_> = self.keys(kind).into_iter().filter(|key| !seen.contains(key)).collect();
        gone.iter().for_each(|key| {
            self.gone(key);
        });
        if self.complete() && !was_complete {
            self.mark_everything();
        }
        !gone.is_empty()
    }

    fn keys(&self, kind: Kind) -> Vec<Key> {
        fn all<'a, V: 'a>(
            namespace: &'a Namespace,
            names: &'a BTreeMap<Arc<str>, V>,
        ) -> impl Iterator<Item = ObjectKey> {
            names.keys().map(|name| ObjectKey { namespace: namespace.clone(), name: name.clone() })
        }
        let namespaces = self.namespaces.iter();
        match kind {
            Kind::Pod => self.pods.uids().cloned().map(Key::Pod).collect(),
            Kind::Node => self.nodes.keys().cloned().map(Key::Node).collect(),
            Kind::Slice => self.slices.keys().cloned().map(Key::Slice).collect(),
            Kind::Namespace => namespaces
                .filter(|(_, entry)| entry.facts.is_some())
                .map(|(name, _)| Key::Namespace(name.clone()))
                .collect(),
            Kind::Registration => namespaces
                .flat_map(|(name, entry)| all(name, &entry.objects))
                .map(Key::Registration)
                .collect(),
            Kind::Service => namespaces
                .flat_map(|(name, entry)| {
                    let known = entry.kube_services.iter().filter(|(_, service)| service.facts.is_some());
                    known.map(|(service, _)| ObjectKey { namespace: name.clone(), name: service.clone() })
                })
                .map(Key::Service)
                .collect(),
        }
    }

    /// Changes a namespace's names, and forgets it when none are left: namespaces come and go without end.
    fn in_namespace<T>(&mut self, namespace: &Namespace, change: impl FnOnce(&mut NamespaceEntry) -> T) -> T {
        let entry = self.namespaces.entry(namespace.clone()).or_default();
        let result = change(entry);
        if entry.is_empty() {
            self.namespaces.remove(namespace);
        }
        result
    }

    /// What this owner has in these services may have changed. Until every kind was listed, nothing is marked: all of
    /// it will be joined then.
    fn mark_owner<'a>(&mut self, services: impl IntoIterator<Item = &'a ServiceKey>, owner: &OwnerId) {
        if self.complete() {
            for key in services {
                let news = self.dirty.entry(key.clone()).or_default().owners.insert(owner.clone());
                if let (OwnerId::Pod(uid), true) = (owner, news) {
                    self.marked_pods.entry(uid.clone()).or_default().push(key.clone());
                }
            }
        }
    }

    /// All of this service may have changed.
    fn mark_whole(&mut self, key: &ServiceKey) {
        if self.complete() {
            self.dirty.entry(key.clone()).or_default().whole = true;
        }
    }
}

#[cfg(test)]
mod tests;
