//! Pods that say the wrong thing, get no sidecar, are not ready, or listen elsewhere.

use anyhow::{Result, ensure};
use rollcall_slice::{Cluster, Rollcall, SERVES, WAITS, deployment, eventually, pod, with_annotations};
use serde_json::{Value, json};

/// Serves on loopback alone.
const ON_LOOPBACK: &str = "exec /bin/busybox httpd -f -p 127.0.0.1:8080";
/// Comes to an end at once.
const CRASHES: &str = "exit 7";

pub(crate) fn make(cluster: &Cluster) -> Result<()> {
    let says = |name: &str, annotations: Value| with_annotations(pod(name, SERVES), &annotations);
    let mut on_label = pod("label-1", SERVES);
    on_label["metadata"]["labels"]["rollcall.dev/service"] = "label".into();
    let mut on_deployment = deployment(1, &pod("owner", SERVES));
    on_deployment["metadata"]["annotations"] = json!({"rollcall.dev/service": "owner"});
    cluster.shop.apply(&[
        says("misspelt-1", json!({"rollcall.dev/servce": "cart"})),
        says("domain-1", json!({"rollcall.io/service": "cart"})),
        says("value-1", json!({"rollcall.dev/service": "value", "rollcall.dev/port": "web"})),
        on_label,
        on_deployment,
        says("declines-1", json!({"rollcall.dev/inject": "false"})),
    ])?;
    cluster.shop.apply(&unready_ones())?;
    cluster.shop.apply(&with_wrong_ports())?;
    let mut on_host = with_annotations(pod("host-1", WAITS), &json!({"rollcall.dev/inject": "true"}));
    on_host["spec"]["hostNetwork"] = true.into();
    cluster.yard.apply(&[on_host, says("unasked-1", json!({"rollcall.dev/service": "unasked"}))])
}

fn unready_ones() -> [Value; 6] {
    let named = |name: &str, script: &str| {
        let service = name.trim_end_matches("-1");
        with_annotations(
            pod(name, script),
            &json!({"rollcall.dev/service": service, "rollcall.dev/port": "8080"}),
        )
    };
    let mut probe = named("probe-1", SERVES);
    probe["spec"]["containers"][0]["readinessProbe"] =
        json!({"tcpSocket": {"port": 9999}, "periodSeconds": 1});
    let mut gate = named("gate-1", SERVES);
    gate["spec"]["readinessGates"] = json!([{"conditionType": "example.com/load-balancer"}]);
    let mut image = named("image-1", SERVES);
    image["spec"]["containers"][0]["image"] = "registry.invalid/nothing:1".into();
    image["spec"]["containers"][0]["imagePullPolicy"] = "Never".into();
    let mut init = named("init-1", SERVES);
    let mut migrate = init["spec"]["containers"][0].clone();
    (migrate["name"], migrate["command"][3]) = ("migrate".into(), CRASHES.into());
    if let Some(migrate) = migrate.as_object_mut() {
        migrate.remove("readinessProbe");
        migrate.remove("ports");
    }
    init["spec"]["initContainers"] = json!([migrate]);
    let mut nowhere = named("nowhere-1", SERVES);
    nowhere["spec"]["nodeSelector"] = json!({"example.com/nowhere": "1"});
    [probe, gate, image, init, named("crash-1", CRASHES), nowhere]
}

fn with_wrong_ports() -> [Value; 3] {
    let elsewhere = json!({"rollcall.dev/service": "elsewhere", "rollcall.dev/port": "http:9999"});
    let on_loopback = json!({"rollcall.dev/service": "on-loopback", "rollcall.dev/port": "8080"});
    let datagrams = json!({"rollcall.dev/service": "datagrams", "rollcall.dev/port": "5353"});
    let mut udp = with_annotations(pod("datagrams-1", WAITS), &datagrams);
    udp["spec"]["containers"][0]["ports"] = json!([{"containerPort": 5353, "protocol": "UDP"}]);
    [
        with_annotations(pod("elsewhere-1", SERVES), &elsewhere),
        with_annotations(pod("loopback-1", ON_LOOPBACK), &on_loopback),
        udp,
    ]
}

