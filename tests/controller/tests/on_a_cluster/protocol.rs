//! docs/protocol.md is enough to write a client: one that was written from it holds what the controller knows.

use anyhow::{Result, ensure};
use rollcall_controller_tests::client::{Client, Held};
use rollcall_controller_tests::objects::{annotations, deployment, http_port, registration, selecting};
use rollcall_controller_tests::stage::Scene;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a subscriber of these services must hold, by the controller's own dump.
fn told(scene: &Scene, namespace: &str, services: &[&str]) -> Result<Held> {
    let dump = scene.stage.controller().read(&format!("/v1/catalogue?namespace={namespace}"))?;
    let listed = dump["services"].as_array().into_iter().flatten();
    let wanted = listed.filter(|one| one["service"].as_str().is_some_and(|name| services.contains(&name)));
    let held = wanted.map(|service| {
        let instances = service["instances"].as_array().into_iter().flatten().map(|one| {
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            (text("id"), format!("{}:{} {}", text("address"), one["port"], text("state")))
        });
        (format!("{}.{namespace}", service["service"].as_str().unwrap_or_default()), instances.collect())
    });
    Ok(held.collect())
}

fn serving(held: &Held, key: &str) -> usize {
    held.get(key).into_iter().flat_map(|all| all.values()).filter(|one| one.ends_with(" Serving")).count()
}

fn up(frame: &Value) -> String {
    format!("up {frame}")
}

/// Sees to it that the controller has compared what the client holds: what follows a heartbeat is answered after it.
fn compared(client: &mut Client) -> Result<()> {
    client.tell("beat")?;
    client.tell(&up(&json!({"type": "drain", "drain": "wait"})))?;
    client.frame("drained")?;
    Ok(())
}

