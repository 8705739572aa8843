//! What a registration says of its instances.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    limits::{METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX, WEIGHT_MAX},
    names::{is_label, shortened},
    registration::{
        Heartbeat, Probing,
        words::{is_app_protocol, is_metadata_key, is_metadata_value, is_tag},
    },
    tags::Tags,
    texts::Texts,
    version::Version,
};

/// Holds what a registration says of its instances; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    pub version: Option<Version>,
    /// The first is the primary one.
    pub ports: Vec<Port>,
    pub tags: Tags,
    pub metadata: Texts,
    pub weight: Option<u16>,
    pub probe: Option<Probing>,
    /// The app says itself that it is well, this often.
    pub heartbeat: Option<Heartbeat>,
}

/// Holds one port of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// None only where an instance has one port and nobody named it.
    pub name: Option<Box<str>>,
    pub port: u16,
    pub transport: Transport,
    /// What is spoken there (`http`, `grpc`, `kubernetes.io/h2c`), where it is said.
    pub app_protocol: Option<Box<str>>,
}

/// Says what carries the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// Names the field that holds a bad value, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}; {remedy}")]
pub struct ValueError {
    pub field: &'static str,
    pub problem: String,
    pub remedy: &'static str,
}

// === impl Attributes ===

impl Attributes {
    /// Every bad value among these.
    pub fn check(&self) -> Vec<ValueError> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: &str, remedy| {
            errors.push(ValueError { field, problem: problem.to_owned(), remedy });
        };
        if let Some(name) = names(&self.ports).find(|name| !is_label(name)) {
            let problem = format!("the name `{}` is no DNS-1123 label", shortened(name));
            refuse(
                "ports",
                &problem,
                "use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or a digit",
            );
        }
        if self.ports.len() > PORTS_MAX {
            refuse("ports", "too many entries", "use at most 32");
        }
        let distinct: BTreeSet<_> = names(&self.ports).collect();
        let unnamed = self.ports.iter().filter(|port| port.name.is_none()).count();
        if distinct.len() + unnamed < self.ports.len() {
            refuse("ports", "a name stands twice", "give each port its own name");
        }
        if unnamed > 0 && self.ports.len() > 1 {
            refuse("ports", "a port has no name", "name every port where there are several");
        }
        if self.ports.iter().any(|port| port.port == 0) {
            refuse("ports", "port 0", "use 1 to 65535");
        }
        let mut spoken = self.ports.iter().filter_map(|port| port.app_protocol.as_deref());
        if let Some(spoken) = spoken.find(|spoken| !is_app_protocol(spoken)) {
            refuse(
                "ports.appProtocol",
                &format!("`{}` is no name of a protocol", shortened(spoken)),
                "use a word as http, grpc or kubernetes.io/h2c",
            );
        }
        if self.tags.len() > TAGS_MAX {
            refuse("tags", "too many entries", "use at most 64");
        }
        if let Some(tag) = self.tags.iter().find(|tag| !is_tag(tag)) {
            let problem = format!("`{}` is empty, too long or not printable", shortened(tag));
            refuse("tags", &problem, "use 1 to 63 printable characters");
        }
        if self.metadata.len() > METADATA_KEYS_MAX {
            refuse("metadata", "too many keys", "use at most 64");
        }
        if let Some(key) = self.metadata.names().find(|key| !is_metadata_key(key)) {
            let problem = format!("the key `{}` is empty, too long or not printable", shortened(key));
            refuse("metadata", &problem, "use 1 to 128 printable characters");
        }
        if let Some((key, _)) = self.metadata.iter().find(|(_, value)| !is_metadata_value(value)) {
            let problem = format!("the value of `{}` is too long", shortened(key));
            refuse("metadata", &problem, "use at most 1,024 characters");
        }
        if self.weight.is_some_and(|weight| weight > WEIGHT_MAX) {
            refuse("weight", "above 1000", "use 0 to 1000");
        }
        if let Some(Probing::By(probe)) = &self.probe {
            errors.extend(probe.check(self));
        }
        errors.extend(self.heartbeat.and_then(Heartbeat::check));
        errors
    }
}

