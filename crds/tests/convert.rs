//! The conversion, field by field: what arrives, and what is refused in which words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test's helpers are tests too"
)]

use rollcall_catalogue::{Policy, Target, Transport, Visibility};
use rollcall_crds::{ServiceRegistration, ServiceRegistrationStatus, SpecErrors, registration};
use serde_json::{Value, json};

fn object(spec: Value) -> ServiceRegistration {
    let object = json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": "orders", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// The smallest spec with these fields on top.
fn with(fields: Value) -> Value {
    let mut spec = json!({
        "target": {"selector": {"matchLabels": {"app": "orders"}}},
        "ports": [{"name": "http", "port": 8080}],
    });
    let Value::Object(fields) = fields else { panic!("{fields}") };
    spec.as_object_mut().unwrap().extend(fields);
    spec
}

fn refused(spec: Value) -> SpecErrors {
    let converted = registration(&object(spec.clone()));
    converted.expect_err(&spec.to_string())
}

#[test]
fn everything_that_is_said_arrives() {
    let registration = registration(&object(with(json!({
        "service": "cart",
        "version": "1.4.2",
        "ports": [
            {"name": "http", "port": 8080, "appProtocol": "http"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
        "tags": ["blue"],
        "metadata": {"team": "payments", "note": ""},
        "weight": 0,
        "probe": {"grpc": {"service": "a.B", "port": "http"}, "failureThreshold": 5},
        "heartbeat": {"ttlSeconds": 60},
        "loadBalancing": {"policy": "PowerOfTwo"},
        "visibility": {"scope": "Namespaces", "namespaces": ["b", "a"]},
    }))))
    .unwrap();
    assert_eq!(registration.key.to_string(), "cart.shop");
    assert_eq!(registration.policy, Some(Policy::PowerOfTwo));
    assert_eq!(registration.visibility.unwrap().to_string(), "a,b");
    let said = registration.attributes;
    assert_eq!(said.version.unwrap().to_string(), "1.4.2");
    assert_eq!((said.tags.len(), said.metadata.len(), said.weight), (1, 2, Some(0)));
    assert_eq!(
        said.ports.iter().map(|port| port.transport).collect::<Vec<_>>(),
        [Transport::Tcp, Transport::Udp]
    );
    let rollcall_catalogue::Probing::By(probe) = said.probe.unwrap() else { panic!("off") };
    assert_eq!((probe.check.to_string().as_str(), probe.check.port()), ("grpc", Some("http")));
    assert_eq!((probe.interval_ms, probe.timeout_ms), (500, 1_000));
    assert_eq!((probe.failure_threshold, probe.success_threshold), (5, 1));
    let heartbeat = said.heartbeat.unwrap();
    assert_eq!((heartbeat.interval_seconds, heartbeat.ttl_seconds), (5, 60));
}

#[test]
fn what_is_left_out_says_nothing() {
    let registration = registration(&object(with(json!({})))).unwrap();
    assert_eq!(registration.key.to_string(), "orders.shop");
    assert_eq!((registration.policy, registration.visibility), (None, None));
    let said = registration.attributes;
    assert_eq!((said.version, said.weight, said.probe, said.heartbeat), (None, None, None, None));
}

#[test]
fn each_target_arrives_as_what_it_is() {
    let target = |target: Value| registration(&object(with(json!({"target": target})))).unwrap().target;
    let expressions = json!([{"key": "tier", "operator": "In", "values": ["a"]}]);
    assert!(matches!(target(json!({"selector": {"matchExpressions": expressions}})),
        Target::Selector(selector) if selector.match_expressions.len() == 1));
    assert_eq!(target(json!({"service": {"name": "cart"}})), Target::Service("cart".into()));
    assert!(matches!(target(json!({"pod": {"name": "cart-1", "uid": "u"}})),
        Target::Pod { name, uid } if &*name == "cart-1" && *uid.text() == *"u"));
    assert!(
        matches!(target(json!({"addresses": [{"address": "10.0.0.5", "zone": "a"}, {"address": "2001:DB8::5"}]})),
        Target::Addresses(all) if all.len() == 2 && all[0].zone.as_deref() == Some("a"))
    );
    let without_ports = object(json!({"target": {"service": {"name": "cart"}}}));
    assert!(registration(&without_ports).is_ok(), "a Service knows its ports");
}

#[test]
fn each_scope_arrives_as_what_it_is() {
    let seen = |scope: &str| registration(&object(with(json!({"visibility": {"scope": scope}}))));
    assert_eq!(seen("Cluster").unwrap().visibility, Some(Visibility::Cluster));
    assert_eq!(seen("Namespace").unwrap().visibility, Some(Visibility::own()));
}

#[test]
fn what_gets_past_a_schema_is_named_with_its_remedy() {
    let addresses = |list: Value| json!({"target": {"addresses": list}});
    let table = [
        (json!({"service": "Orders"}), "spec.service: `Orders` is no DNS-1123 label; use"),
        (json!({"version": "v1"}), "spec.version: `v1` is no semantic version"),
        (json!({"target": {}}), "spec.target: means nothing; set exactly one"),
        (
            json!({"target": {"service": {"name": "a"}, "addresses": []}}),
            "spec.target: means several things; keep exactly one",
        ),
        (addresses(json!([])), "spec.target.addresses: 0 entries; use 1 to 256"),
        (
            addresses(json!([{"address": "db.example"}])),
            "spec.target.addresses[0].address: `db.example` is no IP address; use IPv4",
        ),
        (addresses(json!([{"address": "127.0.0.1"}])), "spec.target.addresses: `127.0.0.1` is loopback; use"),
        (
            addresses(json!([{"address": "64:ff9b::127.0.0.1"}])),
            "spec.target.addresses: `64:ff9b::7f00:1` is loopback; use an address",
        ),
        (
            addresses(json!([{"address": "::2"}])),
            "spec.target.addresses: `::2` is IPv4 in the form of IPv6; write it as IPv4",
        ),
        (
            addresses(json!([{"address": "10.0.0.5", "zone": "eu west"}])),
            "spec.target.addresses: `eu west`, the zone of `10.0.0.5`, is no name of a zone; use",
        ),
        (
            json!({"target": {"service": {}}}),
            "spec.target.service.name: `` is no name of a Service; use that of a Service of the same namespace",
        ),
        (
            json!({"target": {"pod": {"name": "orders-1"}}}),
            "spec.target.pod.uid: `` is no UID of a pod; use the pod's metadata.uid",
        ),
        (
            json!({"target": {"selector": {"matchLabels": {"app": "a\n"}}}}),
            "spec.target.selector.matchLabels: `a\\n`, the value of `app`, is no value of a label; use",
        ),
        (
            json!({"target": {"selector": {"matchLabels": {"-x/app": "a"}}}}),
            "spec.target.selector.matchLabels: `-x/app` is no key of a label; use",
        ),
        (
            json!({"tags": ["blue", "a\u{200e}"]}),
            "spec.tags: `a\\u{200e}` is empty, too long or not printable",
        ),
        (
            json!({"metadata": {" ": "a"}}),
            "spec.metadata: the key ` ` is empty, too long or not printable; use",
        ),
        (
            json!({"metadata": {"note": "a".repeat(1_025)}}),
            "spec.metadata: the value of `note` is too long; use at most 1,024",
        ),
        (
            json!({"heartbeat": {"intervalSeconds": 20}}),
            "spec.heartbeat.ttlSeconds: (15 where it is left out) is shorter than intervalSeconds; use",
        ),
        (json!({"probe": {"http": {}}}), "spec.probe.http.path: is no path; begin it with /"),
        (json!({"visibility": {}}), "spec.visibility.scope: `` is not known; use Cluster"),
        (json!({"ports": [{"name": "a", "port": 70_000}]}), "spec.ports[0].port: 70000 is out of range; use"),
        (json!({"ports": [{"name": "a", "port": -1}]}), "spec.ports[0].port: -1 is out of range; use"),
        (
            json!({"ports": [{"name": "a", "port": 1, "protocol": "QUIC"}]}),
            "spec.ports[0].protocol: `QUIC` is not known; use TCP, UDP or SCTP",
        ),
        (json!({"weight": -1}), "spec.weight: -1 is out of range; use 0 to 1000"),
        (json!({"weight": 1_001}), "spec.weight: above 1000; use 0 to 1000"),
        (json!({"probe": {}}), "spec.probe: asks in no way or in several; set exactly one"),
        (json!({"probe": {"tcp": {"port": "x"}}}), "spec.probe.tcp.port: names no entry of ports; use"),
        (json!({"probe": {"tcp": {}, "failureThreshold": 300}}), "spec.probe.failureThreshold: 300 is out"),
        (
            json!({"loadBalancing": {"policy": "Newer"}}),
            "spec.loadBalancing.policy: `Newer` is not known; use",
        ),
        (json!({"visibility": {"scope": "Newer"}}), "spec.visibility.scope: `Newer` is not known; use"),
        (json!({"visibility": {"scope": "Namespaces"}}), "spec.visibility.namespaces: is missing; name"),
        (
            json!({"visibility": {"scope": "Cluster", "namespaces": ["a"]}}),
            "spec.visibility.namespaces: needs scope: Namespaces",
        ),
    ];
    for (fields, expected) in table {
        let errors = refused(with(fields.clone()));
        assert_eq!(errors.iter().count(), 1, "{errors}");
        assert!(errors.to_string().starts_with(expected), "{fields}: {errors}");
    }
}

#[test]
fn of_two_spellings_of_an_address_the_first_counts() {
    let target = json!({"addresses": [
        {"address": "2001:db8::5", "zone": "a"}, {"address": "2001:DB8:0::5", "zone": "b"}, {"address": "10.0.0.5"},
    ]});
    let Target::Addresses(all) = registration(&object(with(json!({"target": target})))).unwrap().target
    else {
        panic!("no addresses");
    };
    let kept = all.iter().map(|one| (one.address.to_string(), one.zone.as_deref())).collect::<Vec<_>>();
    assert_eq!(kept, [("2001:db8::5".to_owned(), Some("a")), ("10.0.0.5".to_owned(), None)]);
}

/// Each of these an API server took once; see the schema for what it takes now.
#[test]
fn a_status_that_cannot_be_read_leaves_the_spec_alone() {
    let condition = |time: &str| json!([{"type": "Ready", "status": "True", "reason": "Serving", "message": "", "lastTransitionTime": time}]);
    let since = |time: &str| json!([{"id": "a", "state": "Serving", "since": time}]);
    let unreadable = [
        json!({"total": 2_147_483_648_u64}),
        json!({"serving": 2_147_483_648_u64}),
        json!({"conditions": condition("9999-12-31T23:59:59Z")}),
        json!({"conditions": condition("2026-01-01T00:00:00.123456789123Z")}),
        json!({"instances": since("9999-12-31T23:59:59Z")}),
        json!({"instances": since("2026-01-01T00:00:00.123456789123Z")}),
        json!({"observedGeneration": "1", "truncated": 1}),
    ];
    for status in unreadable {
        let mut written = serde_json::to_value(object(with(json!({})))).unwrap();
        written["status"] = status.clone();
        let read: ServiceRegistration =
            serde_json::from_value(written).unwrap_or_else(|e| panic!("{status}: {e}"));
        assert!(registration(&read).is_ok(), "{status}");
        assert_eq!(read.status, Some(ServiceRegistrationStatus::default()), "{status}");
    }
    let mut written = serde_json::to_value(object(with(json!({})))).unwrap();
    let (conditions, instances) = (condition("2026-01-01T00:00:00Z"), since("2026-01-01T00:00:00Z"));
    let sound = json!({
        "observedGeneration": 2, "conditions": conditions, "serving": 1, "total": 2_147_483_648_u64,
        "instances": instances, "truncated": true,
    });
    written["status"] = sound;
    let status = serde_json::from_value::<ServiceRegistration>(written).unwrap().status.unwrap();
    assert_eq!((status.observed_generation, status.serving, status.total), (Some(2), Some(1), None));
    assert_eq!((status.conditions.len(), status.instances.len(), status.truncated), (1, 1, true));
}

#[test]
fn a_name_that_is_left_out_is_the_objects_own_if_that_will_do() {
    let mut object = object(with(json!({})));
    object.metadata.name = Some("orders.v1".to_owned());
    let error = registration(&object).unwrap_err().to_string();
    assert!(error.starts_with("spec.service: is left out, and metadata.name `orders.v1` cannot"), "{error}");
    object.spec.service = Some("orders".to_owned());
    assert!(registration(&object).is_ok());
}

#[test]
fn what_a_later_schema_adds_is_passed_over() {
    let spec = with(json!({"colour": "blue", "probe": {"tcp": {}, "jitter": 5}}));
    assert!(registration(&object(spec)).is_ok());
}

#[test]
fn a_message_holds_nothing_that_a_terminal_obeys() {
    let errors = refused(with(json!({"visibility": {"scope": "\u{1b}[2J\u{202e}"}})));
    assert!(errors.to_string().is_ascii(), "{errors}");
}

#[test]
fn all_that_is_wrong_is_said_at_once_but_not_without_end() {
    let errors = refused(with(json!({"service": "A", "weight": -1, "version": "v1"})));
    assert_eq!(errors.iter().count(), 3, "{errors}");
    let addresses: Vec<_> = (0..256).map(|_| json!({"address": "x".repeat(253)})).collect();
    let errors = refused(json!({"target": {"addresses": addresses}, "ports": [{"name": "a", "port": 1}]}));
    let said = errors.to_string();
    assert!(said.ends_with("more") && said.len() < 4_096, "{said}");
}
