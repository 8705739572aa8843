//! The thinnest slice through everything, on a real cluster: the chart, pods that are given sidecars, a resource, a lookup.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests too")]

mod names;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use names::Watch;
use rollcall_slice::{Cluster, REPLICAS, addresses, eventually, text, workspace};
use serde_json::Value;

/// A deleted pod's address leaves the lookups of another pod within this, kubectl's own time included; the promise
/// of a second is for the push alone, which cannot be told apart from outside.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// And the names of a pod that asks all the time, after the API server has said that it is deleted.
const NAME_GONE_WITHIN: Duration = Duration::from_secs(1);

/// What this pod's app gets from its sidecar; `options` are wget's.
fn ask(cluster: &Cluster, pod: &str, path: &str, options: &[&str]) -> Result<String> {
    cluster.shop.ask(pod, path, options)
}

/// What storefront-1 is told of a service; empty where it is told that there is none.
fn lookup(cluster: &Cluster, service: &str) -> Result<Vec<Value>> {
    cluster.shop.lookup("storefront-1", service)
}

/// The samples of `ServiceRegistration`s by file name, bound to no namespace.
fn samples() -> Result<Vec<(String, String)>> {
    let place = workspace().join("crds/samples");
    let mut samples = Vec::new();
    for entry in fs::read_dir(&place).with_context(|| place.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| name.clone())?;
        let unbound = |line: &&str| line.trim() != "namespace: shop";
        samples.push((name, text.lines().filter(unbound).collect::<Vec<_>>().join("\n")));
    }
    samples.sort();
    Ok(samples)
}

