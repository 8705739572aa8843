use proptest::prelude::*;

use super::*;
use crate::{
    ContentHash, Match,
    instance_json::write_instances,
    testing::{dual_stack, instance, key, named, profile, unnamed, without_revision},
};

/// Ports as a profile has them: each name once, and a port without a name only where it is the primary one.
fn any_ports() -> impl Strategy<Value = (u16, Box<[Port]>)> {
    let transport = proptest::sample::select(vec![Transport::Tcp, Transport::Udp, Transport::Sctp]);
    let protocol = proptest::option::of(proptest::sample::select(vec!["http", "grpc", "kubernetes.io/h2c"]));
    let described = (1u16..5, transport, protocol);
    let by_name = proptest::collection::btree_map(
        proptest::sample::select(vec!["a", "b", "c"]),
        described.clone(),
        0..4,
    );
    (by_name, described).prop_map(|(by_name, (port, transport, protocol))| {
        let described = |name: Option<&str>, (port, transport, protocol): (u16, Transport, Option<&str>)| {
            Port { name: name.map(Into::into), port, transport, app_protocol: protocol.map(Into::into) }
        };
        let ports = by_name.into_iter().map(|(name, rest)| described(Some(name), rest));
        (port, ports.chain([described(None, (port, transport, protocol))]).collect())
    })
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    let any_address =
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    proptest::collection::vec(any_address, 1..4).prop_map(|all| Addresses::new(&all).unwrap())
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let text = || "\\PC{0,8}".prop_map(Box::<str>::from);
    let version = proptest::option::of(
        proptest::sample::select(vec!["1.4.2", "2.0.0-rc.1+7"]).prop_map(|text| text.parse().unwrap()),
    );
    let tags = proptest::collection::btree_set(text(), 0..4);
    let metadata = proptest::collection::btree_map(text(), ".{0,8}".prop_map(Box::<str>::from), 0..4);
    (any_ports(), version, 0u16..=1_000, tags, metadata).prop_map(
        |((port, ports), version, weight, tags, metadata)| {
            let metadata = metadata.into_iter().collect();
            Profile { port, ports, version, weight, tags: tags.into_iter().collect(), metadata }.normalised()
        },
    )
}

prop_compose! {
    fn any_instance()(
        profile in any_profile(),
        addresses in any_addresses(),
        [zone, node, pod] in proptest::array::uniform3(proptest::option::of("[a-z0-9-]{1,9}|.{0,3}".prop_map(Arc::<str>::from))),
        state in proptest::sample::select(vec![State::Starting, State::Serving, State::Suspect, State::Failing, State::Draining]),
        reason in prop_oneof![
            proptest::sample::select(Reason::KNOWN.to_vec()),
            Just(Reason::from("OfTheFuture".to_owned())),
        ],
        revision in 0u64..1 << 53,
        id in "[a-f0-9-]{1,36}|[a-z\"\\\\\t]{1,9}-80",
    ) -> Instance {
        let id = id.as_str().into();
        Instance { id, addresses, zone, node, pod, profile: Arc::new(profile), state, reason, revision }
    }
}

#[test]
fn the_json_of_a_full_instance_is_the_contracts_with_its_order() {
    let full = Instance {
        addresses: dual_stack(1),
        zone: Some("a".into()),
        profile: Arc::new(Profile {
            port: 8080,
            ports: [
                Port { transport: Transport::Udp, ..named("dns", 53) },
                Port { app_protocol: Some("kubernetes.io/h2c".into()), ..named("http", 8080) },
            ]
            .into(),
            version: Some("1.4.2".parse().unwrap()),
            weight: 7,
            tags: ["blue", "all"].into(),
            metadata: [("team", "payments"), ("a", "\"é\n")].into(),
        }),
        revision: 6,
        ..instance(1)
    };
    assert_eq!(
        serde_json::to_string(&full).unwrap(),
        concat!(
            r#"{"id":"uid-1-80","address":"10.0.0.1","addresses":["10.0.0.1","fd00::1"],"port":8080,"#,
            r#""ports":{"dns":53,"http":8080},"protocols":{"dns":"UDP"},"appProtocols":{"http":"kubernetes.io/h2c"},"#,
            r#""version":"1.4.2","zone":"a","node":"n1","pod":"orders-1","weight":7,"tags":["all","blue"],"#,
            r#""metadata":{"a":"\"é\n","team":"payments"},"state":"Serving","reason":"Ready","revision":6}"#
        )
    );
}

#[test]
fn the_json_of_a_minimal_instance_leaves_no_field_of_the_contract_out() {
    let minimal = Instance {
        id: InstanceId::of_address("2001:db8::5".parse().unwrap(), 53),
        addresses: "2001:db8::5".parse::<IpAddr>().unwrap().into(),
        node: None,
        pod: None,
        profile: Arc::new(Profile { port: 53, ports: [unnamed(53)].into(), ..profile() }),
        ..instance(1)
    };
    let json = serde_json::to_string(&minimal).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"id":"2001:db8::5-53","address":"2001:db8::5","addresses":["2001:db8::5"],"port":53,"ports":{},"#,
            r#""version":null,"zone":null,"node":null,"pod":null,"weight":100,"tags":[],"metadata":{},"#,
            r#""state":"Serving","reason":"Ready","revision":0}"#
        )
    );
    assert_eq!(serde_json::from_str::<Instance>(&json).unwrap(), minimal);
}

