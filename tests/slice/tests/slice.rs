//! The thinnest slice through everything, on a real cluster: a resource, a controller, two sidecars, a lookup.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests too")]

mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cluster::Cluster;
use serde_json::Value;

/// A deleted pod's address leaves the lookups of another pod within this, kubectl's own time included; the promise
/// of a second is for the push alone, which cannot be told apart from outside.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What storefront-1 is told of a service; empty where it is told that there is none.
fn lookup(cluster: &Cluster, service: &str) -> Result<Vec<Value>> {
    let url = format!("http://127.0.0.1:7300/v1/services/{service}");
    // wget fails on a 404 and on a 503; what it says tells them apart.
    match cluster.kubectl(&["exec", "storefront-1", "-c", "app", "--", "/bin/busybox", "wget", "-qO-", &url])
    {
        Ok(text) => {
            let body: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
            Ok(body.get("instances").and_then(Value::as_array).cloned().unwrap_or_default())
        }
        Err(error) if error.to_string().contains(" 404") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn text<'a>(instance: &'a Value, field: &str) -> &'a str {
    instance.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn addresses(instances: &[Value]) -> Vec<String> {
    instances.iter().map(|instance| text(instance, "address").to_owned()).collect()
}

/// The schema itself refuses each sample that must not pass, with the message that the sample expects.
fn samples_are_judged_by_the_schema(cluster: &Cluster) -> Result<()> {
    let (mut taken, mut refused) = (0, 0);
    for (name, yaml) in cluster::samples()? {
        let verdict = cluster.dry_run(&yaml);
        if name.starts_with("invalid-") {
            let expected = yaml.lines().next().and_then(|line| line.strip_prefix("# expect: "));
            let expected = expected.with_context(|| format!("{name}: does not say what it expects"))?;
            let Err(error) = verdict else { bail!("{name}: was accepted") };
            let error = format!("{error:#}");
            ensure!(error.contains(expected), "{name}: `{error}` does not say `{expected}`");
            refused += 1;
        } else {
            verdict.with_context(|| name.clone())?;
            taken += 1;
        }
    }
    ensure!(taken > 0 && refused > 0, "there are no samples");
    Ok(())
}

/// The controller in the cluster has no more rights than its manifest gives it: it holds its Lease, writes statuses,
/// and makes the object of the pods that registered themselves.
fn the_controller_writes_what_people_see(cluster: &Cluster) -> Result<()> {
    cluster.eventually("the controller's pod holds the Lease", || {
        Ok(cluster.lease_holder()?.starts_with("rollcall-controller-"))
    })?;
    for name in ["billing", "orders-1.4.2"] {
        cluster.eventually(&format!("the status of {name} says that one serves"), || {
            let condition =
                r#"{.status.conditions[?(@.type=="Ready")].status} {.status.serving}/{.status.total}"#;
            let query = ["get", "serviceregistration", name, "-o", &format!("jsonpath={condition}")];
            Ok(cluster.kubectl(&query)? == "True 1/1")
        })?;
    }
    let waited = ["wait", "--for=condition=Ready", "serviceregistration/billing", "--timeout=30s"];
    cluster.kubectl(&waited)?;
    // A word of a pod that makes no sense is told by an Event.
    cluster.kubectl(&[
        "annotate",
        "pod/billing-1",
        "rollcall.dev/service=billing",
        "rollcall.dev/weight=heavy",
    ])?;
    cluster.eventually("an Event says what is wrong with the annotation", || {
        let query = [
            "get",
            "events",
            "--field-selector",
            "reason=AnnotationInvalid",
            "-o",
            "jsonpath={.items[*].message}",
        ];
        Ok(cluster.kubectl(&query)?.contains("heavy"))
    })?;
    cluster.kubectl(&["annotate", "pod/billing-1", "rollcall.dev/service-", "rollcall.dev/weight-"]).map(drop)
}

#[test]
fn a_pod_is_found_while_it_serves_and_gone_when_it_is_deleted() -> Result<()> {
    let cluster = Cluster::prepare()?;
    samples_are_judged_by_the_schema(&cluster)?;
    cluster.apply("orders.yaml", |yaml| yaml)?;
    cluster.apply("storefront.yaml", |yaml| yaml)?;
    cluster.apply("registration.yaml", |yaml| yaml)?;
    for pod in ["orders-1", "storefront-1", "billing-1"] {
        cluster.ready(pod)?;
    }

    // `Ready`, and not `SessionNeverCame`, proves the session that orders-1's own sidecar opened with its token.
    let first = cluster.pod_ip("orders-1")?;
    cluster.eventually("orders-1 is Serving with its session live", || {
        let instances = lookup(&cluster, "orders")?;
        Ok(matches!(instances.as_slice(), [one] if text(one, "address") == first
            && text(one, "state") == "Serving" && text(one, "reason") == "Ready"
            && text(one, "version") == "1.4.2" && text(one, "pod") == "orders-1"))
    })?;
    let billing = cluster.pod_ip("billing-1")?;
    cluster.eventually("billing-1 appears by its ServiceRegistration", || {
        Ok(addresses(&lookup(&cluster, "billing")?) == [billing.as_str()])
    })?;

    the_controller_writes_what_people_see(&cluster)?;

    cluster.apply("orders.yaml", |yaml| yaml.replace("name: orders-1", "name: orders-2"))?;
    cluster.ready("orders-2")?;
    let mut both = vec![first, cluster.pod_ip("orders-2")?];
    both.sort_by_key(|address| address.parse::<std::net::IpAddr>().ok());
    cluster.eventually("two pods are two entries in their order", || {
        Ok(addresses(&lookup(&cluster, "orders")?) == both)
    })?;

    let second = cluster.pod_ip("orders-2")?;
    let begin = Instant::now();
    cluster.kubectl(&["delete", "pod", "orders-1", "--wait=false"])?;
    let deleted = begin.elapsed();
    cluster.eventually("orders-1 is gone", || {
        Ok(addresses(&lookup(&cluster, "orders")?) == [second.as_str()])
    })?;
    let gone = begin.elapsed();
    println!(
        "deleted pod left the lookup {} ms after the delete returned ({} ms)",
        (gone - deleted).as_millis(),
        deleted.as_millis()
    );
    ensure!(gone - deleted < GONE_WITHIN, "orders-1 left the lookup only after {gone:?}");
    Ok(())
}
