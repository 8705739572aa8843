//! Who says that a pod belongs to a service, and with what attributes.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::{
    limits::{
        METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, METADATA_VALUE_CHARS_MAX, PORTS_MAX, TAG_CHARS_MAX,
        TAGS_MAX, VERSION_BYTES_MAX, WEIGHT_MAX,
    },
    names::{ServiceKey, is_label, shortened},
};

/// Says where a registration comes from. The order is the order of precedence: the most specific first, then the
/// older object, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The pod's own annotations.
    Annotation,
    /// A `ServiceRegistration` with a selector.
    Selector { created_ms: i64, name: String },
}

/// Holds one statement that certain pods are a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub key: ServiceKey,
    pub source: Source,
    /// The labels that a pod of the same namespace must carry; empty for an annotation, which speaks for its own
    /// pod alone.
    pub selector: BTreeMap<String, String>,
    pub attributes: Attributes,
}

/// Holds what a registration says of its instances; empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub version: Option<String>,
    /// The first is the primary one.
    pub ports: Vec<Port>,
    pub tags: BTreeSet<String>,
    pub metadata: BTreeMap<String, String>,
    pub weight: Option<u16>,
}

/// Holds one port of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: Option<String>,
    pub port: u16,
}

/// Names the field that holds a bad value, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}; {remedy}")]
pub struct ValueError {
    pub field: &'static str,
    pub problem: String,
    pub remedy: &'static str,
}

// === impl Registration ===

impl Registration {
    /// Whether an object's selector matches these labels; an empty selector matches nothing.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

// === impl Attributes ===

impl Attributes {
    /// Every bad value among these; the domain holds its own limits, whatever the schema let through.
    pub fn check(&self) -> Vec<ValueError> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: String, remedy| errors.push(ValueError { field, problem, remedy });
        if let Some(version) = &self.version
            && let Err(error) = semver::Version::parse(version)
        {
            refuse(
                "version",
                format!("`{}` is no semantic version ({error})", shortened(version)),
                "use three numbers as in 1.4.2",
            );
        }
        if self.version.as_ref().is_some_and(|version| version.len() > VERSION_BYTES_MAX) {
            refuse("version", "too long".to_owned(), "use at most 128 bytes");
        }
        if !names(&self.ports).all(is_label) {
            refuse("ports", "a name is no DNS-1123 label".to_owned(), "use 1 to 63 of a-z, 0-9 and -");
        }
        if self.ports.len() > PORTS_MAX {
            refuse("ports", format!("{} entries", self.ports.len()), "use at most 32");
        }
        let distinct: BTreeSet<_> = names(&self.ports).collect();
        let unnamed = self.ports.iter().filter(|port| port.name.is_none()).count();
        if distinct.len() + unnamed < self.ports.len() {
            refuse("ports", "a name stands twice".to_owned(), "give each port its own name");
        }
        if unnamed > 0 && self.ports.len() > 1 {
            refuse("ports", "a port has no name".to_owned(), "name every port where there are several");
        }
        if self.ports.iter().any(|port| port.port == 0) {
            refuse("ports", "port 0".to_owned(), "use 1 to 65535");
        }
        if self.tags.len() > TAGS_MAX {
            refuse("tags", format!("{} entries", self.tags.len()), "use at most 64");
        }
        if !self.tags.iter().all(|tag| printable(tag, TAG_CHARS_MAX)) {
            refuse(
                "tags",
                "a tag is empty, too long or not printable".to_owned(),
                "use 1 to 63 printable characters",
            );
        }
        if self.metadata.len() > METADATA_KEYS_MAX {
            refuse("metadata", format!("{} keys", self.metadata.len()), "use at most 64");
        }
        if !self.metadata.keys().all(|key| printable(key, METADATA_KEY_CHARS_MAX)) {
            refuse(
                "metadata",
                "a key is empty, too long or not printable".to_owned(),
                "use 1 to 128 printable characters",
            );
        }
        if self.metadata.values().any(|value| value.chars().count() > METADATA_VALUE_CHARS_MAX) {
            refuse("metadata", "a value is too long".to_owned(), "use at most 1,024 characters");
        }
        if self.weight.is_some_and(|weight| weight > WEIGHT_MAX) {
            refuse("weight", "above 1000".to_owned(), "use 0 to 1000");
        }
        errors
    }
}

fn names(ports: &[Port]) -> impl Iterator<Item = &str> {
    ports.iter().filter_map(|port| port.name.as_deref())
}

fn printable(text: &str, chars_max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= chars_max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: Option<&str>, port: u16) -> Port {
        Port { name: name.map(str::to_owned), port }
    }

    #[test]
    fn bad_values_are_named_and_good_ones_pass() {
        let good = Attributes {
            version: Some("1.4.2-rc.1".into()),
            ports: vec![port(Some("http"), 8080), port(Some("grpc"), 9090)],
            tags: ["blue".to_owned(), "ü".to_owned()].into(),
            metadata: [("team".to_owned(), String::new())].into(),
            weight: Some(1000),
        };
        assert_eq!(good.check(), []);
        let bad = [
            ("version", Attributes { version: Some("v1.4.2".into()), ..good.clone() }),
            ("version", Attributes { version: Some("1.4".into()), ..good.clone() }),
            ("ports", Attributes { ports: vec![port(Some("a"), 1), port(Some("a"), 2)], ..good.clone() }),
            ("ports", Attributes { ports: vec![port(None, 1), port(Some("a"), 2)], ..good.clone() }),
            ("ports", Attributes { ports: vec![port(None, 0)], ..good.clone() }),
            ("ports", Attributes { ports: vec![port(Some("H"), 1)], ..good.clone() }),
            ("tags", Attributes { tags: [String::new()].into(), ..good.clone() }),
            ("tags", Attributes { tags: ["a\n".to_owned()].into(), ..good.clone() }),
            (
                "metadata",
                Attributes { metadata: [("k".to_owned(), "v".repeat(1025))].into(), ..good.clone() },
            ),
            ("weight", Attributes { weight: Some(1001), ..good }),
        ];
        for (field, attributes) in bad {
            let errors = attributes.check();
            assert_eq!(errors.len(), 1, "{attributes:?}: {errors:?}");
            assert!(errors[0].field == field && !errors[0].remedy.is_empty());
        }
    }

    #[test]
    fn a_huge_value_does_not_fill_the_log() {
        let version = Some("v".repeat(100_000));
        let errors = Attributes { version, ..Attributes::default() }.check();
        assert!(errors.iter().all(|error| error.to_string().len() < 300), "{errors:?}");
    }

    #[test]
    fn an_empty_selector_selects_nothing() {
        let mut registration = Registration {
            key: "orders.shop".parse().unwrap(),
            source: Source::Annotation,
            selector: BTreeMap::new(),
            attributes: Attributes::default(),
        };
        let labels = BTreeMap::from([("app".to_owned(), "orders".to_owned())]);
        assert!(!registration.selects(&labels));
        registration.selector = labels.clone();
        assert!(registration.selects(&labels));
        registration.selector.insert("tier".to_owned(), "a".to_owned());
        assert!(!registration.selects(&labels));
    }
}