#[test]
fn a_port_without_a_name_keeps_what_is_known_of_it() {
    let spoken = Port { transport: Transport::Udp, app_protocol: Some("dns".into()), ..unnamed(53) };
    let one = Instance {
        profile: Arc::new(Profile { port: 53, ports: [spoken].into(), ..profile() }),
        ..instance(1)
    };
    let json = serde_json::to_string(&one).unwrap();
    assert!(json.contains(r#""protocols":{"":"UDP"},"appProtocols":{"":"dns"}"#), "{json}");
    assert_eq!(serde_json::from_str::<Instance>(&json).unwrap(), one);
}

#[test]
fn what_a_newer_controller_writes_is_read() {
    let json = r#"{"id":"x","colour":"blue","address":"10.0.0.9","addresses":["10.0.0.1","10.0.0.2"],"port":80,
        "ports":{"http":80},"weight":100,"nested":{"a":[1]},"state":"Suspect","reason":"Hibernating","revision":3}"#;
    let read: Instance = serde_json::from_str(json).unwrap();
    assert_eq!((read.state, read.reason.as_str()), (State::Suspect, "Hibernating"));
    let all: Vec<_> = read.addresses.iter().map(|address| address.to_string()).collect();
    assert_eq!(all, ["10.0.0.9", "10.0.0.1", "10.0.0.2"], "its address is the primary one, listed or not");
    assert_eq!(*read.profile, profile());
    assert!(serde_json::from_str::<Instance>(&json.replace("10.0.0.9", "nowhere")).is_err());
    assert!(serde_json::from_str::<Instance>(&json.replace(r#""port":80"#, r#""port":65536"#)).is_err());
}

#[test]
fn what_no_controller_writes_is_refused_with_its_field() {
    let json = |port: u64, http: u64, weight: u64, revision: u64| {
        format!(
            r#"{{"id":"x","address":"10.0.0.9","port":{port},"ports":{{"http":{http}}},"weight":{weight},"state":"Serving","reason":"Ready","revision":{revision}}}"#
        )
    };
    let read = |json: String| serde_json::from_str::<Instance>(&json).map_err(|error| error.to_string());
    assert!(read(json(80, 80, 1_000, (1 << 53) - 1)).is_ok());
    for (bad, field) in [
        (json(0, 80, 1, 1), "port:"),
        (json(80, 0, 1, 1), "port:"),
        (json(80, 80, 1_001, 1), "weight:"),
        (json(80, 80, 1, 1 << 53), "revision:"),
        (json(80, 80, 1, u64::MAX), "revision:"),
    ] {
        let error = read(bad).unwrap_err();
        assert!(error.starts_with(field), "{error}");
    }
}

/// 53/UDP is another port than 53/TCP, named or not.
#[test]
fn a_number_over_two_transports_is_two_ports() {
    let udp = |port: Port| Port { transport: Transport::Udp, ..port };
    for ports in [
        vec![udp(unnamed(53)), named("dns-tcp", 53)],
        vec![unnamed(53), udp(named("dns", 53))],
        vec![udp(named("dns", 53))],
        vec![named("dns-tcp", 53), udp(named("dns", 53))],
    ] {
        let profile = Profile { port: 53, ports: ports.into(), ..profile() };
        let normal = profile.clone().normalised();
        assert_eq!(normal.ports.len(), profile.ports.len(), "{normal:?}");
        let one = Instance { profile: Arc::new(normal), ..instance(1) };
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Instance>(&json).unwrap(), one, "{json}");
    }
}

#[test]
fn the_order_is_by_address_as_a_number_then_by_port_then_by_id() {
    let at = |address: &str, port, id: &str| Instance {
        id: id.into(),
        addresses: address.parse::<IpAddr>().unwrap().into(),
        profile: Arc::new(Profile { port, ..profile() }),
        ..instance(1)
    };
    let sorted = [
        at("10.0.0.9", 80, "z"),
        at("10.0.0.10", 9, "b"),
        at("10.0.0.10", 80, "a"),
        at("10.0.0.10", 80, "b"),
        at("fd00::1", 1, "a"),
    ];
    for (a, one) in sorted.iter().enumerate() {
        for (b, other) in sorted.iter().enumerate() {
            assert_eq!(one.order(other), a.cmp(&b), "{} {}", one.id, other.id);
        }
    }
}

#[test]
fn a_port_is_found_by_its_name_its_number_or_what_is_spoken_there() {
    let speaking =
        |name, port, protocol: &str| Port { app_protocol: Some(protocol.into()), ..named(name, port) };
    let ports = [speaking("admin", 1, "http"), speaking("api", 2, "http"), speaking("rpc", 3, "grpc")];
    let profile = Profile { port: 2, ports: ports.into(), ..profile() };
    let called = |wanted: &str| profile.port_called(wanted).map(|port| port.port);
    assert_eq!([called("api"), called("3"), called("none"), called("9")], [Some(2), Some(3), None, None]);
    assert_eq!([called("03"), called("+3")], [None, None], "a number has one spelling");
    let confusing =
        Profile { ports: [named("80", 90), named("http", 80), named("7", 70)].into(), ..profile.clone() };
    let called_there = |wanted: &str| confusing.port_called(wanted).map(|port| port.port);
    assert_eq!([called_there("80"), called_there("90"), called_there("7")], [Some(80), Some(90), Some(70)]);
    let spoken = |wanted: &str| profile.port_speaking(wanted).map(|port| port.port);
    assert_eq!(
        [spoken("http"), spoken("grpc"), spoken("dns")],
        [Some(2), Some(3), None],
        "the primary first"
    );
}

#[test]
fn every_field_but_the_revision_is_content() {
    let one = instance(1);
    let other = |change: fn(&mut Instance)| {
        let mut other = one.clone();
        change(&mut other);
        other
    };
    let others = [
        other(|one| one.id = "x".into()),
        other(|one| one.addresses = dual_stack(1)),
        other(|one| one.zone = Some("a".into())),
        other(|one| one.node = None),
        other(|one| one.pod = None),
        other(|one| one.profile = Arc::new(Profile { weight: 1, ..profile() })),
        other(|one| one.state = State::Suspect),
        other(|one| one.reason = Reason::SidecarLost),
    ];
    for other in &others {
        assert!(!one.same_content(other), "{other:?}");
    }
    assert!(one.same_content(&other(|one| one.revision = 9)));
    assert!(one.same_content(&other(|one| one.profile = Arc::new(profile()))), "shared or not");
}

proptest! {
    /// Runs of one profile among them, and ports and revisions that are not the instances' own.
    #[test]
    fn a_list_has_the_bytes_of_its_instances(
        all in proptest::collection::vec((any_instance(), any::<bool>(), 1u16..), 0..6),
    ) {
        let mut profile = None;
        let all: Vec<_> = all.into_iter().map(|(mut instance, as_before, port)| {
            if let Some(before) = profile.take().filter(|_| as_before) {
                instance.profile = before;
            }
            profile = Some(instance.profile.clone());
            (Arc::new(instance), port)
        }).collect();
        let mut list = b"all:".to_vec();
        write_instances(&mut list, all.iter().map(|(instance, port)| (&**instance, *port)));
        let one_by_one: Vec<_> = all.iter().map(|(instance, port)| Match { instance, port: *port }).collect();
        let expected = format!("all:{}", serde_json::to_string(&one_by_one).unwrap());
        prop_assert_eq!(String::from_utf8(list).unwrap(), expected);

        let orders = key("orders");
        let hashes = all.iter().map(|(instance, _)| {
            let undated = Instance { revision: 0, ..Instance::clone(instance) };
            ContentHash::of(&(&orders, undated)).0
        });
        let sum = ContentHash::of_instances(&orders, all.iter().map(|(instance, _)| &**instance));
        prop_assert_eq!(sum.0, hashes.fold(0, u64::wrapping_add));
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(512))]

    #[test]
    fn without_its_revision_it_is_written_the_same(instance in any_instance()) {
        let mut dated = serde_json::to_value(&instance).unwrap();
        dated.as_object_mut().unwrap().remove("revision").unwrap();
        prop_assert_eq!(serde_json::to_value(instance.undated()).unwrap(), dated);
    }

    #[test]
    fn an_instance_survives_being_written(instance in any_instance()) {
        let json = serde_json::to_string(&instance).unwrap();
        prop_assert_eq!(serde_json::from_str::<Instance>(&json).unwrap(), instance);
    }

    /// Hashes are taken of the JSON, so that two instances that differ must not be written alike.
    #[test]
    fn instances_that_differ_are_written_differently(a in any_instance(), b in any_instance()) {
        let same_json = serde_json::to_string(&a).unwrap() == serde_json::to_string(&b).unwrap();
        prop_assert_eq!(same_json, a == b);
        let (one, other) = (without_revision(&a), without_revision(&b));
        prop_assert_eq!(a.same_content(&b), one == other);
        prop_assert!(a.same_content(&one));
    }

    #[test]
    fn what_is_normal_stays_as_it_is(profile in any_profile()) {
        prop_assert_eq!(profile.clone().normalised(), profile);
    }
}

#[test]
fn an_id_survives_being_written_and_its_text_is_one_id() {
    let ids =
        [InstanceId::of_pod(&"uid-1".into(), 80), InstanceId::of_address("fd00::5".parse().unwrap(), 53)];
    for (id, text) in ids.into_iter().zip(["uid-1-80", "fd00::5-53"]) {
        assert_eq!((id.to_string().as_str(), InstanceId::from(text)), (text, id));
    }
    // What no controller writes stays as it came.
    for foreign in ["", "-", "uid", "uid-080", "uid-+80", "uid-65536", "uid-80-", "80"] {
        assert_eq!(InstanceId::from(foreign).to_string(), foreign);
    }
}