#[test]
fn a_client_written_from_the_page_follows_every_change_and_speaks_for_its_pod() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let placement = scene.stage.nodes.placement();
    scene.apply(&shop, &deployment("orders", 3, &annotations("orders", "1.4.2", "http:8080"), &placement))?;
    scene.pod_by_hand(&shop, "storefront", &json!({}), &["10.240.9.1"])?;
    let all = ["orders", "billing", "storefront", "nobody"];
    let key = |service: &str| format!("{service}.{shop}");
    let agree = |client: &Client, what: &str, service: &str, count: usize| {
        client.holds(what, || {
            let told = told(&scene, &shop, &all)?;
            ensure!(serving(&told, &key(service)) == count, "the controller has {told:?}");
            Ok(told)
        })
    };
    let resyncs = || scene.stage.controller().metric("rollcall_stream_resyncs_total", r#"reason="digest""#);
    let resyncs_before = resyncs()?;
    let mut client = scene.client(&shop, "storefront", &["orders", "nobody"])?;
    agree(&client, "three of a service, and nothing of one that nobody has", "orders", 3)?;

    scene.kubectl(&shop, &["scale", "deployment/orders", "--replicas=5"])?;
    agree(&client, "five after scaling", "orders", 5)?;
    client.tell("subscribe billing storefront")?;
    scene.apply(
        &shop,
        &registration("billing", &json!({"target": selecting("orders"), "ports": http_port(9000)})),
    )?;
    agree(&client, "a service that appears", "billing", 5)?;

    // Back after some was missed: the changes are from what was held, and the script checks that they are.
    client.tell("hangup")?;
    client.frame("hangup")?;
    client.frames("upsert");
    scene.kubectl(&shop, &["scale", "deployment/orders", "--replicas=2"])?;
    scene.eventually("two are left while nobody listens", || {
        let told = told(&scene, &shop, &all)?;
        let count = |name: &str| told.get(&key(name)).map_or(0, BTreeMap::len);
        ensure!(count("orders") == 2 && count("billing") == 2, "{told:?}");
        Ok(true)
    })?;
    client.tell("connect")?;
    agree(&client, "what was missed", "billing", 2)?;
    let upserts = client.frames("upsert");
    for name in ["orders", "billing"] {
        let first = upserts.iter().find(|upsert| upsert["service"] == key(name));
        let is_change = first.is_some_and(|upsert| upsert["base"].is_string() && upsert["removed"] == 3);
        ensure!(is_change, "{name}: {upserts:?}");
    }

    // What it leaves it no longer holds; what it asks for again is told as a whole.
    client.tell("unsubscribe billing nobody")?;
    scene.kubectl(&shop, &["scale", "deployment/orders", "--replicas=3"])?;
    client.holds("all but what it left", || {
        let told = told(&scene, &shop, &["orders"])?;
        ensure!(serving(&told, &key("orders")) == 3, "the controller has {told:?}");
        Ok(told)
    })?;
    compared(&mut client)?;
    client.frames("upsert");
    client.tell(&format!("subscribe {}", key("billing")))?;
    agree(&client, "what it asked for again", "billing", 3)?;
    let upserts = client.frames("upsert");
    ensure!(upserts.iter().any(|upsert| upsert["service"] == key("billing") && upsert["base"].is_null()));
    scene.kubectl(&shop, &["delete", "serviceregistration/billing"])?;
    agree(&client, "a service that is gone", "orders", 3)?;

    // It speaks for its own pod. A frame of a type that nobody knows is skipped, and may be a long one.
    client.tell(&up(&json!({"type": "dance", "steps": "left".repeat(10_000)})))?;
    let ports = json!([{"name": "http", "port": 8081}]);
    client
        .tell(&up(&json!({"type": "register", "registration": {"service": "storefront", "ports": ports}})))?;
    ensure!(client.frame("registered")?["service"] == "storefront");
    agree(&client, "what it registered", "storefront", 1)?;
    let duties = |client: &Client, ports: &[u16]| {
        scene.eventually("it is told what it is", || {
            let told = client.frame("duties")?["duties"].take();
            let told =
                told.as_array().into_iter().flatten().map(|one| one["port"].as_u64().unwrap_or_default());
            Ok(told.eq(ports.iter().copied().map(u64::from)))
        })
    };
    duties(&client, &[8081])?;
    let beside = json!({"service": "storefront", "ports": [{"port": 8082}], "beside": true});
    client.tell(&up(&json!({"type": "register", "registration": beside})))?;
    ensure!(client.frame("registered")?["port"] == 8082);
    agree(&client, "another address beside it", "storefront", 2)?;
    duties(&client, &[8081, 8082])?;
    client.tell(&up(&json!({"type": "health", "service": "storefront", "port": 8082, "probe": "dead"})))?;
    agree(&client, "a word on one of them is of that alone", "storefront", 1)?;
    client.tell(&up(&json!({"type": "ask", "ask": 7, "explain": {"service": key("storefront")}})))?;
    let answer = client.frame("told")?;
    let words = answer["explained"].as_array().into_iter().flatten();
    let words: Vec<_> = words.map(|one| (&one["port"], one["witnesses"]["probe"].as_str())).collect();
    let expected = [(&json!(8081), Some("not-asked")), (&json!(8082), Some("dead"))];
    ensure!(answer["ask"] == 7 && words == expected, "{answer}");
    client.tell(&up(&json!({"type": "ask", "ask": 8, "explain": {"service": "nobody.elsewhere"}})))?;
    ensure!(client.frame("told")?["unknown"] == "service");
    client.tell(&up(&json!({"type": "ask", "ask": 9, "address": "10.240.9.1"})))?;
    let answer = client.frame("told")?;
    ensure!(answer["found"].as_array().is_some_and(|found| found.len() == 2), "{answer}");
    client.tell(&up(&json!({"type": "deregister", "service": "storefront", "port": 8082})))?;
    agree(&client, "one of them has gone", "storefront", 1)?;
    duties(&client, &[8081])?;
    let bad = [
        ("weight", json!(2000)),
        ("version", json!("v1")),
        ("ports", json!([{"name": "http", "port": 70_000}])),
    ];
    for (field, value) in bad {
        let registration = json!({"service": "orders-2", field: value});
        client.tell(&up(&json!({"type": "register", "registration": registration})))?;
        let rejected = client.frame("rejected")?;
        ensure!(rejected["service"] == "orders-2" && rejected["field"] == field, "{rejected}");
    }
    client.tell(&up(&json!({"type": "health", "probe": "dead"})))?;
    agree(&client, "its app is dead", "storefront", 0)?;
    client.tell(&up(&json!({"type": "health", "service": "storefront", "probe": "passing"})))?;
    client.tell(&up(&json!({"type": "health", "probe": "passing"})))?;
    agree(&client, "its app is back", "storefront", 1)?;

    // Somebody else watches it leave.
    scene.pod_by_hand(&shop, "till", &json!({}), &["10.240.9.2"])?;
    let watcher = scene.client(&shop, "till", &["storefront"])?;
    watcher.holds("a second subscriber", || told(&scene, &shop, &["storefront"]))?;
    client.tell(&up(&json!({"type": "drain", "drain": "start", "deadlineMs": 30_000, "ask": 11})))?;
    let drained = client.frame("drained")?;
    ensure!(drained["ask"] == 11, "{drained}");
    ensure!(drained["complete"] == true && drained["subscribers"] == 1 && drained["acked"] == 1, "{drained}");
    ensure!(serving(&told(&scene, &shop, &["storefront"])?, &key("storefront")) == 0);
    client.tell(&up(&json!({"type": "drain", "drain": "wait"})))?;
    let drained = client.frame("drained")?;
    ensure!(drained["terminating"] == false && drained["complete"] == true, "{drained}");
    client.tell(&up(&json!({"type": "drain", "drain": "stop"})))?;
    client.frame("drained")?;
    agree(&client, "it is back", "storefront", 1)?;
    client.tell(&up(&json!({"type": "deregister", "service": "storefront"})))?;
    agree(&client, "it has gone", "storefront", 0)?;
    compared(&mut client)?;
    ensure!(resyncs()? == resyncs_before, "it held something else than it was told");

    // The pod ends, and with it everything that it may say.
    scene.kubectl(&shop, &["delete", "pod/storefront", "--grace-period=0", "--force"])?;
    let words = client.ended()?;
    ensure!(words.contains("closed"), "{words}");
    ensure!(client.frame("goaway")?["reason"] == "pod-gone");
    Ok(())
}

