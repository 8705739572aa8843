//! What the zone's names mean.
//!
//! ```text
//! orders.rollcall.                      the service `orders` of the caller's namespace
//! orders.shop.rollcall.                 of the namespace `shop`
//! 1-4-2.orders[.shop].rollcall.         its instances of version 1.4.2
//! _http._tcp[.1-4-2].orders[.shop].rollcall.   SRV: their port `http`
//! ip-10-1-2-3.orders.shop.rollcall.     one instance by its address: where SRV records point to
//! 3.2.1.10.in-addr.arpa.                PTR: which instance has the address
//! ```

use std::net::IpAddr;

use rollcall_catalogue::{Transport, is_label};

use crate::host::{reversed, unlabelled};

/// The name under which everything of ours is.
pub(crate) const ZONE: &str = "rollcall";

/// Says what a name means. Text is lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning<'q> {
    /// The zone itself.
    Apex,
    /// A service as lookups name it (`orders` or `orders.shop`), and what of it.
    Service { name: &'q str, choice: Choice<'q> },
    /// The name of an instance by its address, in the service of this name.
    Host { name: &'q str, address: IpAddr },
    /// Nothing but other names: `_tcp.orders.rollcall.`, in the service of this name.
    Between { name: &'q str },
    /// An address, asked for by its reverse name.
    Address(IpAddr),
    /// A name of our zone that nothing can have.
    Nothing,
    /// A name of another zone.
    Outside,
}

/// Says which instances of a service are asked for; all that serve, by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Choice<'q> {
    /// Their version as a label, such as `1-4-2`.
    pub version: Option<&'q str>,
    pub port: Option<PortAsked<'q>>,
}

/// Holds a port by its name, and what is spoken over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortAsked<'q> {
    pub name: &'q str,
    pub transport: Transport,
}

/// Whether this name is the zone, or under it.
pub(crate) fn is_ours(text: &str) -> bool {
    text.strip_suffix(ZONE).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

// === impl Meaning ===

impl<'q> Meaning<'q> {
    pub(crate) fn of(text: &'q str) -> Self {
        match text.strip_suffix(ZONE) {
            Some("") => Self::Apex,
            Some(rest) if rest.ends_with('.') => {
                rest.strip_suffix('.').and_then(within).unwrap_or(Self::Nothing)
            }
            _ => reversed(text).map_or(Self::Outside, Self::Address),
        }
    }
}

/// What the part of a name in front of the zone means.
fn within(text: &str) -> Option<Meaning<'_>> {
    if let Some(below) = text.strip_prefix('_') {
        let (first, rest) = below.split_once('.')?;
        let Some(below) = rest.strip_prefix('_') else {
            transport(first)?;
            return Some(Meaning::Between { name: versioned(rest)?.1 });
        };
        let (second, rest) = below.split_once('.')?;
        let port = is_label(first).then_some(PortAsked { name: first, transport: transport(second)? })?;
        let (version, name) = versioned(rest)?;
        return Some(Meaning::Service { name, choice: Choice { version, port: Some(port) } });
    }
    if let Some((first, name)) = text.split_once('.')
        && name.contains('.')
        && let Some(address) = unlabelled(first)
    {
        return is_service(name).then_some(Meaning::Host { name, address });
    }
    let (version, name) = versioned(text)?;
    Some(Meaning::Service { name, choice: Choice { version, port: None } })
}

/// A service as lookups name it, and the version in front of it. A label of three numbers, whatever follows them, is a version
/// wherever a name follows it: a service `1-2-3-x` is found by its own label alone, in its own namespace.
fn versioned(text: &str) -> Option<(Option<&str>, &str)> {
    let (version, name) = match text.split_once('.') {
        Some((first, rest)) if numbers(first).is_some() => (Some(first), rest),
        _ => (None, text),
    };
    (version.is_none_or(is_label) && is_service(name)).then_some((version, name))
}

fn is_service(name: &str) -> bool {
    let (service, namespace) = match name.split_once('.') {
        Some((service, namespace)) => (service, Some(namespace)),
        None => (name, None),
    };
    is_label(service) && numbers(service) != Some(None) && namespace.is_none_or(is_label)
}

/// What follows the three numbers with which a label begins, if anything does; none where it does not begin so.
fn numbers(label: &str) -> Option<Option<&str>> {
    let mut parts = label.splitn(4, '-');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let three = (0..3).all(|_| parts.next().is_some_and(is_number));
    three.then(|| parts.next())
}

fn transport(label: &str) -> Option<Transport> {
    match label {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        _ => None,
    }
}

#[cfg(test)]
#[path = "meaning_tests.rs"]
mod tests;
