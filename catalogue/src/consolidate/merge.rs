//! One instance's registrations become its profile.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use crate::{
    consolidate::{Crowded, Finding, Numbered, Owner},
    instance::Profile,
    limits::{METADATA_JSON_BYTES_MAX, METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX, WEIGHT_DEFAULT},
    registration::{Closeness, Heartbeat, Port, ProbeSpec, Probing, Registration, Source},
    tags::Tags,
    texts::Texts,
    version::Version,
};

/// The label with which most charts say which version they install.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Holds what the registrations of one instance amount to.
pub(super) struct Merged {
    pub(super) profile: Profile,
    pub(super) probe: Option<ProbeSpec>,
    pub(super) heartbeat: Option<Heartbeat>,
}

/// What these registrations, closest first, amount to with the ports of the Service that they were reached through;
/// none where nobody knows a port.
pub(super) fn merge(
    registrations: &[&Registration],
    service_ports: &[Port],
    owner: Owner<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Merged> {
    let primary = primary(registrations, service_ports)?.clone();
    let ports = ports(registrations, service_ports, findings);
    let attributes = || registrations.iter().map(|registration| &registration.attributes);
    let heartbeat = attributes().find_map(|attributes| attributes.heartbeat);
    let probe = match attributes().find_map(|attributes| attributes.probe.as_ref()) {
        Some(Probing::Off) => None,
        Some(Probing::By(probe)) => Some(probe.clone()),
        None => ProbeSpec::by_default(primary.transport, heartbeat.is_some()),
    };
    let profile = Profile {
        port: primary.port,
        // Where no name has the primary port, it stands among the others without one.
        ports: ports.into_iter().chain([Port { name: None, ..primary }]).collect(),
        version: version(registrations, owner),
        weight: attributes().find_map(|attributes| attributes.weight).unwrap_or(WEIGHT_DEFAULT),
        tags: tags(registrations, findings),
        metadata: metadata(registrations, findings),
    };
    Some(Merged { profile: profile.normalised(), probe, heartbeat })
}

/// The first port of the closest registration that has any, or else of the Service. Where it has a name, it is what
/// the oldest registration means by that.
pub(super) fn primary<'a>(registrations: &[&'a Registration], service_ports: &'a [Port]) -> Option<&'a Port> {
    let mut said = registrations.iter().filter_map(|registration| registration.attributes.ports.first());
    let Some(first) = said.next() else { return service_ports.first() };
    let numbered = registrations.iter().filter_map(|registration| {
        let mut ports = registration.attributes.ports.iter();
        Some((registration, ports.find(|port| port.name.is_some() && port.name == first.name)?))
    });
    let oldest = numbered.min_by(|(a, _), (b, _)| a.age(b));
    Some(oldest.map_or(first, |(_, port)| port))
}

/// A named port, with who named it where that was no Service.
type Held<'a> = (&'a Port, Option<&'a Source>);

/// The named ports. The instance's own word comes first, then the objects by age: a name that callers use already
/// must not change its meaning because someone registers the same pods once more.
fn ports(registrations: &[&Registration], service_ports: &[Port], findings: &mut Vec<Finding>) -> Vec<Port> {
    let mut by_age = registrations.to_vec();
    by_age.sort_by(|a, b| a.age(b));
    let mut union: BTreeMap<&str, Held<'_>> = BTreeMap::new();
    for registration in by_age {
        let (mut left_out, mut refused) = (0, None::<(Held<'_>, &Port)>);
        for port in &registration.attributes.ports {
            let Some(name) = port.name.as_deref() else { continue };
            let room = union.len() < PORTS_MAX;
            match union.entry(name) {
                Entry::Vacant(vacant) if room => {
                    vacant.insert((port, Some(&registration.source)));
                }
                Entry::Vacant(_) => left_out += 1,
                Entry::Occupied(held) => {
                    let first = refused.is_none_or(|(_, first)| port.name < first.name);
                    if first && conflict(*held.get(), port) {
                        refused = Some((*held.get(), port));
                    }
                }
            }
        }
        // One is told, however many there are: every instance has findings of its own.
        findings.extend(refused.and_then(|(held, port)| refusal(held, port, registration)));
        findings.extend(crowded(registration, Crowded::Ports, left_out));
    }
    // What the slices have numbered is the Service's own default for names that nobody else has given.
    for port in service_ports {
        if let Some(name) = port.name.as_deref()
            && union.len() < PORTS_MAX
        {
            union.entry(name).or_insert((port, None));
        }
    }
    union.into_values().map(|(port, _)| port.clone()).collect()
}

/// Only objects conflict: what an instance says of itself is meant to differ from what was declared for all. As it comes
/// before all objects, it is never the one that is told.
fn conflict(held: Held<'_>, port: &Port) -> bool {
    matches!(held, (winning, Some(Source::Object { .. })) if Numbered::from(winning) != Numbered::from(port))
}

fn refusal(held: Held<'_>, port: &Port, registration: &Registration) -> Option<Finding> {
    let (winning, Some(Source::Object { name: winner, .. })) = held else { return None };
    Some(Finding::PortConflict {
        loser: registration.source.clone(),
        winner: winner.clone(),
        port: port.name.clone().unwrap_or_default(),
        winning: winning.into(),
        losing: port.into(),
    })
}

fn crowded(registration: &Registration, field: Crowded, left_out: usize) -> Option<Finding> {
    let loser = || registration.source.clone();
    (left_out > 0).then(|| Finding::LeftOut { loser: loser(), field, left_out })
}

/// All tags, the first in their order where they are too many.
fn tags(registrations: &[&Registration], findings: &mut Vec<Finding>) -> Tags {
    let union: BTreeSet<&str> =
        registrations.iter().flat_map(|registration| registration.attributes.tags.iter()).collect();
    if let Some(first_cut) = union.iter().nth(TAGS_MAX) {
        for registration in registrations {
            let left_out = registration.attributes.tags.iter().filter(|tag| tag >= first_cut).count();
            findings.extend(crowded(registration, Crowded::Tags, left_out));
        }
    }
    union.into_iter().take(TAGS_MAX).collect()
}

/// The closest version. The label stands between a pod's own word and what objects say of many pods.
fn version(registrations: &[&Registration], owner: Owner<'_>) -> Option<Version> {
    let of = |own: bool| {
        let mut said =
            registrations.iter().filter(move |one| (one.closeness() <= Closeness::Annotation) == own);
        said.find_map(|registration| registration.attributes.version.clone())
    };
    let label = || match owner {
        Owner::Pod(pod) => pod.labels.get(VERSION_LABEL)?.parse().ok(),
        Owner::Address(_) => None,
    };
    of(true).or_else(label).or_else(|| of(false))
}

/// What the closest says of each key, as much as there is room for. A key whose value found no room is missing: what
/// someone farther says of it would be wrong.
fn metadata(registrations: &[&Registration], findings: &mut Vec<Finding>) -> Texts {
    let mut decided = BTreeSet::new();
    let mut union = Vec::new();
    let mut budget = METADATA_JSON_BYTES_MAX;
    for registration in registrations {
        let mut left_out = 0;
        for (key, value) in registration.attributes.metadata.iter() {
            if !decided.insert(key) {
                continue;
            }
            let cost = json_bytes(key) + json_bytes(value);
            if union.len() < METADATA_KEYS_MAX && cost <= budget {
                budget -= cost;
                union.push((key, value));
            } else {
                left_out += 1;
            }
        }
        findings.extend(crowded(registration, Crowded::Metadata, left_out));
    }
    union.into_iter().collect()
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
