//! The controller dies, and another one takes its place.

use anyhow::{Result, ensure};
use rollcall_controller_tests::objects::{
    annotations, deployment, http_port, registration, selecting, service,
};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn a_successor_holds_the_same_and_writes_nothing_for_nothing() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({"rollcall.dev/adopt-services": "enabled"}))?;
    let placement = scene.stage.nodes.placement();
    scene.apply_all(
        &shop,
        &[
            deployment("orders", 3, &annotations("orders", "1.4.2", "http:8080"), &placement),
            deployment("front", 3, &json!({}), &placement),
            service("front", &json!({})),
            registration("billing", &json!({"target": selecting("front"), "ports": http_port(9000)})),
            registration("empty", &json!({"target": selecting("nobody"), "ports": http_port(9000)})),
        ],
    )?;
    scene.agrees()?;
    // Objects and their versions, once all have the status that they will keep.
    let objects = || -> Result<BTreeMap<String, String>> {
        let list = scene.stage.kubectl.json(&["-n", &shop, "get", "sreg"])?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let objects = list["items"].as_array().into_iter().flatten().map(|object| &object["metadata"]);
        Ok(objects.map(|meta| (text(&meta["name"]), text(&meta["resourceVersion"]))).collect())
    };
    let settled = [("billing", 3), ("empty", 0), ("front", 3), ("orders-1.4.2", 3)];
    for (name, count) in settled {
        scene.eventually(&format!("{name} is told {count}"), || {
            let status = scene.status(&shop, name)?;
            Ok(status["serving"] == count && status["total"] == count)
        })?;
    }
    let controller = scene.stage.controller();
    let (dump, before, holder) = (controller.dump(&shop)?, objects()?, scene.stage.lease_holder()?);
    ensure!(before.keys().map(String::as_str).eq(settled.map(|(name, _)| name)), "{before:?}");
    ensure!(!holder.is_empty(), "nobody holds the Lease, and all this was written");
    let foreign = scene.stage.kubectl.json(&["get", "sreg", "-A"])?;
    let foreign = foreign["items"].as_array().map_or(0, Vec::len) > before.len();
    drop(controller);

    scene.stage.restart(|| Ok(()))?;
    let controller = scene.stage.controller();
    let same = controller.dump(&shop)?;
    ensure!(same == dump, "before:\n{dump}\nafter:\n{same}");
    // The Lease of the dead one runs out first.
    scene.eventually("the successor holds the Lease", || {
        let now = scene.stage.lease_holder()?;
        Ok(!now.is_empty() && now != holder)
    })?;
    // One write that is due shows that all the others were looked at, and found to be true.
    scene.apply(
        &shop,
        &registration("sentinel", &json!({"target": selecting("nobody"), "ports": http_port(1)})),
    )?;
    scene.condition((&shop, "sentinel"), "Ready", "False", "NoInstances", &[])?;
    let mut after = objects()?;
    after.remove("sentinel");
    ensure!(after == before, "written for nothing: {before:?} {after:?}");
    let written = controller.metric("rollcall_api_writes_total", "kind=\"status\"")?;
    ensure!(foreign || written == 1.0, "{written} statuses were written, and one was due");
    let registrations = controller.metric("rollcall_api_writes_total", "kind=\"registration\"")?;
    ensure!(foreign || registrations == 0.0, "{registrations} registrations were written");
    Ok(())
}

#[test]
fn what_happened_meanwhile_is_known_from_the_first_answer_on() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let pod = |name: &str, last: u8| {
        let own = annotations("orders", "1.0.0", "http:8080");
        scene.pod_by_hand(&shop, name, &own, &[&format!("198.19.15.{last}")]).map(drop)
    };
    pod("stays", 70)?;
    pod("goes", 71)?;
    scene.apply(
        &shop,
        &registration("going", &json!({"target": selecting("stays"), "ports": http_port(8080)})),
    )?;
    scene.agrees()?;
    scene.stage.restart(|| {
        pod("comes", 72)?;
        scene.kubectl(&shop, &["delete", "pod", "goes", "--force", "--grace-period=0"])?;
        scene.kubectl(&shop, &["delete", "sreg", "going"]).map(drop)
    })?;
    // Not eventually: whoever is ready has seen all of it.
    let world = scene.world()?;
    let is = world.judged(scene.stage.controller().catalogue(&scene.namespaces())?);
    let difference = is.difference(&world.catalogue());
    ensure!(difference.is_none(), "{}", difference.unwrap_or_default());
    ensure!(is.serving(&format!("orders.{shop}")) == 2, "{is:?}");
    Ok(())
}

