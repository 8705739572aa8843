//! An installation, and what becomes of a pod in it.

use rollcall_injection::{ClusterDns, Decision, Injected, Install, Settings, Way, apply, inject};
use serde_json::Value;

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
