//! The consolidation: all registrations of one service, and what they name, become its instances.
//!
//! An instance is (service, owner, primary port). Its owner is a pod, or an address where there is no pod; the same
//! owner reached through several registrations is one instance. Where they disagree, the closest wins:
//!
//! | what | who wins |
//! |---|---|
//! | version | run time, annotation, the label `app.kubernetes.io/version`, `pod`, `selector`, `service`, `addresses` |
//! | weight, probe, heartbeat, primary port | the same without the label |
//! | a named port | the instance's own word, then the older object; the newer is told: [`Finding::PortConflict`] |
//! | tags | all of them, as many as there is room for: [`Finding::LeftOut`] |
//! | metadata | per key, as the version; as much as there is room for |
//! | policy | the closest of all registrations of the service |
//! | visibility | the narrowest of them; the wider are told: [`Finding::VisibilityNarrowed`] |
//!
//! Where two are equally close, the older object wins, then the one whose name comes first; so it does among the words
//! of one app.

mod finding;
mod merge;
mod settings;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

pub use finding::{Crowded, Finding, Numbered};
pub use settings::{Settings, settings};

use crate::{
    endpoint::EndpointFacts,
    instance::{Addresses, Instance, Profile},
    instance_id::InstanceId,
    liveness::{ProbeWitness, Verdict, Witnesses, verdict},
    pod::PodFacts,
    registration::{Heartbeat, Port, ProbeSpec, Registration, Runtime, Source},
};

/// Holds everything known of one owner of instances of one service.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    pub owner: Owner<'a>,
    /// What the Service that the owner was reached through has on it, where it was; of several Services, what they have
    /// together: [`EndpointFacts::joined`].
    pub endpoint: Option<&'a EndpointFacts>,
    /// Of the node, as Kubernetes labels it, or of the static address.
    pub zone: Option<Arc<str>>,
    /// All that name this owner, in any order.
    pub registrations: Vec<&'a Registration>,
    pub witnesses: Witnesses,
    /// What is known of the app at single primary ports: of this and the word on all of the owner the bad one counts.
    pub probes: Vec<(u16, ProbeWitness)>,
}

/// Says whose the instances are.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    Pod(&'a PodFacts),
    Address(IpAddr),
}

/// Holds one instance, and what its sidecar is to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consolidated {
    pub instance: Instance,
    /// How the app is asked whether it is well; none where nobody asks.
    pub probe: Option<ProbeSpec>,
    /// How often the app says so itself, where it does.
    pub heartbeat: Option<Heartbeat>,
    /// Others than the app at run time say so too.
    pub declared: bool,
}

/// Holds the profiles that the instances of one service share, from one consolidation to the next.
#[derive(Debug, Clone, Default)]
pub struct Profiles(Vec<Arc<Profile>>);

/// Distinct profiles that are shared: versions that run side by side, times their weights and tags. Where every
/// instance is of its own kind, there is nothing to share, and no use in searching.
const PROFILES_SHARED: usize = 16;

/// The instances of one owner, with what there is to say to those who registered it; none while it has no address,
/// no port, or no right to be listed. All revisions are 0: [`crate::Snapshot`] gives them.
pub fn consolidate(member: &Member<'_>, profiles: &mut Profiles) -> (Vec<Consolidated>, Vec<Finding>) {
    let mut findings = Vec::new();
    let (Verdict::Listed(..), Some(addresses)) = (verdict(&member.witnesses), addresses(member)) else {
        return (Vec::new(), findings);
    };
    let mut consolidated: Vec<Consolidated> = Vec::new();
    for (registrations, service_ports) in by_primary_port(member) {
        let merged = merge::merge(&registrations, service_ports, member.owner, &mut findings);
        let Some(merged) = merged else { continue };
        let port = merged.profile.port;
        // Whether it is listed at all is the owner's matter alone.
        let Verdict::Listed(state, reason) = verdict(&witnesses_at(member.witnesses, &member.probes, port))
        else {
            continue;
        };
        let (id, pod, node) = match member.owner {
            Owner::Pod(pod) => (InstanceId::of_pod(&pod.uid, port), Some(pod.name.clone()), pod.node.clone()),
            Owner::Address(address) => {
                let node = member.endpoint.and_then(|endpoint| endpoint.node.clone());
                (InstanceId::of_address(address, port), None, node)
            }
        };
        let instance = Instance {
            id,
            addresses: addresses.clone(),
            zone: member.zone.clone().or_else(|| member.endpoint.and_then(|endpoint| endpoint.zone.clone())),
            node,
            pod,
            profile: profiles.share(merged.profile),
            state,
            reason,
            revision: 0,
        };
        let declared = registrations.iter().any(|one| !matches!(one.source, Source::Runtime { .. }));
        let (probe, heartbeat) = (merged.probe, merged.heartbeat);
        consolidated.push(Consolidated { instance, probe, heartbeat, declared });
    }
    (consolidated, findings)
}

