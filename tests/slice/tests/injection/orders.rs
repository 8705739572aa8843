//! An app of three replicas, as its makers know it: it is found, crashes, is well again, grows, shrinks, and is gone.

use anyhow::{Context, Result, ensure};
use rollcall_injection::{INJECTED, STATUS};
use rollcall_slice::{Cluster, Pod, SERVES, addresses, eventually, pod, text, with_annotations};
use serde_json::{Value, json};

use crate::ASKER;

const ORDERS: &str = "orders";

pub(crate) fn deployment() -> Value {
    let annotations = json!({"rollcall.dev/service": ORDERS, "rollcall.dev/port": "http:8080"});
    rollcall_slice::deployment(3, &with_annotations(pod(ORDERS, SERVES), &annotations))
}

pub(crate) fn have_what_injection_gives(cluster: &Cluster) -> Result<()> {
    cluster.shop.ready(ASKER)?;
    cluster.shop.all_ready(ORDERS, 3)?;
    for pod in cluster.shop.pods(Some(ORDERS))? {
        let spec = &pod.0["spec"];
        ensure!(pod.init_containers() == ["rollcall-sidecar"], "{:?}", pod.init_containers());
        ensure!(pod.container("rollcall-sidecar")?["restartPolicy"] == "Always", "{spec}");
        let variables = pod.container("app")?["env"].as_array().context("no environment")?;
        let url = json!({"name": "ROLLCALL_URL", "value": "http://127.0.0.1:7300"});
        ensure!(variables.contains(&url), "{variables:?}");
        let metadata = &pod.0["metadata"];
        ensure!(metadata["annotations"][STATUS] == INJECTED, "{metadata}");
        ensure!(metadata["labels"]["rollcall.dev/service"] == ORDERS, "{metadata}");
        // Our requests make it of BestEffort.
        ensure!(pod.0["status"]["qosClass"] == "Burstable", "{}", pod.0["status"]);
    }
    cluster.helm_test().map(drop)
}

pub(crate) fn are_found_while_they_serve(cluster: &Cluster) -> Result<()> {
    found(cluster, 3)?;
    let crashed = cluster.shop.pods(Some(ORDERS))?.into_iter().next().context("there are no orders")?;
    cluster.shop.run(crashed.name(), "kill -USR1 1")?;
    eventually("the crashed app is out", || {
        let all = cluster.shop.lookup(ASKER, "orders?all=true")?;
        let it = all.iter().find(|one| text(one, "address") == crashed.ip());
        let served = addresses(&cluster.shop.lookup(ASKER, ORDERS)?);
        let out = !served.iter().any(|address| address == crashed.ip()) && served.len() == 2;
        Ok(out && it.is_some_and(|it| text(it, "reason") == "ProbeRefused"))
    })?;
    cluster.shop.run(crashed.name(), "kill -USR2 1")?;
    found(cluster, 3)?;
    ensure!(cluster.shop.pod(crashed.name())?.restarts() == 0, "its container was to live");
    for replicas in [4, 1] {
        cluster.shop.kubectl(&["scale", "deployment/orders", &format!("--replicas={replicas}")])?;
        found(cluster, replicas)?;
    }
    cluster.shop.kubectl(&["delete", "deployment/orders", "--wait=false"])?;
    found(cluster, 0)
}

/// The lookups of another pod have exactly those that are ready.
fn found(cluster: &Cluster, count: usize) -> Result<()> {
    eventually(&format!("{count} orders are found"), || {
        let found = addresses(&cluster.shop.lookup(ASKER, ORDERS)?);
        let pods = cluster.shop.pods(Some(ORDERS))?;
        let ready = pods.iter().filter(|pod| pod.is_ready()).map(Pod::ip);
        Ok(found.len() == count
            && ready.clone().count() == count
            && ready.into_iter().all(|ip| found.iter().any(|address| address == ip)))
    })
}
