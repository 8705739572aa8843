//! Which instances there are, and whose they are.

use super::*;
use crate::{
    Attributes, Few, Port, Probing, Reason, State, Target, Transport,
    liveness::{Intent, PodWitness, ProbeWitness, SessionWitness},
    testing::{
        WELL, dual_stack, each_word, named, object, own_word, selector, targets, unnamed, whole_word,
        with_ports,
    },
};

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
    assert_eq!((id, profile.port, profile.weight), (&"uid-1-80".into(), 80, 7));
    assert_eq!(
        (node.as_deref(), pod.as_deref(), zone.as_deref()),
        (Some("n1"), Some("orders-1"), Some("slice-zone"))
    );
    assert_eq!(profile.version, "2.0.0".parse().ok());
    assert_eq!(ports_of(&one), [(Some("grpc"), 90), (Some("http"), 80), (Some("metrics"), 9_100)]);
    assert_eq!(profile.tags, ["blue", "green"].into());
    assert_eq!(profile.metadata, [("team", "a"), ("tier", "c")].into());
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
    let word = own_word(whole_word(), with_ports([named("api", 7_000), named("grpc", 91)]));
    let (pod, all) = (pod(1), [&declared, &word]);
    let one = one_of(&member(&pod, &all));
    assert_eq!(one.instance.id.to_string(), "uid-1-7000");
    assert_eq!(ports_of(&one), [(Some("api"), 7_000), (Some("grpc"), 91), (Some("http"), 80)]);
    assert_eq!(findings_of(&member(&pod, &all)), [], "it is meant to differ");
    let quiet = own_word(whole_word(), Attributes { weight: Some(3), ..Attributes::default() });
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
        own_word(each_word("each"), Attributes { version: version.parse().ok(), weight: Some(9), ..said })
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
    assert_eq!(adopted.instance.id.to_string(), "uid-1-80");
    assert_eq!(adopted.instance.profile.version, "3.0.0".parse().ok());
    assert_eq!((adopted.instance.profile.weight, ports_of(&adopted)), (9, vec![(Some("http"), 80)]));

    let whole = own_word(whole_word(), with_ports([named("http", 7_000)]));
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
    let each =
        |port| own_word(each_word("each"), Attributes { weight: Some(3), ..with_ports([unnamed(port)]) });
    assert_eq!(ids(&[&older, &closer, &each(80)]), ["uid-1-80"]);
    assert_eq!(ids(&[&older, &closer, &each(8_080)]), ["uid-1-80", "uid-1-8080"]);
}

/// Else a lookup of `?port=http` would be answered with the same address and port twice.
#[test]
fn the_ports_of_a_service_are_not_those_of_the_addresses_beside_it() {
    let (pod, slices) = (pod(1), endpoint([named("http", 80)]));
    let adopted = object(Target::Service("orders".into()), 1, "orders", Attributes::default());
    let each = own_word(each_word("each"), with_ports([unnamed(7_000)]));
    let all = all_of(&Member { endpoint: Some(&slices), ..member(&pod, &[&adopted, &each]) });
    assert_eq!(all.iter().map(ports_of).collect::<Vec<_>>(), [vec![(Some("http"), 80)], vec![(None, 7_000)]]);
}
#[test]
fn an_address_owns_instances_as_a_pod_does() {
    let outside = Member {
        owner: Owner::Address(address(5)),
        endpoint: None,
        zone: Some("a".into()),
        registrations: vec![],
        witnesses: Witnesses { pod: PodWitness::NoPod, session: SessionWitness::NotExpected, ..WELL },
        probes: vec![],
    };
    let said = object(targets()[3].clone(), 1, "db", with_ports([named("pg", 5_432), named("admin", 80)]));
    let Consolidated { instance, .. } = one_of(&Member { registrations: vec![&said], ..outside.clone() });
    assert_eq!(instance.id.to_string(), "10.0.0.5-5432");
    assert_eq!(instance.addresses, address(5).into());
    assert_eq!((&instance.pod, &instance.node, instance.zone.as_deref()), (&None, &None, Some("a")));

    // An endpoint that somebody wrote by hand: all its addresses, its node, and its ports.
    let slices =
        EndpointFacts { addresses: dual_stack(5).iter().collect(), ..endpoint([named("pg", 5_432)]) };
    let said = object(Target::Service("db".into()), 1, "db", Attributes::default());
    let reached = Member { endpoint: Some(&slices), registrations: vec![&said], zone: None, ..outside };
    let Consolidated { instance, .. } = one_of(&reached);
    assert_eq!((instance.id, instance.addresses), ("10.0.0.5-5432".into(), dual_stack(5)));
    assert_eq!(
        (instance.node.as_deref(), instance.zone.as_deref()),
        (Some("slice-node"), Some("slice-zone"))
    );
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
    let (here, homeless) = (pod(1), PodFacts { addresses: Few::default(), ..pod(1) });
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
    let (declared, each) = (
        object(selector(), 1, "a", with_ports([unnamed(80)])),
        own_word(each_word("each"), with_ports([unnamed(81)])),
    );
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

/// Registered through two of its Services, a pod has what both have on it.
#[test]
fn a_pod_behind_two_services_has_the_ports_of_both() {
    let (web, admin) = (endpoint([named("http", 80)]), endpoint([named("admin", 81), named("http", 82)]));
    let both = web.joined(&admin);
    let said = |name: &str, age| object(Target::Service(name.into()), age, name, Attributes::default());
    let (pod, a, b) = (pod(1), said("web", 1), said("admin", 2));
    let one = one_of(&Member { endpoint: Some(&both), ..member(&pod, &[&a, &b]) });
    assert_eq!(one.instance.id.to_string(), "uid-1-80");
    assert_eq!(ports_of(&one), [(Some("admin"), 81), (Some("http"), 80)]);
}

#[test]
fn a_word_on_one_port_is_of_its_instance_alone() {
    let (declared, each) = (
        object(selector(), 1, "a", with_ports([unnamed(80)])),
        own_word(each_word("each"), with_ports([unnamed(81)])),
    );
    let (pod, dead) = (pod(1), ProbeWitness::Dead);
    let table = [
        (ProbeWitness::NotAsked, vec![(81, dead)], [State::Serving, State::Failing]),
        (ProbeWitness::Passing, vec![(80, dead), (82, dead)], [State::Failing, State::Serving]),
        // Of a word on all and one on the port the bad one counts.
        (dead, vec![(81, ProbeWitness::Passing)], [State::Failing, State::Failing]),
    ];
    for (probe, probes, states) in table {
        let witnesses = Witnesses { probe, ..WELL };
        let all = all_of(&Member { witnesses, probes, ..member(&pod, &[&declared, &each]) });
        assert_eq!(all.iter().map(|one| one.state).collect::<Vec<_>>(), states);
    }
}

#[test]
fn what_the_app_alone_says_is_not_declared() {
    let (declared, beside, adopting) = (
        object(selector(), 1, "a", with_ports([unnamed(80)])),
        own_word(each_word("each"), with_ports([unnamed(81)])),
        own_word(each_word("each"), with_ports([unnamed(80)])),
    );
    let pod = pod(1);
    let table = [
        (vec![&declared, &beside], vec![(80, true), (81, false)]),
        (vec![&declared, &adopting], vec![(80, true)]),
        (vec![&beside], vec![(81, false)]),
    ];
    for (registrations, expected) in table {
        let (all, _) = consolidate(&member(&pod, &registrations), &mut Profiles::default());
        let told = all.iter().map(|one| (one.instance.profile.port, one.declared));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
