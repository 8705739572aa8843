//! The chart and the shop, as people install them, and gone again afterwards.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{
    Stage,
    stage::{SHOP, SYSTEM},
    stream::Stream,
    wait,
};

/// For people too: it is an example.
pub(crate) const MANIFEST: &str = include_str!("../../../examples/demo.yaml");
/// Its services that are looked up, each with as many instances.
pub(crate) const INSTANCES: [(&str, usize); 3] = [("orders", 4), ("payments", 2), ("catalogue", 2)];
const PODS: usize = 9;
const CRD: &str = "crd/serviceregistrations.rollcall.dev";
const WEBHOOK: &str = "mutatingwebhookconfigurations";
/// A slow machine that pulls an image first takes this long; helm itself is ended after 120 s.
const READY_WITHIN: Duration = Duration::from_secs(180);
const HELM_WAITS: &str = "--timeout=110s";
const END_WITHIN: Duration = Duration::from_secs(60);

/// Refuses a cluster that has an installation already: what the demo does to its own would hurt others.
pub(crate) fn refuse_if_occupied(stage: &Stage) -> Result<()> {
    let hooks = stage.kubectl(&["get", WEBHOOK, "-l", "app.kubernetes.io/name=rollcall", "-o", "name"])?;
    if !hooks.is_empty() {
        bail!(
            "this cluster has Rollcall already ({hooks}), and the demo kills the controllers of its own: use another \
             cluster, or end that installation first; one that `--keep` has left goes with \
             `helm -n {SYSTEM} uninstall rollcall && kubectl delete namespace {SYSTEM} {SHOP}`, \
             or with its cluster: `cargo xtask cluster down --name demo`"
        );
    }
    for namespace in [SYSTEM, SHOP] {
        let there = stage.kubectl(&["get", "namespace", namespace, "--ignore-not-found", "-o", "name"])?;
        if !there.is_empty() {
            bail!(
                "this cluster has a namespace {namespace} already: `kubectl delete namespace {namespace}` if it is not needed"
            );
        }
    }
    Ok(())
}

/// Whether the CRD is there, and so somebody else's.
pub(crate) fn has_crd(stage: &Stage) -> Result<bool> {
    Ok(!stage.kubectl(&["get", CRD, "--ignore-not-found", "-o", "name"])?.is_empty())
}

/// The chart, as the README installs it; a CRD that is there already stays as it is.
pub(crate) fn install(stage: &Stage, has_crd: bool) -> Result<()> {
    let chart = rollcall_chart::chart();
    let chart = chart.to_str().context("a path that is no text")?;
    let mut args = vec!["install", "rollcall", chart, "--create-namespace", "--wait", HELM_WAITS];
    if has_crd {
        args.extend(["--set", "crds.enabled=false"]);
    }
    args.extend(stage.values().iter().flat_map(|value| ["--set-string", value.as_str()]));
    stage.helm(&args)?;
    Ok(())
}

/// The shop; returns when all of its pods are ready, each with its sidecar, and storefront finds them all.
pub(crate) fn open(stage: &Stage) -> Result<()> {
    stage.apply(MANIFEST)?;
    // A webhook is heard of by each API server in its own time: who came before it has no sidecar, and is made anew.
    wait::until("the shop's pods are ready, with sidecars", READY_WITHIN, || {
        let pods = stage.pods(SHOP, "demo")?;
        for pod in pods.iter().filter(|pod| !pod.has_sidecar && !pod.ends) {
            stage.shop(&["delete", "pod", &pod.name, "--wait=false"])?;
        }
        Ok(pods.len() == PODS && pods.iter().all(|pod| pod.is_ready && pod.has_sidecar && !pod.ends))
    })?;
    whole(stage)
}

/// Waits until storefront finds all instances of all services, in step.
pub(crate) fn whole(stage: &Stage) -> Result<()> {
    let front = storefront(stage)?;
    wait::until("storefront finds everything", READY_WITHIN, || {
        for (service, count) in INSTANCES {
            let said = stage.run(&front, &format!("wget -qO- '{}?max-age=0'", lookup(service)))?;
            let found = crate::lookup::Lookup::read(&said).map_or(0, |lookup| lookup.instances.len());
            if found != count {
                bail!("{found} of {service}, not {count}");
            }
        }
        Ok(true)
    })
}