/// The schema itself refuses each sample that must not pass, with the message that the sample expects.
fn samples_are_judged_by_the_schema(cluster: &Cluster) -> Result<()> {
    let (mut taken, mut refused) = (0, 0);
    for (name, yaml) in samples()? {
        let verdict = cluster.shop.dry_run(&yaml);
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

/// The controller in the cluster has no more rights than the chart gives it: it holds its Lease, writes statuses,
/// and makes the object of the pods that registered themselves.
fn the_controller_writes_what_people_see(cluster: &Cluster) -> Result<()> {
    eventually("the controller's pod holds the Lease", || {
        Ok(cluster.lease_holder()?.starts_with("rollcall-controller-"))
    })?;
    for name in ["billing", "orders-1.4.2"] {
        eventually(&format!("the status of {name} says that one serves"), || {
            let condition =
                r#"{.status.conditions[?(@.type=="Ready")].status} {.status.serving}/{.status.total}"#;
            let query = ["get", "serviceregistration", name, "-o", &format!("jsonpath={condition}")];
            Ok(cluster.shop.kubectl(&query)? == "True 1/1")
        })?;
    }
    let waited = ["wait", "--for=condition=Ready", "serviceregistration/billing", "--timeout=30s"];
    cluster.shop.kubectl(&waited)?;
    // A word of a pod that makes no sense is told by an Event.
    cluster.shop.kubectl(&[
        "annotate",
        "pod/billing-1",
        "rollcall.dev/service=billing",
        "rollcall.dev/weight=heavy",
    ])?;
    eventually("an Event says what is wrong with the annotation", || {
        let query = [
            "get",
            "events",
            "--field-selector",
            "reason=AnnotationInvalid",
            "-o",
            "jsonpath={.items[*].message}",
        ];
        Ok(cluster.shop.kubectl(&query)?.contains("heavy"))
    })?;
    cluster
        .shop
        .kubectl(&["annotate", "pod/billing-1", "rollcall.dev/service-", "rollcall.dev/weight-"])
        .map(drop)
}

/// An app that is dead in a container that lives, of which Kubernetes knows only seconds later: its own sidecar knows, and
/// takes it out; and in again.
fn a_crashed_app_is_out_until_it_is_back(cluster: &Cluster) -> Result<()> {
    let address = cluster.shop.pod_ip("orders-2")?;
    let shell = |script| {
        let exec = ["exec", "orders-2", "-c", "app", "--", "/bin/busybox", "sh", "-c", script];
        cluster.shop.kubectl(&exec).map(drop)
    };
    shell("kill -USR1 1")?;
    let begin = Instant::now();
    eventually("orders-2's dead app is out", || {
        let all = lookup(cluster, "orders?all=true")?;
        Ok(all.iter().any(|one| text(one, "address") == address && text(one, "reason") == "ProbeRefused"))
    })?;
    println!(
        "a crashed app was out of another pod's lookup {} ms after kubectl exec returned",
        begin.elapsed().as_millis()
    );
    ensure!(!addresses(&lookup(cluster, "orders")?).contains(&address), "it is still looked up");
    shell("kill -USR2 1")?;
    eventually("orders-2 is back", || Ok(addresses(&lookup(cluster, "orders")?).contains(&address)))
}

/// An app that knows nothing of Kubernetes: it registers, beats and leaves as it always did.
fn an_app_registers_itself(cluster: &Cluster) -> Result<()> {
    let post = |path: &str, body: &str| {
        let body = format!("--post-data={body}");
        ask(cluster, "storefront-1", path, &["--header=Content-Type: application/json", &body])
    };
    let cart = |path: &str| ask(cluster, "orders-2", path, &[]);
    ensure!(post("/cart/2.0.0/register", r#"{"port":9000,"ttl":600}"#)?.contains(r#""success":true"#));
    let address = cluster.shop.pod_ip("storefront-1")?;
    eventually("another pod finds what registered itself", || {
        Ok(cart("/cart/2.0.0/getaddresses")?.contains(&format!("\"{address}:9000\"")))
    })?;
    ensure!(post("/cart/2.0.0/register", r#"{"port":9000}"#).is_err(), "it is registered already");
    eventually("people see it as an object that is its pod's", || {
        let query = "jsonpath={.items[?(@.spec.target.pod.name==\"storefront-1\")].spec.service}";
        Ok(cluster.shop.kubectl(&["get", "serviceregistrations", "-o", query])? == "cart")
    })?;
    post("/cart/2.0.0/deregister", r#"{"port":9000}"#)?;
    eventually("it has left", || {
        Ok(cart("/cart/2.0.0/getaddresses").is_err_and(|error| error.to_string().contains(" 404")))
    })?;
    eventually("and its object with it", || {
        let names = cluster.shop.kubectl(&[
            "get",
            "serviceregistrations",
            "-o",
            "jsonpath={.items[*].spec.service}",
        ])?;
        Ok(!names.split(' ').any(|name| name == "cart"))
    })
}

/// Nobody is left to ask: what was known is answered, and how old it is.
fn lookups_outlive_the_controller(cluster: &Cluster) -> Result<()> {
    let before = addresses(&lookup(cluster, "orders")?);
    cluster.scale_controller(0)?;
    eventually("storefront-1 knows that it is alone", || {
        Ok(!cluster.shop.in_step("storefront-1", "orders")?)
    })?;
    ensure!(addresses(&lookup(cluster, "orders")?) == before, "something was forgotten");
    cluster.scale_controller(REPLICAS)?;
    eventually("it is in step again", || cluster.shop.in_step("storefront-1", "orders"))?;
    ensure!(addresses(&lookup(cluster, "orders")?) == before, "something was lost on the way");
    Ok(())
}

/// Of what is looked up, the port that everyone in the cluster reaches says nothing.
fn the_pods_own_port_tells_nothing_of_the_catalogue(cluster: &Cluster) -> Result<()> {
    let url = format!("http://{}:7390/metrics", cluster.shop.pod_ip("storefront-1")?);
    let wget = ["exec", "orders-2", "-c", "app", "--", "/bin/busybox", "wget", "-qO-", &url];
    let metrics = cluster.shop.kubectl(&wget)?;
    ensure!(metrics.contains("rollcall_lookups_total{api=\"native\"}"), "{metrics}");
    ensure!(["orders", "billing"].iter().all(|name| !metrics.contains(name)), "{metrics}");
    Ok(())
}

#[test]
fn a_pod_is_found_while_it_serves_and_gone_when_it_is_deleted() -> Result<()> {
    Cluster::try_with(&[], the_slice)
}

fn the_slice(cluster: &Cluster) -> Result<()> {
    samples_are_judged_by_the_schema(cluster)?;
    cluster.shop.apply_manifest("orders.yaml", |yaml| yaml)?;
    cluster.shop.apply_manifest("storefront.yaml", |yaml| yaml)?;
    cluster.shop.apply_manifest("registration.yaml", |yaml| yaml)?;
    for pod in ["orders-1", "storefront-1", "billing-1"] {
        cluster.shop.ready(pod)?;
    }

    // `Ready`, and not `SessionNeverCame`, proves the session that orders-1's own sidecar opened with its token.
    let first = cluster.shop.pod_ip("orders-1")?;
    eventually("orders-1 is Serving with its session live", || {
        let instances = lookup(cluster, "orders")?;
        Ok(matches!(instances.as_slice(), [one] if text(one, "address") == first
            && text(one, "state") == "Serving" && text(one, "reason") == "Ready"
            && text(one, "version") == "1.4.2" && text(one, "pod") == "orders-1"))
    })?;
    let billing = cluster.shop.pod_ip("billing-1")?;
    eventually("billing-1 appears by its ServiceRegistration", || {
        Ok(addresses(&lookup(cluster, "billing")?) == [billing.as_str()])
    })?;

    the_controller_writes_what_people_see(cluster)?;

    cluster.shop.apply_manifest("orders.yaml", |yaml| yaml.replace("name: orders-1", "name: orders-2"))?;
    cluster.shop.ready("orders-2")?;
    let mut both = vec![first.clone(), cluster.shop.pod_ip("orders-2")?];
    both.sort_by_key(|address| address.parse::<std::net::IpAddr>().ok());
    eventually("two pods are two entries in their order", || {
        Ok(addresses(&lookup(cluster, "orders")?) == both)
    })?;

    a_crashed_app_is_out_until_it_is_back(cluster)?;
    an_app_registers_itself(cluster)?;
    lookups_outlive_the_controller(cluster)?;
    the_pods_own_port_tells_nothing_of_the_catalogue(cluster)?;
    names::an_app_finds_services_by_plain_names(cluster)?;

    let watch = Watch::begin(cluster, &first)?;
    let second = cluster.shop.pod_ip("orders-2")?;
    let begin = Instant::now();
    cluster.shop.kubectl(&["delete", "pod", "orders-1", "--wait=false"])?;
    let deleted = begin.elapsed();
    eventually("orders-1 is gone", || Ok(addresses(&lookup(cluster, "orders")?) == [second.as_str()]))?;
    let gone = begin.elapsed();
    println!(
        "deleted pod left the lookup {} ms after the delete returned ({} ms)",
        (gone - deleted).as_millis(),
        deleted.as_millis()
    );
    ensure!(gone - deleted < GONE_WITHIN, "orders-1 left the lookup only after {gone:?}");
    let names_gone = watch.gone(&first, begin)?;
    println!("and names after the delete began: {names_gone:?}");
    let ours = names_gone.get(names::OURS).context("nobody asked")?;
    ensure!(*ours < deleted + NAME_GONE_WITHIN, "orders-1 left its name only after {ours:?}");
    Ok(())
}