/// It goes on to say that it is alive, and takes nothing of what it is told.
#[test]
fn a_reader_that_never_reads_is_sent_away_and_costs_nobody_else_anything() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let placement = scene.stage.nodes.placement();
    scene.apply(&shop, &deployment("orders", 2, &annotations("orders", "1.0.0", "http:8080"), &placement))?;
    scene.pod_by_hand(&shop, "deaf", &json!({}), &["10.240.9.1"])?;
    scene.pod_by_hand(&shop, "reader", &json!({}), &["10.240.9.2"])?;
    let (mut deaf, reader) =
        (scene.client(&shop, "deaf", &["orders"])?, scene.client(&shop, "reader", &["orders"])?);
    let both = |what: &str, clients: &[&Client]| {
        clients.iter().try_for_each(|client| client.holds(what, || told(&scene, &shop, &["orders"])))
    };
    both("both know the service", &[&deaf, &reader])?;
    let slow = || scene.stage.controller().metric("rollcall_sessions_ended_total", r#"reason="slow""#);
    let before = slow()?;
    deaf.tell("deaf")?;
    for replicas in [3, 1, 2] {
        scene.kubectl(&shop, &["scale", "deployment/orders", &format!("--replicas={replicas}")])?;
        scene.eventually(&format!("{replicas} in the catalogue"), || {
            Ok(told(&scene, &shop, &["orders"])?.values().map(BTreeMap::len).sum::<usize>() == replicas)
        })?;
        both("who reads is told", &[&reader])?;
    }
    scene.eventually("the deaf one is sent away", || Ok(slow()? > before))?;
    ensure!(!deaf.ended()?.is_empty());
    Ok(())
}

#[test]
fn nobody_gets_in_with_a_token_that_is_not_for_us() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    scene.pod_by_hand(&shop, "storefront", &json!({}), &["10.240.9.1"])?;
    let unbound = ["create", "token", "default", "--duration", "1h", "--audience", "rollcall"];
    let tokens = [
        ("for-others", scene.token(&shop, "storefront", "somebody-else")?),
        ("for-peers", scene.token(&shop, "storefront", "rollcall-peers")?),
        ("bound-to-no-pod", scene.kubectl(&shop, &unbound)?),
        ("forged", "a.b.c".to_owned()),
    ];
    for (name, token) in tokens {
        let words = scene.client_with(name, &token, &["orders"])?.ended()?;
        ensure!(words.contains("refused"), "{name}: {words}");
    }
    Ok(())
}
