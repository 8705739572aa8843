//! What people get wrong: overlap, conflicts, bad specs, bad annotations, objects that nobody can read.

use anyhow::{Context, Result, ensure};
use rollcall_controller_tests::objects::{deployment, http_port, registration, selecting, service, with};
use rollcall_controller_tests::stage::Scene;
use serde_json::{Value, json};

#[test]
fn overlaps_are_joined_and_conflicts_told_to_the_younger() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let placement = scene.stage.nodes.placement();
    let pods = with(
        deployment("orders", 2, &json!({}), &placement),
        &json!({"spec": {"template": {"metadata": {"labels": {"tier": "back"}}}}}),
    );
    let spec = |labels: Value, ports: Value, more: Value| {
        with(
            json!({"service": "orders", "target": {"selector": {"matchLabels": labels}}, "ports": ports}),
            &more,
        )
    };
    // Created within one second they are equally old, and then the name decides.
    let elder =
        spec(json!({"app": "orders"}), http_port(8080), json!({"tags": ["a"], "metadata": {"k": "elder"}}));
    let younger = spec(
        json!({"tier": "back"}),
        json!([{"name": "http", "port": 9090}, {"name": "admin", "port": 9091}]),
        json!({"tags": ["b"], "metadata": {"k": "younger", "l": "younger"}}),
    );
    scene.apply_all(&shop, &[pods, registration("a-elder", &elder), registration("b-younger", &younger)])?;
    let read = || scene.stage.controller().read(&format!("/v1/services/orders.{shop}"));
    scene.eventually("two instances of both registrations", || {
        let all = read()?;
        let all = all["instances"].as_array().cloned().unwrap_or_default();
        Ok(all.len() == 2
            && all.iter().all(|one| {
                one["port"] == 8080
                    && one["ports"] == json!({"admin": 9091, "http": 8080})
                    && one["tags"] == json!(["a", "b"])
                    && one["metadata"] == json!({"k": "elder", "l": "younger"})
            }))
    })?;
    scene.agrees()?;
    scene.condition((&shop, "a-elder"), "Accepted", "True", "Accepted", &[])?;
    scene.condition((&shop, "b-younger"), "Accepted", "False", "PortConflict", &["http", "9090", "8080"])?;

    // Mended, it is told so.
    let mended = with(younger, &json!({"ports": [{"name": "admin", "port": 9091}]}));
    scene.apply(&shop, &registration("b-younger", &mended))?;
    scene.condition((&shop, "b-younger"), "Accepted", "True", "Accepted", &[])?;
    // The elder one goes: the pods stay, by what is left.
    scene.kubectl(&shop, &["delete", "sreg", "a-elder"])?;
    scene.eventually("what is left counts", || {
        let all = read()?;
        Ok((0..2).all(|index| all["instances"][index]["port"] == 9091))
    })?;
    scene.agrees()
}

#[test]
fn bad_words_are_told_and_good_ones_beside_them_count() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    // The schema compares addresses as text, so that one may stand there in two spellings: it is one instance.
    let twice = |second: &str| {
        registration(
            "db",
            &json!({"target": {"addresses": [{"address": "2001:db8::5"}, {"address": second}]},
                "ports": http_port(5432)}),
        )
    };
    let lost = |name: &str| registration("lost", &json!({"target": {"service": {"name": name}}}));
    let good = registration("good", &json!({"target": selecting("good"), "ports": http_port(8080)}));
    scene.apply_all(&shop, &[twice("2001:db8:0::5"), lost("nobody"), good])?;
    scene.pod_by_hand(&shop, "good", &json!({}), &["198.19.15.20"])?;
    let bad = json!({"rollcall.dev/service": "odd", "rollcall.dev/port": "http:8080", "rollcall.dev/weight": "heavy"});
    scene.pod_by_hand(&shop, "odd", &bad, &["198.19.15.21"])?;

    scene.condition((&shop, "lost"), "Resolved", "False", "ServiceNotFound", &["nobody", "create it"])?;
    scene.condition((&shop, "lost"), "Ready", "False", "NoInstances", &[])?;
    scene.event(&shop, "odd", "AnnotationInvalid", &["weight", "heavy"])?;
    // Neither is in the way of the others, and the rest of the odd one's word counts.
    scene.condition((&shop, "good"), "Ready", "True", "Serving", &[])?;
    let of = [shop.clone()];
    let catalogue = scene.stage.controller().catalogue(&of)?;
    ensure!(catalogue.serving(&format!("odd.{shop}")) == 1, "{catalogue:?}");

    let counts = |count: usize| {
        scene.eventually(&format!("db has {count}"), || {
            let all = scene.stage.controller().read(&format!("/v1/services/db.{shop}?all=true"))?;
            Ok(all["instances"].as_array().is_some_and(|all| all.len() == count))
        })
    };
    scene.condition((&shop, "db"), "Accepted", "True", "Accepted", &[])?;
    counts(1)?;
    scene.apply(&shop, &twice("2001:db8::6"))?;
    counts(2)?;
    scene.apply(&shop, &twice("2001:db8:0:0::5"))?;
    counts(1)
}

