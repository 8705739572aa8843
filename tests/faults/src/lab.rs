//! The cluster that things fail in: three nodes, on each of them a replica of the controller and one pod of each service.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use rollcall_cluster::{Cluster as Hardware, Process};
use rollcall_slice::{Cluster, Pod as Object, SERVES, pod, text, with_annotations};
use serde_json::{Value, json};

use crate::{Client, Cut, Pod, Promise, Replica, Subject, Trial, ask_once, hardware, holder};

/// A replica for each node.
pub(crate) const REPLICAS: usize = 3;
/// Each has a pod on each node, so that losing a node takes a third of each.
pub(crate) const SERVICES: [&str; 3] = ["orders", "billing", "stock"];
const NODES: u8 = 3;
const CONTROLLER: &str = "rollcall-controller";
const REMEDY: &str = "`cargo xtask bench faults` makes a cluster of three nodes for it";
/// After a long outage of the API server, Kubernetes has all nodes and pods ready again within a minute and a half.
const WELL_MAX: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Holds what all trials use. It ends with the last of them.
pub struct Lab {
    /// The first to go.
    pub install: Cluster,
    pub hardware: Hardware,
    apps: Vec<App>,
}

/// Holds an app's pod.
#[derive(Debug)]
struct App {
    pod: Pod,
    uid: String,
}

static SHARED: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
/// What fails in one trial must not be in the way of another.
static TURN: Mutex<()> = Mutex::new(());

