//! Kubernetes itself: an app in a pod with a readiness probe, and what watches of its Service's EndpointSlices tell, as kube-proxy
//! and every client of theirs has it.
//!
//! Its cluster is no part of the network in which all others fail, and so it is measured before them, and kept apart:
//!
//! ```text
//!   node1 (and the control plane): API server ─► watches of slices
//!     ▲ statuses of pods; leases, which end where it is cut off
//!   node2: kubelet ─► probes of two pods, as Kubernetes ships them and as often as it can
//! ```

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{FutureExt, future::join_all, future::try_join_all};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use nix::sys::signal::Signal;
use rollcall_cluster::{Collects, TOOLBOX, interrupt};
use rollcall_results::{Class, Configuration, Program, Record};
use serde_json::{Value, json};
use tokio::{
    runtime::Builder,
    task::block_in_place,
    time::{sleep, timeout},
};

use super::{
    AS_SET, ROUNDS, ROUNDS_SLOW, WATCHERS,
    detection::{APART, SEEN_MAX, phase, told, until},
    event::Event,
    interruptible,
};
use crate::{
    kept::Kept,
    own_cluster::{OwnCluster, client, in_own_cluster, version},
    peers::{Pace, Watcher},
    propagation::{Tally, Watchers, Watching, Wish},
};

/// What it is called.
const SYSTEM: &str = "kubernetes readiness probe, EndpointSlice watch";
const NAMESPACE: &str = "failure";
/// The one that is cut off; who needs to hear of it is on the other one.
const NODE: &str = "node2";
const NODES: u8 = 2;
const PORT: u16 = 8080;
/// The word by which its process is known from the one that holds the pod's network.
const SERVER: &str = "httpd";
/// By then a node that is silent is not ready, by what Kubernetes promises, twice over.
const OUT_WITHIN: Duration = Duration::from_secs(120);
/// A namespace has its account, without which it has no pods, by then; and a pod runs and was probed.
const MADE_WITHIN: Duration = Duration::from_secs(60);
/// A node says so often that it is there, and is cut off in any part of that time.
const LEASE_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What happens to a pod alone; a node is cut off from both.
const ALONE: [Event; 3] = [Event::Killed, Event::Hung, Event::Deleted];
const PROBES: [Probe; 2] = [
    Probe { configuration: Configuration::Default, service: "as-shipped", period_s: 10, failures: 3 },
    Probe { configuration: Configuration::Tuned, service: "tuned", period_s: 1, failures: 1 },
];

/// Holds how a pod is probed, and whose it is.
struct Probe {
    configuration: Configuration,
    service: &'static str,
    period_s: u32,
    /// So many in a row, and it is not ready.
    failures: u32,
}

/// Holds what all of it needs.
struct Kubernetes<'a> {
    own: &'a OwnCluster,
    pods: Api<DynamicObject>,
    kept: &'a Kept,
}

/// Holds a pod that is ready, as all who watch know.
struct Life {
    name: String,
    uid: String,
    address: String,
    watchers: Watchers,
}

/// What came of it is in this file, and why there is nothing where there is nothing: nobody else's measurement ends with it.
pub(super) fn measure(wish: &Wish, into: &Path) -> Result<()> {
    let measured = in_own_cluster(NODES, Collects::AsShipped, |own| {
        let program = Program {
            name: "kube-apiserver, kube-controller-manager and kubelet".to_owned(),
            version: version(&own.kubectl)?,
            command: format!("cargo xtask cluster up --nodes {NODES}"),
        };
        let kept = Kept::apart(into, vec![program])?;
        // What is done to processes and nodes is waited for in one thread, while another one hears of it.
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        match runtime.block_on(interruptible(all(own, wish, &kept))) {
            Err(error) => kept.keep(nothing(), Err(error)).map(drop),
            Ok(()) => Ok(()),
        }
    });
    interrupt::check()?;
    match measured {
        // There is no cluster.
        Err(error) if !into.exists() => Kept::apart(into, Vec::new())?.miss(nothing(), &error),
        done => done,
    }
}

/// Of no case.
fn nothing() -> Record {
    Record::new(SYSTEM, Class::C, Configuration::Default, 1)
}