/// A time that the API server takes and few libraries can hold, on a field that somebody claims to own.
fn poison(scene: &Scene, shop: &str, kind: &str, name: &str) -> Result<()> {
    scene.kubectl(shop, &["label", kind, name, "rollcall.test/sick=true"])?;
    let query = ["-n", shop, "get", kind, name, "--show-managed-fields"];
    let mut object = scene.stage.kubectl.json(&query)?;
    let claim = json!({"manager": "prankster", "operation": "Update", "apiVersion": object["apiVersion"],
        "fieldsType": "FieldsV1", "time": "9999-12-31T23:59:59Z",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:rollcall.test/sick": {}}}}});
    object["metadata"]["managedFields"].as_array_mut().context("no managed fields")?.push(claim);
    scene.stage.kubectl.given(&["-n", shop, "replace", "-f", "-"], &object.to_string())?;
    let is = scene.stage.kubectl.json(&query)?;
    ensure!(is.to_string().contains("9999-12-31T23:59:59Z"), "the API server did not take it: {is}");
    Ok(())
}

#[test]
fn an_object_that_is_hard_to_read_stops_nothing() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let pod = |name: &str, last: u8| {
        let own = rollcall_controller_tests::objects::annotations(name, "1.0.0", "http:8080");
        scene.pod_by_hand(&shop, name, &own, &[&format!("198.19.15.{last}")]).map(drop)
    };
    pod("sick", 30)?;
    scene.apply_all(
        &shop,
        &[
            service("sick", &json!({})),
            registration("sick", &json!({"target": selecting("sick"), "ports": http_port(8080)})),
            registration("by-service", &json!({"target": {"service": {"name": "sick"}}})),
        ],
    )?;
    scene.agrees()?;
    let slice =
        scene.kubectl(&shop, &["get", "endpointslices", "-o", "jsonpath={.items[0].metadata.name}"])?;
    for (kind, name) in [("pod", "sick"), ("service", "sick"), ("sreg", "sick"), ("endpointslice", &slice)] {
        poison(&scene, &shop, kind, name)?;
    }
    // Others come in, are followed, and go; and a start has to read the sick ones in its first lists.
    pod("well", 31)?;
    scene.agrees()?;
    scene.stage.restart(|| Ok(()))?;
    pod("also-well", 32)?;
    scene.kubectl(&shop, &["delete", "pod", "well", "--force", "--grace-period=0"])?;
    scene.agrees()?;
    // The sick ones are followed as well.
    scene.condition((&shop, "sick"), "Ready", "True", "Serving", &[])?;
    scene.pod_status(&shop, "sick", &rollcall_controller_tests::objects::readiness(false))?;
    scene.agrees()?;
    scene.condition((&shop, "sick"), "Ready", "False", "NoneServing", &["1 NotReady"])?;
    scene.kubectl(&shop, &["delete", "pod", "sick", "--force", "--grace-period=0"])?;
    scene.kubectl(&shop, &["delete", "sreg", "sick", "by-service"])?;
    scene.agrees()
}
