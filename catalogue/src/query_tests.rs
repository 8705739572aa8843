use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    balance::Policy,
    changes::Head,
    consolidate::Settings,
    instance::{Addresses, Profile},
    registration::{Port, Visibility},
    snapshot::{ContentHash, Update},
    state::Reason,
};

fn speaking(name: &str, port: u16, protocol: &str) -> Port {
    Port { app_protocol: Some(protocol.into()), ..Port::tcp(Some(name), port) }
}

fn instance(number: u8, version: Option<&str>, tags: &[&str], state: State) -> Instance {
    let profile = Profile {
        port: 8080,
        ports: [
            speaking("grpc", 9090, "grpc"),
            speaking("http", 8080, "http"),
            Port::tcp(Some("admin"), 9999),
        ]
        .into(),
        version: version.map(|version| version.parse().unwrap()),
        weight: 100,
        tags: tags.iter().copied().collect(),
        metadata: Default::default(),
    };
    Instance {
        id: format!("u{number}-8080").as_str().into(),
        addresses: Addresses::new(&[[10, 0, 0, number].into(), format!("fd00::{number}").parse().unwrap()])
            .unwrap(),
        zone: Some(if number.is_multiple_of(2) { "even" } else { "odd" }.into()),
        node: None,
        pod: None,
        profile: profile.into(),
        state,
        reason: Reason::Ready,
        revision: 1,
    }
}

fn service(instances: Vec<Instance>) -> Service {
    let head = Head { revision: 1, hash: ContentHash(1), policy: Policy::default(), truncated: false };
    Service::of(head, instances.into_iter().map(Arc::new).collect())
}

/// The last bytes of the addresses that this query gives, each with its port.
fn answer(query: &Query, service: &Service) -> Vec<(u8, u16)> {
    let last = |address: IpAddr| address.to_string().rsplit('.').next().unwrap().parse().unwrap();
    query.select(service).iter().map(|one| (last(one.instance.address()), one.port)).collect()
}

#[test]
fn what_is_asked_for_is_what_is_given() {
    use State::*;
    let service = service(vec![
        instance(10, Some("1.4.2"), &["blue"], Serving),
        instance(9, Some("1.5.0"), &["blue", "canary"], Serving),
        instance(3, None, &[], Serving),
        instance(4, Some("2.0.0"), &["blue"], Suspect),
        instance(5, Some("1.4.2"), &["blue"], Failing),
        instance(6, Some("1.4.2"), &[], Draining),
        instance(7, Some("1.4.2"), &[], Starting),
    ]);
    let all = Query::default;
    let version = |text: &str| Query { version: Some(text.parse().unwrap()), ..all() };
    let tags = |tags: &[&str]| Query { tags: tags.iter().map(|tag| (*tag).into()).collect(), ..all() };
    let port = |port: &str| Query { port: Some(port.into()), ..all() };
    let protocol = |protocol: &str| Query { protocol: Some(protocol.into()), ..all() };
    let both = |port: &str, protocol: &str| Query {
        port: Some(port.into()),
        protocol: Some(protocol.into()),
        ..all()
    };
    let address = |text: &str| Query { address: Some(text.parse().unwrap()), ..all() };
    let table: &[(Query, &[(u8, u16)])] = &[
        (all(), &[(3, 8080), (9, 8080), (10, 8080)]),
        (version("1.4.2"), &[(10, 8080)]),
        (version("^1.4"), &[(9, 8080), (10, 8080)]),
        (version("2"), &[(4, 8080)]),
        (version("3"), &[]),
        (tags(&["blue"]), &[(9, 8080), (10, 8080)]),
        (tags(&["blue", "canary"]), &[(9, 8080)]),
        (tags(&["blu"]), &[]),
        (Query { zone: Some("even".into()), ..all() }, &[(10, 8080)]),
        (port("grpc"), &[(3, 9090), (9, 9090), (10, 9090)]),
        (port("9999"), &[(3, 9999), (9, 9999), (10, 9999)]),
        (port("smtp"), &[]),
        (protocol("grpc"), &[(3, 9090), (9, 9090), (10, 9090)]),
        (protocol("http"), &[(3, 8080), (9, 8080), (10, 8080)]),
        (both("grpc", "http"), &[]),
        (both("grpc", "grpc"), &[(3, 9090), (9, 9090), (10, 9090)]),
        (address("10.0.0.9"), &[(9, 8080)]),
        (address("fd00::9"), &[(9, 8080)]),
        (address("10.0.0.5"), &[]),
        (Query { states: States::Only(Failing), ..all() }, &[(5, 8080)]),
        (Query { states: States::All, ..version("1.4.2") }, &[(5, 8080), (6, 8080), (7, 8080), (10, 8080)]),
        (Query { states: States::All, ..address("10.0.0.5") }, &[(5, 8080)]),
        (Query { zone: Some("odd".into()), ..port("http") }, &[(3, 8080), (9, 8080)]),
    ];
    for (query, expected) in table {
        assert_eq!(answer(query, &service), *expected, "{query:?}");
    }
}

/// Of weight 0, it is listed and never picked: were it alone in the answer, a pick would give nobody.
#[test]
fn one_that_is_never_picked_hides_no_suspect_one() {
    let of = |number, weight, state| {
        let one = instance(number, None, &[], state);
        Instance { profile: Arc::new(Profile { weight, ..Profile::clone(&one.profile) }), ..one }
    };
    let answers = |all: &[Instance]| -> Vec<u8> {
        answer(&Query::default(), &service(all.to_vec())).into_iter().map(|(number, _)| number).collect()
    };
    let (standby, doubted, well) =
        (of(2, 0, State::Serving), of(1, 100, State::Suspect), of(3, 1, State::Serving));
    assert_eq!(answers(&[standby.clone(), doubted.clone()]), [1, 2], "in their order");
    assert_eq!(answers(&[standby.clone(), doubted, well]), [2, 3]);
    assert_eq!(answers(&[standby]), [2]);
}

