//! Pods that are not like the others: who can have no sidecar, wants none, would choose his own, or has a class to lose.

use anyhow::{Context, Result, ensure};
use rollcall_slice::{Cluster, WAITS, eventually, pod, with_annotations};
use serde_json::{Value, json};

pub(crate) fn make(cluster: &Cluster) -> Result<()> {
    let asks = json!({"rollcall.dev/inject": "true"});
    let mut in_the_nodes_network = with_annotations(pod("agent-1", WAITS), &asks);
    in_the_nodes_network["spec"]["hostNetwork"] = true.into();
    cluster.yard.apply(&[in_the_nodes_network, with_annotations(pod("visitor-1", WAITS), &asks)])?;

    let declines = with_annotations(pod("loner-1", WAITS), &json!({"rollcall.dev/inject": "false"}));
    cluster.shop.apply(&[declines, guaranteed(), burstable(), impostor()])
}

pub(crate) fn are_as_they_should_be(cluster: &Cluster) -> Result<()> {
    // Who asks for himself gets one as well.
    cluster.yard.ready("visitor-1")?;
    ensure!(cluster.yard.pod("visitor-1")?.has_sidecar(), "visitor-1 asked");
    ensure!(!cluster.yard.pod("agent-1")?.has_sidecar(), "agent-1 can have none");
    eventually("an Event says why agent-1 has no sidecar", || {
        Ok(cluster.yard.events("InjectionSkipped", "agent-1")?.contains("node's network"))
    })?;

    cluster.shop.ready("loner-1")?;
    let loner = cluster.shop.pod("loner-1")?;
    ensure!(loner.init_containers().is_empty(), "loner-1 declined");
    let container = loner.container("app")?;
    ensure!(container["env"].is_null() && container["lifecycle"].is_null(), "{container}");

    for (name, class) in [("guaranteed-1", "Guaranteed"), ("burstable-1", "Burstable")] {
        cluster.shop.ready(name)?;
        let pod = cluster.shop.pod(name)?;
        ensure!(pod.has_sidecar() && pod.0["status"]["qosClass"] == class, "{}", pod.0["status"]);
    }
    the_impostor_is_replaced(cluster)?;
    // Of all that has happened since, only those who asked and have none are told of.
    ensure!(cluster.shop.events("InjectionSkipped", "loner-1")?.is_empty(), "loner-1 wants none");
    Ok(())
}

fn with_resources(name: &str, resources: &Value) -> Value {
    let mut pod = pod(name, WAITS);
    pod["spec"]["containers"][0]["resources"] = resources.clone();
    pod
}

fn guaranteed() -> Value {
    with_resources("guaranteed-1", &json!({"limits": {"cpu": "50m", "memory": "32Mi"}}))
}

fn burstable() -> Value {
    let resources = json!({"requests": {"cpu": "5m"}, "limits": {"memory": "32Mi"}});
    with_resources("burstable-1", &resources)
}

/// Brings containers of our name, with an image and rights of its own choice.
fn impostor() -> Value {
    let mut pod = pod("impostor-1", WAITS);
    let mut false_one = pod["spec"]["containers"][0].clone();
    false_one["name"] = "rollcall-sidecar".into();
    false_one["securityContext"] = json!({"privileged": true, "runAsUser": 0});
    let containers = ["initContainers", "containers"];
    pod["spec"]["initContainers"] = json!([]);
    for kind in containers {
        if let Some(all) = pod["spec"][kind].as_array_mut() {
            all.push(false_one.clone());
        }
        false_one["name"] = "rollcall-requires".into();
    }
    pod
}

fn the_impostor_is_replaced(cluster: &Cluster) -> Result<()> {
    cluster.shop.ready("impostor-1")?;
    let (impostor, other) = (cluster.shop.pod("impostor-1")?, cluster.shop.pod("burstable-1")?);
    ensure!(impostor.init_containers() == ["rollcall-sidecar"], "{:?}", impostor.init_containers());
    let containers = impostor.0["spec"]["containers"].as_array().context("no containers")?;
    ensure!(containers.len() == 1, "{containers:?}");
    for field in ["image", "securityContext", "command", "resources"] {
        let [its, ours] = [&impostor, &other].map(|pod| pod.container("rollcall-sidecar").cloned());
        let (its, ours) = (its?, ours?);
        ensure!(its[field] == ours[field], "{field}: {its}");
    }
    Ok(())
}
