//! Records of a service, written once for each of its contents.

use std::{
    collections::HashSet,
    hash::Hash,
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use rollcall_catalogue::{Instance, Match, Port, Service, ServiceKey, State, Version};

use crate::{
    Choice,
    host::{Host, Hosts},
    record::{A_BYTES, AAAA_BYTES, ASKED, a, aaaa},
    targets::{Target, Targets},
};

/// Holds what is said of the instances of one content of a service that a choice takes: their addresses, and their ports.
/// Who asks next begins at the next one.
#[derive(Debug)]
pub struct Records {
    pub(crate) a: Ring<[u8; A_BYTES]>,
    pub(crate) aaaa: Ring<[u8; AAAA_BYTES]>,
    pub(crate) targets: Targets,
    hosts: Hosts,
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
    /// Of the instances that serve, of those that the choice takes. The seed should differ between sidecars: all of them learn of
    /// a change at once, and must not begin with the same instance then.
    pub fn of(key: &ServiceKey, service: &Service, choice: Choice<'_>, seed: u64) -> Self {
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
        // A name of a port has no address: its records say at whose addresses the port is.
        let named = served.iter().filter(|_| choice.port.is_none());
        let addresses = distinct(named.flat_map(|one| one.instance.addresses.iter()), |address| *address);
        // What is said of a host is the same in the records of every choice. Where any of them points to must be found under
        // the plain name.
        let pointed: HashSet<_> = served.iter().map(|one| one.instance.address()).collect();
        let called = may_be_called(service)
            .filter(|instance| choice == Choice::default() || pointed.contains(&instance.address()));
        let hosts = Hosts::of(called.map(|instance| instance.addresses.iter()));
        let target = |one: &Match<'_>| {
            let address = one.instance.address();
            let weight = one.instance.profile.weight;
            Some(Target { host: hosts.place(address)?, address, port: one.port, weight })
        };
        // The same one twice is the same record twice, whatever their weights are (RFC 2181).
        let targets =
            distinct(served.iter().filter_map(target), |target: &Target| (target.address, target.port));
        let turn = usize::try_from((service.hash.0 ^ seed) >> 32).unwrap_or_default();
        Self {
            a: Ring::of(addresses.iter().filter_map(v4), turn),
            aaaa: Ring::of(addresses.iter().filter_map(v6), turn),
            targets: Targets::of(key, &targets, turn),
            hosts,
        }
    }

    /// The host that has this address; of the records that a service's plain name has, it is found if it may be called at
    /// all, so that no record of any choice points nowhere.
    pub fn host(&self, address: IpAddr) -> Option<&Host> {
        self.hosts.find(address)
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Bytes that they take in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.a.bytes() + self.aaaa.bytes() + self.targets.bytes() + self.hosts.bytes()
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
