//! A CRD that is older than the command, lets in what must not be, or is not there.

use anyhow::{Result, bail, ensure};
use rollcall_slice::{Cluster, Rollcall, SERVES, eventually, pod};
use serde_json::{Value, json};

use crate::registrations::registration;

const CRD: &str = "customresourcedefinitions/serviceregistrations.rollcall.dev";
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";

/// The API server refuses two targets itself; what an older schema let in, the controllers refuse.
pub(crate) fn stale(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let two = json!({"selector": {"matchLabels": {"app": "twofold-1"}}, "service": {"name": "twofold"}});
    let two = registration("twofold", &json!({"target": two, "ports": [{"name": "http", "port": 8080}]}));
    let refused = cluster.shop.apply(std::slice::from_ref(&two));
    let told = refused.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(told.contains("spec.target"), "the API server names the field: {told}");

    let now = cluster.shop.json(&["get", CRD])?;
    replace(cluster, &older(&now))?;
    eventually("the API server has the older schema", || Ok(cluster.shop.takes(&two.to_string()).is_ok()))?;
    cluster.shop.apply(&[two, pod("twofold-1", SERVES)])?;
    cluster.shop.ready("twofold-1")?;
    rollcall.finds(
        "crd-schema",
        "fail",
        &["drops what is written in spec.weight", "rollcall crd | kubectl apply"],
    )?;
    let says = ["the cluster's CRD is older than this `rollcall`", "spec.weight", "upgrade the installation"];
    rollcall.broken("twofold-1", "crd", &says)?;
    let (_, said) = rollcall.run(&["explain", "pod/elsewhere-1"])?;
    ensure!(said.contains("note     crd"), "who is in the catalogue is told of it too: {said}");

    replace(cluster, &now)?;
    let says = ["twofold: Invalid: ", "target"];
    rollcall.broken("twofold-1", "registration", &says)?;
    rollcall.finds("registrations", "warn", &[&format!("{}/twofold", cluster.shop.name()), "target"])?;
    let (code, said) = rollcall.run(&["explain", "twofold"])?;
    ensure!(code == 1 && said.contains("the registration twofold is refused: Invalid"), "{code}: {said}");
    Ok(())
}

/// Nobody is named by a registration any more, and what annotations say goes on.
pub(crate) fn missing(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let now = cluster.shop.json(&["get", CRD])?;
    cluster.kubectl(&["delete", CRD])?;
    rollcall.finds(
        "crd-there",
        "fail",
        &["there is no CRD of ServiceRegistration", "rollcall crd | kubectl apply"],
    )?;
    // What the controllers knew stays: of whom they knew nothing, nothing can be said any more.
    rollcall.broken("twofold-1", "crd", &["there is no CRD of ServiceRegistration"])?;
    eventually("who needs none is told of it", || {
        let (code, said) = rollcall.run(&["explain", "pod/ledger-1"])?;
        let is_told = said.contains("note     crd") && said.contains("no link is broken, with ");
        if code == 0 && is_told { Ok(true) } else { bail!("{code}: {said}") }
    })?;
    let mut again = now;
    again.as_object_mut().map(|crd| crd.remove("status"));
    again["metadata"] = bare(&again["metadata"]);
    cluster.shop.given(&["create", "-f", "-"], &again.to_string()).map(drop)
}

/// The same without a field and without the rules of what belongs together.
fn older(crd: &Value) -> Value {
    let mut older = crd.clone();
    if let Some(spec) = older.pointer_mut(SPEC) {
        spec["properties"].as_object_mut().map(|fields| fields.remove("weight"));
        drop_rules(spec);
        drop_rules(&mut spec["properties"]["target"]);
    }
    older
}

fn drop_rules(schema: &mut Value) {
    schema.as_object_mut().map(|schema| schema.remove("x-kubernetes-validations"));
}

fn replace(cluster: &Cluster, crd: &Value) -> Result<()> {
    let mut crd = crd.clone();
    crd["metadata"] = bare(&crd["metadata"]);
    cluster.shop.given(&["replace", "-f", "-"], &crd.to_string()).map(drop)
}

/// What of its metadata a person writes.
fn bare(metadata: &Value) -> Value {
    json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]})
}
