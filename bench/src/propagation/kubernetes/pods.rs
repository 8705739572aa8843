//! Pods that nobody runs, with a status that says so or otherwise: Kubernetes' own controller makes their slices.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use rollcall_cluster::fake_nodes::{BY_HAND, FakeNodes};
use rollcall_results::{Class, Configuration, Program};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Reached, WRITTEN_TOGETHER, names::Asking, slices::Watching};
use crate::{
    peers::{Client, Data, PORT, Peer, Registry, Watcher},
    propagation::{
        background::SERVICES,
        case::Manner,
        rows::{Row, theirs},
    },
};

/// What we write slices of is in another one.
const NAMESPACE: &str = "propagation";
const SERVICE: &str = "service";
const IMAGE: &str = "nobody.example/pulls-this:1";
const SINCE: &str = "2026-01-02T03:04:05Z";
/// A namespace has its account, without which it has no pods, by then.
const MADE_WITHIN: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(250);
/// Who asks DNS, at a time: what they ask is little beside what one answer costs.
const ASKING_MAX: usize = 100;

/// Holds pods and their Services as a registry.
struct Pods {
    reached: Reached,
    pods: Api<DynamicObject>,
    seen: Seen,
}

/// Says how a change is seen.
#[derive(Clone, Copy)]
enum Seen {
    /// By a watch of slices.
    InSlices,
    /// In the answers of the cluster's DNS, which is there.
    InDns(SocketAddr),
}

/// What they have in their spec: a node that is only a word.
pub(super) fn placement(nodes: &FakeNodes) -> Value {
    let (_, tolerations) = nodes.placement();
    json!({"nodeName": nodes.name(1), "tolerations": tolerations})
}

/// Both rows, once all pods and Services are there, and in DNS.
pub(super) async fn rows(reached: &Reached, data: Data) -> Result<[Row; 2]> {
    let client = reached.client().await?;
    let of = |kind| Api::namespaced_with(client.clone(), NAMESPACE, &resource(kind));
    let (pods, services): (Api<DynamicObject>, Api<DynamicObject>) = (of("Pod"), of("Service"));
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &resource("Namespace"));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    for number in 0..SERVICES.min(data.services) {
        services.create(&PostParams::default(), &service(&Data::service(number))?).await?;
    }
    let stable = (0..SERVICES.min(data.services)).flat_map(|number| {
        data.addresses(number).map(move |address| (Data::service(number), address, true)).collect::<Vec<_>>()
    });
    let coming = theirs(true).map(|(service, address)| (service, address, false));
    let writing = stable.chain(coming).map(|(service, address, is_ready)| {
        let (pods, placement) = (&pods, &reached.placement);
        async move { make(pods, &pod(&service, &address, placement)?, &address, is_ready).await }
    });
    stream::iter(writing.collect::<Vec<_>>())
        .buffer_unordered(WRITTEN_TOGETHER)
        .try_collect::<Vec<_>>()
        .await?;
    let dns = SocketAddr::new(reached.dns.parse()?, 53);
    Asking::open(dns, dns_name(&Data::service(0))).await?.until(data.instances as usize).await?;
    let row = |seen, manner, watchers_max| {
        let row = Row::of(Arc::new(Pods { reached: reached.clone(), pods: pods.clone(), seen }));
        Row { manner, watchers_max, ..row }
    };
    let watched = row(Seen::InSlices, Manner::Paced, usize::MAX);
    Ok([watched, row(Seen::InDns(dns), Manner::Polled, ASKING_MAX)])
}

