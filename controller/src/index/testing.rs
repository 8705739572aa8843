//! Registrations as objects, for the tests of the index and of those who are told what is in it.

use std::sync::Arc;

use rollcall_catalogue::{Attributes, Port, Registration, Source, StaticAddress, Target};

use crate::index::{Change, Object, ObjectKey, StatusDigest};

pub(crate) fn named(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".parse().unwrap(), name: name.into() }
}

pub(crate) fn attributes() -> Attributes {
    Attributes { ports: vec![Port::tcp(Some("http"), 8080)], ..Attributes::default() }
}

/// An object named `name` that registers this target as a service of the same name.
pub(crate) fn object(name: &str, service: &str, target: Target) -> Object {
    let ports = if matches!(target, Target::Service(_)) { Attributes::default() } else { attributes() };
    let registration = Registration {
        key: format!("{service}.shop").parse().unwrap(),
        source: Source::Object { created_ms: 1, name: name.into() },
        target,
        attributes: ports,
        policy: None,
        visibility: None,
    };
    Object {
        uid: format!("uid-{name}").into(),
        generation: 1,
        managed: false,
        told: StatusDigest::default(),
        registration: Ok(Arc::new(registration)),
        app: None,
    }
}

/// The same of namespace shop, as it is seen.
pub(crate) fn registered(name: &str, target: Target) -> Change {
    Change::Registration(named(name), Box::new(object(name, name, target)))
}

/// 198.51.100.7 for 7, which is in no cluster.
pub(crate) fn outside(numbers: &[u8]) -> Target {
    let one = |number: &u8| StaticAddress { address: [198, 51, 100, *number].into(), zone: None };
    Target::Addresses(numbers.iter().map(one).collect())
}
