//! The world: nodes, Kubernetes, controllers and pods, and the one clock that all of them go by.

mod apps;
mod controllers;
mod ending;
mod truth;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::jiff::Timestamp;
use rollcall_apiserver::{ApiServer, Cluster, Faults};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use self::{apps::Pod, controllers::Controller, truth::Truth};
use crate::{
    Millis,
    chance::Chance,
    chronicle::{BEGINS_AT, Chronicle, Clock, Surroundings},
    history::{Journal, promises},
    host::Host,
    kubernetes::{APPS, CONTROLLERS, OURS, serve},
    network::{Listener, Net, Whom},
};

/// Everyone is looked after so often: what crosses the network takes a step.
const STEP_MS: Millis = 10;
/// A process to which nothing has come is looked after so often; what it does by itself meanwhile it does in time by its own
/// clock, and is seen so much later.
const QUIET_STEP_MS: Millis = 50;
/// Bytes of a line that says what was broken.
const LINE_MAX: usize = 1_500;
/// Kubernetes' own processes look so often.
const KUBERNETES_STEP_MS: Millis = 100;

/// Kubelets bring what is mounted up to date so often.
const MOUNTS_STEP_MS: Millis = 5_000;

/// Where the sessions are dialled, as the address of the controllers' Service.
pub const SESSIONS: &str = "198.19.0.1:7310";
const SESSIONS_PORT: u16 = 7310;
/// The first of the ports at which the API server is dialled.
const API_PORT: u16 = 6_443;
const API: [u8; 4] = [198, 18, 0, 1];

/// A port of the API server, and as what those are answered who come there.
type Port = (Listener, kube::Client);

/// Says how large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub nodes: u8,
    pub controllers: u8,
    pub services: u8,
    /// Of each service.
    pub pods: u8,
}

/// Holds a world.
pub struct World {
    pub seed: u64,
    pub net: Net,
    pub chance: Chance,
    pub chronicle: Chronicle,
    pub truth: Truth,
    pub api: ApiServer,
    pub cluster: Cluster,
    pub controllers: Vec<Controller>,
    pub pods: BTreeMap<String, Pod>,
    pub size: Size,
    /// What may not be and is no lookup's: a process that ended by itself.
    pub failures: Vec<String>,
    clock: Clock,
    journal: Journal,
    /// What is to be done later, in the order of its time.
    agenda: BTreeMap<(Millis, u64), Deed>,
    deeds: u64,
    named: u64,
    step_ms: Millis,
    /// For each life of a controller a port of the API server is opened, so that what goes wrong can go wrong for one.
    ports: UnboundedSender<Port>,
    ports_opened: u16,
    folder: TempDir,
    plane: Host,
    _surroundings: Surroundings,
}

/// Says what the world does by itself when its time has come.
#[derive(Debug, Clone)]
enum Deed {
    /// The kubelet finds a pod's app ready.
    PodIsReady(String),
    /// Whatever was in the way of its news, nothing is any more.
    PodIsBack(String),
    /// The kubelet ends what is left of a pod that was deleted.
    PodEnds(String),
    /// The kubelet starts a sidecar again.
    SidecarStarts(String),
    /// The kubelet starts a controller again.
    ControllerStarts(usize),
    /// Kubernetes notices that a node is silent, if it still is.
    NodeIsLost(u8),
}

// === impl World ===

impl World {
    /// A world in which everything has started and is well.
    pub fn new(seed: u64, size: Size) -> Self {
        let mut world = Self::begin(seed, size);
        world.settle();
        world
    }