impl Lab {
    /// Does something that fails, in its turn, while lookups run in every pod. Everything is healed at its end, and what was
    /// promised must have been kept.
    pub fn trial(
        title: &str,
        promise: Promise,
        act: impl FnOnce(&mut Trial<'_>) -> Result<()>,
    ) -> Result<()> {
        let lab = Self::shared()?;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        lab.well().context("before anything failed")?;
        let mut trial = Trial::begin(&lab)?;
        let acted = act(&mut trial);
        let healed = lab.heal().context("healing");
        trial.all_is_healed();
        let well = lab.well().context("after all was healed");
        trial.finish(title, promise, [acted, healed, well])
    }

    fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lab) = shared.upgrade() {
            return Ok(lab);
        }
        let lab = Arc::new(Self::set_up()?);
        *shared = Arc::downgrade(&lab);
        Ok(lab)
    }

    fn set_up() -> Result<Self> {
        let hardware = hardware(NODES, REMEDY)?;
        let install = Cluster::begin(&[&format!("replicas={REPLICAS}")])?;
        let places = (1..=NODES).flat_map(|node| SERVICES.map(|service| (service, node)));
        let objects: Vec<_> = places.map(|(service, node)| app(service, node)).collect();
        install.shop.apply(&objects)?;
        for service in SERVICES {
            install.shop.all_ready(service, NODES.into())?;
        }
        let apps = install.shop.pods(None)?.iter().map(App::of).collect();
        Ok(Self { install, hardware, apps })
    }

    /// The pods of apps, each of which is a client as well.
    pub fn pods(&self) -> Vec<Pod> {
        self.apps.iter().map(|app| app.pod.clone()).collect()
    }

    /// Where each of them looks others up.
    pub(crate) fn subjects(&self) -> Result<Vec<Subject>> {
        let subject = |app: &App| {
            let client = Client { name: app.pod.name.clone(), place: app.pod.node.clone() };
            let network = holder(&self.hardware, &app.uid).with_context(|| app.pod.name.clone())?.network();
            anyhow::Ok(Subject { client, network })
        };
        self.apps.iter().map(subject).collect()
    }

    /// All replicas that are not about to end.
    pub fn replicas(&self) -> Result<Vec<Replica>> {
        let list = ["get", "pods", "-l", "app.kubernetes.io/component=controller"];
        let list = self.install.system.json(&list)?["items"].take();
        let pods = list.as_array().into_iter().flatten().cloned().map(Object);
        let alive = pods.filter(|pod| pod.0["metadata"]["deletionTimestamp"].is_null());
        alive.map(|pod| Replica::of(&pod)).collect()
    }

    /// The replica that holds the Lease.
    pub fn leader(&self) -> Result<Replica> {
        let holder = self.install.lease_holder()?;
        let mut replicas = self.replicas()?.into_iter();
        let leads = |replica: &Replica| holder.starts_with(&format!("{}-", replica.name));
        replicas.find(leads).with_context(|| format!("{holder} holds the Lease, and is no replica"))
    }

    /// The replica with the most sessions, and all the others.
    pub fn busiest(&self) -> Result<(Replica, Vec<Replica>)> {
        let mut replicas = self.replicas()?;
        replicas.sort_by_cached_key(|replica| replica.sessions().unwrap_or_default());
        let busiest = replicas.pop().context("there are no replicas")?;
        Ok((busiest, replicas))
    }

    /// Its process, as it is now.
    pub fn controller(&self, replica: &Replica) -> Result<Process> {
        let mut processes = self.hardware.processes_of_pod(&replica.uid).into_iter();
        let found = processes.find(|process| process.program() == CONTROLLER);
        found.with_context(|| format!("no controller runs in {}", replica.name))
    }

    /// Cuts a replica off, until all is healed.
    pub fn cut(&self, replica: &Replica, cut: &Cut) -> Result<()> {
        cut.apply(&holder(&self.hardware, &replica.uid)?)
    }

    /// Heals what it was cut off from.
    pub fn reconnect(&self, replica: &Replica) -> Result<()> {
        Cut::heal(&holder(&self.hardware, &replica.uid)?)
    }

    /// Where replicas find the API server: its Service, and its own address, from which it asks them.
    pub fn api_server(&self) -> Result<Cut> {
        let layout = self.hardware.layout();
        let own = layout.address(rollcall_cluster::Role::ControlPlane);
        Ok(Cut::From(vec![layout.api_service_address().parse()?, own.parse()?]))
    }

    /// Ends the server of an app, whose container goes on: nobody but its own sidecar and its kubelet see it.
    pub fn crash(&self, pod: &str) -> Result<()> {
        Ok(self.shell(pod)?.signal(Signal::SIGUSR1)?)
    }

    /// Starts it again.
    pub fn revive(&self, pod: &str) -> Result<()> {
        Ok(self.shell(pod)?.signal(Signal::SIGUSR2)?)
    }

    /// Waits until this holds, for so long; errors on the way are kept for the end.
    pub fn within(
        &self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let begin = Instant::now();
        let mut last = String::new();
        while begin.elapsed() < limit {
            match holds(self) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => last = format!("; last error: {error:#}"),
            }
            sleep(LOOK_EVERY);
        }
        bail!("not within {limit:?}: {what}{last}")
    }

    /// Everything that a trial can have broken, whole again.
    fn heal(&self) -> Result<()> {
        self.hardware.start_api_server()?;
        for node in self.hardware.status().iter().filter(|node| !node.powered || !node.connected) {
            self.hardware.heal(&node.name)?;
        }
        for replica in self.replicas()? {
            // One that is gone meanwhile needs no healing.
            if let Ok(process) = self.controller(&replica) {
                let _ = process.signal(Signal::SIGCONT);
            }
            if holder(&self.hardware, &replica.uid).is_ok() {
                self.reconnect(&replica)?;
            }
        }
        for app in self.apps.iter().filter(|app| !self.serves(app)) {
            self.revive(&app.pod.name)?;
        }
        if self.replicas()?.len() != REPLICAS {
            self.install.scale_controller(REPLICAS)?;
        }
        Ok(())
    }

    /// Waits until there is nothing that fails.
    fn well(&self) -> Result<()> {
        self.within(WELL_MAX, "all is well", Self::is_well)
    }

    fn is_well(&self) -> Result<bool> {
        // The cheap first: each of the others is a process.
        for subject in self.subjects()? {
            let told = ask_once(&subject, &SERVICES).with_context(|| subject.client.name.clone())?;
            for (service, told) in SERVICES.into_iter().zip(told) {
                let (found, age_s) = (told.instances.len(), told.age_s);
                let whole = found == usize::from(NODES) && age_s == 0;
                ensure!(whole, "{} finds {found} of {service}, {age_s} s old", subject.client.name);
            }
        }
        let nodes = self.hardware.status();
        ensure!(nodes.iter().all(rollcall_cluster::NodeStatus::is_well), "a node is not well");
        let replicas = self.replicas()?;
        ensure!(
            replicas.len() == REPLICAS && replicas.iter().all(|replica| replica.is_ready),
            "{replicas:?}"
        );
        self.leader()?;
        let unready: Vec<_> =
            self.install.shop.pods(None)?.into_iter().filter(|pod| !pod.is_ready()).collect();
        ensure!(unready.is_empty(), "not ready: {:?}", unready.iter().map(Object::name).collect::<Vec<_>>());
        Ok(true)
    }

    fn serves(&self, app: &App) -> bool {
        let processes = self.hardware.processes_of_pod(&app.uid);
        processes.iter().any(|process| process.command.get(1).is_some_and(|applet| applet == "httpd"))
    }

    /// The process of an app's pod that starts its server.
    fn shell(&self, pod: &str) -> Result<Process> {
        let app =
            self.apps.iter().find(|app| app.pod.name == pod).with_context(|| format!("no app {pod}"))?;
        let mut processes = self.hardware.processes_of_pod(&app.uid).into_iter();
        // Its children are shells for a moment as well, before they are what they are to be: the first is the oldest.
        let found = processes.find(|process| process.command.get(1).is_some_and(|applet| applet == "sh"));
        found.with_context(|| format!("no shell runs in {pod}"))
    }
}

fn app(service: &str, node: u8) -> Value {
    let annotations = json!({"rollcall.dev/service": service, "rollcall.dev/port": "http:8080"});
    let mut pod = with_annotations(pod(&format!("{service}-{node}"), SERVES), &annotations);
    pod["metadata"]["labels"]["app"] = service.into();
    pod["spec"]["nodeName"] = format!("node{node}").into();
    pod
}

// === impl App ===

impl App {
    fn of(object: &Object) -> Self {
        let (metadata, spec) = (&object.0["metadata"], &object.0["spec"]);
        let pod = Pod {
            name: object.name().to_owned(),
            service: text(&metadata["labels"], "app").to_owned(),
            address: object.ip().to_owned(),
            node: text(spec, "nodeName").to_owned(),
        };
        Self { pod, uid: text(metadata, "uid").to_owned() }
    }
}
