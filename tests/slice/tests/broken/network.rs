//! Pods whose sidecar does not come to the controllers: its token is for others, or nothing of it arrives.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_slice::{Cluster, Rollcall, WAITS, eventually, pod};
use serde_json::{Value, json};

/// With it, what the pod sends to these addresses goes nowhere.
const CUTS: &str =
    "for address in $ADDRESSES; do /bin/busybox ip route add blackhole $address || exit 1; done";

/// A pod with a sidecar that somebody wrote by hand, and gave a token for another audience.
pub(crate) fn wrong_audience_is_made(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let system = &cluster.system;
    let controller = format!("{}:7310", address_of_service(cluster)?);
    let folder = std::env::temp_dir().join(format!("rollcall-broken-{}", system.name()));
    std::fs::create_dir_all(&folder)?;
    let (ca, settings) = (folder.join("ca.crt"), folder.join("injection.yaml"));
    let encoded = system.kubectl(&["get", "secret", "rollcall-ca", "-o", "jsonpath={.data.ca\\.crt}"])?;
    std::fs::write(&ca, STANDARD.decode(encoded.trim())?)?;
    let told = system.kubectl(&[
        "get",
        "configmap",
        "rollcall-controller",
        "-o",
        "jsonpath={.data.injection\\.yaml}",
    ])?;
    std::fs::write(&settings, told)?;
    let path = |path: &std::path::Path| path.to_str().map(str::to_owned).context("a path that is no text");
    let args = ["--controller", &controller, "--ca-file", &path(&ca)?, "--settings", &path(&settings)?];
    let injected = rollcall.within(&cluster.yard).inject(&args, &pod("audience-1", WAITS).to_string());
    std::fs::remove_dir_all(&folder)?;
    let injected = injected?;
    let by_hand = injected.replace("audience: rollcall", "audience: vault");
    ensure!(by_hand != injected, "no audience to be changed: {injected}");
    cluster.yard.given(&["apply", "-f", "-"], &by_hand).map(drop)
}

pub(crate) fn wrong_audience(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let says = ["it is for the audience `vault`, and not for rollcall", "`rollcall inject`"];
    rollcall.within(&cluster.yard).broken("audience-1", "token", &says)
}

/// Two pods whose packets to the controllers go nowhere. A policy forbids it to one of them: whether or not this cluster's network
/// heeds policies, it is what a person is to be told of.
pub(crate) fn cut_off_are_made(cluster: &Cluster) -> Result<()> {
    let addresses = addresses(cluster)?;
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "names-alone"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "walled-1"}},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}],
        },
    });
    cluster.yard.apply(&[policy, cut_off_pod("walled-1", &addresses), cut_off_pod("cut-1", &addresses)])
}

pub(crate) fn cut_off(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    let in_yard = rollcall.within(&cluster.yard);
    let policy = format!(
        "a NetworkPolicy forbids it: names-alone of {} lets it reach no controller",
        cluster.yard.name()
    );
    in_yard.broken(
        "walled-1",
        "session",
        &["no way to port 7310 of the controllers", &policy, "allow TCP 7310"],
    )?;
    let says = ["no way to port 7310 of the controllers: ", "no NetworkPolicy that can be seen forbids it"];
    in_yard.broken("cut-1", "session", &says)?;
    let pod = format!("{}/cut-1", cluster.yard.name());
    eventually("check names who is not in session", || {
        let (code, said) = rollcall.run(&["check"])?;
        Ok(code == 0 && said.contains("not in session: ") && said.contains(&pod))
    })?;

    // The other end may be shut as well.
    let open = json!([{"ports": [{"protocol": "TCP", "port": 7343}, {"protocol": "TCP", "port": 7391}]}]);
    let shut = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "shut"},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "controller"}},
            "policyTypes": ["Ingress"],
            "ingress": open,
        },
    });
    cluster.system.apply(&[shut])?;
    let policy =
        format!("a NetworkPolicy forbids it: shut of {} lets it in at no controller", cluster.system.name());
    in_yard.broken("cut-1", "session", &[&policy])?;
    rollcall.finds("sidecar-sessions", "fail", &["lets nobody in at port 7310: shut"])?;
    cluster.system.kubectl(&["delete", "networkpolicy", "shut"]).map(drop)
}

/// Its app waits; before it an init container has shut the ways to these addresses, from within the pod's own network.
fn cut_off_pod(name: &str, addresses: &str) -> Value {
    let mut cut_off = pod(name, WAITS);
    let mut cuts = cut_off["spec"]["containers"][0].clone();
    (cuts["name"], cuts["command"][3]) = ("cuts".into(), CUTS.into());
    cuts["env"] = json!([{"name": "ADDRESSES", "value": addresses}]);
    cuts["securityContext"] = json!({"runAsNonRoot": false, "runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}});
    cut_off["spec"]["initContainers"] = json!([cuts]);
    cut_off["metadata"]["annotations"] = json!({"rollcall.dev/inject": "true"});
    cut_off
}

/// Of the controllers' Service, and of each of them: who was in session once knows those too.
fn addresses(cluster: &Cluster) -> Result<String> {
    let pods = [
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=controller",
        "-o",
        "jsonpath={.items[*].status.podIP}",
    ];
    Ok(format!("{} {}", address_of_service(cluster)?, cluster.system.kubectl(&pods)?))
}

fn address_of_service(cluster: &Cluster) -> Result<String> {
    cluster.system.kubectl(&["get", "service", "rollcall-controller", "-o", "jsonpath={.spec.clusterIP}"])
}
