//! Pods of apps: made, ready, failing, deleted, with their sidecars killed and started; and the nodes that they are on.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use rollcall_apiserver::PodWish;
use tokio::sync::watch;

use super::{Deed, SESSIONS, World, node_name, service_name};
use crate::{
    Millis,
    history::Reader,
    host::Host,
    kubernetes::APPS,
    network::{CutId, Endpoint, Whom},
    pod,
};

/// From a pod's start until its app is ready.
const READY_AFTER_MS: Millis = 1_500;
/// From the word that a pod is to end until it has.
const ENDS_AFTER_MS: Millis = 3_000;
/// From a sidecar's end until the kubelet has started it again.
const RESTARTS_AFTER_MS: Millis = 1_000;
/// Who is told to end, or says that he fails, is out in this time.
const OUT_WITHIN_MS: Millis = 1_000;
/// From the word of an app that it is well until everybody has heard it, whatever was in the way.
const WELL_AFTER_MS: Millis = 90_000;
/// Who is on a node that died, or that reaches nobody, is out in this time.
const NODE_OUT_WITHIN_MS: Millis = 10_000;
const NODE_WITH_REPLICA_OUT_WITHIN_MS: Millis = 20_000;
/// From a node's last word until Kubernetes says that it is lost.
const LOST_AFTER_MS: Millis = 40_000;
/// From the end of a cut until its pods have been heard again: a kernel's pause, a silence, a back-off.
const BACK_AFTER_MS: Millis = 90_000;
/// Names that one app looks up.
const LOOKS_UP: u8 = 3;

/// Holds a pod of an app.
#[derive(Debug)]
pub struct Pod {
    pub name: String,
    pub uid: Arc<str>,
    pub service: u8,
    pub node: u8,
    pub address: IpAddr,
    reader: Reader,
    endpoint: Endpoint,
    folder: PathBuf,
    looks_up: Vec<Arc<str>>,
    life: u32,
    fails: watch::Sender<bool>,
    ready: bool,
    deleted: bool,
    /// The controllers do not hear it.
    cut: bool,
    host: Option<Host>,
    frozen: bool,
}

// === impl Pod ===

impl Pod {
    pub(super) fn run_until(&mut self, now_ms: Millis) {
        if let Some(host) = self.host.as_mut().filter(|_| !self.frozen) {
            host.run_until(now_ms);
        }
    }

    pub(super) fn ended(&mut self) -> Option<String> {
        let why = self.host.as_mut().filter(|_| !self.frozen)?.ended()?;
        self.host = None;
        Some(why)
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    pub fn looks_up(&self) -> &[Arc<str>] {
        &self.looks_up
    }

    /// It runs, and nobody has asked it to end.
    pub fn is_in_life(&self) -> bool {
        !self.deleted && self.host.is_some()
    }
}

// === impl World ===

impl World {
    /// A new pod of this service, on a node of the world's choice; gives its name.
    pub fn create_pod(&mut self, service: u8) -> String {
        let node = 1 + u8::try_from(self.named % u64::from(self.size.nodes)).unwrap();
        self.create_pod_on(service, node)
    }

    pub fn create_pod_on(&mut self, service: u8, node: u8) -> String {
        self.named += 1;
        let number = u16::try_from(self.named).expect("so many pods are no test");
        let [high, low] = number.to_be_bytes();
        let address = IpAddr::from([198, 18, 16 + high, low]);
        let (name, service_name) = (format!("s{service}-{number}"), service_name(service));
        let wish = PodWish {
            node: node_name(node),
            labels: vec![("app", service_name.to_string())],
            annotations: vec![
                ("rollcall.dev/service", service_name.to_string()),
                ("rollcall.dev/port", "http:8080".to_owned()),
            ],
            sidecar: true,
        };
        let (uid, token) = self.kubernetes(|cluster| {
            let uid = cluster.pod(APPS, &name, &wish);
            cluster.run(APPS, &name, &address.to_string());
            (Arc::<str>::from(uid), cluster.token(APPS, &name, "rollcall", 86_400))
        });
        self.net.place(address, &node_name(node));
        self.truth.born(&uid, address, &service_name);
        let folder = self.folder.path().join(&name);
        std::fs::create_dir_all(folder.join("state")).expect("a folder in our own");
        std::fs::write(folder.join("token"), token).expect("a file in our own folder");
        let services = self.size.services;
        let looks_up =
            (0..LOOKS_UP.min(services)).map(|next| super::service_name((service + next) % services));
        let pod = Pod {
            reader: name.as_str().into(),
            uid,
            service,
            node,
            address,
            endpoint: self.net.endpoint(address),
            folder,
            looks_up: looks_up.collect(),
            life: 0,
            fails: watch::Sender::new(false),
            ready: false,
            deleted: false,
            cut: false,
            host: None,
            frozen: false,
            name: name.clone(),
        };
        self.note(format!("pod {name} is made on n{node}"));
        self.pods.insert(name.clone(), pod);
        self.start_sidecar(&name);
        self.later(READY_AFTER_MS, Deed::PodIsReady(name.clone()));
        name
    }