async fn make(pods: &Api<DynamicObject>, pod: &DynamicObject, address: &str, is_ready: bool) -> Result<()> {
    let begin = Instant::now();
    while let Err(error) = pods.create(&PostParams::default(), pod).await {
        if begin.elapsed() > MADE_WITHIN {
            return Err(error).context("a pod");
        }
        sleep(TRY_EVERY).await;
    }
    let name = pod.metadata.name.as_deref().context("no name")?;
    let status = Patch::Strategic(status(address, is_ready));
    pods.patch_status(name, &PatchParams::default(), &status).await.context("a pod's status")?;
    Ok(())
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

fn name(service: &str, address: &str) -> String {
    format!("{service}-{}", address.replace('.', "-"))
}

fn dns_name(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.cluster.local")
}

/// Without an address of its own: its name has those of its pods.
fn service(name: &str) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "clusterIP": "None", "selector": {SERVICE: name},
            "ports": [{"name": "http", "port": PORT}],
        },
    }))?)
}

fn pod(service: &str, address: &str, placement: &Value) -> Result<DynamicObject> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name(service, address), "labels": {SERVICE: service}, "annotations": {BY_HAND: "true"},
        },
        "spec": placement,
    });
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut).context("no spec")?;
    spec.insert("automountServiceAccountToken".to_owned(), json!(false));
    spec.insert(
        "containers".to_owned(),
        json!([{"name": "app", "image": IMAGE, "ports": [{"name": "http", "containerPort": PORT}]}]),
    );
    Ok(serde_json::from_value(pod)?)
}

/// As a kubelet writes it of a pod that runs.
fn status(address: &str, is_ready: bool) -> Value {
    let mut status = readiness(is_ready);
    if let Some(fields) = status.get_mut("status").and_then(Value::as_object_mut) {
        fields.insert("phase".to_owned(), json!("Running"));
        fields.insert("startTime".to_owned(), json!(SINCE));
        fields.insert("podIP".to_owned(), json!(address));
        fields.insert("podIPs".to_owned(), json!([{"ip": address}]));
    }
    status
}

/// As a kubelet writes it once a probe has told.
fn readiness(is_ready: bool) -> Value {
    let word = if is_ready { "True" } else { "False" };
    json!({"status": {"conditions": [
        {"type": "Ready", "status": word}, {"type": "ContainersReady", "status": word},
    ]}})
}

// === impl Pods ===

impl Pods {
    async fn turn(&self, service: &str, instance: &str, is_ready: bool) -> Result<()> {
        let patch = Patch::Strategic(readiness(is_ready));
        self.pods.patch_status(&name(service, instance), &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

impl Peer for Pods {
    fn name(&self) -> &str {
        match self.seen {
            Seen::InSlices => "kubernetes pod ready, EndpointSlice watch",
            Seen::InDns(_) => "kubernetes pod ready, cluster DNS",
        }
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        vec![self.reached.program("kube-controller-manager and CoreDNS")]
    }

    /// They are the cluster's.
    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    fn client(&self) -> BoxFuture<'_, Result<Box<dyn Client>>> {
        async { bail!("lookups are kube-proxy's and CoreDNS'") }.boxed()
    }
}

impl Registry for Pods {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        self.turn(service, instance, true).boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        self.turn(service, instance, false).boxed()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Box<dyn Watcher>>> {
        async move {
            let watcher: Box<dyn Watcher> = match self.seen {
                Seen::InSlices => {
                    Box::new(Watching::open(self.reached.client().await?, NAMESPACE, service).await?)
                }
                Seen::InDns(dns) => Box::new(Asking::open(dns, dns_name(service)).await?),
            };
            Ok(watcher)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_at_its_node_and_ready_by_its_status_alone() {
        let placed = json!({"nodeName": "fake-1", "tolerations": []});
        let pod = pod("orders", "10.0.0.1", &placed).unwrap();
        assert_eq!(pod.metadata.name.as_deref(), Some("orders-10-0-0-1"));
        assert_eq!(pod.data.pointer("/spec/nodeName"), Some(&json!("fake-1")));
        for (is_ready, word) in [(true, "True"), (false, "False")] {
            let status = status("10.0.0.1", is_ready);
            assert_eq!(status.pointer("/status/podIPs/0/ip"), Some(&json!("10.0.0.1")));
            assert_eq!(status.pointer("/status/conditions/0/status"), Some(&json!(word)));
        }
    }
}