    /// A world whose controllers are about to start, and that has no pods yet.
    pub fn begin(seed: u64, size: Size) -> Self {
        let clock = Clock::default();
        clock.set(0);
        let chronicle = Chronicle::new(clock.clone());
        let surroundings = chronicle.surround(seed);
        let mut chance = Chance::new(seed);
        let net = Net::new(chance.seed());
        net.place(API.into(), "control-plane");
        let began = Timestamp::from_second(i64::try_from(BEGINS_AT).unwrap()).unwrap();
        let (ports, opened) = unbounded_channel();
        let plane = Host::start(0, api_server(opened));
        // Its clock is that of the process that it is in.
        let api = plane.within(|| ApiServer::at(1, began));
        let cluster = Cluster::new(&api);
        let mut world = Self {
            seed,
            net,
            chance,
            chronicle,
            truth: Truth::default(),
            api,
            cluster,
            controllers: Vec::new(),
            pods: BTreeMap::new(),
            size,
            failures: Vec::new(),
            clock,
            journal: Journal::default(),
            agenda: BTreeMap::new(),
            deeds: 0,
            named: 0,
            step_ms: STEP_MS,
            ports,
            ports_opened: 0,
            folder: tempfile::tempdir().expect("a folder for the pods' volumes"),
            plane,
            _surroundings: surroundings,
        };
        world.kubernetes(|cluster| {
            for namespace in [APPS, OURS] {
                cluster.namespace(namespace);
            }
            (1..=size.nodes).for_each(|node| cluster.node(&node_name(node), &format!("z{node}")));
            cluster.service(OURS, CONTROLLERS, CONTROLLERS, SESSIONS_PORT);
        });
        (0..size.controllers).for_each(|_| world.add_controller());
        world
    }

    /// The controllers start, and then all pods.
    pub fn settle(&mut self) {
        self.play(5_000);
        for service in 0..self.size.services {
            (0..self.size.pods).for_each(|_| drop(self.create_pod(service)));
        }
        self.play(15_000);
    }

    pub fn now_ms(&self) -> Millis {
        self.clock.now_ms()
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub fn note(&self, line: impl AsRef<str>) {
        self.chronicle.note(line.as_ref());
    }

    /// Does something as Kubernetes' own processes do it, on their clock.
    pub fn kubernetes<T>(&self, deed: impl FnOnce(&Cluster) -> T) -> T {
        self.plane.within(|| deed(&self.cluster))
    }

    /// What of the API server is looked at or changed beside all clients.
    pub fn api<T>(&self, deed: impl FnOnce(&ApiServer) -> T) -> T {
        self.plane.within(|| deed(&self.api))
    }

    /// The time goes on by so much.
    pub fn play(&mut self, for_ms: Millis) {
        let until_ms = self.now_ms() + for_ms;
        while self.now_ms() < until_ms {
            self.step();
        }
    }

    /// The time goes on until that is so, for so long at most; whether it is.
    pub fn play_until(&mut self, for_ms: Millis, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let until_ms = self.now_ms() + for_ms;
        while self.now_ms() < until_ms {
            self.play(KUBERNETES_STEP_MS);
            if is_so(self) {
                return true;
            }
        }
        false
    }

    /// From here on everyone is looked after so often only, as in an hour in which little happens: whatever crosses the network
    /// takes so long. Again each 10 ms with none.
    pub fn set_step(&mut self, step_ms: Option<Millis>) {
        self.step_ms = step_ms.unwrap_or(STEP_MS);
    }

    /// A new port at which one of the API server's replicas answers, with what goes wrong there.
    pub fn open_api(&mut self, replica: usize) -> (SocketAddr, Faults) {
        let at = SocketAddr::new(API.into(), API_PORT + self.ports_opened);
        self.ports_opened += 1;
        let (listener, faults) = (self.net.listen(at).expect("nobody else is there"), Faults::default());
        let answering = self.api(|api| api.client(replica, &faults));
        self.ports.send((listener, answering)).expect("it lives as long as we do");
        (at, faults)
    }

    /// The API server's last revision.
    pub fn revision(&self) -> u64 {
        self.api(ApiServer::revision)
    }

    fn step(&mut self) {
        // Whatever the steps were, whoever looks each second finds its second.
        let now_ms = (self.now_ms() / self.step_ms + 1) * self.step_ms;
        self.clock.set(now_ms);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let deed = entry.remove();
            self.act(deed);
        }
        let is_due = now_ms.is_multiple_of(KUBERNETES_STEP_MS);
        if is_due {
            self.look_after_controllers();
        }
        if now_ms.is_multiple_of(MOUNTS_STEP_MS) {
            self.authority();
        }
        self.net.advance(now_ms);
        let touched = self.net.take_touched();
        let is_to_run = |address: &IpAddr| touched.contains(address) || now_ms.is_multiple_of(QUIET_STEP_MS);
        if is_to_run(&API.into()) {
            self.chronicle.turn_of("api-server");
            self.plane.run_until(now_ms);
        }
        for controller in self.controllers.iter_mut().filter(|one| is_to_run(&one.address)) {
            self.chronicle.turn_of(&controller.name);
            controller.run_until(now_ms);
        }
        for pod in self.pods.values_mut().filter(|one| is_to_run(&one.address)) {
            self.chronicle.turn_of(&pod.name);
            pod.run_until(now_ms);
        }
        if is_due {
            self.look_for_the_dead();
        }
    }