    pub(super) fn pod_is_ready(&mut self, name: &str) {
        let now_ms = self.now_ms();
        let Some(pod) = self.pods.get_mut(name).filter(|pod| !pod.deleted && pod.host.is_some()) else {
            return;
        };
        pod.ready = true;
        let (uid, is_well) = (pod.uid.clone(), !pod.cut && !*pod.fails.borrow());
        self.kubernetes(|cluster| cluster.all_ready(APPS, name));
        if is_well {
            self.truth.is_well(&uid, now_ms);
        }
    }

    /// Somebody deletes a pod: it is out at once, and gone later.
    pub fn delete_pod(&mut self, name: &str) {
        let now_ms = self.now_ms();
        let Some(pod) = self.pods.get_mut(name).filter(|pod| !pod.deleted) else { return };
        pod.deleted = true;
        let uid = pod.uid.clone();
        self.note(format!("pod {name} is deleted"));
        self.kubernetes(|cluster| cluster.delete_pod(APPS, name));
        self.truth.is_to_leave(&uid, now_ms, OUT_WITHIN_MS);
        self.later(ENDS_AFTER_MS, Deed::PodEnds(name.to_owned()));
    }

    pub(super) fn pod_ends(&mut self, name: &str) {
        let now_ms = self.now_ms();
        let Some(pod) = self.pods.remove(name) else { return };
        self.net.kill(pod.address);
        self.net.remove(pod.address);
        self.truth.is_gone(&pod.uid, now_ms);
        self.kubernetes(|cluster| cluster.end_pod(APPS, name));
    }

    /// An app says that it is not well, or that it is again.
    pub fn app_fails(&mut self, name: &str, fails: bool) {
        let now_ms = self.now_ms();
        let Some(pod) = self.pods.get(name).filter(|pod| pod.is_in_life() && pod.ready) else { return };
        if pod.fails.send_replace(fails) == fails {
            return;
        }
        let (uid, is_cut) = (pod.uid.clone(), pod.cut);
        self.note(format!("the app of {name} {}", if fails { "fails" } else { "is well again" }));
        if fails {
            self.truth.is_to_leave(&uid, now_ms, OUT_WITHIN_MS);
        } else if !is_cut {
            // What it said before may be heard late, and as if it was of now.
            self.truth.may_be_back(&uid, now_ms);
            self.later(WELL_AFTER_MS, Deed::PodIsBack(name.to_owned()));
        }
    }

    /// The app says that it is well, if it said anything else.
    pub(super) fn app_is_well(&mut self, name: &str) {
        if self.pods.get(name).is_some_and(|pod| *pod.fails.borrow()) {
            self.app_fails(name, false);
        }
    }

    pub(super) fn start_sidecar(&mut self, name: &str) {
        let (now_ms, authority) = (self.now_ms(), self.authority());
        let Some(pod) = self.pods.get_mut(name).filter(|pod| pod.host.is_none()) else { return };
        pod.life += 1;
        let setting = pod::Setting {
            reader: pod.reader.clone(),
            life: pod.life,
            endpoint: pod.endpoint.clone(),
            controllers: SESSIONS.parse().expect("it is an address"),
            folder: pod.folder.clone(),
            authority,
            looks_up: pod.looks_up.clone(),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            fails: pod.fails.subscribe(),
        };
        self.chronicle.turn_of(name);
        pod.host = Some(Host::start(now_ms, pod::run(setting)));
    }

    /// A sidecar is killed, and the kubelet starts it again: that takes nobody out, and its disk is there.
    pub fn kill_sidecar(&mut self, name: &str) {
        let Some(pod) = self.pods.get_mut(name) else { return };
        let address = pod.address;
        pod.host = None;
        self.note(format!("the sidecar of {name} is killed"));
        self.net.kill(address);
        self.later(RESTARTS_AFTER_MS, Deed::SidecarStarts(name.to_owned()));
    }