/// What all witnesses say of an owner's instance at this port, by what they say of the owner and of its ports.
pub fn witnesses_at(of_owner: Witnesses, probes: &[(u16, ProbeWitness)], port: u16) -> Witnesses {
    let of_port = probes.iter().filter(|(named, _)| *named == port).map(|(_, probe)| *probe);
    Witnesses { probe: of_port.fold(of_owner.probe, ProbeWitness::worse), ..of_owner }
}

fn addresses(member: &Member<'_>) -> Option<Addresses> {
    match member.owner {
        Owner::Pod(pod) => Addresses::new(&pod.addresses)
            .or_else(|| member.endpoint.and_then(|endpoint| Addresses::new(&endpoint.addresses))),
        Owner::Address(address) => {
            let listed = member.endpoint.and_then(|endpoint| Addresses::new(&endpoint.addresses));
            Some(listed.unwrap_or(address.into()))
        }
    }
}

/// The registrations of each instance of this owner, closest first, and the ports of the Service where they are its
/// too. What is declared, and what the app says of the whole pod, is one instance; an app that registers several
/// addresses has one for each port besides.
fn by_primary_port<'a>(member: &Member<'a>) -> Vec<(Vec<&'a Registration>, &'a [Port])> {
    let mut ranked = member.registrations.clone();
    ranked.sort_by(|a, b| a.precedence(b));
    let (each, whole): (Vec<_>, Vec<_>) = ranked
        .into_iter()
        .partition(|registration| matches!(registration.source, Source::Runtime { kind: Runtime::Each, .. }));
    let service_ports = member.endpoint.map_or(&[][..], |endpoint| &endpoint.ports);
    let declared = merge::primary(&whole, service_ports).map(|port| port.port);
    let mut others: BTreeMap<u16, Vec<&Registration>> = BTreeMap::new();
    let mut adopting = Vec::new();
    for registration in each {
        match registration.attributes.ports.first().map(|port| port.port) {
            Some(port) if Some(port) != declared => others.entry(port).or_default().push(registration),
            // It is the declared instance, and speaks for it before all others.
            _ => adopting.push(registration),
        }
    }
    let whole: Vec<_> = adopting.into_iter().chain(whole).collect();
    // An address beside the declared one has the ports that were registered with it, and no others.
    let others = others.into_values().map(|registrations| (registrations, &[][..]));
    let whole = (!whole.is_empty()).then_some((whole, service_ports));
    whole.into_iter().chain(others).collect()
}

// === impl Profiles ===

impl Profiles {
    /// The same profile, shared with the instances that have an equal one.
    fn share(&mut self, profile: Profile) -> Arc<Profile> {
        if let Some(held) = self.0.iter().find(|held| ***held == profile) {
            return held.clone();
        }
        let profile = Arc::new(profile);
        // The oldest goes first: the one of versions that were rolled away.
        if self.0.len() >= PROFILES_SHARED {
            self.0.remove(0);
        }
        self.0.push(profile.clone());
        profile
    }
}

#[cfg(test)]
mod tests;
