//! Slices in all their shapes, and addresses that move.

use anyhow::{Result, ensure};
use rollcall_controller_tests::objects::{annotations, deployment, pod_status, registration, service};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;

#[test]
fn a_service_of_several_slices_is_one() -> Result<()> {
    /// A slice holds a hundred.
    const PODS: u32 = 130;
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({"rollcall.dev/adopt-services": "enabled"}))?;
    let placement = scene.stage.nodes.placement();
    scene.apply_all(
        &shop,
        &[deployment("crowd", PODS, &json!({}), &placement), service("crowd", &json!({}))],
    )?;
    let of = [shop.clone()];
    let serving = |count: usize| {
        scene.eventually(&format!("{count} serve"), || {
            Ok(scene.stage.controller().catalogue(&of)?.serving(&format!("crowd.{shop}")) == count)
        })
    };
    serving(PODS as usize)?;
    let slices = scene.kubectl(&shop, &["get", "endpointslices", "-o", "name"])?;
    ensure!(slices.lines().count() >= 2, "{slices}");
    scene.agrees()?;
    // The status lists a hundred of them, counts all, and says that it is cut.
    scene.eventually("the status is cut", || {
        let status = scene.status(&shop, "crowd")?;
        let listed = status["instances"].as_array().map_or(0, Vec::len);
        Ok(status["serving"] == PODS
            && status["total"] == PODS
            && listed == 100
            && status["truncated"] == true)
    })?;
    // Slices are filled up and emptied as it shrinks; nobody of those who stay is missing meanwhile.
    let observer = scene.observe()?;
    scene.kubectl(&shop, &["scale", "deployment/crowd", "--replicas=20"])?;
    observer.cut();
    serving(20)?;
    scene.agrees()?;
    let seen = observer.end()?;
    ensure!(seen.ends > 0, "no watch was cut: {seen:?}");
    println!("a crowd that shrinks: {seen:?}");
    Ok(())
}

#[test]
fn both_families_of_a_pod_are_one_instance_and_an_address_may_have_a_new_owner() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let controller = scene.stage.controller();
    let uid = scene.pod_by_hand(&shop, "both", &json!({}), &["198.19.15.50", "2001:db8:15::50"])?;
    let slice = |family: &str, address: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": format!("both-{}", family.to_lowercase()),
                "labels": {"kubernetes.io/service-name": "both"}},
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": "both", "namespace": shop, "uid": uid}}],
        })
    };
    // By hand, since it is the cluster's own affair whether it has both.
    scene.apply_all(
        &shop,
        &[
            service("both", &json!({"spec": {"selector": null, "clusterIP": "None"}})),
            registration("both", &json!({"target": {"service": {"name": "both"}}})),
            slice("IPv4", "198.19.15.50"),
            slice("IPv6", "2001:db8:15::50"),
        ],
    )?;
    scene.eventually("one instance with both addresses", || {
        let all = controller.read(&format!("/v1/services/both.{shop}"))?;
        let addresses = &all["instances"][0]["addresses"];
        Ok(all["instances"].as_array().is_some_and(|all| all.len() == 1)
            && *addresses == json!(["198.19.15.50", "2001:db8:15::50"]))
    })?;
    scene.agrees()?;
    scene.kubectl(&shop, &["delete", "endpointslice", "both-ipv4"])?;
    scene.agrees()?;

    // The network gives an address out again while its last owner is still being buried.
    let observer = scene.observe()?;
    scene.pod_by_hand(&shop, "old", &annotations("old", "1.0.0", "http:8080"), &["198.19.15.60"])?;
    scene.agrees()?;
    let whose = || -> Result<Vec<String>> {
        let found = controller.read("/v1/instances?address=198.19.15.60")?;
        let found = found["instances"].as_array().cloned().unwrap_or_default();
        let serves = found.iter().filter(|one| one["state"] == "Serving");
        Ok(serves.filter_map(|one| Some(one["service"].as_str()?.to_owned())).collect())
    };
    ensure!(whose()? == ["old"], "{:?}", whose()?);
    let dying = format!("/api/v1/namespaces/{shop}/pods/old");
    scene.stage.proxy.delete(&dying, &json!({"gracePeriodSeconds": 30}))?;
    scene.eventually("the old one drains", || Ok(whose()?.is_empty()))?;
    scene.pod_by_hand(&shop, "new", &annotations("new", "1.0.0", "http:8080"), &["198.19.15.60"])?;
    scene.eventually("the address is the new one's", || Ok(whose()? == ["new"]))?;
    scene.agrees()?;
    scene.kubectl(&shop, &["delete", "pod", "old", "--force", "--grace-period=0"])?;
    scene.agrees()?;
    ensure!(whose()? == ["new"], "{:?}", whose()?);
    // A pod that ended is nobody's instance, although its object stays.
    let ended = json!({"status": {"phase": "Failed"}});
    scene.pod_status(&shop, "new", &ended)?;
    scene.eventually("who failed is gone", || Ok(whose()?.is_empty()))?;
    // The pod that had both moves to other addresses, as after a restart of its sandbox.
    scene.pod_status(&shop, "both", &pod_status(true, &["198.19.15.51"]))?;
    scene.eventually("who moved is not at the old address", || {
        let all = controller.read("/v1/instances?address=198.19.15.50")?;
        Ok(all["instances"] == json!([]))
    })?;
    observer.end().map(drop)
}
