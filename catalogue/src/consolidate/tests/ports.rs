//! Which ports an instance has, and who is told of a conflict.

use super::*;
use crate::{
    Attributes, Port, Target, Transport,
    testing::{each_word, named, object, own_word, selector, targets, unnamed, whole_word, with_ports},
};

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
        assert_eq!(one.instance.id.to_string(), "uid-1-80", "the primary port follows");
        assert_eq!(ports_of(&one), [(Some("http"), 80)]);
        let expected = Finding::PortConflict {
            loser: newer.source.clone(),
            winner: "older".into(),
            port: "http".into(),
            winning: Numbered { port: 80, transport: Transport::Tcp },
            losing: Numbered::from(&port),
        };
        assert_eq!(findings_of(&member), if told { vec![expected] } else { vec![] }, "{port:?}");
    }
    let newer = object(close, 2, "newer", with_ports([named("http", 81)]));
    let finding = findings_of(&member(&pod, &[&older, &newer])).remove(0);
    assert_eq!(finding.loser(), &newer.source);
    assert_eq!(
        finding.to_string(),
        "ports: `http` is 80/TCP by an older registration `older`, and not 81/TCP; rename the port, or give both the same number and protocol"
    );
}

#[test]
fn of_many_conflicts_each_registration_is_told_the_first() {
    let pod = pod(1);
    let all = |base: u16| {
        with_ports(["c", "a", "b"].iter().zip(base..).map(|(name, n)| named(name, n)).collect::<Vec<_>>())
    };
    let objects = [("first", 1, 10), ("second", 2, 20), ("third", 3, 30)];
    let objects = objects.map(|(name, created_ms, base)| object(selector(), created_ms, name, all(base)));
    let told = findings_of(&member(&pod, &objects.each_ref()));
    let expected = objects[1..].iter().map(|loser| Finding::PortConflict {
        loser: loser.source.clone(),
        winner: "first".into(),
        port: "a".into(),
        winning: Numbered::from(&objects[0].attributes.ports[1]),
        losing: Numbered::from(&loser.attributes.ports[1]),
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
}

#[test]
fn a_pods_own_word_is_never_a_conflict() {
    let pod = pod(1);
    let declared = object(selector(), 1, "a", with_ports([named("http", 80)]));
    for source in [Source::Annotation, whole_word(), each_word("each")] {
        let own = own_word(source.clone(), with_ports([named("http", 81)]));
        assert_eq!(findings_of(&member(&pod, &[&declared, &own])), [], "{source:?}");
    }
    let (one, other) = (
        own_word(whole_word(), with_ports([named("http", 81)])),
        own_word(Source::Annotation, with_ports([named("http", 82)])),
    );
    let member = member(&pod, &[&other, &one]);
    assert_eq!(findings_of(&member), []);
    assert_eq!(ports_of(&one_of(&member)), [(Some("http"), 81)], "run time before annotation");
}
#[test]
fn a_services_ports_are_used_where_the_registration_has_none() {
    let (pod, slices) = (pod(1), endpoint([named("web", 8_080), named("metrics", 9_100)]));
    let bare = object(Target::Service("orders".into()), 1, "orders", Attributes::default());
    let reached = Member { endpoint: Some(&slices), ..member(&pod, &[&bare]) };
    let one = one_of(&reached);
    assert_eq!(one.instance.id.to_string(), "uid-1-8080", "the first is the primary one");
    assert_eq!(ports_of(&one), [(Some("metrics"), 9_100), (Some("web"), 8_080)]);
    let chosen = object(Target::Service("orders".into()), 1, "orders", with_ports([named("web", 80)]));
    let one = one_of(&Member { registrations: vec![&chosen], ..reached });
    assert_eq!(ports_of(&one), [(Some("metrics"), 9_100), (Some("web"), 80)], "an object's own number wins");
}

/// 53/UDP beside 53/TCP: two ports, of which the primary one must not be lost.
#[test]
fn a_number_over_two_transports_is_two_ports() {
    let udp = Port { transport: Transport::Udp, ..unnamed(53) };
    let own = own_word(Source::Annotation, with_ports([udp.clone()]));
    let declared = object(selector(), 1, "a", with_ports([named("dns-tcp", 53)]));
    let pod = pod(1);
    let one = one_of(&member(&pod, &[&own, &declared]));
    assert_eq!(*one.instance.profile.ports, [udp, named("dns-tcp", 53)]);
}
