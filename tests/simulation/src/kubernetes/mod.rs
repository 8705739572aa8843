//! A model of Kubernetes: nodes, pods, Services with their slices and registrations, and what the controller's watches
//! see of them, late.

mod objects;
mod watches;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use objects::{How, Named, Node, Pod, PodNo, ServiceNo};
use rollcall_catalogue::Namespace;
use rollcall_controller::index::{Change, Key, Kind};
pub(crate) use watches::Watches;

use crate::{
    agenda::{Agenda, Millis},
    chance::Chance,
    network::NodeId,
    world::Event,
};

/// The namespaces of every run: the services' and the callers'.
pub(crate) const NAMESPACES: [&str; 3] = ["shop", "bank", "ops"];

/// How long the endpoint controller takes until a slice says what its pods are.
const SLICED_AFTER_MS: std::ops::RangeInclusive<u64> = 20..=400;

/// Holds what there is.
#[derive(Debug)]
pub(crate) struct Kubernetes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) services: Vec<Named>,
    pub(crate) pods: BTreeMap<PodNo, Pod>,
    /// Of each replica.
    pub(crate) watches: Vec<Watches>,
    /// How often each process of a controller has moved its sign of life, by its epoch.
    pub(crate) signs: BTreeMap<Arc<str>, u64>,
    /// What each slice says now, which is what its pods were a while ago.
    slices: BTreeMap<ServiceNo, Change>,
    created: u32,
    /// Of the last change of all, which lists and bookmarks say.
    pub(crate) revision: u64,
    /// By which change each object was made what it is.
    made: BTreeMap<Key, u64>,
}

// === impl Kubernetes ===

impl Kubernetes {
    pub(crate) fn new(nodes: usize, services: usize, replicas: usize) -> Self {
        let how = [How::Annotated, How::Selected, How::Through];
        let named = |number: usize| {
            let namespace = NAMESPACES.get(number % 2).copied().unwrap_or("shop");
            Named {
                key: format!("s{number}.{namespace}").parse().unwrap(),
                how: how[number % how.len()],
                visibility: None,
                registered: true,
                turn: 0,
                since_ms: 0,
            }
        };
        Self {
            nodes: (0..nodes).map(|_| Node { unknown: false }).collect(),
            services: (0..services).map(named).collect(),
            pods: BTreeMap::new(),
            watches: (0..replicas).map(Watches::new).collect(),
            signs: BTreeMap::new(),
            slices: BTreeMap::new(),
            created: 0,
            revision: 0,
            made: BTreeMap::new(),
        }
    }

    /// A pod of this service is created, not ready yet.
    pub(crate) fn create(
        &mut self,
        service: ServiceNo,
        node: NodeId,
        sidecar: bool,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
    ) -> PodNo {
        self.created += 1;
        let number = PodNo(self.created);
        let pod = Pod {
            service,
            node,
            sidecar,
            // Given again soon, as a small range of addresses is.
            address: [10, 0, 0, (self.created % 200) as u8 + 1].into(),
            ready: false,
            deleting: false,
            sidecar_ready: true,
            turn: 0,
            since_ms: agenda.now_ms(),
        };
        self.pods.insert(number, pod);
        self.tell_pod(number, chance, agenda);
        number
    }

    /// Changes a pod, and tells of it.
    pub(crate) fn change_pod(
        &mut self,
        number: PodNo,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
        change: impl FnOnce(&mut Pod),
    ) {
        let Some(pod) = self.pods.get_mut(&number) else { return };
        change(pod);
        pod.since_ms = agenda.now_ms();
        self.tell_pod(number, chance, agenda);
    }

    /// The pod's object is gone.
    pub(crate) fn remove(&mut self, number: PodNo, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        if let Some(pod) = self.pods.remove(&number) {
            self.tell(&Change::Gone(Key::Pod(number.uid())), chance, agenda);
            self.slice_later(pod.service, chance, agenda);
        }
    }

    /// Changes what is registered of a service, and tells of it.
    pub(crate) fn change_service(
        &mut self,
        number: ServiceNo,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
        change: impl FnOnce(&mut Named),
    ) {
        let Some(named) = self.services.get_mut(number) else { return };
        change(named);
        named.since_ms = agenda.now_ms();
        if named.how == How::Annotated {
            let its = self.pods.iter().filter(|(_, pod)| pod.service == number);
            let its: Vec<_> = its.map(|(number, _)| *number).collect();
            its.into_iter().for_each(|pod| self.tell_pod(pod, chance, agenda));
        } else {
            self.tell(&self.object(number), chance, agenda);
        }
    }

