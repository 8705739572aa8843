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
    claims.sort_by(|a, b| a.registration.precedence(b.registration));
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
        version: attributes().find_map(|a| a.version.as_ref()).map(ToString::to_string),
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
            union.entry(name.to_string()).or_insert(port.port);
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
