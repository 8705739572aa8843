//! Controllers: their pods, their processes, and what Kubernetes makes of them.

use std::net::{IpAddr, SocketAddr};

use rollcall_apiserver::{Faults, PodWish};

use super::{Deed, SESSIONS, SESSIONS_PORT, World, node_name};
use crate::{
    Millis,
    controller::{self, Ready},
    host::Host,
    kubernetes::{CONTROLLERS, OURS},
};

/// From a controller's end until the kubelet has started it again.
const RESTARTS_AFTER_MS: Millis = 1_000;

/// Holds a controller's pod.
#[derive(Debug)]
pub struct Controller {
    pub name: String,
    pub node: u8,
    pub address: IpAddr,
    /// What goes wrong between it and the API server.
    pub faults: Faults,
    /// The replica of the API server that it asks.
    pub asks: usize,
    ready: Ready,
    /// As the API server was told.
    told_ready: bool,
    host: Option<Host>,
    frozen: bool,
}

// === impl Controller ===

impl Controller {
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

    /// Its process is gone.
    pub(super) fn die(&mut self) {
        self.host = None;
        self.frozen = false;
        self.ready = Ready::default();
    }

    pub fn is_ready(&self) -> bool {
        self.host.is_some() && self.ready.is()
    }

    pub fn runs(&self) -> bool {
        self.host.is_some() && !self.frozen
    }
}

// === impl World ===

impl World {
    /// A controller more, behind the Service.
    pub(super) fn add_controller(&mut self) {
        let number = self.controllers.len();
        let node = 1 + u8::try_from(number).unwrap() % self.size.nodes;
        let name = format!("{CONTROLLERS}-{number}");
        let address = IpAddr::from([198, 18, 1, 1 + u8::try_from(number).unwrap()]);
        let wish = PodWish {
            node: node_name(node),
            labels: vec![("app", CONTROLLERS.to_owned())],
            ..PodWish::default()
        };
        let token = self.kubernetes(|cluster| {
            cluster.pod(OURS, &name, &wish);
            cluster.run(OURS, &name, &address.to_string());
            cluster.token(OURS, &name, "rollcall-replica", 86_400)
        });
        std::fs::write(self.folder.path().join(&name), token).expect("a file in our own folder");
        self.net.place(address, &node_name(node));
        let controller = Controller {
            name,
            node,
            address,
            faults: Faults::default(),
            asks: 0,
            ready: Ready::default(),
            told_ready: false,
            host: None,
            frozen: false,
        };
        self.controllers.push(controller);
        self.start_controller(number);
    }

    pub(super) fn start_controller(&mut self, number: usize) {
        let now_ms = self.now_ms();
        if self.controllers[number].host.is_some() {
            return;
        }
        let (api, faults) = self.open_api(self.controllers[number].asks);
        let controller = &mut self.controllers[number];
        controller.faults = faults;
        let at = SocketAddr::new(controller.address, SESSIONS_PORT);
        let sessions = self.net.listen(at).expect("the process before it is gone");
        controller.ready = Ready::default();
        let setting = controller::Setting {
            replica: controller.name.clone(),
            lease: CONTROLLERS.to_owned(),
            endpoint: self.net.endpoint(controller.address),
            api,
            sessions,
            token: self.folder.path().join(&controller.name),
            ready: controller.ready.clone(),
        };
        self.chronicle.turn_of(&controller.name);
        controller.host = Some(Host::start(now_ms, controller::run(setting)));
    }

    /// A controller is killed, and started again by its kubelet.
    pub fn kill_controller(&mut self, number: usize) {
        let controller = &mut self.controllers[number];
        controller.die();
        let (name, address) = (controller.name.clone(), controller.address);
        self.net.kill(address);
        self.note(format!("{name} is killed"));
        self.later(RESTARTS_AFTER_MS, Deed::ControllerStarts(number));
    }

    /// A controller stands still, as one that is stopped by a signal: its connections stay, and nobody is told.
    pub fn freeze_controller(&mut self, number: usize) {
        self.controllers[number].frozen = true;
        self.note(format!("{} stands still", self.controllers[number].name));
    }

    pub fn wake_controller(&mut self, number: usize) {
        let now_ms = self.now_ms();
        self.note(format!("{} goes on", self.controllers[number].name));
        let controller = &mut self.controllers[number];
        if std::mem::take(&mut controller.frozen)
            && let Some(host) = &mut controller.host
        {
            self.chronicle.turn_of(&controller.name);
            host.wake_at(now_ms);
        }
    }

    /// What goes wrong between a controller and the API server, in its present life.
    pub fn faults_of(&self, number: usize) -> Faults {
        self.controllers[number].faults.clone()
    }

    /// The number of the one that the Lease says to be its holder, if it runs.
    pub fn leader(&self) -> Option<usize> {
        let lease = self.api(|api| api.object("leases", OURS, CONTROLLERS))?;
        let holder = lease["spec"]["holderIdentity"].as_str()?.to_owned();
        self.controllers.iter().position(|one| holder.starts_with(&one.name))
    }

    /// What kubelets find at `/readyz`, and where the Service leads by that. Who stands still answers no probe; that takes
    /// its time to be noticed, which is left out here: it is dialled all the while.
    pub(super) fn look_after_controllers(&mut self) {
        let mut told = Vec::new();
        for controller in &mut self.controllers {
            let is_ready = controller.is_ready();
            if std::mem::replace(&mut controller.told_ready, is_ready) != is_ready {
                told.push((controller.name.clone(), is_ready));
            }
        }
        for (name, is_ready) in &told {
            self.kubernetes(|cluster| cluster.ready(OURS, name, "app", *is_ready));
        }
        if !told.is_empty() {
            let ready = |one: &&Controller| one.told_ready;
            let behind =
                self.controllers.iter().filter(ready).map(|one| SocketAddr::new(one.address, SESSIONS_PORT));
            let behind = behind.collect();
            self.net.set_service(SESSIONS.parse().expect("it is an address"), behind);
        }
    }
}