#[test]
fn what_an_app_registered_is_kept_as_an_object_until_it_is_taken_back() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    scene.pod_by_hand(&shop, "storefront", &json!({}), &["10.240.9.7"])?;
    let objects = || -> Result<Vec<serde_json::Value>> {
        let list = scene.stage.kubectl.json(&["-n", &shop, "get", "sreg"])?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    };
    let addresses = || -> Result<Vec<String>> {
        let dump = scene.stage.controller().read(&format!("/v1/catalogue?namespace={shop}"))?;
        let services = dump["services"].as_array().into_iter().flatten();
        let told = services.flat_map(|service| {
            let instances = service["instances"].as_array().into_iter().flatten();
            instances.map(move |one| format!("{} {} {}", service["service"], one["port"], one["weight"]))
        });
        Ok(told.collect())
    };
    let up = |frame: &serde_json::Value| format!("up {frame}");
    let mut client = scene.client(&shop, "storefront", &["storefront"])?;
    let whole = json!({"service": "storefront", "ports": [{"port": 80}], "weight": 7, "probe": "none"});
    let beside = json!({"service": "storefront", "ports": [{"port": 81}], "beside": true, "ttlSeconds": 30});
    for registration in [&whole, &beside] {
        client.tell(&up(&json!({"type": "register", "registration": registration})))?;
        client.frame("registered")?;
    }
    scene.eventually("both are objects of the pod, with a status", || {
        let objects = objects()?;
        let owned =
            objects.iter().filter(|one| one["metadata"]["ownerReferences"][0]["name"] == "storefront");
        let told = owned.filter(|one| one["status"]["serving"] == 1).count();
        ensure!(objects.len() == 2 && told == 2, "{objects:?}");
        Ok(true)
    })?;
    let expected = [r#""storefront" 80 7"#, r#""storefront" 81 100"#];
    ensure!(addresses()? == expected, "{:?}", addresses()?);
    let versions = || -> Result<Vec<_>> {
        Ok(objects()?.iter().map(|one| one["metadata"]["resourceVersion"].clone()).collect())
    };

    // Neither the controller nor the sidecar lives on.
    client.tell("hangup")?;
    drop(client);
    let holder = scene.stage.lease_holder()?;
    scene.stage.restart(|| Ok(()))?;
    ensure!(addresses()? == expected, "not eventually: {:?}", addresses()?);
    scene.eventually("the successor holds the Lease", || {
        let now = scene.stage.lease_holder()?;
        Ok(!now.is_empty() && now != holder)
    })?;
    let before = objects()?.len();
    let mut client = scene.client(&shop, "storefront", &["storefront"])?;
    scene.eventually("its sidecar is told what it is", || {
        let duties = client.frame("duties")?;
        Ok(duties["duties"].as_array().is_some_and(|all| all.len() == 2))
    })?;
    ensure!(addresses()? == expected && before == 2, "a sidecar that has just begun knows of nothing");
    let settled = versions()?;
    client.tell("beat")?;
    client.tell(&up(&json!({"type": "register", "registration": whole})))?;
    client.frame("registered")?;
    client.tell(&up(&json!({"type": "deregister", "service": "storefront", "port": 81})))?;
    scene.eventually("what was taken back is no object any more", || {
        let objects = objects()?;
        ensure!(objects.len() == 1, "{objects:?}");
        Ok(true)
    })?;
    ensure!(addresses()? == expected[..1], "{:?}", addresses()?);
    let left = versions()?;
    ensure!(
        left.iter().all(|version| settled.contains(version)),
        "written for nothing: {left:?} {settled:?}"
    );

    // A person's change makes it his, and stays.
    let name = objects()?[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let patch = r#"{"spec":{"weight":9}}"#;
    scene.kubectl(&shop, &["patch", "sreg", &name, "--type=merge", "-p", patch])?;
    client.tell(&up(&json!({"type": "deregister", "service": "storefront"})))?;
    scene.eventually("his own word counts now", || Ok(addresses()? == [r#""storefront" 80 9"#]))?;
    scene.kubectl(&shop, &["delete", "pod/storefront", "--grace-period=0", "--force"])?;
    scene.eventually("it goes with its pod", || Ok(objects()?.is_empty()))?;
    Ok(())
}
