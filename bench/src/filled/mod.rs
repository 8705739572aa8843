//! A real Kubernetes that is there for a measurement alone, filled with a fleet: pods on kwok's nodes, whose status we write in
//! the place of their kubelets; what belongs to them; and EndpointSlices, which Kubernetes makes. A real controller runs beside
//! it, and is told everything by the real API server.

mod bare;
mod changes;
mod fill;
mod objects;
mod seen;
mod tokens;

use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kube::Client;
use rollcall_cluster::{Collects, Kubectl, Step, fake_nodes::FakeNodes, interrupt, static_build};
use rollcall_controller_tests::controller::{self, Controller, Settings, free_port};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

pub(crate) use self::{
    bare::Listed,
    changes::{Churn, Pace},
    seen::Seen,
    tokens::of_pods as tokens,
};
use crate::{
    fleet::Fleet,
    own_cluster::{OwnCluster, client, in_own_cluster},
    sessions::Door,
};

const NAMESPACE: &str = "rollcall-system";
/// The controller writes 20 objects a second: with two for each of a thousand services it needs two minutes.
const SETTLED_MAX: Duration = Duration::from_secs(600);
/// Who has written nothing for so long has nothing to write.
const QUIET: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Holds the cluster while it is there.
pub(crate) struct Filled {
    pub(crate) runtime: Runtime,
    kubectl: Kubectl,
    nodes: FakeNodes,
    settings: Settings,
    fleet: Fleet,
    folder: PathBuf,
    _log: NamedTempFile,
}

/// What a controller has written to the API server, or asked of it, by what it was.
const WRITES: [&str; 4] = ["status", "registration", "event", "token-review"];

/// Holds how often a controller has written each of [`WRITES`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Writes([f64; WRITES.len()]);

/// Measures in a cluster of one node that is gone afterwards, whatever came of it.
pub(crate) fn in_a_cluster(
    collects: Collects,
    measure: impl FnOnce(&mut Filled) -> Result<()>,
) -> Result<()> {
    let program = controller::program()?;
    in_own_cluster(1, collects, |own| measure(&mut Filled::start(own, &program)?))
}

// === impl Filled ===

impl Filled {
    fn start(OwnCluster { home, cluster, kubectl }: &OwnCluster, program: &Path) -> Result<Self> {
        let crds = static_build::workspace().join("crds/generated/serviceregistrations.yaml");
        kubectl.call(&["apply", "--server-side", "-f", &crds.display().to_string()])?;
        kubectl.call(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
        let nodes = FakeNodes::start(home, kubectl, "bench")?;
        let log = tempfile::Builder::new().prefix("rollcall-bench-").suffix(".log").tempfile()?;
        let settings = Settings {
            program: program.to_owned(),
            kubeconfig: kubectl.kubeconfig.clone(),
            namespace: NAMESPACE.to_owned(),
            sessions: free_port()?,
            webhook: None,
            log: log.path().to_owned(),
            replica: None,
        };
        let fleet = Fleet { instances: 0 };
        let (kubectl, folder) = (kubectl.clone(), cluster.layout().folder());
        Ok(Self { runtime: Runtime::new()?, kubectl, nodes, settings, fleet, folder, _log: log })
    }

    /// Writes what this fleet has beside what is there, and lets a controller write its own objects of it: lists are those of a
    /// restart from then on.
    pub(crate) fn fill(&mut self, fleet: Fleet) -> Result<()> {
        ensure!(fleet.instances >= self.fleet.instances, "clusters only grow: name the sizes in their order");
        self.runtime
            .block_on(async { fill::fill(&self.client().await?, self.fleet, fleet, &self.nodes).await })?;
        self.fleet = fleet;
        let controller = self.controller()?;
        self.settle(&controller)
    }

    pub(crate) fn fleet(&self) -> Fleet {
        self.fleet
    }

    /// Starts one, and waits until it has seen the whole cluster.
    pub(crate) fn controller(&self) -> Result<Controller> {
        Controller::start(&self.settings)
    }

    /// Where the cluster's files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// With connections of its own.
    pub(crate) async fn client(&self) -> Result<Client> {
        client(&self.kubectl).await
    }

    /// The bare lists of what a controller lists, with connections of their own, as it begins.
    pub(crate) fn bare_lists(&self) -> Result<(Duration, Listed)> {
        self.runtime.block_on(async {
            let begin = Instant::now();
            let listed = bare::list_all(&self.client().await?).await?;
            Ok((begin.elapsed(), listed))
        })
    }

    /// Where sidecars find the controller, and whom they believe.
    pub(crate) fn door(&self) -> Result<Door> {
        let decoded = "go-template={{index .data `ca.crt` | base64decode}}";
        let secret = ["-n", NAMESPACE, "get", "secret", "rollcall-ca", "-o", decoded];
        let authority = self.kubectl.call(&secret).context("the controller's authority")?;
        Ok(Door { address: self.settings.sessions, authority })
    }

    /// Waits until the controller has written all that it wants to, and everything is in it.
    pub(crate) fn settle(&self, controller: &Controller) -> Result<()> {
        let step = Step::start("letting the controller write its objects and statuses");
        let (begin, mut last) = (Instant::now(), (0.0, Instant::now()));
        loop {
            interrupt::check()?;
            let registrations = controller.metric("rollcall_registrations", "")?;
            let instances = controller.metric("rollcall_instances", "")?;
            let writes = Writes::of(controller)?.all();
            if writes > last.0 {
                last = (writes, Instant::now());
            }
            // One for each service, whoever made it.
            let is_all = registrations >= f64::from(self.fleet.services())
                && instances >= f64::from(self.fleet.instances);
            if is_all && last.1.elapsed() >= QUIET {
                break;
            }
            let seen = format!("{instances} instances, {registrations} registrations after {writes} writes");
            ensure!(begin.elapsed() < SETTLED_MAX, "still not all: {seen}\n{}", controller.last_words());
            step.still_running(|| seen);
            sleep(LOOK_EVERY);
        }
        step.done();
        Ok(())
    }
}

// === impl Writes ===

impl Writes {
    pub(crate) fn of(controller: &Controller) -> Result<Self> {
        // One answer for all: each costs the controller something, which may be what is measured.
        let (mut writes, metrics) = ([0.0; WRITES.len()], controller.metrics()?);
        for (count, kind) in writes.iter_mut().zip(WRITES) {
            let found = metrics.sum("rollcall_api_writes_total", &format!(r#"kind="{kind}""#));
            *count = found.with_context(|| format!("no count of {kind} that is written"))?;
        }
        Ok(Self(writes))
    }

    /// Those since then, each by the name that records have it by.
    pub(crate) fn since(self, then: Self) -> impl Iterator<Item = (String, f64)> {
        let names = WRITES.map(|kind| format!("{}_writes", kind.replace('-', "_")));
        names.into_iter().zip(self.0).zip(then.0).map(|((name, now), then)| (name, now - then))
    }

    fn all(self) -> f64 {
        self.0.iter().sum()
    }
}
