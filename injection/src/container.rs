//! Our containers and their volumes: of the pod they know what they ask for, and nothing that it could choose.

use rollcall_catalogue::Need;
use serde_json::{Value, json};

use crate::{
    ClusterDns, Install, NotAPod, PullPolicy, REQUIRES, SIDECAR, Settings, Way,
    pod::{Object, is_ours, list, name, own_containers},
    resolver::nameservers,
    resources::resources,
};

/// Where the kubelet asks and preStop hooks wait, on the pod's address.
pub(crate) const HEALTH_PORT: u16 = 7390;
/// The name of that port, unless the pod has one of this name.
const HEALTH_NAME: &str = "rollcall";

const TOKEN_VOLUME: &str = "rollcall-token";
const TOKEN_DIR: &str = "/var/run/secrets/rollcall";
/// Where the API server would mount the token of the app, with all rights that the app has: not where something is already.
const API_TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const STATE_VOLUME: &str = "rollcall-state";
const STATE_DIR: &str = "/var/lib/rollcall";

/// Whoever this is has no files and no rights on any image or node.
const NOBODY: u32 = 65_532;

/// Puts our containers and volumes in the place of all that has their names. True where one that does not begin the pod was
/// taken away, which nobody means who had us inject it before.
pub(crate) fn add(
    spec: &mut Object,
    install: &Install<'_>,
    dns: Option<&ClusterDns>,
    needs: &[Need],
) -> Result<bool, NotAPod> {
    let resources = resources(spec, install.settings);
    let mut ours = vec![sidecar(spec, install, dns, &resources)];
    if !needs.is_empty() {
        ours.push(requires(install.settings, needs, &resources));
    }
    let begin = list(spec, "spec.initContainers")?;
    begin.retain(|container| !is_ours(container));
    begin.splice(0..0, ours);
    let containers = list(spec, "spec.containers")?;
    let before = containers.len();
    containers.retain(|container| !is_ours(container));
    let taken = containers.len() < before;
    if containers.is_empty() {
        return Err(NotAPod { field: "spec.containers", problem: "has no container of its own" });
    }
    let volumes = list(spec, "spec.volumes")?;
    for ours in [
        json!({"name": TOKEN_VOLUME, "projected": {"sources": [
            {"serviceAccountToken": {"audience": "rollcall", "expirationSeconds": 3600, "path": "token"}}]}}),
        json!({"name": STATE_VOLUME, "emptyDir": {"sizeLimit": "16Mi"}}),
    ] {
        // In its place, so that a pod that was injected before stays as it is.
        let place = volumes.iter().position(|volume| name(volume) == name(&ours)).unwrap_or(volumes.len());
        volumes.retain(|volume| name(volume) != name(&ours));
        volumes.insert(place, ours);
    }
    Ok(taken)
}

fn sidecar(spec: &Object, install: &Install<'_>, dns: Option<&ClusterDns>, resources: &Value) -> Value {
    let asked = |path: &str| json!({"path": path, "port": HEALTH_PORT});
    // A resolver that asks before the sidecar is in step may believe that a name is unknown.
    let started = if dns.is_some() { "/startz" } else { "/healthz" };
    let mut container = json!({
        "name": SIDECAR,
        "image": install.settings.image,
        "imagePullPolicy": pull_policy(install.settings),
        "restartPolicy": "Always",
        "env": environment(install, dns, resources),
        "startupProbe": {"httpGet": asked(started), "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 30},
        "livenessProbe": {"httpGet": asked("/healthz"), "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3},
        "resources": resources,
        "securityContext": security(),
        "volumeMounts": [
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIR, "readOnly": true},
            no_api_token(),
            {"name": STATE_VOLUME, "mountPath": STATE_DIR},
        ],
    });
    let ports = own_containers(spec).filter_map(|container| container.get("ports")?.as_array()).flatten();
    if let Some(members) = container.as_object_mut()
        && !ports.into_iter().any(|port| name(port) == Some(HEALTH_NAME))
    {
        let port = json!({"name": HEALTH_NAME, "containerPort": HEALTH_PORT, "protocol": "TCP"});
        members.insert("ports".to_owned(), json!([port]));
    }
    container
}

/// It ends well whatever it finds: an app that starts without what it requires can still say so itself.
fn requires(settings: &Settings, needs: &[Need], resources: &Value) -> Value {
    let needs: Vec<_> = needs.iter().map(ToString::to_string).collect();
    let timeout = format!("{}s", settings.requires_timeout_seconds);
    json!({
        "name": REQUIRES,
        "image": settings.image,
        "imagePullPolicy": pull_policy(settings),
        "args": ["requires", "--deps", needs.join(","), "--timeout", timeout],
        "resources": resources,
        "securityContext": security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [no_api_token()],
    })
}

/// Our own token once more, which the API server refuses: what takes the place needs no volume of its own.
fn no_api_token() -> Value {
    json!({"name": TOKEN_VOLUME, "mountPath": API_TOKEN_DIR, "readOnly": true})
}

fn environment(install: &Install<'_>, dns: Option<&ClusterDns>, resources: &Value) -> Vec<Value> {
    let plain = |name: &str, value: String| json!({"name": name, "value": value});
    let from = |name: &str, source: &str, what: Value| json!({"name": name, "valueFrom": {source: what}});
    let (controller, ca) = ("ROLLCALL_CONTROLLER", "ROLLCALL_CA_PEM");
    let mut environment = match install.way {
        Way::Direct { controller: address, ca_pem } => {
            vec![plain(controller, address.to_string()), plain(ca, ca_pem.clone())]
        }
        Way::ConfigMap(map) => vec![
            from(controller, "configMapKeyRef", json!({"name": map, "key": "controller"})),
            from(ca, "configMapKeyRef", json!({"name": map, "key": "ca.crt"})),
        ],
    };
    environment.push(from("ROLLCALL_NAMESPACE", "fieldRef", json!({"fieldPath": "metadata.namespace"})));
    if resources.pointer("/limits/memory").is_some() {
        let limit = json!({"containerName": SIDECAR, "resource": "limits.memory", "divisor": "1Mi"});
        environment.push(from("ROLLCALL_MEMORY_MAX_MIB", "resourceFieldRef", limit));
    }
    if let Some(dns) = dns {
        let listen = "127.0.0.1:7353,[::1]:7353,127.0.0.1:53".to_owned();
        let asked: Vec<_> = nameservers(dns).map(|ip| ip.to_string()).collect();
        environment.push(plain("ROLLCALL_DNS_LISTEN", listen));
        environment.push(plain("ROLLCALL_DNS_FORWARD", asked.join(",")));
    }
    environment
}

fn pull_policy(settings: &Settings) -> &'static str {
    match settings.image_pull_policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

/// What the Pod Security Standard `restricted` asks for, and no writing.
fn security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "runAsUser": NOBODY,
        "runAsGroup": NOBODY,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}