    fn look_for_the_dead(&mut self) {
        let controllers = self.controllers.iter_mut().map(|one| (one.name.clone(), one.ended()));
        let pods = self.pods.values_mut().map(|one| (one.name.clone(), one.ended()));
        let plane = [("api-server".to_owned(), self.plane.ended())];
        let ended: Vec<_> =
            controllers.chain(pods).chain(plane).filter_map(|(name, why)| Some((name, why?))).collect();
        for (name, why) in ended {
            let now_ms = self.now_ms();
            let line = format!("{now_ms} ms: {name} ended by itself: {why}");
            self.note(&line);
            if !self.failures.iter().any(|told| told.contains(&name)) {
                self.failures.push(line);
            }
        }
    }

    fn later(&mut self, in_ms: Millis, deed: Deed) {
        self.deeds += 1;
        self.agenda.insert((self.now_ms() + in_ms, self.deeds), deed);
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::PodIsReady(name) => self.pod_is_ready(&name),
            Deed::PodIsBack(name) => self.pod_is_back(&name),
            Deed::PodEnds(name) => self.pod_ends(&name),
            Deed::SidecarStarts(name) => self.start_sidecar(&name),
            Deed::ControllerStarts(number) => self.start_controller(number),
            Deed::NodeIsLost(node) => self.node_is_lost(node),
        }
    }

    /// What of all promises was broken so far.
    pub fn broken(&self) -> Vec<String> {
        let history = self.truth.history(&self.journal);
        let mut broken = self.failures.clone();
        broken.extend(promises::broken(&history));
        broken
    }

    /// Fails, with all that is to be told of it, where something was broken.
    pub fn judge(&self, story: &str) {
        let broken = self.broken();
        if !broken.is_empty() {
            println!("{}", self.chronicle);
            broken.iter().for_each(|line| println!("wrong: {}", cut(line)));
            println!("\nROLLCALL_SEED={} cargo test -p rollcall-whole {story} runs it again", self.seed);
            panic!("{story}: {}", cut(&broken[0]));
        }
    }

    /// Where the authority is mounted in all pods: what the API server has of it.
    fn authority(&self) -> PathBuf {
        let path = self.folder.path().join("ca.crt");
        let secret = self.api(|api| api.object("secrets", OURS, "rollcall-ca"));
        let text = secret.as_ref().and_then(|secret| secret["data"]["ca.crt"].as_str());
        if let Some(pem) = text.and_then(|text| BASE64_STANDARD.decode(text).ok()) {
            std::fs::write(&path, pem).expect("a file in our own folder");
        }
        path
    }
}

/// The API server's process.
async fn api_server(mut ports: UnboundedReceiver<Port>) -> anyhow::Result<()> {
    while let Some((listener, answering)) = ports.recv().await {
        tokio::spawn(serve(listener, answering));
    }
    std::future::pending().await
}

pub fn node_name(node: u8) -> String {
    format!("n{node}")
}

pub fn service_name(service: u8) -> Arc<str> {
    format!("s{service}").into()
}

/// As much of a line as anybody reads.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(LINE_MAX)]
}

/// Where the API server is.
pub fn api_server_address() -> Whom {
    Whom::One(IpAddr::from(API))
}
