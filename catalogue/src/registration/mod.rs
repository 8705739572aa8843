//! Who says what of which instances: the statements that the consolidation merges into services.

mod annotations;
mod attributes;
mod probe;
mod target;
mod visibility;
mod words;

use std::cmp::Ordering;

pub use annotations::{asks_to_drain, by_annotations};
pub(crate) use attributes::port_number;
pub use attributes::{Attributes, Port, Transport, ValueError};
pub use probe::{Heartbeat, ProbeCheck, ProbeSpec, Probing};
pub use target::{Operator, Requirement, Selector, StaticAddress, Target};
pub use visibility::Visibility;

use crate::{address::Reach, balance::Policy, names::ServiceKey};

/// Holds one statement that certain instances are a service, and what they are like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Registration {
    pub key: ServiceKey,
    pub source: Source,
    pub target: Target,
    pub attributes: Attributes,
    /// How callers spread their requests, where it says so.
    pub policy: Option<Policy>,
    /// Who may see the service, where it says so.
    pub visibility: Option<Visibility>,
}

/// Says where a registration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The app itself, through its sidecar, at run time. The name tells the words of one app apart: of two that are
    /// equally close, the one whose name comes first wins, as among objects.
    Runtime { kind: Runtime, name: Box<str> },
    /// The pod's own annotations.
    Annotation,
    /// A `ServiceRegistration`, whoever wrote it.
    Object { created_ms: i64, name: Box<str> },
}

/// Says how an app registered itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// One word for the whole pod: the first port that it names becomes the primary one, and a name that was declared
    /// as well means the port that is named here. The other declared ones stay.
    Whole,
    /// One of several addresses, told apart by their ports: an instance beside the declared one, unless that has the
    /// same port.
    Each,
}

/// Says how close to the instance a registration was made; what is closer wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closeness {
    Runtime,
    Annotation,
    Pod,
    Selector,
    Service,
    Addresses,
}

// === impl Registration ===

impl Registration {
    /// Every bad value in it; the domain holds its own limits, whatever the schema let through.
    pub fn check(&self) -> Vec<ValueError> {
        self.check_for(Reach::Cluster)
    }

    /// The same, of one whose instances are called from there.
    pub fn check_for(&self, reach: Reach) -> Vec<ValueError> {
        let mut errors = self.target.check(reach);
        errors.extend(self.attributes.check());
        if self.attributes.ports.is_empty()
            && matches!(self.source, Source::Object { .. })
            && !self.ports_are_known_elsewhere()
        {
            errors.push(ValueError {
                field: "ports",
                problem: "missing".to_owned(),
                remedy: "name at least one; only the ports of target.service are known without",
            });
        }
        if let Some(Visibility::Namespaces(named)) = &self.visibility
            && named.len() > crate::limits::VISIBLE_NAMESPACES_MAX
        {
            errors.push(ValueError {
                field: "visibility.namespaces",
                problem: format!("{} entries", named.len()),
                remedy: "use at most 64",
            });
        }
        errors
    }

    /// The order of precedence where two registrations disagree: the closer one, then the older object, then by
    /// name. The same on every replica.
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.closeness().cmp(&other.closeness()).then_with(|| self.age(other))
    }

    /// The older object first, then by name; what is no object is the instance's own word, and before all objects.
    pub(crate) fn age(&self, other: &Self) -> Ordering {
        self.age_key().cmp(&other.age_key())
    }

    pub(crate) fn closeness(&self) -> Closeness {
        match (&self.source, &self.target) {
            (Source::Runtime { .. }, _) => Closeness::Runtime,
            (Source::Annotation, _) => Closeness::Annotation,
            (Source::Object { .. }, Target::Pod { .. } | Target::Own) => Closeness::Pod,
            (Source::Object { .. }, Target::Selector(_)) => Closeness::Selector,
            (Source::Object { .. }, Target::Service(_)) => Closeness::Service,
            (Source::Object { .. }, Target::Addresses(_)) => Closeness::Addresses,
        }
    }

    fn age_key(&self) -> (Closeness, i64, &str, u16) {
        match &self.source {
            Source::Object { created_ms, name } => (Closeness::Pod, *created_ms, name, 0),
            Source::Runtime { name, .. } => {
                // The same name for two addresses: they differ in their ports, which everyone can see.
                let port = self.attributes.ports.first().map_or(0, |port| port.port);
                (Closeness::Runtime, 0, name, port)
            }
            // A pod has one of these.
            Source::Annotation => (Closeness::Annotation, 0, "", 0),
        }
    }

    fn ports_are_known_elsewhere(&self) -> bool {
        matches!(self.target, Target::Service(_))
    }
}
