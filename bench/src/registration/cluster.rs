//! Rollcall's registrations with what stores them: a real API server and its etcd, beside a real controller.
//!
//! ```text
//!  an app's PUT ─► its sidecar ═ session ═► controller ─► sidecars that watch
//!                                               └──────► API server ─► etcd: an object of each
//! ```
//!
//! An app has its answer, and all who watch know, before the object is there. So what is told apart is how soon an answer comes,
//! how soon a watcher knows, and how soon the objects are there; and what is computed is counted until they are.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::FutureExt;
use http::{Method, StatusCode};
use rollcall_cluster::{Collects, interrupt};
use rollcall_controller_tests::controller::Controller;
use rollcall_results::{Class, Configuration, Program, Record};
use tokio::{task::JoinSet, time::sleep, time::timeout};

use super::{PODS, SERVICES_EACH};
use crate::{
    filled::{Filled, Writes, in_a_cluster, tokens},
    fleet::{Fleet, address},
    local::cpu_of,
    ours::{Place, Pushed, Sidecar, registration},
    peers::{Data, Watcher},
    report::{self, Delays},
};

/// What the row is called.
const SYSTEM: &str = "rollcall with the API server";
/// The first port of the sidecars.
const PORT: u16 = 28_480;
const PORTS_EACH: u16 = 4;
/// A service that is there already, registered by the annotations of its pods: whoever joins it is seen by its watchers.
const JOINED: u32 = 3;
/// Who has written nothing for so long has nothing to write.
const QUIET: Duration = Duration::from_secs(3);
const WRITTEN_MAX: Duration = Duration::from_secs(60);
/// A watcher who does not know by then never does.
const SEEN_MAX: Duration = Duration::from_secs(15);
/// What is seen written is so to this; each look has an answer of the controller's.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For so long nobody registers, and what all compute then is no registration's.
const IDLE: Duration = Duration::from_secs(5);
/// Programs of the control plane that take part, by their files.
const OF_THE_CLUSTER: [&str; 3] = ["kube-apiserver", "etcd", "kube-controller-manager"];

/// Holds a cluster and the controller that serves it.
pub(super) struct Installed<'a> {
    filled: &'a Filled,
    controller: Controller,
}

/// Holds all that takes part.
pub(super) struct WithApiServer<'a> {
    controller: &'a Controller,
    /// A pod each.
    registrars: Vec<Arc<Sidecar>>,
    watching: Sidecar,
    /// Who computes, by what it is called.
    parts: Vec<(&'static str, Vec<u32>)>,
    /// What each of the parts computes in a second in which nobody registers.
    idle: Vec<Duration>,
    /// The same while it is looked whether anything is written, which is no registration's either.
    looked_at: Vec<Duration>,
    /// Names of services are used once: the controller leaves an object alone for a minute after it has written it.
    next: u32,
}

/// Runs this beside a cluster that is there for nothing else, with as many instances in it as other registries have.
pub(super) fn beside(
    data: Data,
    act: impl FnOnce(&Installed<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // What it computes is counted.
    in_a_cluster(Collects::AsShipped, |filled| {
        filled.fill(Fleet { instances: data.all() })?;
        let controller = filled.controller()?;
        filled.settle(&controller)?;
        act(&Installed { filled, controller })
    })
}

/// Of no case, where all of it is missing.
pub(super) fn nothing() -> Record {
    Record::new(SYSTEM, Class::C, Configuration::Default, 1)
}

/// With nothing measured yet.
pub(super) fn record(together: usize, round: u32) -> Record {
    Record { round, ..nothing() }.with_case("together", together as u64)
}

/// The control plane's programs by their names, told from other clusters' by the folder that their arguments name.
fn control_plane(folder: &Path) -> anyhow::Result<Vec<(&'static str, Vec<u32>)>> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for name in OF_THE_CLUSTER {
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            // Whoever has ended meanwhile is not meant.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if is_of(&String::from_utf8_lossy(&line), name, &folder) {
                pids.push(pid);
            }
        }
        ensure!(pids.len() == 1, "{name} of the cluster: {} processes", pids.len());
        found.push((name, pids));
    }
    Ok(found)
}

/// Whether this is the command line of that program, with something in this folder.
fn is_of(line: &str, program: &str, folder: &str) -> bool {
    let mut words = line.split('\0');
    let is_it = words.next().and_then(|first| first.rsplit('/').next()) == Some(program);
    is_it && words.any(|word| word.contains(&format!("{folder}/")))
}

