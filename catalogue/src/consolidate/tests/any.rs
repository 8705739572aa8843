//! Any registrations, in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    Attributes, Policy, Port, Probing, Transport,
    testing::{each_word, named, object, own_word, targets, unnamed, whole_word},
};

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
            tags: tags.into_iter().collect(),
            metadata: metadata.into_iter().collect(),
            weight,
            probe,
            heartbeat,
        },
    )
}

/// Registrations that can stand beside each other: one annotation and one word for the whole pod, words for single
/// addresses, some of the same port, and objects of distinct names, some of them equally old.
fn any_registrations() -> impl Strategy<Value = Vec<Registration>> {
    let one = (0usize..14, any_attributes(), proptest::option::of(0usize..2));
    proptest::collection::vec(one, 1..7).prop_map(|all| {
        let mut taken = BTreeSet::new();
        let mut registrations = Vec::new();
        for (which, mut attributes, policy) in all {
            let registration = match which {
                0 => own_word(whole_word(), attributes),
                1 => own_word(Source::Annotation, attributes),
                2..6 => {
                    let port = [80, 81, 82, 82][which - 2];
                    attributes.ports.truncate(1);
                    match attributes.ports.first_mut() {
                        Some(first) => first.port = port,
                        None => attributes.ports.push(unnamed(port)),
                    }
                    own_word(each_word(&which.to_string()), attributes)
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
    #![proptest_config(crate::testing::cases(1_024))]

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
            prop_assert_eq!(instance.id.to_string(), format!("uid-1-{}", profile.port));
        }
        // Each address that the app registered is there, on its own or adopted.
        for each in all.iter().filter(|one| matches!(one.source, Source::Runtime { kind: Runtime::Each, .. })) {
            let port = each.attributes.ports[0].port;
            prop_assert!(consolidated.iter().any(|one| one.instance.profile.port == port));
        }
        for finding in findings {
            let Finding::PortConflict { loser, winner, winning, losing, .. } = finding else { unreachable!() };
            let Source::Object { created_ms, name } = &loser else { panic!("{loser:?}") };
            let by_name = |one: &&Registration| matches!(&one.source, Source::Object { name, .. } if *name == winner);
            let Some(Source::Object { created_ms: older_ms, .. }) = all.iter().find(by_name).map(|one| &one.source) else {
                panic!("{winner}")
            };
            prop_assert!((older_ms, &winner) < (created_ms, name), "{:?} {:?}", winner, loser);
            prop_assert!(winning != losing);
        }
    }
}
