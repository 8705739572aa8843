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

use rollcall_catalogue::Transport;

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