/// As all that is measured: on the first processor alone.
fn pin(pids: &[u32]) -> anyhow::Result<()> {
    for pid in pids {
        let mut taskset = Command::new("taskset");
        let status =
            taskset.args(["-a", "-c", "-p", "0", &pid.to_string()]).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "taskset: {status}");
    }
    Ok(())
}

// === impl WithApiServer ===

impl<'a> WithApiServer<'a> {
    pub(super) async fn start(of: &'a Installed<'_>, is_pinned: bool) -> anyhow::Result<Self> {
        let Installed { filled, controller } = of;
        let door = filled.door()?;
        let tokens = tokens(&filled.client().await?, u32::from(PODS) + 1).await?;
        let mut sidecars = Vec::new();
        for (token, number) in tokens.into_iter().zip(0..) {
            let place = Place { token, port: PORT + PORTS_EACH * number, network: None };
            sidecars.push(Sidecar::start(place, door.address, &door.authority)?);
        }
        for sidecar in &sidecars {
            sidecar.in_step().await?;
        }
        let watching = sidecars.pop().context("no sidecar")?;
        let registrars: Vec<_> = sidecars.into_iter().map(Arc::new).collect();
        let mut parts = control_plane(filled.folder())?;
        parts.push(("controller", vec![controller.pid()]));
        if is_pinned {
            parts.iter().try_for_each(|(_, pids)| pin(pids))?;
        }
        let all = registrars.iter().filter_map(|one| one.pid()).chain(watching.pid());
        parts.push(("sidecars", all.collect()));
        let (idle, looked_at) = (Vec::new(), Vec::new());
        let mut with = Self { controller, registrars, watching, parts, idle, looked_at, next: 0 };
        with.written().await?;
        with.idle = with.in_a_second(sleep(IDLE).map(Ok)).await?;
        with.looked_at = with.in_a_second(async { with.written().await.map(drop) }).await?;
        Ok(with)
    }

