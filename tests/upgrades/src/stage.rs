//! The cluster that versions follow each other in: two nodes, apps that are rolled, and callers that live through everything.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::Cluster as Hardware;
use rollcall_faults::{Client, Replica, Subject, ask_once, hardware, holder};
use rollcall_slice::{Cluster, Pod as Object, SERVES, deployment, eventually, pod, text, with_annotations};
use serde_json::{Value, json};

use crate::{Version, census::BESIDES};

/// Those that are looked up: the first three are Deployments, the last is what a caller registers at run time.
pub const SERVICES: [&str; 4] = ["orders", "billing", "stock", REGISTERED];
/// What a caller registers itself as.
pub(crate) const REGISTERED: &str = "cart";
/// The caller that does.
pub(crate) const REGISTERS: &str = "storefront-1";
/// A registration that a person has written.
pub(crate) const DECLARED: &str = "orders-by-hand";
const NODES: u8 = 2;
/// Of each Deployment.
pub(crate) const COPIES: u8 = 2;
const REMEDY: &str = "`cargo xtask bench upgrades` makes a cluster of two nodes for it";
const CONTROLLERS: [&str; 5] = ["get", "pods", "-l", "app.kubernetes.io/component=controller", "-o=json"];
/// Whoever was out of step tries again within half a minute.
const WELL_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Holds what the whole story uses.
pub struct Stage {
    /// The first to go.
    pub install: Cluster,
    pub hardware: Hardware,
    pub old: Version,
}

/// Holds what is seen of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) replica: String,
    pub(crate) is_old: bool,
    pub(crate) is_ready: bool,
    pub(crate) sessions: Option<u64>,
}

// === impl Stage ===

impl Stage {
    /// The old version by its own chart, with apps and callers that have its sidecars.
    pub fn set_up() -> Result<Self> {
        let (hardware, old) = (hardware(NODES, REMEDY)?, Version::old()?);
        let values = old.values();
        let install = Cluster::begin_with(&old.chart, &values.each_ref().map(String::as_str))?;
        let stage = Self { install, hardware, old };
        stage.furnish().inspect_err(|_| eprintln!("{}", stage.install.scene()))?;
        Ok(stage)
    }

    fn furnish(&self) -> Result<()> {
        let shop = &self.install.shop;
        let rolled = ["orders", "billing", "stock"].map(|service| deployment(COPIES, &app(service)));
        let callers = (1..=NODES).map(caller);
        let objects: Vec<_> = rolled.into_iter().chain(callers).chain([declared()]).collect();
        shop.apply(&objects)?;
        self.all_ready()?;
        self.register()?;
        self.well()
    }

    /// One caller says at run time that it is a service; busybox has no `PUT`, and netcat says what it is told.
    fn register(&self) -> Result<()> {
        let body = r#"{"ports":{"http":8080},"metadata":{"by":"itself"}}"#;
        let length = body.len();
        let request = format!(
            "PUT /v1/self/{REGISTERED} HTTP/1.1\\r\\nHost: 127.0.0.1:7300\\r\\nContent-Type: application/json\\r\\nContent-Length: {length}\\r\\nConnection: close\\r\\n\\r\\n{body}"
        );
        let script = format!("printf '{request}' | /bin/busybox nc 127.0.0.1 7300");
        eventually("a caller is registered", || {
            let answer = self.install.shop.run(REGISTERS, &script)?;
            ensure!(answer.contains(" 200 ") || answer.contains(" 202 "), "{answer}");
            Ok(answer.contains(" 200 "))
        })
    }

    /// Waits until all pods of apps and callers are there and ready.
    pub(crate) fn all_ready(&self) -> Result<()> {
        eventually("all apps are ready", || {
            let pods = self.install.shop.pods(None)?;
            let count = pods.len() == usize::from(COPIES) * 3 + usize::from(NODES);
            Ok(count && pods.iter().all(Object::is_ready))
        })
    }