async fn all(own: &OwnCluster, wish: &Wish, kept: &Kept) -> Result<()> {
    let client = client(&own.kubectl).await?;
    let of = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &of("Namespace"));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let services: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &of("Service"));
    for probe in &PROBES {
        services.create(&PostParams::default(), &probe.service()?).await?;
        let pace = probe.pace();
        let record = probe.record(AS_SET, 1).with_value("ttl_ms", pace.ttl_ms as f64);
        kept.push(&record.with_value("beat_ms", pace.beat_ms as f64))?;
    }
    let pods = Api::namespaced_with(client, NAMESPACE, &of("Pod"));
    let kubernetes = Kubernetes { own, pods, kept };
    let rounds_slow = wish.rounds(ROUNDS_SLOW);
    let rounds = |probe: &Probe| match probe.configuration {
        Configuration::Default => rounds_slow,
        Configuration::Tuned => wish.rounds(ROUNDS),
    };
    try_join_all(PROBES.iter().map(|probe| kubernetes.alone(probe, rounds(probe)))).await?;
    for round in 1..=rounds_slow {
        kubernetes.cut(round, rounds_slow).await?;
    }
    Ok(())
}

// === impl Probe ===

impl Probe {
    fn pace(&self) -> Pace {
        let beat_ms = u64::from(self.period_s) * 1_000;
        Pace { ttl_ms: beat_ms * u64::from(self.failures), beat_ms }
    }

    fn record(&self, event: &str, round: u32) -> Record {
        Record::new(SYSTEM, Class::C, self.configuration, round)
            .with_case("event", event)
            .with_case("watchers", WATCHERS as u64)
    }

    fn service(&self) -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": self.service},
            "spec": {"selector": {"app": self.service}, "ports": [{"name": "http", "port": PORT}]},
        }))?)
    }

    fn pod(&self, name: &str) -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": self.service}},
            "spec": {
                "nodeName": NODE,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "app", "image": TOOLBOX, "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/busybox", SERVER, "-f", "-p", PORT.to_string(), "-h", "/www"],
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "readinessProbe": {
                        "httpGet": {"path": "/", "port": "http"},
                        "periodSeconds": self.period_s, "failureThreshold": self.failures,
                    },
                }],
            },
        }))?)
    }
}

/// The UID and the address of a pod that is ready.
fn ready(pod: &DynamicObject) -> Option<(String, String)> {
    let conditions = pod.data.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = conditions.into_iter().flatten().any(|one| {
        one.get("type").and_then(Value::as_str) == Some("Ready")
            && one.get("status").and_then(Value::as_str) == Some("True")
    });
    let address = pod.data.pointer("/status/podIP").and_then(Value::as_str)?;
    is_ready.then(|| Some((pod.metadata.uid.clone()?, address.to_owned())))?
}

// === impl Kubernetes ===