/// The pod that calls the others.
pub(crate) fn storefront(stage: &Stage) -> Result<String> {
    let mut pods = stage.pods(SHOP, "demo=storefront")?.into_iter();
    Ok(pods.find(|pod| !pod.ends).context("no storefront")?.name)
}

/// Where a pod looks a service up.
pub(crate) fn lookup(service: &str) -> String {
    format!("http://127.0.0.1:7300/v1/services/{service}")
}

/// A loop of requests to a service: each asks the sidecar for one of its instances, and then calls it.
pub(crate) fn requests_by_pick(stage: &Stage, service: &str) -> Result<Stream> {
    // One that hangs is ended by `timeout`: wget's own -T brings some builds of busybox down.
    let turn = format!(
        r#"if one=$(wget -qO- {}/pick 2>&1); then
            at=${{one#*\"address\":\"}}; at=${{at%%\"*}}; port=${{one#*\"port\":}}; port=${{port%%,*}};
            if said=$(timeout 2 wget -qO- http://$at:$port/ 2>&1); then echo ok $said; else echo fail $at $said; fi;
        else echo fail pick $one; fi; sleep 0.005"#,
        lookup(service)
    );
    Stream::turns(stage, &storefront(stage)?, &turn)
}

/// The same through the Service's address: Kubernetes chooses.
pub(crate) fn requests_by_cluster_ip(stage: &Stage, service: &str, every: &str) -> Result<Stream> {
    let address = stage.shop(&["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"])?;
    let turn = format!(
        "if said=$(timeout 2 wget -qO- http://{address}/ 2>&1); then echo ok $said; else echo fail $said; fi; sleep {every}"
    );
    Stream::turns(stage, &storefront(stage)?, &turn)
}

/// What becomes of a service's EndpointSlices: a line for each change, as the API server says it.
pub(crate) fn endpoint_slices(stage: &Stage, service: &str) -> Result<Stream> {
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices?watch=true\
         &labelSelector=kubernetes.io%2Fservice-name%3D{service}"
    );
    Stream::begin(stage, "the EndpointSlice", &["get", "--raw", &path])
}

/// All that is ours is gone when it returns, but for namespaces that Kubernetes still clears.
pub(crate) fn clear(stage: &Stage, had_crd: bool) -> Result<()> {
    stage.helm(&["uninstall", "rollcall", "--ignore-not-found"])?;
    let away = ["delete", "--ignore-not-found", "--wait=false"];
    stage.kubectl(&[&away[..], &["namespace", SHOP, SYSTEM]].concat())?;
    if !had_crd {
        stage.kubectl(&[&away[..], &[CRD]].concat())?;
    }
    // Also where somebody has asked to stop: the next run refuses what is still there.
    let begin = std::time::Instant::now();
    while begin.elapsed() < END_WITHIN {
        let left = stage.kubectl(&["get", "namespace", SHOP, SYSTEM, "--ignore-not-found", "-o", "name"])?;
        if left.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("the namespaces {SHOP} and {SYSTEM} are not gone after {} s", END_WITHIN.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_manifest_has_as_many_instances_as_are_looked_for() {
        let objects: Vec<Value> = serde_saphyr::from_multiple(MANIFEST).unwrap();
        assert_eq!(objects[0]["metadata"]["name"], SHOP);
        let deployments: Vec<_> = objects.iter().filter(|object| object["kind"] == "Deployment").collect();
        let pods = |of: &str| -> u64 {
            let named = |one: &&&Value| {
                one["spec"]["template"]["metadata"]["annotations"]["rollcall.dev/service"] == of
                    || of.is_empty()
            };
            deployments.iter().filter(named).filter_map(|one| one["spec"]["replicas"].as_u64()).sum()
        };
        assert_eq!(pods(""), PODS as u64);
        for (service, count) in INSTANCES {
            assert_eq!(pods(service), count as u64, "{service}");
        }
        assert_eq!(pods("storefront"), 1);
    }
}
