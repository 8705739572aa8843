//! The conversion against objects that nobody would write by hand.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "a test's helpers are tests too")]

use proptest::{collection::vec, option, prelude::*, sample::select};
use rollcall_crds::{ServiceRegistration, registration};
use serde_json::{Map, Value, json};

fn object(spec: Value) -> ServiceRegistration {
    let object = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": "orders", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// Each field with a value that the schema lets in.
fn any_accepted() -> impl Strategy<Value = Value> {
    let name = "[a-z]([a-z0-9-]{0,10}[a-z0-9])?";
    let labels = proptest::collection::btree_map("[a-z]{1,5}", "[a-z0-9]{0,5}", 1..4);
    let numbers = proptest::collection::btree_set(0u32..0x00ff_ffff, 1..5);
    let addresses = numbers.prop_map(|numbers| {
        let one =
            |number: u32| json!({"address": std::net::Ipv4Addr::from(0x0a00_0000 | number).to_string()});
        json!({"addresses": numbers.into_iter().map(one).collect::<Vec<_>>()})
    });
    let target = prop_oneof![
        labels.prop_map(|labels| json!({"selector": {"matchLabels": labels}})),
        name.prop_map(|name| json!({"service": {"name": name}})),
        (name, "[a-f0-9][a-f0-9-]{35}").prop_map(|(name, uid)| json!({"pod": {"name": name, "uid": uid}})),
        addresses,
    ];
    let port = (1u16.., select(vec!["TCP", "UDP", "SCTP"]));
    let ports = proptest::collection::btree_map(name, port, 1..5).prop_map(|ports| {
        let one = |(name, (port, protocol))| json!({"name": name, "port": port, "protocol": protocol});
        ports.into_iter().map(one).collect::<Vec<_>>()
    });
    let probe = (100i32..=300_000, 1i32..=10, "/[!-~]{0,20}").prop_map(
        |(ms, times, path)| json!({"http": {"path": path}, "timeoutMilliseconds": ms, "successThreshold": times}),
    );
    let words = vec(r"[\PC&&[^\x{2028}\x{2029}]]{0,31}[\pL\pN\pS][\PC&&[^\x{2028}\x{2029}]]{0,31}", 0..4);
    let version = "(0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})(-[a-z]{1,5}[.](0|[1-9]))?([+][0-9]{1,4})?";
    (
        target,
        ports,
        option::of(version),
        option::of(0i32..=1_000),
        option::of(probe),
        words,
        option::of(1i32..=3_600),
    )
        .prop_map(|(target, ports, version, weight, probe, words, seconds)| {
            let mut spec = Map::new();
            spec.insert("target".to_owned(), target);
            spec.insert("ports".to_owned(), ports.into());
            spec.insert("version".to_owned(), version.into());
            spec.insert("weight".to_owned(), weight.into());
            spec.insert("probe".to_owned(), probe.unwrap_or_default());
            let metadata: Map<_, _> = words.iter().map(|word| (word.clone(), json!(word))).collect();
            spec.insert("metadata".to_owned(), metadata.into());
            spec.insert("tags".to_owned(), words.into());
            let beat = seconds.map(|seconds| json!({"intervalSeconds": seconds, "ttlSeconds": seconds}));
            spec.insert("heartbeat".to_owned(), beat.unwrap_or_default());
            Value::Object(spec)
        })
}

/// Text as no schema would let in, and some that it would.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,80}", "[a-z0-9-]{0,70}", Just(String::new()), Just("http".to_owned()), "(?s).{0,20}"]
}

/// Every field with anything of its type.
fn any_typed() -> impl Strategy<Value = Value> {
    let selector = vec((any_text(), any_text(), vec(any_text(), 0..3)), 0..3).prop_map(|all| {
        let one = |(key, operator, values)| json!({"key": key, "operator": operator, "values": values});
        json!({"matchExpressions": all.into_iter().map(one).collect::<Vec<_>>()})
    });
    let addresses =
        vec(prop_oneof![any_text(), any::<std::net::IpAddr>().prop_map(|ip| ip.to_string())], 0..4)
            .prop_map(|all| all.into_iter().map(|text| json!({"address": text})).collect::<Vec<_>>());
    let target = (
        option::of(selector),
        option::of(any_text().prop_map(|name| json!({"name": name}))),
        option::of((any_text(), any_text()).prop_map(|(name, uid)| json!({"name": name, "uid": uid}))),
        option::of(addresses),
    )
        .prop_map(|(selector, service, pod, addresses)| {
            json!({"selector": selector, "service": service, "pod": pod, "addresses": addresses})
        });
    let ports = vec((any_text(), any::<i32>(), any_text(), option::of(any_text())), 0..4).prop_map(|all| {
        let one = |(name, port, protocol, spoken)| {
            json!({"name": name, "port": port, "protocol": protocol, "appProtocol": spoken})
        };
        all.into_iter().map(one).collect::<Vec<_>>()
    });
    let probe = (option::of(any_text()), option::of(any_text()), option::of(any_text()), any::<[i32; 4]>())
        .prop_map(|(path, tcp, grpc, [a, b, c, d])| {
            json!({
                "http": path.map(|path| json!({"path": path})),
                "tcp": tcp.map(|port| json!({"port": port})),
                "grpc": grpc.map(|service| json!({"service": service})),
                "intervalMilliseconds": a, "timeoutMilliseconds": b, "failureThreshold": c, "successThreshold": d,
            })
        });
    let visibility = (any_text(), vec(any_text(), 0..3))
        .prop_map(|(scope, namespaces)| json!({"scope": scope, "namespaces": namespaces}));
    (
        target,
        ports,
        option::of(probe),
        option::of(visibility),
        (option::of(any_text()), option::of(any_text()), option::of(any_text())),
        vec(any_text(), 0..3),
        (option::of(any::<i32>()), option::of(any::<[i32; 2]>())),
    )
        .prop_map(|(target, ports, probe, visibility, (service, version, policy), tags, (weight, beat))| {
            let metadata: Map<_, _> = tags.iter().map(|word| (word.clone(), json!(word))).collect();
            json!({
                "service": service, "version": version, "target": target, "ports": ports, "tags": tags,
                "metadata": metadata, "weight": weight, "probe": probe, "visibility": visibility,
                "heartbeat": beat.map(|[interval, ttl]| json!({"intervalSeconds": interval, "ttlSeconds": ttl})),
                "loadBalancing": policy.map(|policy| json!({"policy": policy})),
            })
        })
}

proptest! {
    #[test]
    fn what_the_schema_lets_in_becomes_a_registration(spec in any_accepted()) {
        let object = object(spec);
        let converted = registration(&object);
        prop_assert!(converted.is_ok(), "{:?}", converted);
        prop_assert_eq!(converted.unwrap().check(), []);
    }

    #[test]
    fn anything_else_is_refused_by_name_and_never_a_panic(spec in any_typed()) {
        let object = object(spec);
        let again: ServiceRegistration = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
        prop_assert_eq!(&again.spec, &object.spec, "what is written can be read");
        match registration(&object) {
            Ok(registration) => prop_assert_eq!(registration.check(), []),
            Err(errors) => {
                prop_assert!(errors.iter().count() > 0);
                prop_assert!(errors.to_string().len() < 8_192);
                for error in errors.iter().map(ToString::to_string) {
                    prop_assert!(error.starts_with("spec.") && error.contains("; "), "{}", error);
                }
            }
        }
    }
}
