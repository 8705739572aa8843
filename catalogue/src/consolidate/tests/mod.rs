//! Tests of the consolidation, by subject.

mod any;
mod instances;
mod limits;
mod ports;
mod precedence;
mod settings;

use super::*;
use crate::{
    ProbeCheck,
    liveness::EndpointWitness,
    testing::{address, member, pod},
};

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
