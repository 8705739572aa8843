//! Plain apps, as people write them who know nothing of sidecars: each is a container `app` that Pod Security `restricted`
//! takes.

use rollcall_cluster::TOOLBOX;
use serde_json::{Value, json};

/// Serves port 8080. The server is no PID 1, so that it can crash (USR1) and come back (USR2) while its container lives.
pub const SERVES: &str = "serve() { /bin/busybox httpd -f -p 8080 & server=$!; }
trap 'kill $server' USR1
trap serve USR2
trap 'exit 0' TERM
serve
while :; do wait $server; /bin/busybox sleep 1 & wait $!; done";
/// Is there to be asked by kubectl.
pub const WAITS: &str = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 3600 & wait $!; done";

/// A pod of this name whose app runs this script; one that serves is ready when it does.
pub fn pod(name: &str, script: &str) -> Value {
    let mut app = json!({
        "name": "app",
        "image": TOOLBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", script],
        "securityContext": security(),
    });
    if script == SERVES {
        app["ports"] = json!([{"name": "http", "containerPort": 8080}]);
        app["readinessProbe"] = json!({"tcpSocket": {"port": "http"}, "periodSeconds": 1});
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65_532,
                "runAsGroup": 65_532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            // No app of ours ever calls the API server.
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": [app],
        },
    })
}

/// The same with these annotations.
pub fn with_annotations(mut pod: Value, annotations: &Value) -> Value {
    pod["metadata"]["annotations"] = annotations.clone();
    pod
}

/// So many of such a pod, under its name and with its label `app`.
pub fn deployment(replicas: u8, pod: &Value) -> Value {
    let (metadata, mut template) = (&pod["metadata"], pod.clone());
    for field in ["apiVersion", "kind"] {
        template.as_object_mut().map(|template| template.remove(field));
    }
    template["metadata"].as_object_mut().map(|metadata| metadata.remove("name"));
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": metadata["name"]},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": metadata["name"]}},
            "template": template,
        },
    })
}

fn security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}
