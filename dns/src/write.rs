//! Writing a reply, within the room that the asker has.

use std::net::IpAddr;

use rollcall_catalogue::ServiceKey;

use crate::Records;

/// Says what came to pass of a query.
#[derive(Debug)]
pub enum Answer<'r> {
    /// Those of the kind that is asked for; that there are none, where there are none.
    Records(&'r Records),
    /// The instance of this address, in a service that has it.
    Host(IpAddr),
    /// The services that have an instance at this address.
    Pointers(IpAddr, &'r [ServiceKey]),
    /// The zone itself.
    Apex,
    /// There is such a name, and nothing of the kind that is asked for.
    Empty,
    /// There is no such name.
    NoSuchName,
    /// It is not known yet.
    NotKnown,
    /// It is not ours to answer.
    NotOurs,
}

/// Says what carries queries and replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Udp,
    Tcp,
}
