//! Days in the life of a Deployment, watched all the time.

use anyhow::{Result, ensure};
use rollcall_controller_tests::objects::{
    annotations, deployment, http_port, registration, selecting, service, with,
};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;
use std::slice::from_ref;

/// What each of the three services has in quiet times.
const REPLICAS: u32 = 4;

#[test]
fn rollouts_scaling_and_forced_deletions_are_followed_all_the_time() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let placement = scene.stage.nodes.placement();
    let apps = ["annotated", "selected", "served"];
    scene.apply_all(
        &shop,
        &[
            deployment("annotated", REPLICAS, &annotations("annotated", "1.0.0", "http:8080"), &placement),
            deployment("selected", REPLICAS, &json!({}), &placement),
            deployment("served", REPLICAS, &json!({}), &placement),
            registration("selected", &json!({"target": selecting("selected"), "ports": http_port(8080)})),
            service("served", &json!({})),
            registration("served", &json!({"target": {"service": {"name": "served"}}})),
        ],
    )?;
    let of = [shop.clone()];
    let serving = |count: u32| {
        scene.eventually(&format!("{count} of each serve"), || {
            let catalogue = scene.stage.controller().catalogue(&of)?;
            Ok(apps.iter().all(|app| catalogue.serving(&format!("{app}.{shop}")) == count as usize))
        })
    };
    let scaled = |count: u32| {
        let deployments = apps.map(|app| format!("deployment/{app}"));
        let mut arguments = vec!["scale", "--replicas"];
        let count = count.to_string();
        arguments.push(&count);
        arguments.extend(deployments.iter().map(String::as_str));
        scene.kubectl(&shop, &arguments)
    };
    serving(REPLICAS)?;
    scene.agrees()?;
    let observer = scene.observe()?;

    // A rolling update: another version, other pods, never fewer than most.
    let next =
        json!({"spec": {"template": {"metadata": {"annotations": {"rollcall.dev/version": "2.0.0"}}}}});
    for app in apps {
        scene.kubectl(&shop, &["patch", "deployment", app, "-p", &next.to_string()])?;
    }
    for app in apps {
        scene.kubectl(&shop, &["rollout", "status", &format!("deployment/{app}"), "--timeout=60s"])?;
    }
    serving(REPLICAS)?;
    scene.agrees()?;
    let versions = scene.stage.controller().read(&format!("/v1/services/annotated.{shop}"))?;
    ensure!(versions["versions"] == json!(["2.0.0"]), "{versions}");

    // To nothing and back: the services stay known, and empty.
    scaled(0)?;
    serving(0)?;
    scene.agrees()?;
    ensure!(scene.stage.controller().read_status(&format!("/v1/services/selected.{shop}"))? == 200);
    scaled(REPLICAS)?;
    serving(REPLICAS)?;
    scene.agrees()?;

    // Deleted without a grace: no object describes them any more, from one moment to the next.
    let pods = ["delete", "pods", "-l", "app in (annotated, selected, served)"];
    scene.kubectl(&shop, &[&pods[..], &["--force", "--grace-period=0", "--wait=false"]].concat())?;
    serving(REPLICAS)?;
    scene.agrees()?;

    let seen = observer.end()?;
    println!("rollouts, scaling, forced deletions: {seen:?}");
    ensure!(seen.turns >= 3 * 2 * REPLICAS as usize, "too little happened: {seen:?}");
    Ok(())
}

#[test]
fn a_namespace_that_goes_takes_everything_with_it() -> Result<()> {
    let scene = Scene::begin()?;
    let (doomed, stays) =
        (scene.namespace(&json!({"rollcall.dev/adopt-services": "enabled"}))?, scene.namespace(&json!({}))?);
    let placement = scene.stage.nodes.placement();
    let own = annotations("orders", "1.0.0", "http:8080");
    for namespace in [&doomed, &stays] {
        scene.apply_all(
            namespace,
            &[
                deployment("orders", 2, &own, &placement),
                with(service("front", &json!({})), &json!({"spec": {"selector": {"app": "orders"}}})),
                registration("side", &json!({"target": selecting("orders"), "ports": http_port(8080)})),
            ],
        )?;
    }
    let controller = scene.stage.controller();
    scene.eventually("both namespaces are full", || {
        let catalogue = controller.catalogue(&scene.namespaces())?;
        let serves = |key: &str| catalogue.serving(key) == 2;
        Ok(serves(&format!("orders.{doomed}"))
            && serves(&format!("side.{doomed}"))
            && serves(&format!("front.{doomed}"))
            && serves(&format!("orders.{stays}")))
    })?;
    scene.agrees()?;
    scene.eventually("the objects of our own are there", || {
        scene.kubectl(&doomed, &["get", "sreg", "front", "orders-1.0.0"]).map(|_| true)
    })?;
    scene.stage.kubectl.call(&["delete", "namespace", &doomed, "--timeout=60s"])?;
    scene
        .eventually("nothing of it is left", || Ok(controller.catalogue(from_ref(&doomed))?.0.is_empty()))?;
    let stayed = controller.catalogue(from_ref(&stays))?;
    ensure!(stayed.serving(&format!("orders.{stays}")) == 2, "{stayed:?}");
    Ok(())
}
