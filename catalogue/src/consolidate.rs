//! The consolidation: all registrations of one service, and the pods they name, become its instances.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use crate::{
    instance::Instance,
    limits::{
        INSTANCES_MAX, METADATA_JSON_BYTES_MAX, METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX, WEIGHT_DEFAULT,
    },
    pod::{PodFacts, PodUid},
    registration::{Port, Registration},
    verdict::{SessionWitness, Verdict, verdict},
};

/// Holds one pair of a pod and a registration that names it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub pod: &'a PodFacts,
    pub session: SessionWitness,
    pub registration: &'a Registration,
}

/// The instances of one service in their stable order, whatever the order of the claims. The same pod through
/// several registrations is one instance; where they disagree, the most specific wins. All revisions are 0:
/// [`crate::Snapshot`] gives them.
pub fn consolidate<'a>(claims: impl IntoIterator<Item = Claim<'a>>) -> Vec<Instance> {
    let mut by_pod: BTreeMap<&PodUid, Vec<Claim<'a>>> = BTreeMap::new();
    for claim in claims {
        by_pod.entry(&claim.pod.uid).or_default().push(claim);
    }
    let mut instances: Vec<_> = by_pod.into_values().filter_map(instance).collect();
    instances.sort_by(Instance::order);
    instances.truncate(INSTANCES_MAX);
    instances
}

/// One pod's instance; none while it has no address, no port, or no right to be listed.
fn instance(mut claims: Vec<Claim<'_>>) -> Option<Instance> {
    claims.sort_by(|a, b| a.registration.source.cmp(&b.registration.source));
    let Claim { pod, session, .. } = *claims.first()?;
    let Verdict::Listed(state, reason) = verdict(&pod.witness, session) else { return None };
    let address = *pod.addresses.first()?;
    let attributes = || claims.iter().map(|claim| &claim.registration.attributes);
    let primary = attributes().find_map(|a| a.ports.first())?.port;
    Some(Instance {
        id: format!("{}-{primary}", pod.uid),
        address,
        addresses: pod.addresses.clone(),
        port: primary,
        ports: ports(attributes().flat_map(|a| &a.ports)),
        version: attributes().find_map(|a| a.version.clone()),
        zone: None,
        node: pod.node.clone(),
        pod: Some(pod.name.clone()),
        weight: attributes().find_map(|a| a.weight).unwrap_or(WEIGHT_DEFAULT),
        tags: {
            let union: std::collections::BTreeSet<_> = attributes().flat_map(|a| &a.tags).cloned().collect();
            union.into_iter().take(TAGS_MAX).collect()
        },
        metadata: Arc::new(metadata(attributes().map(|a| &a.metadata))),
        state,
        reason,
        revision: 0,
    })
}

fn ports<'a>(ranked: impl Iterator<Item = &'a Port>) -> BTreeMap<String, u16> {
    let mut union = BTreeMap::new();
    for port in ranked {
        if let Some(name) = &port.name
            && union.len() < PORTS_MAX
        {
            union.entry(name.clone()).or_insert(port.port);
        }
    }
    union
}

fn metadata<'a>(ranked: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut union = BTreeMap::new();
    let mut budget = METADATA_JSON_BYTES_MAX;
    for (key, value) in ranked.flatten() {
        let full = union.len() >= METADATA_KEYS_MAX;
        if let Entry::Vacant(vacant) = union.entry(key.clone()) {
            let cost = json_bytes(key) + json_bytes(value);
            if full || cost > budget {
                continue;
            }
            budget -= cost;
            vacant.insert(value.clone());
        }
    }
    union
}

