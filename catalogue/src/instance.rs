//! One instance, as every answer and every frame writes it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    instance_id::InstanceId,
    limits::WEIGHT_MAX,
    registration::{Port, Transport, port_number},
    state::{Reason, State},
    tags::Tags,
    texts::Texts,
    version::Version,
};

/// Holds one place where a service can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub addresses: Addresses,
    pub zone: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub pod: Option<Arc<str>>,
    pub profile: Arc<Profile>,
    pub state: State,
    pub reason: Reason,
    /// The service's revision at which this instance last changed.
    pub revision: u64,
}

/// Holds all addresses of an instance: at least one, the primary one first, and each once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addresses(Distinct);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Distinct {
    /// As nearly all instances have it.
    One(IpAddr),
    /// The primary one, and the others.
    Several(Box<(IpAddr, Box<[IpAddr]>)>),
}

/// Holds what was registered of an instance. Most instances of a service are alike, so they share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The primary port.
    pub port: u16,
    /// All ports, in the order of their names; without a name only the primary one may be.
    pub ports: Box<[Port]>,
    pub version: Option<Version>,
    pub weight: u16,
    pub tags: Tags,
    pub metadata: Texts,
}

// === impl Instance ===

impl Instance {
    pub fn address(&self) -> IpAddr {
        self.addresses.primary()
    }

    /// The stable order of every list: by address as a number, then port, then id.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.address(), self.profile.port, &self.id).cmp(&(other.address(), other.profile.port, &other.id))
    }

    /// Whether both say the same, whenever they last changed.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        let Self { id, addresses, zone, node, pod, profile, state, reason, revision: _ } = self;
        *id == other.id
            && *addresses == other.addresses
            && *zone == other.zone
            && *node == other.node
            && *pod == other.pod
            && (Arc::ptr_eq(profile, &other.profile) || *profile == other.profile)
            && *state == other.state
            && *reason == other.reason
    }
}

// === impl Addresses ===

impl Addresses {
    /// The first is the primary one, and each is held once; none where there is none.
    pub fn new(addresses: &[IpAddr]) -> Option<Self> {
        let (primary, others) = addresses.split_first()?;
        Some(Self::beside(*primary, others))
    }

    fn beside(primary: IpAddr, others: &[IpAddr]) -> Self {
        let mut distinct = Vec::with_capacity(others.len());
        for address in others {
            if *address != primary && !distinct.contains(address) {
                distinct.push(*address);
            }
        }
        match distinct.is_empty() {
            true => primary.into(),
            false => Self(Distinct::Several(Box::new((primary, distinct.into())))),
        }
    }

    pub fn primary(&self) -> IpAddr {
        self.parts().0
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        let (primary, others) = self.parts();
        std::iter::once(primary).chain(others.iter().copied())
    }

    fn parts(&self) -> (IpAddr, &[IpAddr]) {
        match &self.0 {
            Distinct::One(primary) => (*primary, &[]),
            Distinct::Several(all) => (all.0, &all.1),
        }
    }
}

impl From<IpAddr> for Addresses {
    fn from(primary: IpAddr) -> Self {
        Self(Distinct::One(primary))
    }
}

// === impl Profile ===

impl Profile {
    /// The form in which equal profiles are equal: a port, which is a number of a transport, has a name or none.
    pub(crate) fn normalised(mut self) -> Self {
        let mut ports = std::mem::take(&mut self.ports).into_vec();
        ports.sort();
        let named: BTreeSet<(u16, Transport)> =
            ports.iter().filter(|port| port.name.is_some()).map(|port| (port.port, port.transport)).collect();
        ports.retain(|port| port.name.is_some() || !named.contains(&(port.port, port.transport)));
        self.ports = ports.into();
        self
    }

    /// What its texts take, which is most of what it takes.
    pub(crate) fn text_bytes(&self) -> usize {
        let tags = self.tags.iter().map(str::len);
        let metadata = self.metadata.iter().map(|(key, value)| key.len() + value.len());
        tags.chain(metadata).sum()
    }

    /// The port that a caller means: by its number, or its name. A name may be all digits; who says a number means that
    /// number, where there is one.
    pub fn port_called(&self, wanted: &str) -> Option<&Port> {
        let numbered = port_number(wanted);
        let numbered = numbered.and_then(|number| self.ports.iter().find(|port| port.port == number));
        numbered.or_else(|| self.ports.iter().find(|port| port.name.as_deref() == Some(wanted)))
    }

    /// The port over which this protocol is spoken: the primary one, if it is.
    pub fn port_speaking(&self, protocol: &str) -> Option<&Port> {
        let mut speaking = self.ports.iter().filter(|port| port.app_protocol.as_deref() == Some(protocol));
        let first = speaking.clone().next()?;
        Some(speaking.find(|port| port.port == self.port).unwrap_or(first))
    }
}

// === JSON ===

/// The fields of an instance in the order in which JSON has them. Lists of instances are written by `write_instances`, which
/// writes the same.
#[derive(Serialize)]
pub(crate) struct Written<'a> {
    id: &'a InstanceId,
    address: IpAddr,
    addresses: Vec<IpAddr>,
    port: u16,
    #[serde(flatten)]
    called: Called<'a>,
    zone: Option<&'a str>,
    node: Option<&'a str>,
    pod: Option<&'a str>,
    #[serde(flatten)]
    described: Described<'a>,
    state: State,
    reason: &'a Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// How an instance is called: the fields of its profile that JSON has first.