    /// The node controller lost sight of a node, or has it again: of its pods it infers that they are not ready.
    pub(crate) fn sees_node(
        &mut self,
        number: NodeId,
        sees: bool,
        chance: &mut Chance,
        agenda: &mut Agenda<Event>,
    ) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.unknown == sees) else { return };
        node.unknown = !sees;
        self.tell(&self.node(number), chance, agenda);
        let there = self.pods.iter().filter(|(_, pod)| pod.node == number);
        let there: Vec<_> = there.map(|(number, _)| *number).collect();
        there.into_iter().for_each(|pod| self.change_pod(pod, chance, agenda, |_| {}));
    }

    /// The endpoint controller writes the slice of this service.
    pub(crate) fn slice(&mut self, number: ServiceNo, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        let slice = self.slice_now(number);
        self.slices.insert(number, slice.clone());
        self.tell(&slice, chance, agenda);
    }

    /// All of one kind, as a list gives it.
    pub(crate) fn list(&self, kind: Kind) -> Vec<Change> {
        let services =
            || (0..self.services.len()).filter(|number| self.services[*number].how == How::Through);
        match kind {
            Kind::Pod => self.pods.keys().map(|number| self.pod(*number)).collect(),
            Kind::Node => (0..self.nodes.len()).map(|number| self.node(number)).collect(),
            Kind::Namespace => NAMESPACES.iter().map(|name| objects::namespace(name)).collect(),
            Kind::Service => services().map(|number| objects::kube_service(&self.services[number])).collect(),
            Kind::Slice => self.slices.values().cloned().collect(),
            Kind::Registration => (0..self.services.len())
                .filter(|number| self.services[*number].is_object())
                .map(|number| self.object(number))
                .collect(),
        }
    }

    /// The newest change among those that made all of a kind what it is, which is found in a list.
    pub(crate) fn newest(&self, kind: Kind) -> Option<u64> {
        self.made.iter().filter(|(key, _)| key.kind() == kind).map(|(_, revision)| *revision).max()
    }

    /// The namespace that a pod lives in.
    pub(crate) fn namespace(&self, pod: &Pod) -> &Namespace {
        &self.services[pod.service].key.namespace
    }

    /// Whether Kubernetes has this pod ready to be called, and all that speaks for it has been so for this long.
    pub(crate) fn vouches(&self, pod: &Pod, for_ms: u64, now_ms: Millis) -> bool {
        let (service, node) = (&self.services[pod.service], &self.nodes[pod.node]);
        let since_ms = pod.since_ms.max(service.since_ms);
        pod.ready && !pod.deleting && service.registered && !node.unknown && since_ms + for_ms <= now_ms
    }

    /// Everyone who watches hears of it, each in its time.
    fn tell(&mut self, change: &Change, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        self.revision += 1;
        let revision = self.revision;
        match change {
            Change::Gone(key) => drop(self.made.remove(key)),
            change => self.made.extend(watches::key_of(change).map(|key| (key, revision))),
        }
        self.watches.iter_mut().for_each(|watches| watches.tell(change.clone(), revision, chance, agenda));
    }

    fn tell_pod(&mut self, number: PodNo, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        self.tell(&self.pod(number), chance, agenda);
        if let Some(service) = self.pods.get(&number).map(|pod| pod.service) {
            self.slice_later(service, chance, agenda);
        }
    }

    fn slice_later(&mut self, service: ServiceNo, chance: &mut Chance, agenda: &mut Agenda<Event>) {
        if self.services[service].how == How::Through {
            agenda.after(chance.within(SLICED_AFTER_MS), Event::Slice(service));
        }
    }

    fn pod(&self, number: PodNo) -> Change {
        let pod = &self.pods[&number];
        objects::pod(number, pod, &self.services[pod.service], &self.nodes[pod.node])
    }

    fn node(&self, number: NodeId) -> Change {
        objects::node(number, &self.nodes[number])
    }

    fn object(&self, number: ServiceNo) -> Change {
        objects::registration(&self.services[number])
    }

    fn slice_now(&self, number: ServiceNo) -> Change {
        let its = self.pods.iter().filter(|(_, pod)| pod.service == number);
        let endpoints = its.map(|(number, pod)| objects::endpoint(*number, pod, &self.nodes[pod.node]));
        objects::slice(&self.services[number], endpoints.collect())
    }
}

/// A node's name.
pub(crate) fn node_name(number: NodeId) -> Arc<str> {
    format!("n{number}").into()
}
