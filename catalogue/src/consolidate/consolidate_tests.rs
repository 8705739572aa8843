use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    Attributes, Policy, Port, ProbeCheck, Probing, Reason, State, Target, Transport, Visibility,
    limits::{METADATA_JSON_BYTES_MAX, METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX, WEIGHT_DEFAULT},
    liveness::{EndpointWitness, Intent, PodWitness, ProbeWitness, SessionWitness},
    testing::{
        WELL, address, dual_stack, member, named, object, own_word, pod, selector, targets, unnamed,
        with_ports,
    },
};

const WHOLE: Source = Source::Runtime(Runtime::Whole);
const EACH: Source = Source::Runtime(Runtime::Each);

fn all_of(member: &Member<'_>) -> Vec<Consolidated> {
    consolidate(member, &mut Profiles::default()).0
}

fn findings_of(member: &Member<'_>) -> Vec<Finding> {
    consolidate(member, &mut Profiles::default()).1
}

/// The only instance.
fn one_of(member: &Member<'_>) -> Consolidated {
    let mut all = all_of(member);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The instances of a pod with these registrations, by id.
fn ids(registrations: &[&Registration]) -> Vec<String> {
    all_of(&member(&pod(1), registrations)).iter().map(|one| one.instance.id.to_string()).collect()
}

fn ports_of(consolidated: &Consolidated) -> Vec<(Option<&str>, u16)> {
    consolidated.instance.profile.ports.iter().map(|port| (port.name.as_deref(), port.port)).collect()
}

fn endpoint(ports: impl Into<Vec<Port>>) -> EndpointFacts {
    EndpointFacts {
        addresses: vec![address(99)],
        ports: ports.into(),
        zone: Some("slice-zone".into()),
        node: Some("slice-node".into()),
        witness: EndpointWitness::Ready,
    }
}

fn probe(path: &str) -> ProbeSpec {
    ProbeSpec::new(ProbeCheck::Http { path: path.into(), port: None })
}

/// One registration of each closeness, the closest first; each is younger than all that are farther, so that age
/// and closeness never agree by chance.
fn by_closeness(attributes: impl Fn(u16) -> Attributes) -> Vec<Registration> {
    let mut all = vec![own_word(WHOLE, attributes(0)), own_word(Source::Annotation, attributes(1))];
    let objects = targets().into_iter().zip(2u16..);
    all.extend(objects.map(|(target, n)| object(target, 100 - i64::from(n), "same", attributes(n))));
    all
}

#[test]
fn the_closest_word_wins_row_by_row() {
    let all = by_closeness(|n| Attributes {
        version: Some(format!("{n}.0.0").parse().unwrap()),
        weight: Some(n),
        ports: vec![unnamed(8_000 + n)],
        probe: Some(Probing::By(probe(&format!("/{n}")))),
        heartbeat: Some(Heartbeat { interval_seconds: u32::from(n) + 1, ttl_seconds: 60 }),
        tags: [format!("tag-{n}")].into(),
        metadata: [("who".to_owned(), n.to_string()), (format!("only-{n}"), String::new())].into(),
    });
    for closest in 0..all.len() {
        let mut left: Vec<_> = all[closest..].iter().collect();
        left.reverse();
        let one = one_of(&member(&pod(1), &left));
        let (n, profile) = (u16::try_from(closest).unwrap(), &one.instance.profile);
        assert_eq!(profile.version.as_ref().unwrap().to_string(), format!("{n}.0.0"));
        assert_eq!((profile.weight, profile.port), (n, 8_000 + n));
        assert_eq!(one.probe, Some(probe(&format!("/{n}"))));
        assert_eq!(one.heartbeat.unwrap().interval_seconds, u32::from(n) + 1);
        assert_eq!(profile.tags.len(), left.len(), "tags are the union");
        assert_eq!(profile.metadata.len(), left.len() + 1);
        assert_eq!(profile.metadata["who"], n.to_string().into(), "metadata goes by the key");
        assert_eq!(ports_of(&one), [(None, 8_000 + n)], "a port without a name is the primary one or none");
    }
}

#[test]
fn who_says_nothing_lets_the_next_one_speak() {
    let silent = own_word(WHOLE, Attributes::default());
    let speaks =
        object(selector(), 1, "a", Attributes { weight: Some(7), ..with_ports([named("http", 80)]) });
    let one = one_of(&member(&pod(1), &[&silent, &speaks]));
    assert_eq!((one.instance.profile.weight, one.instance.profile.port), (7, 80));
    let bare = object(selector(), 1, "a", with_ports([named("http", 80)]));
    let one = one_of(&member(&pod(1), &[&bare]));
    assert_eq!((one.instance.profile.weight, &one.instance.profile.version), (WEIGHT_DEFAULT, &None));
}

#[test]
fn the_label_stands_between_a_pods_own_word_and_what_objects_say() {
    let said = |n: u16| Attributes { version: format!("{n}.0.0").parse().ok(), ..with_ports([unnamed(80)]) };
    let all = by_closeness(said);
    let labelled = |label: &str| {
        let mut labelled = pod(1);
        labelled.labels = Arc::new([("app.kubernetes.io/version".to_owned(), label.to_owned())].into());
        labelled
    };
    let table = [
        ("9.9.9", 0, "0.0.0"),
        ("9.9.9", 1, "1.0.0"),
        ("9.9.9", 2, "9.9.9"),
        ("9.9.9", 5, "9.9.9"),
        ("v9.9.9", 2, "2.0.0"),
        ("9.9", 3, "3.0.0"),
    ];
    for (label, closest, expected) in table {
        let (pod, left) = (labelled(label), all[closest..].iter().collect::<Vec<_>>());
        let version = one_of(&member(&pod, &left)).instance.profile.version.clone().unwrap();
        assert_eq!(version.to_string(), expected, "{label} {closest}");
    }
    let (pod, portless) = (labelled("9.9.9"), object(selector(), 1, "a", with_ports([unnamed(80)])));
    let version = one_of(&member(&pod, &[&portless])).instance.profile.version.clone();
    assert_eq!(version, "9.9.9".parse().ok(), "also where nobody else says one");
}

#[test]
fn among_equally_close_objects_the_older_wins_and_then_the_name() {
    let said = |weight| Attributes { weight: Some(weight), ..with_ports([unnamed(80)]) };
    let [older, a, b] = [(1, "z", 1), (2, "a", 2), (2, "b", 3)]
        .map(|(age, name, weight)| object(selector(), age, name, said(weight)));
    let weight = |all: &[&Registration]| one_of(&member(&pod(1), all)).instance.profile.weight;
    assert_eq!([weight(&[&b, &a, &older]), weight(&[&b, &a])], [1, 2]);
}

#[test]
fn the_same_pod_reached_in_three_ways_is_one_instance() {
    let annotation = own_word(
        Source::Annotation,
        Attributes { version: "2.0.0".parse().ok(), ..with_ports([named("http", 80)]) },
    );
    let older = object(
        selector(),
        1,
        "z",
        Attributes {
            version: "1.0.0".parse().ok(),
            tags: ["blue".to_owned()].into(),
            metadata: [("team".to_owned(), "a".to_owned())].into(),
            weight: Some(7),
            ..with_ports([named("http", 81), named("grpc", 90)])
        },
    );
    let newer = object(
        Target::Service("orders".into()),
        2,
        "a",
        Attributes {
            tags: ["green".to_owned()].into(),
            metadata: [("team", "b"), ("tier", "c")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            weight: Some(8),
            ..Attributes::default()
        },
    );
    let (pod, slices) = (pod(1), endpoint([named("metrics", 9_100), named("grpc", 91)]));
    let all = [&newer, &older, &annotation];
    let reached = Member { endpoint: Some(&slices), ..member(&pod, &all) };
    let one = one_of(&reached);
    let Instance { id, node, pod, zone, profile, state, reason, .. } = &one.instance;
    assert_eq!((id.as_str(), profile.port, profile.weight), ("uid-1-80", 80, 7));
    assert_eq!(
        (node.as_deref(), pod.as_deref(), zone.as_deref()),
        (Some("n1"), Some("orders-1"), Some("slice-zone"))
    );
    assert_eq!(profile.version, "2.0.0".parse().ok());
    assert_eq!(ports_of(&one), [(Some("grpc"), 90), (Some("http"), 80), (Some("metrics"), 9_100)]);
    assert_eq!(profile.tags, ["blue".into(), "green".into()].into());
    assert_eq!(profile.metadata, [("team".into(), "a".into()), ("tier".into(), "c".into())].into());
    assert_eq!((*state, reason), (State::Serving, &Reason::Ready));
    assert_eq!(findings_of(&reached), [], "a pod's own port and the Service's conflict with nobody");
    let labelled = Member { zone: Some("node-zone".into()), ..reached };
    assert_eq!(one_of(&labelled).instance.zone.as_deref(), Some("node-zone"), "the node's own label wins");
}

#[test]
fn dual_stack_is_one_instance() {
    let pod = PodFacts { addresses: dual_stack(1).iter().collect(), ..pod(1) };
    let said = object(selector(), 1, "a", with_ports([unnamed(80)]));
    assert_eq!(one_of(&member(&pod, &[&said])).instance.addresses, dual_stack(1));
    let twice = Addresses::new(&[address(1), address(1), address(2)]).unwrap();
    assert_eq!(
        twice.iter().collect::<Vec<_>>(),
        [address(1), address(2)],
        "an address is one, said twice or not"
    );
}

#[test]
fn what_an_app_says_of_the_whole_pod_overrides_its_ports() {
    let declared = object(selector(), 1, "a", with_ports([named("http", 80), named("grpc", 90)]));
    let word = own_word(WHOLE, with_ports([named("api", 7_000), named("grpc", 91)]));
    let (pod, all) = (pod(1), [&declared, &word]);
    let one = one_of(&member(&pod, &all));
    assert_eq!(one.instance.id.as_str(), "uid-1-7000");
    assert_eq!(ports_of(&one), [(Some("api"), 7_000), (Some("grpc"), 91), (Some("http"), 80)]);
    assert_eq!(findings_of(&member(&pod, &all)), [], "it is meant to differ");
    let quiet = own_word(WHOLE, Attributes { weight: Some(3), ..Attributes::default() });
    assert_eq!(ids(&[&declared, &quiet]), ["uid-1-80"], "who names no ports keeps the declared ones");
}

#[test]
fn each_address_that_an_app_registers_is_an_instance_beside_the_declared_one() {
    let declared = object(
        selector(),
        1,
        "a",
        Attributes {
            weight: Some(7),
            tags: ["declared".to_owned()].into(),
            ..with_ports([named("http", 80)])
        },
    );
    let each = |port, version: &str| {
        let said = with_ports([unnamed(port)]);
        own_word(EACH, Attributes { version: version.parse().ok(), weight: Some(9), ..said })
    };
    let (one, two, adopting) = (each(7_001, "1.0.0"), each(7_000, "2.0.0"), each(80, "3.0.0"));
    assert_eq!(ids(&[&one, &declared, &two]), ["uid-1-80", "uid-1-7000", "uid-1-7001"]);
    assert_eq!(ids(&[&one, &two]), ["uid-1-7000", "uid-1-7001"], "also where nothing is declared");

    let pod = pod(1);
    let beside = all_of(&member(&pod, &[&declared, &two]));
    let profile = &beside[1].instance.profile;
    assert_eq!((profile.weight, profile.tags.len()), (9, 0), "what is declared is of the declared one");
    assert_eq!(ports_of(&beside[1]), [(None, 7_000)]);

    let adopted = one_of(&member(&pod, &[&declared, &adopting]));
    assert_eq!(adopted.instance.id.as_str(), "uid-1-80");
    assert_eq!(adopted.instance.profile.version, "3.0.0".parse().ok());
    assert_eq!((adopted.instance.profile.weight, ports_of(&adopted)), (9, vec![(Some("http"), 80)]));

    let whole = own_word(WHOLE, with_ports([named("http", 7_000)]));
    assert_eq!(
        ids(&[&declared, &whole, &two]),
        ["uid-1-7000"],
        "declared is what the app says of the whole pod"
    );
}

/// The name of the closest port is numbered by an older object: that is the port which is declared.
#[test]
fn an_address_that_has_the_port_an_older_object_gave_adopts_the_declared_one() {
    let older = object(selector(), 1, "older", with_ports([named("http", 80)]));
    let closer = object(targets()[0].clone(), 2, "closer", with_ports([named("http", 8_080)]));
    let each = |port| own_word(EACH, Attributes { weight: Some(3), ..with_ports([unnamed(port)]) });
    assert_eq!(ids(&[&older, &closer, &each(80)]), ["uid-1-80"]);
    assert_eq!(ids(&[&older, &closer, &each(8_080)]), ["uid-1-80", "uid-1-8080"]);
}

/// Else a lookup of `?port=http` would be answered with the same address and port twice.
#[test]
fn the_ports_of_a_service_are_not_those_of_the_addresses_beside_it() {
    let (pod, slices) = (pod(1), endpoint([named("http", 80)]));
    let adopted = object(Target::Service("orders".into()), 1, "orders", Attributes::default());
    let each = own_word(EACH, with_ports([unnamed(7_000)]));
    let all = all_of(&Member { endpoint: Some(&slices), ..member(&pod, &[&adopted, &each]) });
    assert_eq!(all.iter().map(ports_of).collect::<Vec<_>>(), [vec![(Some("http"), 80)], vec![(None, 7_000)]]);
}

#[test]
fn of_two_numbers_for_a_name_the_older_objects_wins_and_the_newer_is_told() {
    let pod = pod(1);
    let udp = Port { transport: Transport::Udp, ..named("http", 80) };
    let spoken = Port { app_protocol: Some("h2c".into()), ..named("http", 80) };
    let [close, far] = [targets()[0].clone(), targets()[2].clone()];
    // The older one is farther away, and wins all the same.
    let older = object(far, 1, "older", with_ports([named("http", 80)]));
    for (port, told) in [(named("http", 81), true), (udp, true), (spoken, false), (named("http", 80), false)]
    {
        let newer = object(close.clone(), 2, "newer", with_ports([port.clone()]));
        let member = member(&pod, &[&newer, &older]);
        let one = one_of(&member);
        assert_eq!(one.instance.id.as_str(), "uid-1-80", "the primary port follows");
        assert_eq!(ports_of(&one), [(Some("http"), 80)]);
        let expected = Finding::PortConflict {
            loser: newer.source.clone(),
            winner: older.source.clone(),
            port: "http".into(),
            winning: 80,
            losing: port.port,
        };
        assert_eq!(findings_of(&member), if told { vec![expected] } else { vec![] }, "{port:?}");
    }
    let newer = object(close, 2, "newer", with_ports([named("http", 81)]));
    let finding = findings_of(&member(&pod, &[&older, &newer])).remove(0);
    assert_eq!(finding.loser(), &newer.source);
    assert_eq!(
        finding.to_string(),
        "ports: `http` is 80 by an older registration `older`, and not 81; rename the port, or give both the same number"
    );
}

#[test]
fn a_pods_own_word_is_never_a_conflict() {
    let pod = pod(1);
    let declared = object(selector(), 1, "a", with_ports([named("http", 80)]));
    for source in [Source::Annotation, WHOLE, EACH] {
        let own = own_word(source.clone(), with_ports([named("http", 81)]));
        assert_eq!(findings_of(&member(&pod, &[&declared, &own])), [], "{source:?}");
    }
    let (one, other) = (
        own_word(WHOLE, with_ports([named("http", 81)])),
        own_word(Source::Annotation, with_ports([named("http", 82)])),
    );
    let member = member(&pod, &[&other, &one]);
    assert_eq!(findings_of(&member), []);
    assert_eq!(ports_of(&one_of(&member)), [(Some("http"), 81)], "run time before annotation");
}

#[test]
fn tags_ports_and_metadata_of_many_registrations_stay_within_those_of_one() {
    let many = |of: u16| {
        let numbered = move |n: u16| format!("{of}-{n:02}");
        let ports: Vec<_> =
            (0..20).map(|n| named(&format!("p{}", numbered(n)), 1_000 + of * 20 + n)).collect();
        Attributes {
            tags: (0..40).map(numbered).collect(),
            metadata: (0..40).map(|n| (numbered(n), of.to_string())).collect(),
            ..with_ports(ports)
        }
    };
    let (a, b) = (object(selector(), 1, "a", many(1)), object(selector(), 2, "b", many(0)));
    let one = one_of(&member(&pod(1), &[&b, &a]));
    let profile = &one.instance.profile;
    assert_eq!((profile.ports.len(), profile.tags.len()), (PORTS_MAX, TAGS_MAX));
    assert_eq!(profile.metadata.len(), METADATA_KEYS_MAX);
    let of = |number: &str| profile.metadata.values().filter(|value| ***value == *number).count();
    assert_eq!((of("1"), of("0")), (40, 24), "the closer ones first");
    let kept =
        |prefix: &str| ports_of(&one).iter().filter(|(name, _)| name.unwrap().starts_with(prefix)).count();
    assert_eq!((kept("p1"), kept("p0")), (20, 12), "the older ones first");
}

#[test]
fn metadata_stays_within_what_a_frame_can_carry() {
    for worst in ["\u{1}", "\"", "\\", "é", "\u{7f}", "x"] {
        let metadata = (0..64).map(|n| (format!("key-{n:02}"), worst.repeat(1_024))).collect();
        let said = own_word(Source::Annotation, Attributes { metadata, ..with_ports([named("http", 80)]) });
        let metadata = one_of(&member(&pod(1), &[&said])).instance.profile.metadata.clone();
        let json = serde_json::to_string(&metadata).unwrap().len();
        assert!(!metadata.is_empty() && json <= METADATA_JSON_BYTES_MAX + 2, "{worst:?}: {json}");
        let fits = 64 * serde_json::to_string(&[worst.repeat(1_024)]).unwrap().len()
            < METADATA_JSON_BYTES_MAX - 1_024;
        assert_eq!(metadata.len() == 64, fits, "{worst:?}: as much as fits");
    }
}

/// A value that found no room is missing; a farther one in its place would be a wrong one.
#[test]
fn a_key_without_room_is_not_filled_by_someone_farther() {
    let mut metadata: BTreeMap<_, _> =
        (0..21).map(|n| (format!("key-{n:02}"), "\u{1}".repeat(1_024))).collect();
    metadata.insert("zone".to_owned(), "\u{1}".repeat(1_024));
    let close = own_word(Source::Annotation, Attributes { metadata, ..with_ports([named("http", 80)]) });
    let metadata = [("zone".to_owned(), "far".to_owned()), ("team".to_owned(), "a".to_owned())].into();
    let far = object(selector(), 1, "a", Attributes { metadata, ..Attributes::default() });
    let merged = one_of(&member(&pod(1), &[&close, &far])).instance.profile.metadata.clone();
    assert_eq!((merged.get("zone"), merged.get("team").map(AsRef::as_ref)), (None, Some("a")));
}

#[test]
fn an_address_owns_instances_as_a_pod_does() {
    let outside = Member {
        owner: Owner::Address(address(5)),
        endpoint: None,
        zone: Some("a".into()),
        registrations: vec![],
        witnesses: Witnesses { pod: PodWitness::NoPod, session: SessionWitness::NotExpected, ..WELL },
    };
    let said = object(targets()[3].clone(), 1, "db", with_ports([named("pg", 5_432), named("admin", 80)]));
    let Consolidated { instance, .. } = one_of(&Member { registrations: vec![&said], ..outside.clone() });
    assert_eq!(instance.id.as_str(), "10.0.0.5-5432");
    assert_eq!(instance.addresses, address(5).into());
    assert_eq!((&instance.pod, &instance.node, instance.zone.as_deref()), (&None, &None, Some("a")));

    // An endpoint that somebody wrote by hand: all its addresses, its node, and its ports.
    let slices =
        EndpointFacts { addresses: dual_stack(5).iter().collect(), ..endpoint([named("pg", 5_432)]) };
    let said = object(Target::Service("db".into()), 1, "db", Attributes::default());
    let reached = Member { endpoint: Some(&slices), registrations: vec![&said], zone: None, ..outside };
    let Consolidated { instance, .. } = one_of(&reached);
    assert_eq!((instance.id.as_str(), instance.addresses), ("10.0.0.5-5432", dual_stack(5)));
    assert_eq!(
        (instance.node.as_deref(), instance.zone.as_deref()),
        (Some("slice-node"), Some("slice-zone"))
    );
}

#[test]
fn a_services_ports_are_used_where_the_registration_has_none() {
    let (pod, slices) = (pod(1), endpoint([named("web", 8_080), named("metrics", 9_100)]));
    let bare = object(Target::Service("orders".into()), 1, "orders", Attributes::default());
    let reached = Member { endpoint: Some(&slices), ..member(&pod, &[&bare]) };
    let one = one_of(&reached);
    assert_eq!(one.instance.id.as_str(), "uid-1-8080", "the first is the primary one");
    assert_eq!(ports_of(&one), [(Some("metrics"), 9_100), (Some("web"), 8_080)]);
    let chosen = object(Target::Service("orders".into()), 1, "orders", with_ports([named("web", 80)]));
    let one = one_of(&Member { registrations: vec![&chosen], ..reached });
    assert_eq!(ports_of(&one), [(Some("metrics"), 9_100), (Some("web"), 80)], "an object's own number wins");
}

#[test]
fn an_app_is_probed_by_default_where_that_says_something() {
    let tcp = ProbeSpec::new(ProbeCheck::Tcp { port: None });
    let udp = || with_ports([Port { transport: Transport::Udp, ..named("dns", 53) }]);
    let tcp_ports =
        || with_ports([named("http", 80), Port { transport: Transport::Udp, ..named("dns", 53) }]);
    let beats = |attributes| Attributes { heartbeat: Some(Heartbeat::DEFAULT), ..attributes };
    let probed = |probing, attributes| Attributes { probe: Some(probing), ..attributes };
    let table = [
        (tcp_ports(), Some(tcp.clone())),
        (udp(), None),
        (beats(tcp_ports()), None),
        (probed(Probing::Off, tcp_ports()), None),
        (probed(Probing::By(probe("/")), tcp_ports()), Some(probe("/"))),
        (probed(Probing::By(tcp.clone()), beats(tcp_ports())), Some(tcp.clone())),
        (probed(Probing::By(probe("/")), udp()), Some(probe("/"))),
    ];
    for (attributes, expected) in table {
        let heartbeat = attributes.heartbeat;
        let said = object(selector(), 1, "a", attributes);
        let one = one_of(&member(&pod(1), &[&said]));
        assert_eq!((one.probe, one.heartbeat), (expected, heartbeat), "{said:?}");
    }
    // Who is closer may switch off what others asked for.
    let asks = object(selector(), 1, "a", probed(Probing::By(probe("/")), tcp_ports()));
    let off = own_word(Source::Annotation, probed(Probing::Off, Attributes::default()));
    assert_eq!(one_of(&member(&pod(1), &[&asks, &off])).probe, None);
}

#[test]
fn alike_instances_share_their_profile_and_the_shared_ones_are_few() {
    let said =
        |weight| object(selector(), 1, "a", Attributes { weight: Some(weight), ..with_ports([unnamed(80)]) });
    let mut profiles = Profiles::default();
    let mut profile_of = |number, registration: &Registration| {
        consolidate(&member(&pod(number), &[registration]), &mut profiles).0.remove(0).instance.profile
    };
    let (one, other) = (profile_of(1, &said(0)), profile_of(2, &said(0)));
    assert!(Arc::ptr_eq(&one, &other));
    assert!(!Arc::ptr_eq(&one, &profile_of(1, &said(1))));
    for weight in 2..=u16::try_from(PROFILES_SHARED).unwrap() {
        profile_of(1, &said(weight));
    }
    assert!(!Arc::ptr_eq(&one, &profile_of(1, &said(0))), "the oldest is forgotten");
    assert_eq!(profiles.0.len(), PROFILES_SHARED);
}

#[test]
fn no_address_no_port_or_an_ended_pod_is_no_instance() {
    let (with_port, portless) = (
        own_word(Source::Annotation, with_ports([named("http", 80)])),
        own_word(Source::Annotation, Attributes::default()),
    );
    let (here, homeless) = (pod(1), PodFacts { addresses: vec![], ..pod(1) });
    let ended = |pod| Witnesses { pod, ..WELL };
    let nothing = [
        member(&homeless, &[&with_port]),
        member(&here, &[&portless]),
        member(&here, &[]),
        Member { witnesses: ended(PodWitness::Ended), ..member(&here, &[&with_port]) },
        Member { witnesses: ended(PodWitness::Gone), ..member(&here, &[&with_port]) },
    ];
    for member in nothing {
        assert_eq!(consolidate(&member, &mut Profiles::default()), (vec![], vec![]), "{member:?}");
    }
    let slices = endpoint([]);
    let known_elsewhere = Member { endpoint: Some(&slices), ..member(&homeless, &[&with_port]) };
    assert_eq!(one_of(&known_elsewhere).instance.address(), address(99), "its slice knows where it is");
}

#[test]
fn the_witnesses_decide_the_state_of_all_its_instances() {
    let (declared, each) =
        (object(selector(), 1, "a", with_ports([unnamed(80)])), own_word(EACH, with_ports([unnamed(81)])));
    let table = [
        (WELL, State::Serving, Reason::Ready),
        (Witnesses { intent: Intent::Drain, ..WELL }, State::Draining, Reason::DrainRequested),
        (Witnesses { probe: ProbeWitness::Dead, ..WELL }, State::Failing, Reason::ProbeRefused),
        (Witnesses { session: SessionWitness::Silent, ..WELL }, State::Failing, Reason::SessionSilent),
        (Witnesses { pod: PodWitness::NotReady, ..WELL }, State::Starting, Reason::NotReady),
    ];
    let pod = pod(1);
    for (witnesses, state, reason) in table {
        let all = all_of(&Member { witnesses, ..member(&pod, &[&declared, &each]) });
        assert_eq!(all.len(), 2);
        for Consolidated { instance, .. } in all {
            assert_eq!((instance.state, &instance.reason, instance.revision), (state, &reason, 0));
        }
    }
}

// === Settings ===

fn seen(name: &str, policy: Option<Policy>, visibility: Option<Visibility>) -> Registration {
    Registration { policy, visibility, ..object(selector(), 1, name, Attributes::default()) }
}

fn namespaces(names: &[&str]) -> Visibility {
    Visibility::Namespaces(names.iter().map(|name| name.parse().unwrap()).collect())
}

#[test]
fn the_policy_is_that_of_the_closest_registration_that_has_one() {
    let policies = [Policy::Random, Policy::Weighted, Policy::LeastLoaded, Policy::ConsistentHash];
    let objects = targets().into_iter().zip(policies).zip(1i64..);
    // The closer, the younger.
    let all: Vec<_> = objects
        .map(|((target, policy), n)| Registration {
            policy: Some(policy),
            ..object(target, -n, "a", Attributes::default())
        })
        .collect();
    let silent = own_word(WHOLE, Attributes::default());
    for closest in 0..all.len() {
        let (settings, findings) = settings(all[closest..].iter().rev().chain([&silent]));
        assert_eq!((settings.policy, findings), (policies[closest], vec![]));
    }
    assert_eq!(settings([&silent]).0, Settings::default());
    assert_eq!(settings([]).0, Settings { policy: Policy::RoundRobin, visibility: Visibility::Cluster });
}

#[test]
fn visibility_is_the_narrowest_and_each_wider_one_is_told() {
    let (cluster, ab, bc, own) =
        (Visibility::Cluster, namespaces(&["a", "b"]), namespaces(&["b", "c"]), Visibility::own());
    let table: [(&[&Visibility], Visibility, &[usize]); 7] = [
        (&[&cluster], cluster.clone(), &[]),
        (&[&cluster, &ab], ab.clone(), &[0]),
        (&[&ab, &ab], ab.clone(), &[]),
        (&[&ab, &bc], namespaces(&["b"]), &[0, 1]),
        (&[&own, &ab, &cluster], own.clone(), &[1, 2]),
        (&[&own, &namespaces(&["shop"])], own.clone(), &[]),
        (&[&namespaces(&["a"]), &namespaces(&["c"])], own.clone(), &[0, 1]),
    ];
    for (wanted, expected, told) in table {
        let all: Vec<_> = wanted
            .iter()
            .enumerate()
            .map(|(n, one)| seen(&n.to_string(), None, Some((*one).clone())))
            .collect();
        let quiet = seen("quiet", None, None);
        let (settings, findings) = settings(all.iter().chain([&quiet]));
        assert_eq!(settings.visibility, expected);
        let expected: Vec<_> = told
            .iter()
            .map(|n| Finding::VisibilityNarrowed { loser: all[*n].source.clone(), to: expected.clone() })
            .collect();
        assert_eq!(findings, expected, "{wanted:?}");
    }
}

// === Any registrations ===

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let port = (
        proptest::option::of(proptest::sample::select(vec!["http", "grpc", "dns"])),
        80u16..84,
        any::<bool>(),
    );
    let ports = proptest::collection::vec(port, 0..4).prop_map(|ports| {
        let mut ports: Vec<_> = ports
            .into_iter()
            .map(|(name, port, udp)| Port {
                transport: if udp { Transport::Udp } else { Transport::Tcp },
                ..Port::tcp(name, port)
            })
            .collect();
        // As `check` lets them through: each name once, and no name only where it is the only port.
        let mut names = BTreeSet::new();
        ports.retain(|port| names.insert(port.name.clone()));
        let alone = ports.len() == 1;
        ports.retain(|port| alone || port.name.is_some());
        ports
    });
    let version = proptest::option::of((0u8..3).prop_map(|n| format!("{n}.0.0").parse().unwrap()));
    let tags = proptest::collection::btree_set("[a-c]", 0..3);
    let metadata = proptest::collection::btree_map("[a-c]", "[a-c]", 0..3);
    let probe =
        proptest::option::of(prop_oneof![Just(Probing::Off), "/[ab]".prop_map(|p| Probing::By(probe(&p)))]);
    let heartbeat =
        proptest::option::of((1u32..3).prop_map(|n| Heartbeat { interval_seconds: n, ttl_seconds: 9 }));
    (version, ports, tags, metadata, proptest::option::of(0u16..3), probe, heartbeat).prop_map(
        |(version, ports, tags, metadata, weight, probe, heartbeat)| Attributes {
            version,
            ports,
            tags,
            metadata,
            weight,
            probe,
            heartbeat,
        },
    )
}

/// Registrations that can stand beside each other: one annotation and one word for the whole pod, words for single
/// addresses that differ in their ports, and objects of distinct names, some of them equally old.
fn any_registrations() -> impl Strategy<Value = Vec<Registration>> {
    let one = (0usize..14, any_attributes(), proptest::option::of(0usize..2));
    proptest::collection::vec(one, 1..7).prop_map(|all| {
        let mut taken = BTreeSet::new();
        let mut registrations = Vec::new();
        for (which, mut attributes, policy) in all {
            let registration = match which {
                0 => own_word(WHOLE, attributes),
                1 => own_word(Source::Annotation, attributes),
                2..6 => {
                    let port = [80, 81, 82, 83][which - 2];
                    attributes.ports.truncate(1);
                    match attributes.ports.first_mut() {
                        Some(first) => first.port = port,
                        None => attributes.ports.push(unnamed(port)),
                    }
                    own_word(EACH, attributes)
                }
                _ => {
                    let (target, name) = (targets()[which % 4].clone(), format!("name-{which}"));
                    let policy = policy.map(|n| [Policy::Random, Policy::Weighted][n]);
                    Registration { policy, ..object(target, (which % 3) as i64, &name, attributes) }
                }
            };
            if taken.insert(which) {
                registrations.push(registration);
            }
        }
        registrations
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn the_order_of_registrations_does_not_matter(
        (all, shuffled) in any_registrations().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        reached in any::<bool>(),
    ) {
        let (pod, slices) = (pod(1), endpoint([named("http", 80), named("web", 83)]));
        let result = |all: &[Registration]| {
            let all: Vec<_> = all.iter().collect();
            let member = Member { endpoint: reached.then_some(&slices), ..member(&pod, &all) };
            let (consolidated, mut findings) = consolidate(&member, &mut Profiles::default());
            let (settings, more) = settings(all);
            findings.extend(more);
            findings.sort_by_key(|finding| format!("{finding:?}"));
            (consolidated, findings, settings)
        };
        prop_assert_eq!(result(&all), result(&shuffled));
    }

    #[test]
    fn whatever_is_registered_instances_are_told_apart_and_nobody_is_blamed_wrongly(
        all in any_registrations(), reached in any::<bool>(),
    ) {
        let (pod, slices) = (pod(1), endpoint([named("http", 80), named("web", 83)]));
        let borrowed: Vec<_> = all.iter().collect();
        let member = Member { endpoint: reached.then_some(&slices), ..member(&pod, &borrowed) };
        let (consolidated, findings) = consolidate(&member, &mut Profiles::default());
        let distinct: BTreeSet<_> = consolidated.iter().map(|one| &one.instance.id).collect();
        prop_assert_eq!(distinct.len(), consolidated.len(), "{:?}", consolidated);
        for Consolidated { instance, .. } in &consolidated {
            let profile = &instance.profile;
            prop_assert!(profile.ports.iter().any(|port| port.port == profile.port));
            prop_assert!(profile.ports.iter().all(|port| port.name.is_some() || port.port == profile.port));
            prop_assert_eq!(instance.id.as_str(), format!("uid-1-{}", profile.port));
        }
        // Each address that the app registered is there, on its own or adopted.
        for each in all.iter().filter(|one| one.source == EACH) {
            let port = each.attributes.ports[0].port;
            prop_assert!(consolidated.iter().any(|one| one.instance.profile.port == port));
        }
        for finding in findings {
            let Finding::PortConflict { loser, winner, winning, losing, .. } = finding else { unreachable!() };
            let age = |source: &Source| match source {
                Source::Object { created_ms, name } => Some((*created_ms, name.clone())),
                Source::Runtime(_) | Source::Annotation => None,
            };
            prop_assert!(age(&winner).is_some() && age(&winner) < age(&loser), "{:?} {:?}", winner, loser);
            prop_assert!(winning != losing || all.iter().flat_map(|one| &one.attributes.ports).any(|port| port.transport == Transport::Udp));
        }
    }
}