pub(crate) fn wrong_annotations(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    for (pod, says) in [
        ("misspelt-1", &["rollcall.dev/servce means nothing", "did you mean rollcall.dev/service?"][..]),
        ("domain-1", &["rollcall.io/service means nothing", "did you mean rollcall.dev/service?"]),
        (
            "value-1",
            &["rollcall.dev/port: `web` holds no port of 1 to 65535", "use `8080` or `http:8080,grpc:9090`"],
        ),
        ("label-1", &["rollcall.dev/service is a label of the pod", "write it as an annotation"]),
    ] {
        rollcall.broken(pod, "annotation", says)?;
    }
    cluster.shop.all_ready("owner", 1)?;
    let pods = cluster.shop.pods(Some("owner"))?;
    ensure!(pods.len() == 1, "{pods:?}");
    let says = ["an annotation of the Deployment owner itself", "spec.template.metadata.annotations"];
    rollcall.broken(pods[0].name(), "annotation", &says)
}

pub(crate) fn without_a_sidecar(rollcall: &Rollcall, cluster: &Cluster) -> Result<()> {
    rollcall.broken("declines-1", "injection", &["its annotation rollcall.dev/inject declines a sidecar"])?;
    let in_yard = rollcall.within(&cluster.yard);
    in_yard.broken("host-1", "injection", &["it can have no sidecar", "node's network"])?;
    let label =
        format!("kubectl label namespace {} --overwrite rollcall.dev/inject=enabled", cluster.yard.name());
    in_yard.broken("unasked-1", "injection", &["nobody asked for one", &label])?;
    let labelled = |label: &str| {
        cluster.kubectl(&["label", "namespace", cluster.yard.name(), "--overwrite", label]).map(drop)
    };
    labelled("rollcall.dev/inject=true")?;
    in_yard.broken("unasked-1", "injection", &["is `true`, and must be `enabled`", &label])?;
    labelled("rollcall.dev/inject=enabled")?;
    let says =
        ["it is older than the label of its namespace", "delete the pod unasked-1 and create it again"];
    in_yard.broken("unasked-1", "injection", &says)?;
    rollcall.finds("without-sidecar", "warn", &[&format!("{}/unasked-1", cluster.yard.name())])?;
    labelled("rollcall.dev/inject-")
}

pub(crate) fn unready(rollcall: &Rollcall, _: &Cluster) -> Result<()> {
    for (pod, says) in [
        ("probe-1", &["not ready: app (its readiness probe fails)", "describe pod probe-1"][..]),
        ("gate-1", &["readiness gate example.com/load-balancer"]),
        ("image-1", &["app (ErrImageNeverPull: "]),
        ("init-1", &["init container migrate (", "exit code 7"]),
        ("crash-1", &["app (", "exit code 7"]),
        ("nowhere-1", &["no node takes it (Unschedulable"]),
    ] {
        rollcall.broken(pod, "readiness", says)?;
    }
    Ok(())
}

pub(crate) fn wrong_ports(rollcall: &Rollcall, _: &Cluster) -> Result<()> {
    for (pod, says) in [
        (
            "elsewhere-1",
            &[
                "nobody listens at port 9999 (`elsewhere`)",
                "its containers declare 8080: correct rollcall.dev/port",
            ][..],
        ),
        ("loopback-1", &["listens at port 8080 of 127.0.0.1 alone", "let it listen at 0.0.0.0"]),
        (
            "datagrams-1",
            &["nobody listens at port 5353", "its containers declare 5353/UDP: an annotation means TCP"],
        ),
    ] {
        rollcall.broken(pod, "probe", says)?;
    }
    // Of the service the same is told by its own witnesses.
    eventually("the service is told with its witnesses", || {
        let (code, said) = rollcall.run(&["explain", "elsewhere"])?;
        Ok(code == 0 && said.contains("0 of 1 served") && said.contains("ProbeRefused"))
    })
}
