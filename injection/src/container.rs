//! Our containers and their volumes: of the pod they know what they ask for, and nothing that it could choose.

use rollcall_catalogue::Need;
use serde_json::{Value, json};

use crate::{
    ClusterDns, Install, NotAPod, PullPolicy, REQUIRES, SIDECAR, Settings, Way,
    pod::{Object, is_ours, list, name, own_containers},
    resolver::nameservers,
    resources::{carried, resources},
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

/// Puts our containers and volumes in the place of all that has their names; the warnings that this is worth. `again`: the pod
/// says that it was injected before.
pub(crate) fn add(
    spec: &mut Object,
    install: &Install<'_>,
    dns: Option<&ClusterDns>,
    needs: &[Need],
    again: bool,
) -> Result<Vec<String>, NotAPod> {
    let mut warnings = Vec::new();
    let image = &install.settings.image;
    let resources = resources(spec, install.settings);
    let begin = list(spec, "spec.initContainers")?;
    // Who forges the annotation and the image has our container with other amounts in his own pod, where ours names none: no
    // rights, and nothing of anybody else's.
    let of = |ours: &str| {
        let replaced = begin.iter().find(|container| name(container) == Some(ours));
        let replaced = replaced.filter(|container| again && is_of(container, image));
        replaced.map_or_else(|| resources.clone(), |replaced| carried(resources.clone(), replaced))
    };
    let (of_sidecar, of_requires) = (of(SIDECAR), of(REQUIRES));
    if !again {
        let foreign = begin.iter().filter(|container| is_ours(container) && !is_of(container, image));
        warnings.extend(foreign.filter_map(name).map(|name| replaced("spec.initContainers", name)));
    }
    begin.retain(|container| !is_ours(container));
    let mut ours = vec![sidecar(spec, install, dns, &of_sidecar)];
    if !needs.is_empty() {
        ours.push(requires(install.settings, needs, &of_requires));
    }
    list(spec, "spec.initContainers")?.splice(0..0, ours);
    let containers = list(spec, "spec.containers")?;
    // Nobody means these who had us inject the pod before.
    let beside = containers.iter().filter(|container| is_ours(container)).filter_map(name);
    warnings.extend(beside.map(|name| {
        format!(
            "spec.containers: {name} is a name of Rollcall's, and this one is taken out; give yours another"
        )
    }));
    containers.retain(|container| !is_ours(container));
    if containers.is_empty() {
        return Err(NotAPod { field: "spec.containers", problem: "has no container of its own" });
    }
    let volumes = list(spec, "spec.volumes")?;
    // With what makes a volume ours: Kubernetes may add to the rest.
    for (ours, form) in [
        (
            json!({"name": TOKEN_VOLUME, "projected": {"sources": [
                {"serviceAccountToken": {"audience": "rollcall", "expirationSeconds": 3600, "path": "token"}}]}}),
            "/projected/sources",
        ),
        (json!({"name": STATE_VOLUME, "emptyDir": {"sizeLimit": "16Mi"}}), "/emptyDir/sizeLimit"),
    ] {
        let same_name = |volume: &Value| name(volume) == name(&ours);
        let is_foreign = |volume: &&Value| same_name(volume) && volume.pointer(form) != ours.pointer(form);
        if !again && let Some(name) = volumes.iter().find(is_foreign).and_then(name) {
            warnings.push(replaced("spec.volumes", name));
        }
        // In its place, so that a pod that was injected before stays as it is.
        let place = volumes.iter().position(same_name).unwrap_or(volumes.len());
        volumes.retain(|volume| !same_name(volume));
        volumes.insert(place, ours);
    }
    Ok(warnings)
}

fn is_of(container: &Value, image: &str) -> bool {
    container.get("image").is_some_and(|its| its == image)
}

fn replaced(field: &str, name: &str) -> String {
    format!("{field}: {name} is a name of Rollcall's, and this one is replaced by ours; give yours another")
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
    if let Some(name) = &install.settings.controller_name {
        environment.push(plain("ROLLCALL_CONTROLLER_NAME", name.clone()));
    }
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