/// The most bytes that JSON needs for a text: a control character becomes six, a quote or a backslash two; and
/// two quotes and a separator around it.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    3 + text.bytes().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Attributes, Phase, PodWitness, Reason, Source, State};

    const READY: PodWitness = PodWitness { deleting: false, phase: Phase::Running, ready: true };

    fn pod(number: u8) -> PodFacts {
        PodFacts {
            uid: format!("uid-{number}").as_str().into(),
            namespace: "shop".parse().unwrap(),
            name: format!("orders-{number}"),
            node: Some("n1".to_owned()),
            addresses: vec![[10, 0, 0, number].into()],
            labels: BTreeMap::new(),
            has_sidecar: true,
            registration: None,
            witness: READY,
        }
    }

    fn named(name: &str, port: u16) -> Port {
        Port { name: Some(name.to_owned()), port }
    }

    fn registration(source: Source, attributes: Attributes) -> Registration {
        Registration { key: "orders.shop".parse().unwrap(), source, selector: BTreeMap::new(), attributes }
    }

    fn selector(created_ms: i64, name: &str) -> Source {
        Source::Selector { created_ms, name: name.to_owned() }
    }

    fn claim<'a>(pod: &'a PodFacts, registration: &'a Registration) -> Claim<'a> {
        Claim { pod, session: SessionWitness::Live, registration }
    }

    #[test]
    fn the_annotation_beats_the_selector_and_the_older_object_the_newer() {
        let pod = pod(1);
        let annotation = registration(
            Source::Annotation,
            Attributes {
                version: Some("2.0.0".into()),
                ports: vec![named("http", 80)],
                ..Attributes::default()
            },
        );
        let older = registration(
            selector(1, "z"),
            Attributes {
                version: Some("1.0.0".into()),
                ports: vec![named("http", 81), named("grpc", 90)],
                tags: ["blue".to_owned()].into(),
                metadata: [("team".to_owned(), "a".to_owned())].into(),
                weight: Some(7),
            },
        );
        let newer = registration(
            selector(2, "a"),
            Attributes {
                tags: ["green".to_owned()].into(),
                metadata: [("team".to_owned(), "b".to_owned()), ("tier".to_owned(), "c".to_owned())].into(),
                weight: Some(8),
                ..Attributes::default()
            },
        );
        let all = [claim(&pod, &newer), claim(&pod, &older), claim(&pod, &annotation)];
        let instances = consolidate(all);
        assert_eq!(instances.len(), 1, "one pod is one instance");
        let one = &instances[0];
        assert_eq!((one.id.as_str(), one.port, one.weight), ("uid-1-80", 80, 7));
        assert_eq!(one.version.as_deref(), Some("2.0.0"));
        assert_eq!(one.ports, [("http".to_owned(), 80), ("grpc".to_owned(), 90)].into());
        assert_eq!(one.tags, ["blue", "green"]);
        assert_eq!(
            *one.metadata,
            [("team".to_owned(), "a".to_owned()), ("tier".to_owned(), "c".to_owned())].into()
        );
        assert_eq!((one.state, &one.reason), (State::Serving, &Reason::Ready));
    }

    #[test]
    fn no_address_no_port_or_an_ended_pod_is_no_instance() {
        let with_port = registration(
            Source::Annotation,
            Attributes { ports: vec![named("http", 80)], ..Attributes::default() },
        );
        let portless = registration(Source::Annotation, Attributes::default());
        let homeless = PodFacts { addresses: vec![], ..pod(1) };
        let ended = PodFacts { witness: PodWitness { phase: Phase::Succeeded, ..READY }, ..pod(1) };
        assert_eq!(consolidate([claim(&homeless, &with_port)]), []);
        assert_eq!(consolidate([claim(&ended, &with_port)]), []);
        assert_eq!(consolidate([claim(&pod(1), &portless)]), []);
    }

    #[test]
    fn addresses_sort_as_numbers() {
        let pods = [pod(10), pod(9), pod(200)];
        let all = registration(
            selector(1, "all"),
            Attributes { ports: vec![named("http", 80)], ..Attributes::default() },
        );
        let order: Vec<_> =
            consolidate(pods.iter().map(|p| claim(p, &all))).iter().map(|i| i.address.to_string()).collect();
        assert_eq!(order, ["10.0.0.9", "10.0.0.10", "10.0.0.200"]);
    }

    #[test]
    fn metadata_stays_within_what_a_frame_can_carry() {
        let worst = "\u{1}".repeat(1_024);
        let attributes = Attributes {
            ports: vec![named("http", 80)],
            metadata: (0..64).map(|n| (format!("key-{n}"), worst.clone())).collect(),
            ..Attributes::default()
        };
        let pod = pod(1);
        let registration = registration(Source::Annotation, attributes);
        let instances = consolidate([claim(&pod, &registration)]);
        let json = serde_json::to_string(&*instances[0].metadata).unwrap();
        assert!(
            !instances[0].metadata.is_empty() && json.len() <= METADATA_JSON_BYTES_MAX + 2,
            "{}",
            json.len()
        );
    }

    proptest! {
        /// Each registration differs in every attribute, so an order that mattered would show.
        #[test]
        fn the_order_of_events_does_not_matter(
            pairs in proptest::collection::hash_set((0u8..4, 0usize..4), 1..16),
            seed in any::<u64>(),
        ) {
            let pods: Vec<_> = (0..4).map(pod).collect();
            let sources = [Source::Annotation, selector(1, "a"), selector(1, "b"), selector(2, "a")];
            let registrations: Vec<_> = sources
                .into_iter()
                .zip(1u16..)
                .map(|(source, n)| {
                    registration(source, Attributes {
                        version: Some(format!("{n}.0.0")),
                        ports: vec![named("http", n), named(&format!("p{n}"), n)],
                        tags: [format!("t{n}")].into(),
                        metadata: [("k".to_owned(), n.to_string())].into(),
                        weight: Some(n),
                    })
                })
                .collect();
            let claims: Vec<_> =
                pairs.iter().map(|&(p, r)| claim(&pods[usize::from(p)], &registrations[r])).collect();
            let mut shuffled = claims.clone();
            let mut state = seed;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            let expected = consolidate(claims);
            prop_assert_eq!(consolidate(shuffled), expected.clone());
            // And the naive model: a pod's weight is that of its most specific registration.
            for instance in expected {
                let number: u8 = instance.pod.unwrap().trim_start_matches("orders-").parse().unwrap();
                let best = pairs.iter().filter(|(p, _)| *p == number).map(|(_, r)| r).min().unwrap();
                prop_assert_eq!(usize::from(instance.weight), best + 1);
            }
        }
    }
}
