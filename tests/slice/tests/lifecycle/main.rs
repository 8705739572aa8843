//! What apps notice of it when the controller is away, upgraded, rolled back, uninstalled and installed again: nothing.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod calm;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use calm::Calm;
use rollcall_slice::{Cluster, REPLICAS, SERVES, WAITS, eventually, pod, with_annotations};
use serde_json::{Value, json};

/// The pod that asks.
const ASKER: &str = "storefront-1";
/// A pod is made within this where no webhook answers; what the API server waits for one is 2 s.
const MADE_WITHIN: Duration = Duration::from_secs(5);
/// What an upgrade changes of the pods that are made after it.
const CHANGED: &str = "sidecar.resources.requests.cpu";

#[test]
fn apps_notice_nothing_of_what_becomes_of_the_controller() -> Result<()> {
    Cluster::try_with(&[], |cluster| {
        let annotations = json!({"rollcall.dev/service": "orders", "rollcall.dev/port": "http:8080"});
        let orders = with_annotations(pod("orders", SERVES), &annotations);
        cluster.shop.apply(&[rollcall_slice::deployment(2, &orders), pod(ASKER, WAITS)])?;
        // What people declare, which is to outlive the release.
        cluster.shop.apply_manifest("registration.yaml", |yaml| yaml)?;
        cluster.shop.all_ready("orders", 2)?;
        cluster.shop.ready(ASKER)?;
        in_step(cluster)?;

        let calm = Calm::begin(cluster, ASKER, "orders")?;
        for (what, step) in [
            ("controller away", controller_away as fn(&Cluster) -> Result<()>),
            ("upgrade", upgrade),
            ("rollback", rollback),
            ("uninstall", uninstall),
            ("reinstall", reinstall),
        ] {
            let begin = Instant::now();
            step(cluster).with_context(|| format!("step: {what}"))?;
            calm.holds(cluster).with_context(|| format!("after the step: {what}"))?;
            println!("{what}: {} ms", begin.elapsed().as_millis());
        }
        cluster.uninstall()?;
        let left = cluster.left_behind()?;
        ensure!(left.is_empty(), "an uninstalled release has left {left:?}");
        Ok(())
    })
}

/// Pods are made without a sidecar, and people hear of it when the controller is back.
fn controller_away(cluster: &Cluster) -> Result<()> {
    cluster.scale_controller(0)?;
    eventually("nobody is in step", || Ok(!cluster.shop.in_step(ASKER, "orders")?))?;
    let begin = Instant::now();
    cluster.shop.apply(&[pod("missed-1", WAITS)])?;
    let made = begin.elapsed();
    cluster.shop.ready("missed-1")?;
    println!(
        "without a controller a pod was made in {} ms, and ready after {} ms",
        made.as_millis(),
        begin.elapsed().as_millis()
    );
    ensure!(made < MADE_WITHIN, "a pod was made only after {made:?}");
    ensure!(!cluster.shop.pod("missed-1")?.has_sidecar(), "who gave it a sidecar?");

    cluster.scale_controller(REPLICAS)?;
    in_step(cluster)?;
    eventually("an Event tells of the pod that was missed", || {
        Ok(!cluster.shop.events("InjectionSkipped", "missed-1")?.is_empty())
    })?;
    missed(cluster, 1)?;
    cluster.shop.kubectl(&["delete", "pod/missed-1"])?;
    missed(cluster, 0)?;
    cluster.injects()
}

/// All controllers count so many pods that asked in vain.
fn missed(cluster: &Cluster, count: u8) -> Result<()> {
    let expected = format!("rollcall_pods_without_sidecar{{reason=\"missed\"}} {count}");
    eventually(&format!("the metric counts {count}"), || {
        let controllers = ["get", "pods", "-l", "app.kubernetes.io/component=controller"];
        let addresses = cluster.system.json(&controllers)?["items"].take();
        let addresses: Vec<_> = addresses.as_array().into_iter().flatten().collect();
        let mut all = !addresses.is_empty();
        for controller in addresses {
            let ip = controller["status"]["podIP"].as_str().context("no address")?;
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            let wget = format!("/bin/busybox wget -qO- http://{host}:7391/metrics");
            all &= cluster.shop.run(ASKER, &wget)?.lines().any(|line| line == expected);
        }
        Ok(all)
    })
}

fn upgrade(cluster: &Cluster) -> Result<()> {
    ensure!(requested(cluster)? == "5m", "the chart has another default");
    let before = controllers(cluster)?;
    cluster.upgrade(&[&format!("{CHANGED}=7m")])?;
    eventually("other controllers have taken their place", || {
        let after = controllers(cluster)?;
        Ok(after.len() == REPLICAS && before.iter().all(|pod| !after.contains(pod)))
    })?;
    eventually("new pods have what was changed", || Ok(requested(cluster)? == "7m"))?;
    in_step(cluster)
}

fn rollback(cluster: &Cluster) -> Result<()> {
    cluster.rollback("1")?;
    eventually("new pods have what they had", || Ok(requested(cluster)? == "5m"))?;
    in_step(cluster)
}

fn uninstall(cluster: &Cluster) -> Result<()> {
    cluster.uninstall()?;
    let left = cluster.left_behind()?;
    ensure!(left.is_empty(), "an uninstalled release has left {left:?}");
    // What people declared, and what pods know: the controller's authority, and its address.
    cluster.shop.kubectl(&["get", "serviceregistration/billing"])?;
    cluster.system.kubectl(&["get", "secret/rollcall-ca", "service/rollcall-controller"])?;
    eventually("nobody is in step", || Ok(!cluster.shop.in_step(ASKER, "orders")?))?;
    // Nobody waits for a webhook that is gone.
    ensure!(cluster.shop.dry_run(&pod("any", WAITS))?["spec"]["initContainers"].is_null());
    Ok(())
}

/// Pods of before the uninstall know the controller's address and its authority: both must be the same.
fn reinstall(cluster: &Cluster) -> Result<()> {
    cluster.install(&[])?;
    in_step(cluster)?;
    cluster.injects()
}

fn in_step(cluster: &Cluster) -> Result<()> {
    eventually("lookups are in step with the controller", || cluster.shop.in_step(ASKER, "orders"))
}

/// The CPU that a sidecar of a new pod would ask for.
fn requested(cluster: &Cluster) -> Result<String> {
    let pod = cluster.shop.dry_run(&pod("any", WAITS))?;
    let cpu = &pod["spec"]["initContainers"][0]["resources"]["requests"]["cpu"];
    Ok(cpu.as_str().unwrap_or_default().to_owned())
}

fn controllers(cluster: &Cluster) -> Result<Vec<Value>> {
    let names = cluster.system.json(&["get", "pods", "-l", "app.kubernetes.io/component=controller"])?;
    let all = names["items"].as_array().into_iter().flatten();
    Ok(all.map(|pod| pod["metadata"]["uid"].clone()).collect())
}
