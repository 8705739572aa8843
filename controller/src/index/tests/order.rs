//! Whatever happened on the way, and in whatever order, the index says what one says that saw the end alone.

use proptest::prelude::*;
use rollcall_catalogue::ContentHash;

use super::{pods::nothing_stays_behind, *};

/// The world that events tell of: the last word on each object.
type World = BTreeMap<Key, Change>;

fn pods() -> impl Strategy<Value = (Key, Change)> {
    let own = proptest::option::of(0u8..2);
    (1u8..4, 0u8..2, own, any::<bool>(), 0u8..3, 1u8..4).prop_map(
        |(number, app, own, ready, life, address)| {
            let service = own.map(|own| format!("s{own}"));
            let mut pod = pod(number, &format!("a{app}"), service.as_deref());
            pod.facts.addresses = (life != 2).then(|| ip(address)).into_iter().collect();
            pod.facts.life.ready = ready;
            pod.facts.life.deleting = life == 1;
            if life == 3 {
                pod.facts.life.phase = rollcall_catalogue::liveness::Phase::Succeeded;
            }
            pod.facts.node = Some(format!("n{}", address % 2).into());
            (Key::Pod(pod.facts.uid.clone()), seen(pod))
        },
    )
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0u8..2).prop_map(|app| select(&format!("a{app}"))),
        (0u8..2).prop_map(|service| Target::Service(format!("k{service}").into())),
        (1u8..4)
            .prop_map(|n| Target::Pod { name: format!("p{n}").into(), uid: format!("u{n}").as_str().into() }),
        (1u8..4, 1u8..4).prop_map(|(inside, out)| {
            let one = |address| StaticAddress { address, zone: None };
            Target::Addresses(vec![one(ip(inside)), one([198, 51, 100, out].into())])
        }),
    ]
}

fn objects() -> impl Strategy<Value = (Key, Change)> {
    (0u8..4, 0u8..2, targets(), 0u8..5).prop_map(|(number, service, target, kind)| {
        let name = format!("o{number}");
        let mut object = object(&name, &format!("s{service}"), target);
        object.managed = kind == 0;
        if kind == 1 {
            object.registration = refused(&name).registration;
        }
        (Key::Registration(named(&name)), Change::Registration(named(&name), Box::new(object)))
    })
}

fn kube_services() -> impl Strategy<Value = (Key, Change)> {
    (0u8..2, any::<bool>(), any::<bool>(), 1u8..6).prop_map(
        |(number, adoptable, publishes_not_ready, address)| {
            let name = named(&format!("k{number}"));
            let addresses = vec![ip(address)];
            let facts = ServiceFacts { adoptable, publishes_not_ready, addresses, ..service_facts() };
            (Key::Service(name.clone()), Change::Service(name, Box::new(facts)))
        },
    )
}

fn slices() -> impl Strategy<Value = (Key, Change)> {
    let endpoints = proptest::collection::vec((1u8..5, any::<bool>(), 0u8..3), 0..4);
    (0u8..3, 0u8..2, endpoints).prop_map(|(number, service, endpoints)| {
        let endpoints = endpoints.into_iter().map(|(number, ready, kind)| {
            let mut endpoint = endpoint(number);
            (endpoint.ready, endpoint.terminating) = (ready, kind == 1);
            if kind == 2 {
                endpoint.pod = None;
                endpoint.addresses.push([198, 51, 100, number].into());
            }
            endpoint
        });
        let name = format!("slice{number}");
        let change = slice(&name, &format!("k{service}"), endpoints.collect());
        (Key::Slice(named(&name)), change)
    })
}

fn others() -> impl Strategy<Value = (Key, Change)> {
    let node =
        (0u8..2, any::<bool>(), any::<bool>(), 1u8..9).prop_map(|(number, unknown, ranged, address)| {
            let name: Arc<str> = format!("n{number}").into();
            let pod_ranges = if ranged { vec!["10.0.0.0/30".parse().unwrap()] } else { vec![] };
            // One of those that pods, Services and registrations have, or none of theirs.
            let addresses = vec![ip(address)];
            let facts = NodeFacts { zone: Some(format!("z{number}").into()), unknown, pod_ranges, addresses };
            (Key::Node(name.clone()), Change::Node(name, facts))
        });
    let adopting =
        any::<bool>().prop_map(|adopts| (Key::Namespace(namespace("shop")), namespace_adopts(adopts)));
    prop_oneof![node, adopting]
}

