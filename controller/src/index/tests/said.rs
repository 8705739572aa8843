//! What apps say of themselves at run time.

use rollcall_catalogue::{Reason, ServiceName, State};
use rollcall_wire::{
    HealthOf, RegistrationKey, SelfPort, SelfRegistration,
    limits::{HEALTH_WORDS_MAX, REGISTRATIONS_MAX},
};

use super::{pods::nothing_stays_behind, *};

fn uid() -> PodUid {
    "u1".into()
}

fn name(name: &str) -> ServiceName {
    name.parse().unwrap()
}

fn whole(service: &str) -> RegistrationKey {
    RegistrationKey { service: name(service), port: None }
}

fn at(service: &str, port: u32) -> RegistrationKey {
    RegistrationKey { service: name(service), port: Some(port) }
}

fn of(service: &str) -> Option<HealthOf> {
    Some(HealthOf { service: name(service), port: None })
}

fn of_port(service: &str, port: u16) -> Option<HealthOf> {
    Some(HealthOf { service: name(service), port: Some(port) })
}

fn says(service: &str, ports: &[u16]) -> SelfRegistration {
    let port = |port: &u16| SelfPort {
        name: (ports.len() > 1).then(|| format!("p{port}")),
        port: u32::from(*port),
        protocol: None,
        app_protocol: None,
    };
    SelfRegistration {
        service: name(service),
        version: None,
        ports: ports.iter().map(port).collect(),
        tags: Vec::new(),
        metadata: BTreeMap::new(),
        weight: None,
        probe: None,
        ttl_seconds: None,
        beside: false,
    }
}

fn beside(service: &str, port: u16) -> SelfRegistration {
    SelfRegistration { beside: true, ..says(service, &[port]) }
}

fn hello(incarnation: &str, registrations: &[SelfRegistration]) -> Hello {
    Hello { incarnation: incarnation.to_owned(), sequence: 1, registrations: registrations.to_vec() }
}

/// A pod in session, which registers itself as this by its annotation.
fn in_session(annotated: Option<&str>) -> Bench {
    let mut bench = Bench::new();
    let mut one = pod(1, "a", annotated);
    one.facts.has_sidecar = true;
    bench.apply([seen(one)]);
    assert_eq!(bench.index.open_session(&uid(), &hello("i", &[]), 2), Some(Opening::Open(vec![])));
    bench.publish();
    bench
}

fn registers(bench: &mut Bench, said: &SelfRegistration) -> BTreeMap<String, Vec<String>> {
    assert_eq!(bench.index.app_registers(&uid(), said), Ok(()));
    bench.publish()
}

#[test]
fn a_registration_at_run_time_comes_changes_and_goes() {
    let mut bench = in_session(None);
    let now = registers(&mut bench, &says("orders", &[9090]));
    assert_eq!(now, expect(&[("orders", &["p1:9090 Ready"])]));
    registers(&mut bench, &says("orders", &[9090]));
    assert!(bench.step().is_none(), "no news");
    let now = registers(&mut bench, &says("orders", &[9091]));
    assert_eq!(now, expect(&[("orders", &["p1:9091 Ready"])]));
    registers(&mut bench, &says("billing", &[7]));
    bench.index.app_deregisters(&uid(), &whole("orders"));
    assert_eq!(bench.publish(), expect(&[("billing", &["p1:7 Ready"])]));
    bench.index.app_deregisters(&uid(), &whole("orders"));
    assert!(bench.step().is_none());
    let wanted = bench.index.managed().wanted;
    assert!(
        wanted.len() == 1 && wanted.values().all(|spec| matches!(spec.origin, Origin::App { .. })),
        "kept for itself, and no label stands for it: {wanted:?}"
    );
    assert_eq!(bench.apply([gone_pod(1)]), expect(&[]));
    nothing_stays_behind(&bench);
}

#[test]
fn it_stands_beside_what_was_declared_or_speaks_for_it() {
    let mut bench = in_session(Some("orders"));
    let now = registers(&mut bench, &says("billing", &[7]));
    assert_eq!(now, expect(&[("billing", &["p1:7 Ready"]), ("orders", &["p1:8080 Ready"])]));
    let now = registers(&mut bench, &says("orders", &[9090]));
    assert_eq!(now["orders.shop"], ["p1:9090 Ready"], "the whole pod's");
    bench.index.app_deregisters(&uid(), &whole("orders"));
    registers(&mut bench, &beside("orders", 9090));
    let now = registers(&mut bench, &beside("orders", 9091));
    assert_eq!(now["orders.shop"], ["p1:8080 Ready", "p1:9090 Ready", "p1:9091 Ready"], "one of three");
    bench.index.app_deregisters(&uid(), &at("orders", 9091));
    assert_eq!(bench.publish()["orders.shop"], ["p1:8080 Ready", "p1:9090 Ready"]);
    bench.index.app_deregisters(&uid(), &whole("orders"));
    assert!(bench.step().is_none(), "nothing of that name");
    bench.index.app_deregisters(&uid(), &at("orders", 9090));
    assert_eq!(bench.publish()["orders.shop"], ["p1:8080 Ready"], "what was declared stays");
}

