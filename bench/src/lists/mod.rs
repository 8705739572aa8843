//! From the controller's start to its first lists, against the bare lists of the same objects: on a real API server,
//! in a cluster that is there for nothing else.

mod bare;
mod fill;
mod objects;

use std::{
    path::Path,
    process,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rollcall_cluster::{
    Cluster, Home, Kubectl, Name, Step, Wish, fake_nodes::FakeNodes, interrupt, static_build,
};
use rollcall_controller_tests::controller::{self, Controller, Cost, Settings, free_port};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::fleet::Fleet;

/// The goal of the design.
const RATIO_MAX: f64 = 1.5;
const NAMESPACE: &str = "rollcall-system";
/// The controller writes 20 objects a second: with two for each of a thousand services it needs two minutes.
const SETTLED_MAX: Duration = Duration::from_secs(600);
/// Who has written nothing for so long has nothing to write.
const QUIET: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Holds what the rounds have measured.
#[derive(Default)]
struct Rounds {
    bare: Vec<Duration>,
    controller: Vec<Duration>,
    costs: Vec<Cost>,
}

pub(crate) fn run(instances: u32, rounds: u32) -> Result<()> {
    ensure!(instances > 0 && rounds > 0, "nothing to measure");
    interrupt::listen()?;
    let home = Home::of_this_user()?;
    Cluster::sweep(&home)?;
    let program = controller::program()?;
    let name = Name::parse(&format!("bench-{}", process::id()))?;
    let cluster = Cluster::up(&home, &Wish { name: name.clone(), nodes: 1, ours_alone: true })?;
    let kubectl = Kubectl { program: cluster.kubectl_program().to_owned(), kubeconfig: cluster.kubeconfig() };
    let measured = measure(&home, &kubectl, &program, Fleet { instances }, rounds);
    let ended = Cluster::down(&home, &name);
    measured?;
    Ok(ended?)
}

fn measure(home: &Home, kubectl: &Kubectl, program: &Path, fleet: Fleet, rounds: u32) -> Result<()> {
    let runtime = Runtime::new()?;
    let crds = static_build::workspace().join("crds/generated/serviceregistrations.yaml");
    kubectl.call(&["apply", "--server-side", "-f", &crds.display().to_string()])?;
    kubectl.call(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
    let nodes = FakeNodes::start(home, kubectl, "bench")?;
    runtime.block_on(async { fill::fill(&client(kubectl).await?, fleet, &nodes).await })?;

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
    // Its objects are there before anything is measured: the lists are those of a restart.
    settle(&Controller::start(&settings)?, fleet)?;
    let mut measured = Rounds::default();
    let listed = runtime.block_on(bare_lists(kubectl))?.1;
    println!(
        "{} instances in {} services: {:.1} MiB in {} pages",
        fleet.instances,
        fleet.services(),
        mib(listed.bytes as f64),
        listed.pages,
    );
    for round in 1..=rounds {
        interrupt::check()?;
        let (bare, again) = runtime.block_on(bare_lists(kubectl))?;
        ensure!(again.pages == listed.pages, "the lists have changed: {listed:?}, then {again:?}");
        let begin = Instant::now();
        let controller = Controller::start(&settings)?;
        let took = begin.elapsed();
        let cost = controller.cost()?;
        let instances = controller.metric("rollcall_instances", "")?;
        ensure!(instances == f64::from(fleet.instances), "ready with {instances} instances");
        println!(
            "  {round}: bare {:.2} s, controller {:.2} s, {} ms of CPU",
            bare.as_secs_f64(),
            took.as_secs_f64(),
            cost.cpu_ms,
        );
        measured.bare.push(bare);
        measured.controller.push(took);
        measured.costs.push(cost);
    }
    measured.tell(fleet);
    Ok(())
}

async fn client(kubectl: &Kubectl) -> Result<Client> {
    let file = Kubeconfig::read_from(&kubectl.kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?)
}

/// With connections of their own, as the controller begins.
async fn bare_lists(kubectl: &Kubectl) -> Result<(Duration, bare::Listed)> {
    let begin = Instant::now();
    let listed = bare::list_all(&client(kubectl).await?).await?;
    Ok((begin.elapsed(), listed))
}

/// Waits until the controller has written all that it wants to.
fn settle(controller: &Controller, fleet: Fleet) -> Result<()> {
    let step = Step::start("letting the controller write its objects and statuses");
    let (begin, mut last) = (Instant::now(), (0.0, Instant::now()));
    loop {
        interrupt::check()?;
        let registrations = controller.metric("rollcall_registrations", "")?;
        let mut writes = 0.0;
        for kind in ["status", "registration"] {
            writes += controller.metric("rollcall_api_writes_total", &format!(r#"kind="{kind}""#))?;
        }
        if writes > last.0 {
            last = (writes, Instant::now());
        }
        // One for each service, whoever made it.
        if registrations >= f64::from(fleet.services()) && last.1.elapsed() >= QUIET {
            break;
        }
        let seen = format!("{registrations} registrations after {writes} writes");
        ensure!(begin.elapsed() < SETTLED_MAX, "still not all: {seen}\n{}", controller.last_words());
        step.still_running(|| seen);
        sleep(LOOK_EVERY);
    }
    step.done();
    Ok(())
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

// === impl Rounds ===

impl Rounds {
    fn tell(&self, fleet: Fleet) {
        let (bare, controller) = (median(&self.bare).as_secs_f64(), median(&self.controller).as_secs_f64());
        let cost = |of: fn(&Cost) -> u64| median(&self.costs.iter().map(of).collect::<Vec<_>>()) as f64;
        let (resident, peak) = (cost(|cost| cost.memory_kib), cost(|cost| cost.memory_peak_kib));
        println!(
            "medians of {}: bare lists {bare:.2} s, controller {controller:.2} s with {:.2} s of CPU: ratio {:.2}",
            self.bare.len(),
            cost(|cost| cost.cpu_ms) / 1e3,
            controller / bare,
        );
        println!(
            "memory when ready: {:.1} MiB ({:.2} KiB/instance), {:.1} MiB at most",
            resident / 1_024.0,
            resident / f64::from(fleet.instances),
            peak / 1_024.0,
        );
        println!("goal: at most {RATIO_MAX} times the bare lists");
    }
}

fn median<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