fn event() -> impl Strategy<Value = (Key, Option<Change>)> {
    let seen = prop_oneof![4 => pods(), 3 => objects(), 2 => kube_services(), 3 => slices(), 1 => others()];
    (seen, 0u8..4).prop_map(|((key, change), gone)| (key, (gone > 0).then_some(change)))
}

fn lists(world: &World, backwards: bool) -> Vec<Change> {
    let mut kinds = Kind::ALL.to_vec();
    if backwards {
        kinds.reverse();
    }
    let mut changes = Vec::new();
    for kind in kinds {
        changes.push(Change::ListBegins(kind));
        changes.extend(world.iter().filter(|(key, _)| key.kind() == kind).map(|(_, change)| change.clone()));
        changes.push(Change::ListEnds(kind));
    }
    changes
}

/// All that an index says to anyone, its own numbers left out.
#[derive(Debug, PartialEq)]
struct Said {
    services: BTreeMap<String, (ContentHash, Vec<String>)>,
    reports: Vec<String>,
    managed: Managed,
    outside: Vec<(OutsideId, rollcall_catalogue::ProbeSpec, u16)>,
}

fn said(index: &mut Index) -> Said {
    index.report_all();
    let report = |report: Report| {
        let instances: Vec<_> = report.instances.iter().map(|instance| instance.id.to_string()).collect();
        format!(
            "{} {:?} {}/{} {instances:?}",
            report.object.name, report.findings, report.serving, report.total
        )
    };
    let names = services(&index.published);
    let mut reports: Vec<_> = index.take_reports(usize::MAX).into_iter().map(report).collect();
    // They stand in the order in which they came.
    reports.sort();
    let hash = |(key, lines): (String, Vec<String>)| {
        let service = index.published.get(&key.parse().unwrap()).unwrap();
        (key, (service.hash, lines))
    };
    Said {
        services: names.into_iter().map(hash).collect(),
        reports,
        managed: index.managed(),
        outside: index.outside.values().cloned().map(|one| (one.id, one.probe, one.port)).collect(),
    }
}

fn fresh(world: &World, backwards: bool) -> Said {
    let mut index = Index::default();
    lists(world, backwards).into_iter().for_each(|change| {
        index.apply(change);
    });
    index.advance(1);
    said(&mut index)
}

proptest! {
    #[test]
    fn the_way_does_not_matter(
        events in proptest::collection::vec((event(), any::<bool>()), 0..60), listed_after in 0usize..20,
    ) {
        let (mut bench, mut world) = (Bench { index: Index::default(), now_ms: 1 }, World::new());
        for (nth, ((key, change), publishes)) in events.into_iter().enumerate() {
            if nth == listed_after {
                bench.apply(lists(&world, false));
            }
            match change.clone() {
                Some(change) => world.insert(key.clone(), change),
                None => world.remove(&key),
            };
            bench.index.apply(change.unwrap_or(Change::Gone(key)));
            if publishes {
                bench.publish();
            }
        }
        if !bench.index.complete() {
            bench.apply(lists(&world, true));
        }
        bench.publish();
        let at_the_end = said(&mut bench.index);
        prop_assert_eq!(&at_the_end, &fresh(&world, false));
        prop_assert_eq!(&at_the_end, &fresh(&world, true));
        // A list that says what is known changes nothing, and one that is empty leaves nothing behind.
        bench.index.apply(Change::ListBegins(Kind::Pod));
        for change in lists(&world, true) {
            prop_assert!(!bench.index.apply(change.clone()), "no news: {change:?}");
        }
        prop_assert!(bench.step().is_none());
        bench.apply(lists(&World::new(), false));
        nothing_stays_behind(&bench);
    }
}