impl Kubernetes<'_> {
    /// One pod after another, each for one event.
    async fn alone(&self, probe: &Probe, all_rounds: u32) -> Result<()> {
        for round in 1..=all_rounds {
            for event in ALONE {
                let out = self.once(probe, event, round, all_rounds).await;
                self.tell(probe, event, round, out)?;
            }
        }
        Ok(())
    }

    async fn once(
        &self,
        probe: &Probe,
        event: Event,
        round: u32,
        all_rounds: u32,
    ) -> Result<Option<Duration>> {
        let mut life = self.live(probe, event, round).await?;
        let period = Duration::from_millis(probe.pace().beat_ms);
        sleep(APART + period.mul_f64(phase(event, round, all_rounds, probe.period_s))).await;
        let since = Instant::now();
        match event {
            Event::Deleted => {
                self.pods.delete(&life.name, &DeleteParams::default()).await?;
            }
            Event::Hung => self.signal(&life, Signal::SIGSTOP)?,
            _ => self.signal(&life, Signal::SIGKILL)?,
        }
        let out = life.out(since).await?;
        self.end(&life).await?;
        Ok(out)
    }

    /// The node of both.
    async fn cut(&self, round: u32, all_rounds: u32) -> Result<()> {
        let lives = join_all(PROBES.iter().map(|probe| self.live(probe, Event::Cut, round))).await;
        sleep(APART + LEASE_EVERY.mul_f64(phase(Event::Cut, round, all_rounds, 0))).await;
        let since = Instant::now();
        block_in_place(|| self.own.cluster.cut(NODE))?;
        let outs = join_all(lives.into_iter().map(async |life| {
            let mut life = life?;
            let out = life.out(since).await?;
            self.end(&life).await?;
            anyhow::Ok(out)
        }))
        .await;
        block_in_place(|| self.own.cluster.heal(NODE))?;
        PROBES.iter().zip(outs).try_for_each(|(probe, out)| self.tell(probe, Event::Cut, round, out))
    }

    fn tell(&self, probe: &Probe, event: Event, round: u32, out: Result<Option<Duration>>) -> Result<()> {
        let record = probe.record(event.name(), round);
        let measured = out.map(|out| {
            let told = told(out, OUT_WITHIN);
            println!("{round} {SYSTEM} {:?} {:8}: {told}", probe.configuration, event.name());
            match out {
                Some(out) => record.clone().with_value("out_ms", out.as_secs_f64() * 1e3),
                None => record.clone().with_value("never_within_s", OUT_WITHIN.as_secs_f64()),
            }
        });
        self.kept.keep(record, measured).map(drop)
    }

    /// A new pod, once it is ready and all know.
    async fn live(&self, probe: &Probe, event: Event, round: u32) -> Result<Life> {
        let name = format!("{}-{}-{round}", probe.service, event.name());
        let watchers = Watchers::of((0..WATCHERS).map(|_| {
            async move {
                let client = client(&self.own.kubectl).await?;
                let watching = Watching::open(client, NAMESPACE, probe.service).await?;
                Ok(Box::new(watching) as Box<dyn Watcher>)
            }
            .boxed()
        }))
        .await?;
        let since = Instant::now();
        let (uid, address) = self.made(&probe.pod(&name)?, &name).await?;
        let mut life = Life { name, uid, address, watchers };
        let mut came = Tally::new(WATCHERS, since);
        let coming = until(&mut life.watchers, &mut came, &life.address, true);
        timeout(SEEN_MAX, coming).await.context("never seen")??;
        Ok(life)
    }

    async fn made(&self, pod: &DynamicObject, name: &str) -> Result<(String, String)> {
        let begin = Instant::now();
        while let Err(error) = self.pods.create(&PostParams::default(), pod).await {
            // Its namespace may not have its account yet.
            ensure!(begin.elapsed() < MADE_WITHIN, "pod {name} cannot be made: {error}");
            sleep(LOOK_EVERY).await;
        }
        loop {
            if let Some(ready) = ready(&self.pods.get(name).await?) {
                return Ok(ready);
            }
            ensure!(
                begin.elapsed() < MADE_WITHIN,
                "pod {name} is not ready after {} s",
                MADE_WITHIN.as_secs()
            );
            sleep(LOOK_EVERY).await;
        }
    }

    fn signal(&self, life: &Life, signal: Signal) -> Result<()> {
        block_in_place(|| {
            let all = self.own.cluster.processes_of_pod(&life.uid);
            let mut servers =
                all.iter().filter(|one| one.command.iter().any(|word| word == SERVER)).peekable();
            ensure!(servers.peek().is_some(), "{} has no server", life.name);
            servers.try_for_each(|server| Ok(server.signal(signal)?))
        })
    }

    /// Nobody waits for what its node has to say; it may have gone by itself.
    async fn end(&self, life: &Life) -> Result<()> {
        match self.pods.delete(&life.name, &DeleteParams::default().grace_period(0)).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(()),
            done => Ok(done.map(drop)?),
        }
    }
}

// === impl Life ===

impl Life {
    /// None where it never is.
    async fn out(&mut self, since: Instant) -> Result<Option<Duration>> {
        let mut gone = Tally::new(WATCHERS, since);
        if let Ok(ended) =
            timeout(OUT_WITHIN, until(&mut self.watchers, &mut gone, &self.address, false)).await
        {
            ended?;
        }
        Ok(gone.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_ready_by_its_condition_and_has_an_address_then() {
        let pod = |status: Value| {
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "uid": "u-1"}, "status": status,
            });
            ready(&serde_json::from_value(object).expect("a pod"))
        };
        let condition = |word: &str| json!([{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": word}]);
        let of = ("u-1".to_owned(), "10.0.0.1".to_owned());
        assert_eq!(pod(json!({"conditions": condition("True"), "podIP": "10.0.0.1"})), Some(of));
        assert_eq!(pod(json!({"conditions": condition("False"), "podIP": "10.0.0.1"})), None);
        assert_eq!(pod(json!({"conditions": condition("True")})), None);
        assert_eq!(pod(json!({})), None);
    }

    #[test]
    fn as_shipped_three_failures_ten_seconds_apart_are_needed_and_tuned_one() {
        let paces = PROBES.map(|probe| (probe.pace().ttl_ms, probe.pace().beat_ms));
        assert_eq!(paces, [(30_000, 10_000), (1_000, 1_000)]);
    }
}
