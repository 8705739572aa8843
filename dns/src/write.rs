//! Answers: what of all that is known belongs into a reply.

use std::net::IpAddr;

use rollcall_catalogue::ServiceKey;

use crate::{
    Host, Kind, Query, Records,
    host::HostLabel,
    meaning::{ZONE, is_ours},
    record::{ASKED, HINFO, NS, SOA, head, name_end, pointer, put_label},
    reply::{Code, Reply, Section},
};

/// Says what came to pass of a query.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'r> {
    /// Those of the kind that is asked for; that there are none, where there are none.
    Records(&'r Records),
    /// The instances of an address, in the service that the name names.
    Host(&'r Host),
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

// === impl Answer ===

impl Answer<'_> {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchName => Code::NoSuchName,
            Self::NotKnown => Code::Failed,
            Self::NotOurs => Code::Refused,
            _ => Code::Fine,
        }
    }

    /// Puts what there is of this kind.
    fn put(&self, kind: Kind, reply: &mut Reply<'_>) {
        match (self, kind) {
            (Self::Records(records), Kind::A) => reply.put_all(records.a.next()),
            (Self::Records(records), Kind::AAAA) => reply.put_all(records.aaaa.next()),
            (Self::Records(records), Kind::SRV) => records.targets.put(records.shared(), reply),
            (Self::Host(host), Kind::A) => put_host(host, IpAddr::is_ipv4, reply),
            (Self::Host(host), Kind::AAAA) => put_host(host, IpAddr::is_ipv6, reply),
            (Self::Pointers(address, keys), Kind::PTR) => {
                let mut name = Vec::new();
                put_label(&mut name, HostLabel::of(*address).bytes());
                for key in *keys {
                    reply.put_answer(Kind::PTR, &[name.as_slice(), &name_end(key)].concat());
                }
            }
            (Self::Apex, Kind::SOA) => _ = reply.put_answer(Kind::SOA, SOA),
            (Self::Apex, Kind::NS) => _ = reply.put_answer(Kind::NS, NS),
            (_, Kind::ANY) => _ = reply.put_answer(Kind::HINFO, HINFO),
            _ => {}
        }
    }
}

fn put_host(host: &Host, of_family: fn(&IpAddr) -> bool, reply: &mut Reply<'_>) {
    for address in host.addresses().filter(of_family) {
        reply.put_address(Section::Answer, ASKED, address);
    }
}

// === impl Query: its answer ===

impl Query<'_> {
    /// Writes the reply to `out`, which is cleared before. `recursive` says whether other zones are asked for the
    /// caller.
    pub fn answer(&self, answer: &Answer<'_>, carrier: Carrier, recursive: bool, out: &mut Vec<u8>) {
        let mut reply = Reply::to(self.question(), self.edns, self.room(carrier), out);
        (reply.code, reply.recursive) = (answer.code(), recursive);
        if reply.code == Code::Fine {
            answer.put(self.kind(), &mut reply);
        }
        let said = matches!(reply.code, Code::Fine | Code::NoSuchName);
        if let Some(zone) = self.zone(answer).filter(|_| said) {
            reply.authoritative = true;
            if !reply.has_answers() {
                // How long it is known that there is nothing (RFC 2308). There is room: a question takes 271 bytes at
                // most.
                reply.put(Section::Authority, &[&zone, &head(Kind::SOA, SOA.len()), SOA]);
            }
        }
        reply.finish();
    }

    /// The name of the zone for which we speak, as a part of the name that was asked for; none where that is another's.
    fn zone(&self, answer: &Answer<'_>) -> Option<[u8; 2]> {
        if is_ours(self.text()) {
            // The last label with its length, and the end of the name, before type and class.
            return pointer(self.question().len().checked_sub(ZONE.len() + 2 + 4)?);
        }
        // Of the reverse zones we speak for single addresses: each is a zone of its own.
        matches!(answer, Answer::Pointers(..) | Answer::Empty).then_some(ASKED)
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
