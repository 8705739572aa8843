//! Services that are in the catalogue without a manifest, and who may lead where.

use anyhow::{Result, ensure};
use rollcall_controller_tests::objects::{deployment, registration, service, with};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;

#[test]
fn services_of_a_namespace_that_adopts_them_are_registrations() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({"rollcall.dev/adopt-services": "enabled"}))?;
    let placement = scene.stage.nodes.placement();
    let opted_out = json!({"metadata": {"annotations": {"rollcall.dev/adopt": "false"}}});
    let external = json!({"spec": {"type": "ExternalName", "externalName": "db.example", "selector": null}});
    scene.apply_all(
        &shop,
        &[
            deployment("orders", 2, &json!({}), &placement),
            deployment("hidden", 1, &json!({}), &placement),
            service("orders", &json!({})),
            service("hidden", &opted_out),
            service("elsewhere", &external),
        ],
    )?;
    let waited = ["wait", "--for=condition=Ready", "sreg/orders", "--timeout=60s"];
    scene.eventually("orders has its object", || {
        scene.kubectl(&shop, &["get", "sreg/orders"]).map(|_| true)
    })?;
    scene.kubectl(&shop, &waited)?;
    scene.agrees()?;
    let names = |of: &[String]| -> Result<Vec<String>> {
        Ok(scene
            .stage
            .controller()
            .catalogue(of)?
            .0
            .keys()
            .map(|key| key.replace(&format!(".{shop}"), ""))
            .collect())
    };
    let of = [shop.clone()];
    ensure!(names(&of)? == ["orders"], "{:?}", names(&of)?);
    ensure!(scene.stage.controller().catalogue(&of)?.serving(&format!("orders.{shop}")) == 2);
    let owner = "jsonpath={.metadata.ownerReferences[0].kind} {.metadata.ownerReferences[0].name}";
    let owner = scene.kubectl(&shop, &["get", "sreg/orders", "-o", owner])?;
    ensure!(owner == "Service orders", "{owner}");

    // A change of mind, both ways.
    scene.kubectl(&shop, &["annotate", "service/hidden", "rollcall.dev/adopt-"])?;
    scene.kubectl(&shop, &["annotate", "service/orders", "rollcall.dev/adopt=false"])?;
    scene.eventually("one came and one went", || Ok(names(&of)? == ["hidden"]))?;
    scene.agrees()?;
    // What a person gave our label is not ours: it counts, and stays when ours go.
    let ours = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "rollcall-controller"}}});
    let mine = with(registration("mine", &json!({"target": {"service": {"name": "orders"}}})), &ours);
    scene.apply(&shop, &mine)?;
    scene.condition((&shop, "mine"), "Ready", "True", "Serving", &[])?;
    scene.agrees()?;
    scene.kubectl(&shop, &["label", "namespace", &shop, "rollcall.dev/adopt-services-"])?;
    scene.eventually("nobody is adopted any more", || Ok(names(&of)? == ["mine"]))?;
    scene.eventually("and we keep no object of it", || {
        Ok(scene.kubectl(&shop, &["get", "sreg", "-o", "name"])?.trim()
            == "serviceregistration.rollcall.dev/mine")
    })
}

#[test]
fn a_slice_leads_to_nobody_elses_pods() -> Result<()> {
    let scene = Scene::begin()?;
    let (shop, prey) = (scene.namespace(&json!({}))?, scene.namespace(&json!({}))?);
    let victim = scene.pod_by_hand(&prey, "victim", &json!({}), &["198.19.15.40"])?;
    scene.pod_by_hand(&shop, "own", &json!({}), &["198.19.15.41"])?;
    let slice = |name: &str, endpoints: serde_json::Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "trap"}},
            "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints,
        })
    };
    let by_uid = json!({"kind": "Pod", "name": "victim", "namespace": prey, "uid": victim});
    scene.apply_all(
        &shop,
        &[
            service("trap", &json!({"spec": {"selector": null, "clusterIP": "None"}})),
            registration("trap", &json!({"target": {"service": {"name": "trap"}}})),
            // To a pod of another namespace by its address, by its uid; to our own, and to nobody in particular.
            slice(
                "trap-1",
                json!([{"addresses": ["198.19.15.40"]}, {"addresses": ["203.0.113.9"], "targetRef": by_uid}]),
            ),
            slice("trap-2", json!([{"addresses": ["198.19.15.41"]}, {"addresses": ["203.0.113.10"]}])),
        ],
    )?;
    scene.condition(
        (&shop, "trap"),
        "Resolved",
        "False",
        "AddressRefused",
        &["`198.19.15.40` is of a pod"],
    )?;
    let of = scene.namespaces();
    let ids = || -> Result<Vec<String>> {
        Ok(scene.stage.controller().catalogue(&of)?.service(&format!("trap.{shop}")).into_keys().collect())
    };
    scene.eventually("our own and nobody's are there", || {
        Ok(ids()? == ["198.19.15.41-8080", "203.0.113.10-8080"])
    })?;
    scene.agrees()?;
    // The pod that had the address is gone: whoever has it now is nobody of the cluster's, but it is in a node's range.
    scene.kubectl(&shop, &["delete", "endpointslice", "trap-1"])?;
    scene.condition((&shop, "trap"), "Resolved", "True", "Resolved", &[])?;
    scene.agrees()
}
