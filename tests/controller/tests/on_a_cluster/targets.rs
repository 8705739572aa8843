//! The four targets, what is told of them, and addresses outside the cluster.

use anyhow::{Context, Result, ensure};
use rollcall_controller_tests::objects::{
    annotations, deployment, http_port, registration, selecting, service,
};
use rollcall_controller_tests::stage::Scene;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

#[test]
fn the_four_targets_and_what_is_told_of_them() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let placement = scene.stage.nodes.placement();
    let worker = scene.pod_by_hand(&shop, "worker", &json!({}), &["198.19.15.7"])?;
    scene.apply_all(
        &shop,
        &[
            deployment("orders", 2, &annotations("orders", "1.4.2", "http:8080"), &placement),
            deployment("billing", 2, &json!({}), &placement),
            deployment("ledger", 2, &json!({}), &placement),
            service("ledger", &json!({})),
            registration(
                "billing",
                &json!({"version": "2.0.0", "target": selecting("billing"), "ports": http_port(8080),
                    "tags": ["blue"], "metadata": {"team": "payments"}}),
            ),
            registration("books", &json!({"target": {"service": {"name": "ledger"}}})),
            registration(
                "work",
                &json!({"target": {"pod": {"name": "worker", "uid": worker}}, "ports": http_port(9000)}),
            ),
        ],
    )?;
    let controller = scene.stage.controller();
    let serving = |service: &str, count: usize| {
        let of = [shop.clone()];
        scene.eventually(&format!("{count} serve {service}"), || {
            Ok(controller.catalogue(&of)?.serving(&format!("{service}.{shop}")) == count)
        })
    };
    for (service, count) in [("orders", 2), ("billing", 2), ("books", 2), ("work", 1)] {
        serving(service, count)?;
    }
    scene.agrees()?;

    // What lookups are answered with.
    let billing = controller.read(&format!("/v1/services/billing.{shop}"))?;
    for instance in billing["instances"].as_array().context("no instances")? {
        ensure!(instance["version"] == "2.0.0" && instance["tags"] == json!(["blue"]), "{instance}");
        ensure!(instance["metadata"]["team"] == "payments" && instance["weight"] == 100, "{instance}");
        ensure!(instance["zone"] == "a" || instance["zone"] == "b", "{instance}");
        ensure!(instance["reason"] == "Ready", "{instance}");
        let address = instance["address"].as_str().context("no address")?;
        let whose = controller.read(&format!("/v1/instances?address={address}"))?;
        ensure!(whose["instances"][0]["service"] == "billing", "{whose}");
    }
    let explained = controller.read(&format!("/v1/explain/books.{shop}"))?;
    let witnesses = &explained["instances"][0]["witnesses"];
    ensure!(witnesses["pod"] == "ready" && witnesses["endpoint"] == "ready", "{explained}");
    ensure!(controller.read_status(&format!("/v1/services/nobody.{shop}"))? == 404);

    // What people see with kubectl. The pods that register themselves have an object that we wrote.
    for name in ["billing", "books", "work", "orders-1.4.2"] {
        scene.eventually(&format!("{name} is there"), || {
            scene.kubectl(&shop, &["get", "sreg", name]).map(|_| true)
        })?;
        let waited = ["wait", "--for=condition=Ready", &format!("sreg/{name}"), "--timeout=60s"];
        scene.kubectl(&shop, &waited)?;
    }
    let columns = "LABELS:.metadata.labels,SERVING:.status.serving,TOTAL:.status.total";
    let managed =
        scene.kubectl(&shop, &["get", "sreg", "orders-1.4.2", "-o", &format!("custom-columns={columns}")])?;
    ensure!(managed.contains("app.kubernetes.io/managed-by:rollcall-controller"), "{managed}");
    scene.eventually("kubectl shows what serves", || {
        let table = scene.kubectl(&shop, &["get", "sreg"])?;
        let row = |name: &str| {
            let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
            row.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        // From the end, since what a target looks like is as long as it is.
        let ends = |name: &str, end: &[&str]| {
            let row = row(name);
            row.len() > end.len()
                && row[..row.len() - 1]
                    .ends_with(&end.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        ensure!(
            table
                .lines()
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .eq(["NAME", "SERVICE", "VERSION", "TARGET", "SERVING", "TOTAL", "READY", "AGE"])
        );
        let all = [("billing", "2"), ("books", "2"), ("work", "1"), ("orders-1.4.2", "2")];
        let shown = all.iter().all(|(name, count)| ends(name, &[count, count, "True"]));
        ensure!(shown, "{table}");
        Ok(row("billing").contains(&"2.0.0".to_owned()))
    })?;
    let status = scene.status(&shop, "work")?;
    let told = &status["instances"][0];
    ensure!(told["pod"] == "worker" && told["address"] == "198.19.15.7" && told["port"] == 9000, "{status}");
    ensure!(told["state"] == "Serving" && told["since"].is_string(), "{status}");

    // A target that goes.
    scene.kubectl(&shop, &["delete", "pod", "worker", "--force", "--grace-period=0"])?;
    serving("work", 0)?;
    scene.condition((&shop, "work"), "Resolved", "False", "PodNotFound", &["worker"])?;
    scene.kubectl(&shop, &["delete", "service", "ledger"])?;
    scene.condition((&shop, "books"), "Resolved", "False", "ServiceNotFound", &["ledger"])?;
    scene.condition((&shop, "books"), "Ready", "False", "NoInstances", &[])?;
    scene.agrees()
}

/// An address of this machine by which the cluster's side can be reached, and so one that pods could not be at.
fn own_address(scene: &Scene) -> Result<IpAddr> {
    let server = ["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"];
    let server = scene.stage.kubectl.call(&server)?;
    let host = server.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
    let host = if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: the kernel only chooses the way.
    socket.connect(&host)?;
    let address = socket.local_addr()?.ip();
    if !address.is_loopback() {
        return Ok(address);
    }
    // The API server is on loopback, as kind has it: then the way to anywhere else will do.
    socket.connect("203.0.113.1:9")?;
    Ok(socket.local_addr()?.ip())
}

#[test]
fn addresses_outside_are_asked_and_those_of_the_cluster_refused() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let listener = TcpListener::bind((own_address(&scene)?, 0))?;
    let at = listener.local_addr()?;
    let outside = |name: &str, addresses: &[&str], port: u16| {
        let addresses: Vec<Value> =
            addresses.iter().map(|address| json!({"address": address, "zone": "dc1"})).collect();
        registration(
            name,
            &json!({"target": {"addresses": addresses}, "ports": [{"name": "db", "port": port}],
                "probe": {"tcp": {}, "intervalMilliseconds": 200, "timeoutMilliseconds": 1000}}),
        )
    };
    let address = at.ip().to_string();
    scene.pod_by_hand(&shop, "insider", &json!({}), &["198.19.15.8"])?;
    scene.apply(&shop, &service("front", &json!({})))?;
    let front = scene.kubectl(&shop, &["get", "service/front", "-o", "jsonpath={.spec.clusterIP}"])?;
    // The fake ones have none.
    let nodes = r#"jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}"#;
    let nodes = scene.kubectl(&shop, &["get", "nodes", "-o", nodes])?;
    let node = nodes.split_whitespace().next().context("no node has an address")?;
    let cheat = outside("cheat", &["198.19.15.8", &front, node], 8080);
    scene.apply_all(&shop, &[outside("db", &[&address], at.port()), cheat])?;

    let stage = &scene.stage;
    let state = |state: &str, reason: &str| {
        scene.eventually(&format!("db is {state} {reason}"), || {
            let all = stage.controller().read(&format!("/v1/services/db.{shop}?all=true"))?;
            let one = &all["instances"][0];
            Ok(one["state"] == state && one["reason"] == reason && one["zone"] == "dc1")
        })
    };
    state("Serving", "Ready")?;
    scene.condition((&shop, "db"), "Ready", "True", "Serving", &[])?;
    drop(listener);
    // Down, and no more is told: who registers an address chooses whom we ask.
    state("Failing", "ProbeFailed")?;
    scene.condition((&shop, "db"), "Ready", "False", "NoneServing", &["1 ProbeFailed"])?;
    let again = listen_again(&scene, at)?;
    state("Serving", "Ready")?;
    scene.condition((&shop, "db"), "Ready", "True", "Serving", &[])?;
    drop(again);

    let mut named = vec![format!("`{front}` is of a Service"), "`198.19.15.8` is of a pod".to_owned()];
    // A node on which the API server runs is first of all that.
    named.push(format!("`{node}` is of "));
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    scene.condition((&shop, "cheat"), "Resolved", "False", "AddressRefused", &named)?;
    let cheat = stage.controller().read(&format!("/v1/services/cheat.{shop}?all=true"))?;
    ensure!(cheat["instances"] == json!([]), "{cheat}");
    Ok(())
}

/// The kernel may keep the port for a while for connections that are over.
fn listen_again(scene: &Scene, at: SocketAddr) -> Result<TcpListener> {
    let mut listener = None;
    scene.eventually("the port is free again", || {
        listener = Some(TcpListener::bind(at)?);
        Ok(true)
    })?;
    listener.context("no listener")
}