// === impl Port ===

impl Port {
    /// A TCP port without a word on what is spoken there.
    pub fn tcp(name: Option<&str>, port: u16) -> Self {
        Self { name: name.map(Into::into), port, transport: Transport::Tcp, app_protocol: None }
    }
}

/// A port as people write it: digits, without a sign or a zero before them, so that a port has one spelling.
pub(crate) fn port_number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

fn names(ports: &[Port]) -> impl Iterator<Item = &str> {
    ports.iter().filter_map(|port| port.name.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::{ProbeCheck, ProbeSpec};

    fn probe(path: &str, port: Option<&str>) -> Probing {
        Probing::By(ProbeSpec::new(ProbeCheck::Http { path: path.into(), port: port.map(Into::into) }))
    }

    fn spoken(protocol: &str) -> Port {
        Port { app_protocol: Some(protocol.into()), ..Port::tcp(Some("http"), 80) }
    }

    fn beats(interval_seconds: u32, ttl_seconds: u32) -> Attributes {
        Attributes { heartbeat: Some(Heartbeat { interval_seconds, ttl_seconds }), ..Attributes::default() }
    }

    #[test]
    fn bad_values_are_named_and_good_ones_pass() {
        let good = Attributes {
            version: Some("1.4.2-rc.1".parse().unwrap()),
            ports: vec![Port::tcp(Some("http"), 8080), Port::tcp(Some("grpc"), 9090)],
            tags: ["blue".to_owned(), "ü".to_owned()].into(),
            metadata: [("team".to_owned(), String::new())].into(),
            weight: Some(1000),
            probe: Some(probe("/healthz", None)),
            heartbeat: Some(Heartbeat::DEFAULT),
        };
        assert_eq!(good.check(), []);
        let bad = [
            (
                "ports",
                Attributes { ports: vec![Port::tcp(Some("a"), 1), Port::tcp(Some("a"), 2)], ..good.clone() },
            ),
            (
                "ports",
                Attributes { ports: vec![Port::tcp(None, 1), Port::tcp(Some("a"), 2)], ..good.clone() },
            ),
            ("ports", Attributes { ports: vec![Port::tcp(None, 0)], ..good.clone() }),
            ("ports", Attributes { ports: vec![Port::tcp(Some("H"), 1)], ..good.clone() }),
            ("tags", Attributes { tags: [String::new()].into(), ..good.clone() }),
            ("tags", Attributes { tags: ["a\n".to_owned()].into(), ..good.clone() }),
            (
                "metadata",
                Attributes { metadata: [("k".to_owned(), "v".repeat(1025))].into(), ..good.clone() },
            ),
            ("tags", Attributes { tags: ["a\u{202e}b".to_owned()].into(), ..good.clone() }),
            ("weight", Attributes { weight: Some(1001), ..good.clone() }),
            ("ports.appProtocol", Attributes { ports: vec![spoken("a b")], probe: None, ..good.clone() }),
            ("ports.appProtocol", Attributes { ports: vec![spoken("a/b/c")], probe: None, ..good.clone() }),
            ("probe.http.path", Attributes { probe: Some(probe("healthz", None)), ..good.clone() }),
            ("probe.http.path", Attributes { probe: Some(probe("/a b", None)), ..good.clone() }),
            ("probe.port", Attributes { probe: Some(probe("/", Some("admin"))), ..good.clone() }),
            ("heartbeat.ttlSeconds", beats(5, 4)),
            ("heartbeat.ttlSeconds", beats(5, 3_601)),
            ("heartbeat.intervalSeconds", beats(0, 15)),
        ];
        for (field, attributes) in bad {
            let errors = attributes.check();
            assert_eq!(errors.len(), 1, "{attributes:?}: {errors:?}");
            assert!(errors[0].field.starts_with(field) && !errors[0].remedy.is_empty());
        }
    }
}