#[test]
fn the_json_of_a_match_has_the_port_that_was_asked_for() {
    let service = service(vec![instance(1, None, &[], State::Serving)]);
    let query = Query { port: Some("grpc".into()), ..Query::default() };
    let json = serde_json::to_value(query.select(&service)).unwrap();
    assert_eq!((json[0]["port"].as_u64(), json[0]["ports"]["http"].as_u64()), (Some(9090), Some(8080)));
    assert_eq!(json[0]["address"], "10.0.0.1");
}

#[test]
fn who_may_not_see_a_service_is_told_as_if_there_were_none() {
    let home: Namespace = "shop".parse().unwrap();
    let update = |visibility| Update::Whole {
        settings: Settings { visibility, ..Settings::default() },
        instances: vec![
            instance(1, Some("1.10.0"), &[], State::Serving),
            instance(2, Some("1.9.0"), &[], State::Failing),
        ],
    };
    let key = |text: &str| text.parse::<ServiceKey>().unwrap();
    let friends = Visibility::Namespaces(["billing".parse().unwrap()].into());
    let updates = [
        (key("open.shop"), update(Visibility::Cluster)),
        (key("own.shop"), update(Visibility::own())),
        (key("some.shop"), update(friends)),
    ];
    let snapshot = Snapshot::default().next(updates, 1).unwrap().snapshot;
    let names = |caller: &str| -> Vec<String> {
        snapshot.all_seen_from(&caller.parse().unwrap()).iter().map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!(names("shop"), ["open.shop", "own.shop", "some.shop"]);
    assert_eq!(names("billing"), ["open.shop", "some.shop"]);
    assert_eq!(names("else"), ["open.shop"]);
    assert!(snapshot.seen_from(&home, &key("own.shop")).is_some());
    assert!(snapshot.seen_from(&"else".parse().unwrap(), &key("own.shop")).is_none());
    assert!(snapshot.seen_from(&home, &key("none.shop")).is_none());
    let (key, service) = snapshot.all_seen_from(&home)[0];
    assert_eq!(
        serde_json::to_string(&service.summary(key)).unwrap(),
        r#"{"service":"open","namespace":"shop","versions":["1.9.0","1.10.0"],"serving":1,"total":2}"#
    );
}

fn any_query() -> impl Strategy<Value = Query> {
    let version =
        proptest::sample::select(vec!["1.0.0", "^1", "2", "*"]).prop_map(|text| text.parse().unwrap());
    let tags = proptest::sample::subsequence(vec!["a", "b"], 0..=2);
    let port = proptest::sample::select(vec!["grpc", "http", "9999", "none"]);
    let zone = proptest::sample::select(vec!["even", "odd", "none"]);
    let option = proptest::option::of::<BoxedStrategy<VersionFilter>>;
    (option(version.boxed()), tags, proptest::option::of(port), proptest::option::of(zone), any::<bool>())
        .prop_map(|(version, tags, port, zone, all)| Query {
            version,
            tags: tags.into_iter().map(Into::into).collect(),
            port: port.map(Into::into),
            zone: zone.map(Into::into),
            states: if all { States::All } else { States::Served },
            ..Query::default()
        })
}

fn any_service() -> impl Strategy<Value = Service> {
    let states = [State::Starting, State::Serving, State::Suspect, State::Failing, State::Draining];
    let one = (
        any::<u8>(),
        proptest::sample::select(vec![None, Some("1.0.0"), Some("1.2.0"), Some("2.0.0")]),
        proptest::sample::subsequence(vec!["a", "b"], 0..=2),
        proptest::sample::select(states.to_vec()),
    );
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let mut seen = BTreeSet::new();
        let unique = all.into_iter().filter(|(number, ..)| seen.insert(*number)).collect::<Vec<_>>();
        service(
            unique.into_iter().map(|(n, version, tags, state)| instance(n, version, &tags, state)).collect(),
        )
    })
}

proptest! {
    /// More conditions never give more, except that Suspect ones come in when no Serving one is left; and whoever
    /// serves is never hidden behind someone who is doubted.
    #[test]
    fn a_narrower_question_has_a_narrower_answer(service in any_service(), query in any_query()) {
        let answer = query.select(&service);
        let everything = Query { states: States::All, ..query.clone() }.select(&service);
        prop_assert!(answer.iter().all(|one| everything.contains(one)));
        let serves = |one: &&Match<'_>| one.instance.state == State::Serving;
        if query.states == States::Served {
            let (mixed, serving) = (answer.iter().filter(serves).count(), everything.iter().filter(serves).count());
            prop_assert!(mixed == serving && (serving == 0 || answer.len() == serving));
            prop_assert!(answer.iter().all(|one| matches!(one.instance.state, State::Serving | State::Suspect)));
        }
        let wider = Query { tags: vec![], version: None, states: States::All, ..query.clone() }.select(&service);
        prop_assert!(everything.iter().all(|one| wider.contains(one)));
        // The order is the service's own.
        let places: Vec<_> = answer.iter().map(|one| service.instances.iter().position(|i| i == one.instance)).collect();
        prop_assert!(places.is_sorted());
    }
}
