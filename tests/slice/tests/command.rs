//! The `rollcall` command on a real cluster: all is ok after an install, and what is broken of it is named. Broken
//! set-ups of pods are in `broken/`.
//!
//! Needs `KUBECONFIG`, and on the nodes the images that `README.md` names.

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

use anyhow::{Context, Result, bail, ensure};
use rollcall_slice::{Cluster, Rollcall, SERVES, WAITS, eventually, pod, with_annotations};
use serde_json::json;

/// What of a cluster other installations and tests have a say in.
const OF_OTHERS: [&str; 5] =
    ["registrations", "sidecar-images", "sidecar-sessions", "sidecar-address", "failing-apps"];

#[test]
fn people_see_what_is_there_and_what_is_wrong() -> Result<()> {
    Cluster::try_with(&[], |cluster| {
        let rollcall = Rollcall::built(cluster)?;
        let says = |port: &str| json!({"rollcall.dev/service": "orders", "rollcall.dev/port": port, "rollcall.dev/version": "1.4.2"});
        cluster.shop.apply(&[
            with_annotations(pod("orders-1", SERVES), &says("http:8080")),
            with_annotations(pod("orders-2", SERVES), &says("http:8080")),
            pod("storefront-1", WAITS),
        ])?;
        for name in ["orders-1", "orders-2", "storefront-1"] {
            cluster.shop.ready(name)?;
        }
        for (what, step) in [
            ("what is there", what_is_there as fn(&Rollcall, &Cluster) -> Result<()>),
            ("all is ok", all_is_ok),
            ("drain", drain),
            ("webhook", without_webhook),
            ("no controller", without_controller),
        ] {
            step(&rollcall, cluster).with_context(|| format!("step: {what}"))?;
            println!("{what}: as it should be");
        }
        Ok(())
    })
}

fn what_is_there(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let shop = &cluster.shop;
    let mut expected = Vec::new();
    for name in ["orders-1", "orders-2"] {
        expected.push(format!("{}:8080", shop.pod_ip(name)?));
    }
    expected.sort();
    eventually("both are resolved", || {
        let (code, said) = rollcall.run(&["resolve", "orders"])?;
        Ok(code == 0 && said.lines().eq(expected.iter().map(String::as_str)))
    })?;
    ensure!(rollcall.run(&["resolve", "orders@^1.4"])?.0 == 0, "a version that is there");
    ensure!(rollcall.run(&["resolve", "orders@9.0.0"])?.0 == 1, "a version that is not");
    ensure!(rollcall.run(&["resolve", "orders@1.4.2.3"])?.0 == 2, "no version");
    let (code, said) = rollcall.run(&["resolve", "ordres"])?;
    ensure!(code == 1 && said.contains("did you mean `orders."), "{code}: {said}");

    let services = rollcall.json(&["services"])?;
    ensure!(services["services"][0]["service"] == "orders", "{services}");
    let (code, wide) = rollcall.run(&["services", "-o", "wide"])?;
    ensure!(code == 0 && wide.contains("CONSUMERS"), "{wide}");
    let (code, said) = rollcall.run(&["sidecars"])?;
    ensure!(code == 0 && said.contains("storefront-1") && said.contains("orders-2"), "{said}");
    let (code, said) = rollcall.run(&["explain", "orders"])?;
    ensure!(code == 0 && said.contains("2 of 2 served"), "{said}");
    for name in ["pod/orders-1", "pod/storefront-1"] {
        let (code, said) = rollcall.run(&["explain", name])?;
        ensure!(code == 0 && said.contains("no link is broken"), "{said}");
    }
    Ok(())
}

fn all_is_ok(rollcall: &Rollcall, _: &Cluster) -> Result<()> {
    // Each API server and each sidecar hears of an installation in its own time.
    eventually("all is ok", || {
        let findings = rollcall.findings(0)?;
        let bad: Vec<_> = findings
            .iter()
            .filter(|one| one["level"] != "ok" && !OF_OTHERS.iter().any(|other| one["check"] == *other))
            .collect();
        if bad.is_empty() { Ok(true) } else { bail!("{bad:?}") }
    })
}

fn drain(rollcall: &Rollcall, _: &Cluster) -> Result<()> {
    let (code, said) = rollcall.run(&["drain", "orders-2"])?;
    ensure!(code == 0 && said.contains("out of the lookups"), "{code}: {said}");
    rollcall.broken("orders-2", "catalogue", &["DrainRequested"])?;
    ensure!(rollcall.run(&["drain", "orders-2", "--stop"])?.0 == 0, "taken back");
    eventually("it is served again", || Ok(rollcall.run(&["explain", "pod/orders-2"])?.0 == 0))
}

fn without_webhook(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let name = format!("{}-injection", cluster.system.name());
    cluster.kubectl(&["delete", "mutatingwebhookconfiguration", &name])?;
    let findings = rollcall.findings(1)?;
    let told = findings.iter().find(|one| one["check"] == "webhook-there").context("not looked at")?;
    ensure!(told["level"] == "fail", "{told}");
    Ok(())
}

fn without_controller(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    cluster.scale_controller(0)?;
    let findings = rollcall.findings(1)?;
    ensure!(findings.iter().any(|one| one["check"] == "replicas" && one["level"] == "fail"), "{findings:?}");
    let (code, said) = rollcall.run(&["services"])?;
    ensure!(code == 3 && said.contains("controller"), "{code}: {said}");
    rollcall.broken("orders-1", "controller", &["scaled to 0"])
}