    /// Waits until every pod finds all services whole and in step.
    pub(crate) fn well(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let Err(error) = self.is_well() else { return Ok(()) };
            if begin.elapsed() > WELL_MAX {
                bail!("not well within {WELL_MAX:?}: {error:#}");
            }
            sleep(LOOK_EVERY);
        }
    }

    fn is_well(&self) -> Result<()> {
        for pod in self.install.shop.pods(None)? {
            let subject = self.subject(pod.name(), text(&pod.0["metadata"], "uid"), "")?;
            let told = ask_once(&subject, &SERVICES).with_context(|| pod.name().to_owned())?;
            for (service, told) in SERVICES.into_iter().zip(told) {
                let (found, age_s) = (told.instances.len(), told.age_s);
                let all = if service == REGISTERED { 1 } else { usize::from(COPIES) };
                let whole = found == all && age_s == 0;
                ensure!(whole, "{} finds {found} of {service}, {age_s} s old", pod.name());
            }
        }
        Ok(())
    }

    /// Where a pod looks others up.
    pub(crate) fn subject(&self, name: &str, uid: &str, node: &str) -> Result<Subject> {
        let client = Client { name: name.to_owned(), place: node.to_owned() };
        let network = holder(&self.hardware, uid).with_context(|| name.to_owned())?.network();
        Ok(Subject { client, network })
    }

    /// The controllers as they are now.
    pub(crate) fn controllers(&self) -> Result<Vec<Seen>> {
        let list = self.install.system.json(&CONTROLLERS)?["items"].take();
        let pods = list.as_array().into_iter().flatten().cloned().map(Object);
        let seen = pods.filter_map(|pod| {
            // One without an address does nothing yet.
            let replica = Replica::of(&pod).ok()?;
            let image = text(&pod.0["spec"]["containers"][0], "image");
            Some(Seen {
                is_old: self.old.made(image),
                is_ready: replica.is_ready,
                sessions: replica.sessions().ok(),
                replica: replica.name,
            })
        });
        Ok(seen.collect())
    }

    /// Whether all sidecars are in session, by the word of controllers of this kind alone.
    pub(crate) fn are_served_by(&self, old: bool) -> Result<bool> {
        let seen = self.controllers()?;
        let pods = u64::try_from(self.install.shop.pods(None)?.len())?;
        let sessions: u64 = seen.iter().filter_map(|one| one.sessions).sum();
        Ok(seen.iter().all(|one| one.is_old == old && one.is_ready) && sessions == pods)
    }

    /// The pods of apps and callers whose sidecars are of the old version, and the others.
    pub(crate) fn by_sidecar(&self) -> Result<(Vec<String>, Vec<String>)> {
        let mut kinds = (Vec::new(), Vec::new());
        for pod in self.install.shop.pods(None)? {
            let is_old = self.old.made(text(pod.container("rollcall-sidecar")?, "image"));
            let kind = if is_old { &mut kinds.0 } else { &mut kinds.1 };
            kind.push(pod.name().to_owned());
        }
        Ok(kinds)
    }

    /// Names and UIDs of all that must outlive whatever is done to the installation: the CRD, the authority, and the
    /// registrations that people and apps have made.
    pub(crate) fn lasting(&self) -> Result<Vec<String>> {
        const UID: &str = "-o=jsonpath={.metadata.uid}";
        let (system, shop) = (&self.install.system, &self.install.shop);
        let crd = self.install.kubectl(&["get", "crd/serviceregistrations.rollcall.dev", UID])?;
        let authority = system.kubectl(&["get", "secret/rollcall-ca", UID])?;
        let list = shop.json(&["get", "serviceregistrations", "-o=json"])?;
        let registrations = list["items"].as_array().into_iter().flatten();
        // What the controller makes of annotations goes with the pods that it is made of.
        let stays = registrations.filter(|object| {
            let spec = &object["spec"];
            text(&object["metadata"], "name") == DECLARED || text(spec, "service") == REGISTERED
        });
        let mut lasting: Vec<_> = stays.map(|object| text(&object["metadata"], "uid").to_owned()).collect();
        ensure!(lasting.len() == 2, "registrations that should be there: {list}");
        lasting.sort();
        lasting.extend([crd, authority]);
        Ok(lasting)
    }

    /// What people read of the registration that a person has made: whether its status is of its newest generation, and how
    /// many serve.
    pub(crate) fn declared_serves(&self, count: u8) -> Result<bool> {
        let query = "-o=jsonpath={.metadata.generation}={.status.observedGeneration} {.status.serving}";
        let said = self.install.shop.kubectl(&["get", "serviceregistration", DECLARED, query])?;
        let (generations, serving) = said.split_once(' ').unwrap_or_default();
        let (newest, observed) = generations.split_once('=').unwrap_or_default();
        Ok(!newest.is_empty() && newest == observed && serving == count.to_string())
    }

    /// Does something to the server of an app whose container goes on.
    pub(crate) fn signal_app(&self, pod: &str, signal: &str) -> Result<()> {
        self.install.shop.run(pod, &format!("kill -{signal} 1")).map(drop)
    }

    /// Whether the CRD of the cluster is this checkout's.
    pub(crate) fn has_our_crd(&self) -> Result<bool> {
        const VERSION: &str = "/spec/versions/0";
        let path = rollcall_slice::workspace().join("crds/generated/serviceregistrations.yaml");
        let path = path.to_str().context("a path that is no text")?;
        let ours = self.install.kubectl(&["create", "--dry-run=client", "-o=json", "-f", path])?;
        let theirs = self.install.kubectl(&["get", "crd/serviceregistrations.rollcall.dev", "-o=json"])?;
        let part = |text: &str| anyhow::Ok(serde_json::from_str::<Value>(text)?.pointer(VERSION).cloned());
        Ok(part(&ours)? == part(&theirs)?)
    }
}

fn app(service: &str) -> Value {
    let annotations = json!({"rollcall.dev/service": service, "rollcall.dev/port": "http:8080"});
    let mut pod = with_annotations(pod(service, SERVES), &annotations);
    // On both nodes, and never fewer than there were.
    pod["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": service}},
    }]);
    pod
}

/// A pod that is never made anew: its sidecar stays what it was.
fn caller(node: u8) -> Value {
    let name = format!("storefront-{node}");
    let mut pod = pod(&name, SERVES);
    pod["metadata"]["labels"] = json!({"app": name});
    if name == REGISTERS {
        pod["metadata"]["labels"][BESIDES] = REGISTERED.into();
    }
    pod["spec"]["nodeName"] = format!("node{node}").into();
    pod
}

fn declared() -> Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": DECLARED},
        "spec": {
            "service": "orders",
            "target": {"selector": {"matchLabels": {"app": "orders"}}},
            "ports": [{"name": "http", "port": 8080}],
            "tags": ["declared"],
        },
    })
}
