//! Which instances a caller gets: by what it asks for, by what it may see, and by what serves.

use std::{net::IpAddr, sync::Arc};

use serde::{Serialize, Serializer};

use crate::{
    instance::Instance,
    names::{Namespace, ServiceKey},
    snapshot::{Service, Snapshot},
    state::State,
    version::{Version, VersionFilter},
};

/// Says which instances of a service a caller wants; empty is everything that serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub version: Option<VersionFilter>,
    /// Each of them must be there.
    pub tags: Vec<Box<str>>,
    pub zone: Option<Box<str>>,
    /// A port by its name or number; the answer has it in the place of the primary one.
    pub port: Option<Box<str>>,
    /// What must be spoken (`appProtocol`); the answer has the port where it is, unless one is named.
    pub protocol: Option<Box<str>>,
    /// Any of the instance's addresses.
    pub address: Option<IpAddr>,
    pub states: States,
}

/// Says which states a caller wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum States {
    /// Those that serve; where none of them matches that could be picked, the Suspect ones that do as well.
    #[default]
    Served,
    /// This one alone.
    Only(State),
    All,
}

/// Holds an instance that matched, and the port that the caller is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    pub instance: &'a Arc<Instance>,
    pub port: u16,
}

/// Holds one line of a list of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary<'a> {
    pub service: &'a str,
    pub namespace: &'a str,
    pub versions: Vec<&'a Version>,
    pub serving: usize,
    pub total: usize,
}

// === impl Query ===

impl Query {
    /// The instances of this service that the caller gets, in their stable order.
    pub fn select<'a>(&self, service: &'a Service) -> Vec<Match<'a>> {
        let port = |instance: &Instance| self.matches(instance);
        match self.states {
            States::All => service.of_state(&[], port),
            States::Only(state) => service.of_state(&[state], port),
            States::Served => service.served(port),
        }
    }

    /// The port that the caller is to use, if the instance is one that it wants; its state aside.
    fn matches(&self, instance: &Instance) -> Option<u16> {
        let profile = &instance.profile;
        let wanted = self.version.as_ref().is_none_or(|filter| filter.takes(profile.version.as_ref()))
            && self.tags.iter().all(|tag| profile.tags.contains(tag))
            && self.zone.as_ref().is_none_or(|zone| instance.zone.as_deref() == Some(zone))
            && self.address.is_none_or(|address| instance.addresses.iter().any(|one| one == address));
        if !wanted {
            return None;
        }
        match (&self.port, &self.protocol) {
            (None, None) => Some(profile.port),
            (None, Some(protocol)) => Some(profile.port_speaking(protocol)?.port),
            (Some(port), protocol) => {
                let port = profile.port_called(port)?;
                let spoken = protocol.is_none() || port.app_protocol == *protocol;
                spoken.then_some(port.port)
            }
        }
    }
}

impl Serialize for Match<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.instance.written(self.port).serialize(serializer)
    }
}

// === what a caller may see of a snapshot ===

impl Service {
    /// The instances that are handed out to who wants those that have such a port for him, in their stable order.
    pub fn served(&self, port: impl Fn(&Instance) -> Option<u16>) -> Vec<Match<'_>> {
        let serving = self.of_state(&[State::Serving], &port);
        if serving.iter().any(|one| one.instance.profile.weight > 0) {
            return serving;
        }
        // Nothing better is left: a doubtful answer is worth more than none.
        self.of_state(&[State::Serving, State::Suspect], port)
    }

    /// Those in one of these states, or in any, where none is named.
    fn of_state(&self, states: &[State], port: impl Fn(&Instance) -> Option<u16>) -> Vec<Match<'_>> {
        let instances = self.instances.iter();
        let wanted = instances.filter(|instance| states.is_empty() || states.contains(&instance.state));
        wanted.filter_map(|instance| Some(Match { instance, port: port(instance)? })).collect()
    }

    pub fn summary<'a>(&'a self, key: &'a ServiceKey) -> Summary<'a> {
        Summary {
            service: key.service.as_str(),
            namespace: key.namespace.as_str(),
            versions: self.versions(),
            serving: self.serving(),
            total: self.instances.len(),
        }
    }
}

impl Snapshot {
    /// The service of this name, as a caller in this namespace sees it.
    pub fn seen_from(&self, caller: &Namespace, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.get(key).filter(|_| self.is_visible(key, caller))
    }

    /// Every service that a caller in this namespace sees, by namespace and name.
    pub fn all_seen_from(&self, caller: &Namespace) -> Vec<(&ServiceKey, &Arc<Service>)> {
        let mut seen: Vec<_> = self.iter().filter(|(key, _)| self.is_visible(key, caller)).collect();
        seen.sort_by_key(|(key, _)| *key);
        seen
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
