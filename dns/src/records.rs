//! Records of a service, written once for each of its contents.

use std::{
    collections::HashSet,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rollcall_catalogue::{Instance, Match, Port, Service, ServiceKey, State, Version};

use crate::{
    Choice,
    host::{Host, Hosts},
    record::{A_BYTES, AAAA_BYTES, ASKED, a, aaaa, name_end},
    targets::{Shared, Target},
};

/// The fraction of the golden ratio: times this, numbers that follow each other are far from each other in their upper
/// half.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Holds what is said of the instances of one content of a service that a choice takes: their addresses, and their
/// ports. Who asks next begins at the next one. What does not differ between the choices of one content they share.
#[derive(Debug)]
pub struct Records {
    pub(crate) a: Ring<[u8; A_BYTES]>,
    pub(crate) aaaa: Ring<[u8; AAAA_BYTES]>,
    pub(crate) targets: Ring<Target>,
    shared: Arc<Shared>,
}

/// Holds what is handed out from another beginning each time. Each kind of record has its own turn: who asks for both
/// families, one after the other, would else see every second instance in front, and never the others.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    all: Box<[T]>,
    turn: AtomicUsize,
}

// === impl Records ===

impl Records {
    /// Of all instances that serve. The seed should differ between sidecars: all of them learn of a change at once, and
    /// must not begin with the same instance then.
    pub fn of(key: &ServiceKey, service: &Service, seed: u64) -> Self {
        let hosts = Hosts::of(may_be_called(service).map(|instance| instance.addresses.iter()));
        let shared = Shared { hosts, name_end: name_end(key).into() };
        Self::with(shared.into(), service, Choice::default(), seed)
    }

    /// Of those that the choice takes, of the content of which these are. The seed should also differ from the last
    /// one, where records of this choice were written before and not kept: they would begin at the same instance again.
    pub fn chosen(&self, service: &Service, choice: Choice<'_>, seed: u64) -> Self {
        Self::with(self.shared.clone(), service, choice, seed)
    }

    fn with(shared: Arc<Shared>, service: &Service, choice: Choice<'_>, seed: u64) -> Self {
        let versions = choice.version.map(|label| labelled(service, label));
        let port = |instance: &Instance| {
            let profile = &*instance.profile;
            let of_version = |versions: &Vec<&Version>| {
                profile.version.as_ref().is_some_and(|version| versions.contains(&version))
            };
            if !versions.as_ref().is_none_or(of_version) {
                return None;
            }
            let Some(asked) = choice.port else { return Some(profile.port) };
            let mut ports = profile.ports.iter();
            let is_asked =
                |port: &&Port| port.name.as_deref() == Some(asked.name) && port.transport == asked.transport;
            ports.find(is_asked).map(|port| port.port)
        };
        let served = service.served(port);
        // Records with addresses have no weight, and most programs take the first: who is never to be picked is left out
        // of them where there is anybody else.
        let is_picked = |one: &Match<'_>| one.instance.profile.weight > 0;
        let any_is_picked = served.iter().any(is_picked);
        // A name of a port has no address: its records say at whose addresses the port is.
        let named = served.iter().filter(|one| choice.port.is_none() && (is_picked(one) || !any_is_picked));
        let addresses = distinct(named.flat_map(|one| one.instance.addresses.iter()), |address| *address);
        let target = |one: &Match<'_>| {
            let host = shared.hosts.place(one.instance.address())?;
            Some(Target { host, port: one.port, weight: one.instance.profile.weight })
        };
        // The same one twice is the same record twice, whatever their weights are (RFC 2181).
        let targets =
            distinct(served.iter().filter_map(target), |target: &Target| (target.host, target.port));
        let turn = (service.hash.0 ^ seed).wrapping_mul(SPREAD) >> 32;
        let turn = usize::try_from(turn).unwrap_or_default();
        Self {
            a: Ring::of(addresses.iter().filter_map(v4), turn),
            aaaa: Ring::of(addresses.iter().filter_map(v6), turn),
            targets: Ring::of(targets, turn),
            shared,
        }
    }

    /// The host that has this address; of the records that a service's plain name has, it is found if it may be called
    /// at all, so that no record of any choice points nowhere.
    pub fn host(&self, address: IpAddr) -> Option<&Host> {
        self.shared.hosts.find(address)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Bytes that they take in memory, beside what they share.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.a.bytes() + self.aaaa.bytes() + self.targets.bytes()
    }

    /// Bytes of what is shared by the records of all choices.
    pub fn shared_bytes(&self) -> usize {
        self.shared.bytes()
    }
}

/// The versions of the service that this label names. Two can have the same one: `1.4.2-a.b` and `1.4.2-a-b`.
fn labelled<'a>(service: &'a Service, label: &str) -> Vec<&'a Version> {
    let mut versions = service.versions();
    versions.retain(|version| version.dns_label().as_deref() == Some(label));
    versions
}

/// The instances that a lookup of any kind may hand out.
fn may_be_called(service: &Service) -> impl Iterator<Item = &Instance> {
    let states = [State::Serving, State::Suspect];
    service
        .instances
        .iter()
        .map(|instance| &**instance)
        .filter(move |instance| states.contains(&instance.state))
}

/// Each once, where it stood first.
fn distinct<T, K: Eq + Hash>(all: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::new();
    all.filter(|one| seen.insert(key(one))).collect()
}

fn v4(address: &IpAddr) -> Option<[u8; A_BYTES]> {
    let IpAddr::V4(address) = address else { return None };
    Some(a(ASKED, *address))
}

fn v6(address: &IpAddr) -> Option<[u8; AAAA_BYTES]> {
    let IpAddr::V6(address) = address else { return None };
    Some(aaaa(ASKED, *address))
}

// === impl Ring ===

impl<T> Ring<T> {
    pub(crate) fn of(all: impl IntoIterator<Item = T>, turn: usize) -> Self {
        Self { all: all.into_iter().collect(), turn: AtomicUsize::new(turn) }
    }

    /// All of them in two pieces, from the one whose turn it is.
    pub(crate) fn next(&self) -> [&[T]; 2] {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(self.all.len()).unwrap_or_default();
        let (after, before) = self.all.split_at_checked(first).unwrap_or_default();
        [before, after]
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.all)
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
