//! What whoever has no business here finds at the ports of the controller and of other pods.

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use rollcall_slice::{Cluster, Space, WAITS, eventually, pod};
use serde_json::{Value, json};

use crate::ASKER;

/// In another namespace, and without a sidecar.
const STRANGER: &str = "stranger-1";

pub(crate) fn are_closed(cluster: &Cluster) -> Result<()> {
    cluster.yard.apply(&[pod(STRANGER, WAITS), forger(cluster, "of-another-audience", &json!({
        "serviceAccountToken": {"audience": "somebody-else", "expirationSeconds": 3600, "path": "token"},
    }))?, forger(cluster, "made-up", &json!({
        "downwardAPI": {"items": [{"path": "token", "fieldRef": {"fieldPath": "metadata.name"}}]},
    }))?])?;
    cluster.yard.ready(STRANGER)?;
    strangers_learn_nothing(cluster)?;
    the_admission_port_gives_a_patch_and_no_more(cluster)?;
    for (name, status) in [("of-another-audience", 403), ("made-up", 401)] {
        eventually(&format!("a token {name} is refused"), || {
            let said = cluster.yard.kubectl(&["logs", name])?;
            ensure!(!said.contains("in session"), "{name}: {said}");
            Ok(said.contains(&format!("refused the session with {status}")))
        })?;
    }
    Ok(())
}

/// Of all that others listen at, a pod reaches what has no names in it.
fn strangers_learn_nothing(cluster: &Cluster) -> Result<()> {
    let controllers = cluster.system.kubectl(&[
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=controller",
        "-o",
        "jsonpath={.items[*].status.podIP}",
    ])?;
    let controller = controllers.split(' ').next().context("no controller")?;
    let other = cluster.shop.pod_ip(ASKER)?;
    for (ip, port) in [(controller, 7391), (other.as_str(), 7390)] {
        // Whoever reaches nobody would find all doors closed.
        ensure!(fetch(&cluster.yard, ip, port, "/healthz")?.contains("ok"), "{ip}:{port}");
        let metrics = fetch(&cluster.yard, ip, port, "/metrics")?;
        ensure!(metrics.contains("rollcall_"), "{metrics}");
        for name in ["orders", cluster.shop.name()] {
            ensure!(!metrics.contains(name), "{name} is in the metrics of {ip}:{port}: {metrics}");
        }
        for path in ["/v1/services", "/v1/catalogue", "/v1/services/orders", "/"] {
            let said = fetch(&cluster.yard, ip, port, path);
            let said = said.err().with_context(|| format!("{ip}:{port}{path} answers"))?.to_string();
            ensure!(said.contains("404"), "{said}");
        }
    }
    for (ip, port) in [(controller, 7380), (other.as_str(), 7300)] {
        let said = fetch(&cluster.yard, ip, port, "/v1/services");
        let said = said.err().with_context(|| format!("{ip}:{port} answers"))?.to_string();
        ensure!(!said.contains("HTTP/"), "{ip}:{port} answers: {said}");
    }
    Ok(())
}

fn fetch(space: &Space, ip: &str, port: u16, path: &str) -> Result<String> {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    // A network may drop what nobody listens at; wget's own limit is no use: with it Debian's build dies.
    let script = format!("/bin/busybox timeout 5 /bin/busybox wget -qO- http://{host}:{port}{path}");
    space.run(STRANGER, &script)
}

/// A sidecar as any other, but for its token: the only client that speaks all of a session.
fn forger(cluster: &Cluster, name: &str, token: &Value) -> Result<Value> {
    let mut sidecar = cluster.shop.pod(ASKER)?.container("rollcall-sidecar")?.clone();
    let members = sidecar.as_object_mut().context("no container")?;
    members
        .retain(|field, _| ["image", "imagePullPolicy", "env", "securityContext"].contains(&field.as_str()));
    sidecar["name"] = "app".into();
    // What the memory limit says of a container that is not there.
    if let Some(variables) = sidecar["env"].as_array_mut() {
        variables.retain(|variable| variable["name"] != "ROLLCALL_MEMORY_MAX_MIB");
    }
    sidecar["volumeMounts"] =
        json!([{"name": "token", "mountPath": "/var/run/secrets/rollcall", "readOnly": true}]);
    let mut pod = pod(name, WAITS);
    pod["spec"]["containers"] = json!([sidecar]);
    pod["spec"]["volumes"] = json!([{"name": "token", "projected": {"sources": [token]}}]);
    Ok(pod)
}

/// Through the API server, who is let in everywhere: what a pod would get, and nothing of anybody else.
fn the_admission_port_gives_a_patch_and_no_more(cluster: &Cluster) -> Result<()> {
    let asked = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7b4ff8a8-0c5e-4a5e-8d5f-0d5b1a1f1c11",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": cluster.shop.name(),
            "operation": "CREATE",
            "object": pod("any", WAITS),
        },
    });
    let path = format!(
        "/api/v1/namespaces/{}/services/https:rollcall-controller:7343/proxy/inject",
        cluster.system.name()
    );
    let said = cluster.system.given(&["create", "--raw", &path, "-f", "-"], &asked.to_string())?;
    let said: Value = serde_json::from_str(&said).context(said)?;
    let members = |value: &Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    ensure!(said["response"]["allowed"] == true, "{said}");
    let known = ["uid", "allowed", "patch", "patchType", "warnings"];
    ensure!(members(&said["response"]).iter().all(|name| known.contains(&name.as_str())), "{said}");
    let patch = BASE64_STANDARD.decode(said["response"]["patch"].as_str().context("no patch")?)?;
    let patch: Vec<Value> = serde_json::from_slice(&patch)?;
    let within = |path: &str| path.starts_with("/spec/") || path.starts_with("/metadata/");
    for step in &patch {
        ensure!(step["op"] == "add" && step["path"].as_str().is_some_and(within), "{step}");
    }
    let all = Value::from(patch).to_string();
    ensure!(all.contains("rollcall-sidecar") && !all.contains("orders"), "{all}");
    Ok(())
}