    /// The power of a node is off: all that runs there is gone, and nobody is told.
    pub fn kill_node(&mut self, node: u8) {
        self.kill_node_that_is_out(node, NODE_OUT_WITHIN_MS);
    }

    /// The same of one that has a controller: that one is to be given up first.
    pub fn kill_node_with_replica(&mut self, node: u8) {
        self.kill_node_that_is_out(node, NODE_WITH_REPLICA_OUT_WITHIN_MS);
    }

    fn kill_node_that_is_out(&mut self, node: u8, within_ms: Millis) {
        let now_ms = self.now_ms();
        self.note(format!("n{node} loses its power"));
        self.net.set_dark(&node_name(node), true);
        for pod in self.pods.values_mut().filter(|pod| pod.node == node) {
            pod.host = None;
            self.truth.is_to_leave(&pod.uid, now_ms, within_ms);
        }
        for controller in self.controllers.iter_mut().filter(|one| one.node == node) {
            controller.die();
        }
        self.later(LOST_AFTER_MS, Deed::NodeIsLost(node));
    }

    pub(super) fn node_is_lost(&mut self, node: u8) {
        if self.net.is_dark(&node_name(node)) {
            self.kubernetes(|cluster| cluster.lose_node(&node_name(node)));
        }
    }

    /// It is on again; its kubelet starts all that is to run there.
    pub fn start_node(&mut self, node: u8) {
        self.note(format!("n{node} has power again"));
        self.net.set_dark(&node_name(node), false);
        self.kubernetes(|cluster| cluster.find_node(&node_name(node)));
        let now_ms = self.now_ms();
        for pod in self.pods.values().filter(|pod| pod.node == node && !pod.deleted) {
            // Its sidecar is heard before its kubelet has found it ready anew; until it says otherwise, it was.
            self.truth.may_be_back(&pod.uid, now_ms);
        }
        let names: Vec<_> =
            self.pods.values().filter(|pod| pod.node == node).map(|pod| pod.name.clone()).collect();
        for name in names {
            self.later(RESTARTS_AFTER_MS, Deed::SidecarStarts(name.clone()));
            self.later(RESTARTS_AFTER_MS + READY_AFTER_MS, Deed::PodIsReady(name));
        }
        let numbers: Vec<_> =
            (0..self.controllers.len()).filter(|at| self.controllers[*at].node == node).collect();
        for number in numbers {
            self.later(RESTARTS_AFTER_MS, Deed::ControllerStarts(number));
        }
    }

    /// A node is cut off from these, with all that runs there; the pods on it may be out from now on. Gives the cuts.
    pub fn cut_node_off(&mut self, node: u8, from: &[Whom]) -> Vec<[CutId; 2]> {
        self.note(format!("n{node} is cut off"));
        self.pods_of_node_are_cut(node);
        let node = Whom::Node(node_name(node).into());
        from.iter().map(|whom| self.net.cut_both(&node, whom)).collect()
    }

    /// The controllers do not hear a node's pods any more: they may be taken out, or not, by the guard's rules.
    pub(crate) fn pods_of_node_are_cut(&mut self, node: u8) {
        let now_ms = self.now_ms();
        for pod in self.pods.values_mut().filter(|pod| pod.node == node) {
            pod.cut = true;
            self.truth.is_not_well(&pod.uid, now_ms);
        }
    }

    /// All are reached again. Who was known to be well is so again, and who is told of him from now on stays so.
    pub fn pods_are_reached_again(&mut self) {
        let names: Vec<_> = self.pods.values().filter(|pod| pod.cut).map(|pod| pod.name.clone()).collect();
        for name in names {
            if let Some(pod) = self.pods.get_mut(&name) {
                pod.cut = false;
            }
            self.later(BACK_AFTER_MS, Deed::PodIsBack(name));
        }
    }

    pub(super) fn pod_is_back(&mut self, name: &str) {
        let now_ms = self.now_ms();
        let Some(pod) = self.pods.get(name).filter(|pod| pod.ready && !pod.deleted && !pod.cut) else {
            return;
        };
        if !*pod.fails.borrow() {
            self.truth.is_well(&pod.uid, now_ms);
        }
    }

    /// One of them.
    pub fn some_pod(&self) -> String {
        self.pods_in_life()[0].clone()
    }

    /// The pods that are there and not about to go.
    pub fn pods_in_life(&self) -> Vec<String> {
        self.pods.values().filter(|pod| pod.is_in_life()).map(|pod| pod.name.clone()).collect()
    }
}
