//! An installation, and what becomes of a pod in it.

use rollcall_injection::{ClusterDns, Decision, Injected, Install, Settings, Way, apply, inject};
use serde_json::{Value, json};

pub(crate) fn settings() -> Settings {
    Settings { image: "registry.example/sidecar:1".to_owned(), ..Settings::default() }
}

pub(crate) fn way() -> Way {
    Way::Direct {
        controller: "10.96.7.7:7310".parse().unwrap(),
        ca_pem: "-----BEGIN CERTIFICATE-----".to_owned(),
    }
}

pub(crate) fn dns() -> ClusterDns {
    ClusterDns {
        nameservers: vec!["10.96.0.10".parse().unwrap()],
        services: "svc.cluster.local".to_owned(),
        rest: vec!["svc.cluster.local".to_owned(), "cluster.local".to_owned()],
    }
}

/// The pod as the API server would store it, and what its maker hears.
pub(crate) fn injected(pod: &Value) -> (Value, Vec<String>) {
    let (settings, way, dns) = (settings(), way(), dns());
    injected_by(pod, &Install { settings: &settings, way: &way, dns: Some(&dns) })
}

pub(crate) fn injected_by(pod: &Value, install: &Install<'_>) -> (Value, Vec<String>) {
    let decision = inject(pod, "shop", install).unwrap();
    let Decision::Injected(Injected { additions, warnings }) = decision else { panic!("{decision:?}") };
    let mut made = pod.clone();
    apply(&mut made, &additions).unwrap();
    (made, warnings)
}

/// A pod of one container, with this in its metadata's annotations and in its spec.
pub(crate) fn pod(annotations: Value, more: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "orders-1", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "orders", "ports": [{"containerPort": 8080}]}]}
    });
    pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pod
}

pub(crate) fn plain() -> Value {
    pod(json!({}), json!({}))
}

pub(crate) fn sidecar(pod: &Value) -> &Value {
    let first = &pod["spec"]["initContainers"][0];
    assert_eq!(first["name"], "rollcall-sidecar");
    first
}

pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let found = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
    found.unwrap_or(&Value::Null)
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}