#[derive(Serialize)]
pub(crate) struct Called<'a> {
    ports: BTreeMap<&'a str, u16>,
    /// What is not TCP, by the name of the port; and of the port without a name where its number has a name over
    /// something else, which tells that there are two.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    protocols: BTreeMap<&'a str, Transport>,
    #[serde(rename = "appProtocols", skip_serializing_if = "BTreeMap::is_empty")]
    app_protocols: BTreeMap<&'a str, &'a str>,
    version: Option<&'a Version>,
}

/// What else is said of it: the fields of its profile that JSON has behind its places.
#[derive(Serialize)]
pub(crate) struct Described<'a> {
    weight: u16,
    tags: &'a Tags,
    metadata: &'a Texts,
}

#[derive(Deserialize)]
struct Read {
    id: InstanceId,
    address: IpAddr,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    port: u16,
    #[serde(default)]
    ports: BTreeMap<Box<str>, u16>,
    #[serde(default)]
    protocols: BTreeMap<Box<str>, Transport>,
    #[serde(default, rename = "appProtocols")]
    app_protocols: BTreeMap<Box<str>, Box<str>>,
    version: Option<Version>,
    zone: Option<Arc<str>>,
    node: Option<Arc<str>>,
    pod: Option<Arc<str>>,
    weight: u16,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    metadata: BTreeMap<Box<str>, Box<str>>,
    state: State,
    reason: Reason,
    #[serde(default, deserialize_with = "revision")]
    revision: u64,
}

/// Revisions stay below 2^53, which JavaScript reads exactly.
pub const REVISION_END: u64 = 1 << 53;

/// Reads a revision; one that no controller gives is refused, so that counting on from it never overflows.
pub fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let revision = u64::deserialize(deserializer)?;
    if revision >= REVISION_END {
        return Err(D::Error::custom(format!("revision: {revision}; use less than 2^53")));
    }
    Ok(revision)
}

impl Profile {
    pub(crate) fn called(&self) -> Called<'_> {
        let of_two = |port: &Port| {
            port.name.is_none()
                && self.ports.iter().any(|other| other.name.is_some() && other.port == port.port)
        };
        Called {
            ports: self.ports.iter().filter_map(|port| Some((port.name.as_deref()?, port.port))).collect(),
            protocols: self
                .ports
                .iter()
                .filter(|port| port.transport != Transport::Tcp || of_two(port))
                .map(|port| (port.name.as_deref().unwrap_or_default(), port.transport))
                .collect(),
            app_protocols: self
                .ports
                .iter()
                .filter_map(|port| {
                    Some((port.name.as_deref().unwrap_or_default(), port.app_protocol.as_deref()?))
                })
                .collect(),
            version: self.version.as_ref(),
        }
    }

    pub(crate) fn described(&self) -> Described<'_> {
        Described { weight: self.weight, tags: &self.tags, metadata: &self.metadata }
    }
}

impl Instance {
    pub(crate) fn written(&self, port: u16) -> Written<'_> {
        Written {
            id: &self.id,
            address: self.address(),
            addresses: self.addresses.iter().collect(),
            port,
            called: self.profile.called(),
            zone: self.zone.as_deref(),
            node: self.node.as_deref(),
            pod: self.pod.as_deref(),
            described: self.profile.described(),
            state: self.state,
            reason: &self.reason,
            revision: Some(self.revision),
        }
    }

    /// The same without its revision, which tells when and not what: for comparing what two replicas hold.
    pub fn undated(&self) -> impl Serialize + '_ {
        Written { revision: None, ..self.written(self.profile.port) }
    }
}

impl Serialize for Instance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written(self.profile.port).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        // What no controller writes. A port 0 cannot be called, and a number beyond these overflows somewhere.
        if read.port == 0 || read.ports.values().any(|port| *port == 0) {
            return Err(D::Error::custom("port: 0; use 1 to 65535"));
        }
        if read.weight > WEIGHT_MAX {
            return Err(D::Error::custom(format!("weight: {}; use 0 to {WEIGHT_MAX}", read.weight)));
        }
        let described = |name: Option<Box<str>>, port| {
            let key = name.as_deref().unwrap_or_default();
            let transport = read.protocols.get(key).copied().unwrap_or_default();
            let app_protocol = read.app_protocols.get(key).cloned();
            Port { name, port, transport, app_protocol }
        };
        let named = read.ports.iter().map(|(name, port)| described(Some(name.clone()), *port));
        let unnamed = read.protocols.contains_key("") || read.ports.values().all(|port| *port != read.port);
        let ports = named.chain(unnamed.then(|| described(None, read.port))).collect();
        let profile = Profile {
            port: read.port,
            ports,
            version: read.version,
            weight: read.weight,
            tags: read.tags,
            metadata: read.metadata.into_iter().collect(),
        };
        Ok(Self {
            id: read.id,
            addresses: Addresses::beside(read.address, &read.addresses),
            zone: read.zone,
            node: read.node,
            pod: read.pod,
            profile: Arc::new(profile.normalised()),
            state: read.state,
            reason: read.reason,
            revision: read.revision,
        })
    }
}

#[cfg(test)]
#[path = "instance_tests.rs"]
mod tests;