#[test]
fn its_values_are_the_domains() {
    let mut bench = in_session(None);
    let said = SelfRegistration {
        version: Some("1.2.3".parse().unwrap()),
        tags: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        weight: Some(7),
        probe: Some("http:/healthz".to_owned()),
        ttl_seconds: Some(3),
        ..says("orders", &[9090, 9091])
    };
    registers(&mut bench, &said);
    let profile = bench.instance("orders.shop").profile.clone();
    assert_eq!((profile.port, profile.weight), (9090, 7));
    assert_eq!(profile.version.as_ref().map(ToString::to_string).as_deref(), Some("1.2.3"));
    assert_eq!((profile.tags.len(), profile.metadata.len(), profile.ports.len()), (2, 1, 2));
}

#[test]
fn who_has_just_left_a_service_may_still_be_called_in_it() {
    let mut bench = in_session(None);
    registers(&mut bench, &says("orders", &[9090]));
    bench.index.app_deregisters(&uid(), &whole("orders"));
    bench.index.advance(bench.now_ms);
    assert_eq!(bench.index.services_of(&uid()), []);
    let called = bench.index.called_in(&uid());
    assert_eq!(called.iter().map(|key| key.service.as_str()).collect::<Vec<_>>(), ["orders"]);
    registers(&mut bench, &says("orders", &[9090]));
    assert_eq!(bench.index.called_in(&uid()).len(), 1, "once");
    bench.index.app_deregisters(&uid(), &whole("orders"));
    bench.index.advance(bench.now_ms);
    bench.index.tick(bench.now_ms + 60_000, false, |_| None);
    assert_eq!(bench.index.called_in(&uid()), []);
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field_and_changes_nothing() {
    let mut bench = in_session(None);
    registers(&mut bench, &says("orders", &[9090]));
    let good = says("orders", &[1]);
    let port = |port, protocol: Option<&str>| SelfPort {
        name: None,
        port,
        protocol: protocol.map(str::to_owned),
        app_protocol: None,
    };
    let table = [
        ("ports", says("orders", &[0])),
        ("ports", SelfRegistration { beside: true, ..says("orders", &[]) }),
        ("ports", SelfRegistration { ports: vec![port(70_000, None)], ..good.clone() }),
        ("ports", SelfRegistration { ports: vec![port(1, Some("tcp"))], ..good.clone() }),
        ("version", SelfRegistration { version: Some("v1".to_owned()), ..good.clone() }),
        ("weight", SelfRegistration { weight: Some(1_001), ..good.clone() }),
        ("weight", SelfRegistration { weight: Some(70_000), ..good.clone() }),
        ("tags", SelfRegistration { tags: vec![String::new()], ..good.clone() }),
        ("probe", SelfRegistration { probe: Some("http:no-path".to_owned()), ..good.clone() }),
        ("probe", SelfRegistration { probe: Some("ping".to_owned()), ..good.clone() }),
        ("ttlSeconds", SelfRegistration { ttl_seconds: Some(0), ..good.clone() }),
        ("ttlSeconds", SelfRegistration { ttl_seconds: Some(3_601), ..good }),
    ];
    for (field, said) in table {
        let refused = bench.index.app_registers(&uid(), &said).unwrap_err();
        assert_eq!((refused.why.field, refused.key.service.as_str()), (field, "orders"), "{said:?}");
    }
    assert!(bench.step().is_none());
    // More than there is room for, of which none is forgotten.
    for number in 1..REGISTRATIONS_MAX {
        registers(&mut bench, &says(&format!("s{number}"), &[1]));
    }
    let refused = bench.index.app_registers(&uid(), &says("more", &[1])).unwrap_err();
    assert_eq!(refused.why.field, "service");
    assert_eq!(bench.publish().len(), REGISTRATIONS_MAX);
    registers(&mut bench, &says("orders", &[9091]));
    assert_eq!(bench.instance("orders.shop").profile.port, 9091, "what is there may change");
}

#[test]
fn the_bytes_of_all_registrations_are_bounded() {
    let mut bench = in_session(None);
    let large = |port: u16, bytes: usize| {
        let value = |number: usize| (format!("k{number}"), "v".repeat(bytes / 16));
        SelfRegistration { metadata: (0..16).map(value).collect(), ..beside("orders", port) }
    };
    let mut number = 0;
    let refused = loop {
        number += 1;
        match bench.index.app_registers(&uid(), &large(number, 16 * 1024)) {
            Ok(()) => {}
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.why.field, number), ("metadata", 8), "{}", refused.why);
    assert_eq!(bench.publish()["orders.shop"].len(), 7);
    registers(&mut bench, &large(1, 16));
    assert_eq!(
        registers(&mut bench, &large(8, 16 * 1024))["orders.shop"].len(),
        8,
        "what shrinks makes room"
    );
    bench.index.app_deregisters(&uid(), &at("orders", 8));
    assert_eq!(registers(&mut bench, &large(1, 16 * 1024))["orders.shop"].len(), 7, "and what goes");
}

#[test]
fn a_hello_takes_back_what_its_sidecar_named_and_leaves_out() {
    let mut bench = in_session(None);
    let (orders, billing) = (says("orders", &[1]), says("billing", &[2]));
    let opens = |bench: &mut Bench, incarnation: &str, registrations: &[SelfRegistration]| {
        let opening = bench.index.open_session(&uid(), &hello(incarnation, registrations), 3);
        let Some(Opening::Open(refused)) = opening else { panic!("{opening:?}") };
        let names: Vec<_> = bench.publish().into_keys().collect();
        (names, refused.len())
    };
    let named = |names: &[&str]| names.iter().map(|name| format!("{name}.shop")).collect::<Vec<_>>();
    let both = named(&["billing", "orders"]);
    assert_eq!(opens(&mut bench, "i", &[orders.clone(), billing.clone()]), (both.clone(), 0));
    bench.index.session_ended(&uid(), 3, true, 3);
    bench.publish();
    assert_eq!(bench.instance("orders.shop").reason, Reason::SidecarLost, "it outlives its session");
    assert_eq!(opens(&mut bench, "j", &[]), (both.clone(), 0), "restarted: it does not know");
    assert_eq!(opens(&mut bench, "j", &[]), (both.clone(), 0), "nor does it in its next session");
    assert_eq!(opens(&mut bench, "j", &[orders.clone(), says("bad", &[0])]), (both.clone(), 1));
    assert_eq!(opens(&mut bench, "j", &[]), (named(&["billing"]), 0), "of this it knew");
    registers(&mut bench, &orders);
    assert_eq!(opens(&mut bench, "j", &[]), (named(&["billing"]), 0), "by a word of its own as well");
    bench.index.app_deregisters(&uid(), &whole("billing"));
    let many: Vec<_> = (0..20).map(|number| says(&format!("s{number}"), &[1])).collect();
    let (names, refused) = opens(&mut bench, "k", &many);
    assert_eq!((names.len(), refused), (REGISTRATIONS_MAX, 20 - REGISTRATIONS_MAX));
}

#[test]
fn words_on_the_health_are_of_one_service_or_of_all() {
    use ProbeWitness::*;
    let mut bench = in_session(Some("orders"));
    registers(&mut bench, &says("billing", &[7]));
    let reasons = |bench: &mut Bench| {
        bench.publish();
        ["orders.shop", "billing.shop"].map(|service| bench.instance(service).reason.to_string())
    };
    let table = [
        (Some("orders"), Dead, ["ProbeRefused", "Ready"]),
        (None, SaysFailing, ["AppSaysFailing", "AppSaysFailing"]),
        (None, Passing, ["ProbeRefused", "Ready"]),
        (Some("billing"), BeatMissed, ["ProbeRefused", "HeartbeatMissed"]),
        (Some("orders"), Passing, ["Ready", "HeartbeatMissed"]),
        (Some("billing"), NotAsked, ["Ready", "Ready"]),
    ];
    for (service, probe, expected) in table {
        bench.index.app_health(&uid(), service.and_then(of), probe);
        assert_eq!(reasons(&mut bench), expected, "{service:?} {probe}");
        bench.index.app_health(&uid(), service.and_then(of), probe);
        assert!(bench.step().is_none(), "no news");
    }
    // The last word stands while the session is away, good or bad.
    bench.index.app_health(&uid(), of("orders"), Dead);
    bench.index.session_ended(&uid(), 9, true, 9);
    assert_eq!(reasons(&mut bench), ["ProbeRefused", "SidecarLost"]);
    assert!(bench.index.open_session(&uid(), &hello("j", &[]), 10).is_some());
    assert_eq!(reasons(&mut bench), ["ProbeRefused", "Ready"]);
    // A flood of names is not kept.
    for number in 0..1_000 {
        bench.index.app_health(&uid(), of(&format!("s{number}")), Dead);
    }
    assert_eq!(reasons(&mut bench), ["ProbeRefused", "Ready"]);
}

#[test]
fn a_word_on_one_address_is_of_that_alone_and_goes_with_it() {
    use ProbeWitness::*;
    let mut bench = in_session(Some("orders"));
    registers(&mut bench, &beside("orders", 9090));
    registers(&mut bench, &beside("orders", 9091));
    bench.index.app_health(&uid(), of_port("orders", 9090), Dead);
    let now = bench.publish();
    assert_eq!(now["orders.shop"], ["p1:8080 Ready", "p1:9090 ProbeRefused", "p1:9091 Ready"]);
    let key: ServiceKey = "orders.shop".parse().unwrap();
    let explained = bench.index.explain(&key).unwrap();
    let told = explained.iter().map(|one| (one.instance.profile.port, one.witnesses.probe));
    assert_eq!(told.collect::<Vec<_>>(), [(8080, NotAsked), (9090, Dead), (9091, NotAsked)]);
    bench.index.app_health(&uid(), of_port("orders", 8080), SaysFailing);
    bench.index.app_health(&uid(), of("orders"), Unwell);
    let now = bench.publish();
    assert_eq!(now["orders.shop"], ["p1:8080 AppSaysFailing", "p1:9090 ProbeFailed", "p1:9091 ProbeFailed"]);
    bench.index.app_health(&uid(), of("orders"), Passing);
    bench.index.app_deregisters(&uid(), &at("orders", 9090));
    let now = registers(&mut bench, &beside("orders", 9090));
    assert_eq!(now["orders.shop"], ["p1:8080 AppSaysFailing", "p1:9090 Ready", "p1:9091 Ready"], "forgotten");
}

#[test]
fn words_on_what_it_is_no_more_are_forgotten_and_keep_no_other_out() {
    use ProbeWitness::*;
    let mut bench = in_session(Some("orders"));
    registers(&mut bench, &beside("orders", 9090));
    // An earlier process of the sidecar looked after this.
    for (of, probe) in [(of_port("orders", 8080), Dead), (of_port("orders", 7), Dead), (of("gone"), Dead)] {
        bench.index.app_health(&uid(), of, probe);
    }
    bench.publish();
    let left = |bench: &Bench| bench.index.words_on_parts(&uid());
    bench.index.session_ended(&uid(), 3, true, 3);
    bench.publish();
    bench.index.open_session(&uid(), &hello("i", &[beside("orders", 9090)]), 3);
    assert_eq!(left(&bench).len(), 3, "the same process");
    bench.index.session_ended(&uid(), 3, true, 3);
    bench.publish();
    bench.index.open_session(&uid(), &hello("j", &[]), 3);
    assert_eq!(left(&bench), of_port("orders", 8080).into_iter().collect());
    for port in 10_000..10_100 {
        bench.index.app_health(&uid(), of_port("orders", port), Dead);
    }
    assert_eq!(left(&bench).len(), HEALTH_WORDS_MAX);
    bench.index.app_health(&uid(), of_port("orders", 9090), Dead);
    let now = bench.publish();
    assert_eq!(now["orders.shop"], ["p1:8080 ProbeRefused", "p1:9090 ProbeRefused"]);
    assert_eq!(left(&bench).len(), HEALTH_WORDS_MAX, "it has taken the place of one");
}

#[test]
fn a_drain_takes_the_pod_out_of_all_its_services_until_it_is_stopped() {
    let mut bench = in_session(Some("orders"));
    registers(&mut bench, &says("billing", &[7]));
    bench.index.app_drains(&uid(), true);
    bench.publish();
    for service in ["orders.shop", "billing.shop"] {
        let instance = bench.instance(service);
        assert_eq!((instance.state, &instance.reason), (State::Draining, &Reason::DrainRequested));
    }
    assert_eq!(bench.index.services_of(&uid()).len(), 2);
    assert!(!bench.index.is_ending(&uid()));
    bench.index.session_ended(&uid(), 9, true, 9);
    bench.index.open_session(&uid(), &hello("j", &[]), 10);
    assert!(bench.step().is_none(), "a restarted sidecar calls nobody back");
    bench.index.app_drains(&uid(), false);
    bench.publish();
    assert_eq!(bench.instance("orders.shop").reason, Reason::Ready);
}

#[test]
fn nobody_speaks_for_a_pod_without_a_session() {
    let mut bench = Bench::new();
    bench.apply([seen(pod(1, "a", Some("orders")))]);
    assert_eq!(bench.index.app_registers(&uid(), &says("billing", &[1])), Ok(()));
    bench.index.app_health(&uid(), None, ProbeWitness::Dead);
    bench.index.app_drains(&uid(), true);
    assert!(bench.step().is_none());
}
