use std::sync::Arc;

use proptest::prelude::*;
use rollcall_wire::{RegistrationKey, SelfPort};
use serde_json::{Value, json};

use super::*;
use crate::{
    index::{ManagedSpec, ObjectKey, Origin},
    status::{
        app_name, app_word, is_ours,
        managed_object::{object, read},
    },
};

fn uid() -> PodUid {
    "0b5e6a4c-58a4".into()
}

fn word(said: &SelfRegistration) -> Arc<Registration> {
    Arc::new(said.judge(&"shop".parse().unwrap()).unwrap())
}

fn written(word: &Arc<Registration>) -> (ObjectKey, ManagedSpec, ServiceRegistration) {
    let name = app_name(&RegistrationKey::of(word), &uid());
    let key = ObjectKey { namespace: word.key.namespace.clone(), name };
    let origin = Origin::App { pod: "orders-1".into(), uid: uid(), word: word.clone() };
    let spec = ManagedSpec { service: word.key.clone(), origin };
    let written = object(&key, &spec);
    (key, spec, written)
}

fn orders() -> SelfRegistration {
    serde_json::from_value(json!({"service": "orders", "ports": [{"port": 9090}], "tags": ["b", "a"],
        "probe": "none", "ttlSeconds": 3, "beside": true}))
    .unwrap()
}

#[test]
fn what_is_written_for_an_app() {
    let (_, _, written) = written(&word(&orders()));
    let mut json = serde_json::to_value(&written).unwrap();
    let name = json["metadata"]["name"].take();
    let said = json["metadata"]["annotations"].take();
    assert!(name.as_str().unwrap().starts_with("orders.pod-"), "{name}");
    assert_eq!(
        json,
        json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            "metadata": {
                "name": null, "namespace": "shop", "annotations": null,
                "labels": {"app.kubernetes.io/managed-by": "rollcall-controller"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "orders-1", "uid": "0b5e6a4c-58a4"}],
            },
            "spec": {
                "service": "orders", "target": {"pod": {"name": "orders-1", "uid": "0b5e6a4c-58a4"}},
                "ports": [{"name": "port-9090", "port": 9090, "protocol": "TCP"}],
                "tags": ["a", "b"], "heartbeat": {"intervalSeconds": 3, "ttlSeconds": 3},
            },
        })
    );
    let said: SelfRegistration = serde_json::from_str(said["rollcall.dev/said"].as_str().unwrap()).unwrap();
    assert_eq!(said, SelfRegistration { tags: vec!["a".to_owned(), "b".to_owned()], ..orders() });
}

/// Whoever gives it another word makes it his.
#[test]
fn what_was_changed_is_not_ours_any_more() {
    let (_, _, written) = written(&word(&orders()));
    assert!(is_ours(&written));
    let whole = serde_json::to_value(&written).unwrap();
    let changed = |path: &str, value: Value| {
        let mut json = whole.clone();
        *json.pointer_mut(path).unwrap() = value;
        serde_json::from_value::<ServiceRegistration>(json).unwrap()
    };
    let other = serde_json::to_string(&SelfRegistration { weight: Some(7), ..orders() }).unwrap();
    let table = [
        ("/metadata/name", json!("orders.pod-0123456789abcdef")),
        ("/metadata/labels/app.kubernetes.io~1managed-by", json!("Helm")),
        ("/metadata/ownerReferences", json!([])),
        ("/metadata/ownerReferences/0/uid", json!("another")),
        ("/metadata/ownerReferences/0/kind", json!("ReplicaSet")),
        ("/metadata/annotations/rollcall.dev~1said", json!(other)),
        ("/metadata/annotations/rollcall.dev~1said", json!("{}")),
        ("/metadata/annotations", json!({})),
        ("/spec/tags", json!(["a", "c"])),
        ("/spec/ports/0/port", json!(9091)),
        ("/spec/target/pod/uid", json!("another")),
        ("/spec/target/pod/name", json!("orders-2")),
        ("/spec/target", json!({"selector": {"matchLabels": {"app": "orders"}}})),
        ("/spec/heartbeat/ttlSeconds", json!(4)),
        ("/spec/service", json!("billing")),
    ];
    for (path, value) in table {
        let object = changed(path, value);
        assert!(!is_ours(&object) && app_word(&object).is_none(), "{path}: {object:?}");
    }
    let mut more = whole.clone();
    more["spec"]["weight"] = json!(7);
    assert!(!is_ours(&serde_json::from_value(more).unwrap()));
    let mut more = whole;
    more["metadata"]["labels"]["team"] = json!("shop");
    more["metadata"]["annotations"]["note"] = json!("seen");
    assert!(is_ours(&serde_json::from_value(more).unwrap()), "labels of others are no words");
}

fn said() -> impl Strategy<Value = SelfRegistration> {
    let port = (any::<bool>(), 1u32..=65_535, 0..3usize, proptest::option::of("[a-z]{1,8}"));
    let ports = proptest::collection::vec(port, 1..4);
    let probe = prop::sample::select(vec!["tcp", "none", "grpc", "http:/healthz?a=b"]);
    let text = "\\PC{0,20}";
    let version = prop::sample::select(vec!["1.4.2", "2.0.0-rc.1+b7"]);
    let attributes = (
        proptest::option::of(version),
        proptest::collection::vec("[a-z]{1,8}", 0..3),
        proptest::collection::btree_map("[a-z]{1,8}", text, 0..3),
        proptest::option::of(0u32..=1_000),
        proptest::option::of(probe),
        proptest::option::of(1u32..=3_600),
    );
    ("[a-z]{1,8}", ports, attributes, any::<bool>()).prop_map(|(service, ports, attributes, beside)| {
        let (version, tags, metadata, weight, probe, ttl_seconds) = attributes;
        let alone = ports.len() == 1;
        let port =
            |(number, (unnamed, port, protocol, app_protocol)): (usize, (bool, u32, usize, _))| SelfPort {
                name: (!(unnamed && alone)).then(|| format!("p{number}")),
                port,
                protocol: [None, Some("UDP"), Some("SCTP")][protocol].map(str::to_owned),
                app_protocol,
            };
        SelfRegistration {
            service: service.parse().unwrap(),
            version: version.map(str::to_owned),
            ports: ports.into_iter().enumerate().map(port).collect(),
            tags,
            metadata,
            weight,
            probe: probe.map(str::to_owned),
            ttl_seconds,
            beside,
        }
    })
}

proptest! {
    #[test]
    fn what_was_said_comes_back_to_the_letter(said in said()) {
        let Ok(word) = said.judge(&"shop".parse().unwrap()) else { return Ok(()) };
        let word = Arc::new(word);
        let (key, spec, written) = written(&word);
        // As the API server gives it back.
        let text = serde_json::to_string(&written).unwrap();
        let there: ServiceRegistration = serde_json::from_str(&text).unwrap();
        prop_assert!(is_ours(&there));
        let kept = app_word(&there).unwrap();
        prop_assert_eq!((kept.uid, kept.word), (uid(), word.clone()));
        prop_assert!(read(&key, &spec).is_some(), "our own conversion takes it");
        prop_assert_eq!(SelfRegistration::of(&word).judge(&word.key.namespace), Ok((*word).clone()));
    }
}