    /// What each of the parts computes in a second of this.
    async fn in_a_second(
        &self,
        of: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Vec<Duration>> {
        let (before, since) = (self.computed()?, Instant::now());
        of.await?;
        let seconds = since.elapsed().as_secs_f64();
        let computed = self.computed()?.into_iter().zip(before).map(|(now, then)| now.saturating_sub(then));
        Ok(computed.map(|computed| computed.div_f64(seconds)).collect())
    }

    pub(super) fn programs(&self) -> Vec<Program> {
        let of = |(name, pids): &(&'static str, Vec<u32>)| {
            report::program(name, env!("CARGO_PKG_VERSION"), *pids.first()?).ok()
        };
        let ours = |name: &str| name == "controller" || name == "sidecars";
        let cluster = Program {
            name: OF_THE_CLUSTER.join(", "),
            version: self.version().unwrap_or_default(),
            command: "cargo xtask cluster up --nodes 1, whose etcd does not wait for its disk".to_owned(),
        };
        self.parts.iter().filter(|(name, _)| ours(name)).filter_map(of).chain([cluster]).collect()
    }

    /// Of Kubernetes.
    fn version(&self) -> Option<String> {
        let (_, pids) = self.parts.iter().find(|(name, _)| *name == "kube-apiserver")?;
        let program = fs::read_link(format!("/proc/{}/exe", pids.first()?)).ok()?;
        let said = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// Registers all, so many at a time, and takes them back when all of them are objects.
    pub(super) async fn measure(&mut self, together: usize, mut record: Record) -> anyhow::Result<Record> {
        let first = self.next;
        self.next += SERVICES_EACH;
        let services: Vec<_> = (first..self.next).map(|number| format!("registered-{number}")).collect();
        let writes = Writes::of(self.controller)?;
        let (before, since) = (self.computed()?, Instant::now());
        let delays = self.each(&services, together, true).await?;
        let answered = since.elapsed();
        let kept = self.written().await?.saturating_duration_since(since).max(answered);
        let (after, lasted) = (self.computed()?, since.elapsed());
        let many = delays.len() as f64;
        record = record
            .with_value("a_second", many / answered.as_secs_f64())
            .with_value("kept_a_second", many / kept.as_secs_f64());
        let mut all_us = 0.0;
        // Nobody looks before all have their answers.
        let looked = lasted.saturating_sub(answered).as_secs_f64();
        let without = self
            .idle
            .iter()
            .zip(&self.looked_at)
            .map(|(idle, looked_at)| idle.mul_f64(answered.as_secs_f64()) + looked_at.mul_f64(looked));
        for ((((name, _), without), before), after) in self.parts.iter().zip(without).zip(before).zip(after) {
            let computed = after.saturating_sub(before).saturating_sub(without);
            let each_us = computed.as_secs_f64() * 1e6 / many;
            all_us += each_us;
            record = record.with_value(&format!("{}_cpu_us", name.replace('-', "_")), each_us);
        }
        record = record.with_value("cpu_us", all_us);
        for (name, written) in Writes::of(self.controller)?.since(writes) {
            record = record.with_value(&name, written);
        }
        delays.tell(&mut record);
        self.each(&services, together, false).await?;
        let seen = self.seen().await?;
        self.written().await?;
        for (name, share) in [("seen_p50_us", 0.5), ("seen_p99_us", 0.99)] {
            record = record.with_value(name, seen.at(share).as_micros() as f64);
        }
        Ok(record)
    }

    async fn each(&self, services: &[String], together: usize, comes: bool) -> anyhow::Result<Delays> {
        let pairs = services.iter().flat_map(|service| {
            self.registrars.iter().map(move |registrar| (registrar.clone(), service.clone()))
        });
        let pairs: Vec<_> = pairs.collect();
        let mut workers = JoinSet::new();
        for worker in 0..together {
            let mine: Vec<_> = pairs.iter().skip(worker).step_by(together).cloned().collect();
            workers.spawn(async move {
                let mut delays = Delays::new()?;
                for (registrar, service) in mine {
                    let since = Instant::now();
                    said(&registrar, &service, comes).await?;
                    delays.push(since.elapsed());
                }
                anyhow::Ok(delays)
            });
        }
        let mut all = Delays::new()?;
        while let Some(delays) = workers.join_next().await {
            all.join(&delays??)?;
        }
        Ok(all)
    }

    /// From each pod's call until a watcher at another pod's sidecar knows.
    async fn seen(&self) -> anyhow::Result<Delays> {
        let (service, mut delays) = (Data::service(JOINED), Delays::new()?);
        let mut watch = Pushed::open(&self.watching.localhost, &service).await?;
        watch.next().await?;
        for (registrar, number) in self.registrars.iter().zip(0..) {
            let instance = IpAddr::to_string(&address(number));
            let since = Instant::now();
            said(registrar, &service, true).await?;
            let known = timeout(SEEN_MAX, until(&mut watch, &instance, true)).await;
            delays.push(known.context("a registration is not seen")??.saturating_duration_since(since));
            said(registrar, &service, false).await?;
            timeout(SEEN_MAX, until(&mut watch, &instance, false)).await.context("still there")??;
        }
        Ok(delays)
    }

    /// When the last object was written, once nothing is any more.
    async fn written(&self) -> anyhow::Result<Instant> {
        let begin = Instant::now();
        let (mut last, mut at) = (Writes::of(self.controller)?, begin);
        while at.elapsed() < QUIET {
            interrupt::check()?;
            if begin.elapsed() > WRITTEN_MAX {
                bail!("the controller goes on to write\n{}", self.controller.last_words());
            }
            sleep(LOOK_EVERY).await;
            let now = Writes::of(self.controller)?;
            if now.since(last).any(|(_, written)| written > 0.0) {
                (last, at) = (now, Instant::now());
            }
        }
        Ok(at)
    }

    /// What each of the parts has computed.
    fn computed(&self) -> anyhow::Result<Vec<Duration>> {
        self.parts.iter().map(|(_, pids)| cpu_of(pids)).collect()
    }
}

async fn said(registrar: &Sidecar, service: &str, comes: bool) -> anyhow::Result<()> {
    let path = format!("/v1/self/{service}");
    let (method, body, expected) = match comes {
        true => (Method::PUT, Some(registration(service)), StatusCode::OK),
        false => (Method::DELETE, None, StatusCode::NO_CONTENT),
    };
    let (status, body) = registrar.localhost.call(method, &path, body).await?;
    ensure!(status == expected, "{service}: {status} {}", String::from_utf8_lossy(&body));
    Ok(())
}

async fn until(watch: &mut Pushed, instance: &str, is_there: bool) -> anyhow::Result<Instant> {
    loop {
        let (at, all) = watch.next().await?;
        if all.iter().any(|one| one == instance) == is_there {
            return Ok(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_plane_is_known_by_its_folder() {
        let line = "/opt/tools/etcd\0--name\0a\0--data-dir\0/home/clusters/a/etcd\0";
        assert!(is_of(line, "etcd", "/home/clusters/a"));
        for (program, folder) in
            [("etcd", "/home/clusters/b"), ("etcd", "/home/clusters/a/e"), ("etcdctl", "/home/clusters/a")]
        {
            assert!(!is_of(line, program, folder), "{program} {folder}");
        }
    }
}
