//! SRV records: whom to call at which port, and at which addresses they are.

use std::net::IpAddr;

use rollcall_catalogue::ServiceKey;

use crate::{
    Kind,
    host::{Hosts, host_label},
    record::{ASKED, head, label, name_end, pointer},
    records::Ring,
    reply::{Reply, Section},
};

/// Bytes of a record before the name of its target: owner, head, priority, weight, port.
const BEFORE_TARGET: usize = 18;

/// Holds one port of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// The place among the hosts of the one where it is.
    pub(crate) host: usize,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) weight: u16,
}

/// Holds the SRV records of a service, ready to be copied. How the names of their targets end is the same in all of them.
#[derive(Debug)]
pub(crate) struct Targets {
    spans: Ring<Span>,
    bytes: Box<[u8]>,
    name_end: Box<[u8]>,
}

/// Says where a record stands, and the place of the host to which it points.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    host: usize,
}

// === impl Targets ===

impl Targets {
    /// Those of one host stand side by side.
    pub(crate) fn of(key: &ServiceKey, targets: &[Target], turn: usize) -> Self {
        let name_end = name_end(key);
        let mut bytes = Vec::new();
        let mut spans = Vec::with_capacity(targets.len());
        for target in targets {
            let start = bytes.len();
            let name = label(&host_label(target.address));
            let [priority, weight, port] = [0, target.weight, target.port].map(u16::to_be_bytes);
            let length = [priority, weight, port].as_flattened().len() + name.len() + name_end.len();
            bytes.extend_from_slice(&ASKED);
            bytes.extend_from_slice(&head(Kind::SRV, length));
            bytes.extend_from_slice([priority, weight, port].as_flattened());
            bytes.extend_from_slice(&name);
            spans.push(Span { start, end: bytes.len(), host: target.host });
        }
        Self { spans: Ring::of(spans, turn), bytes: bytes.into(), name_end: name_end.into() }
    }

    /// Puts as many as there is room for; and where that is all, the addresses of their hosts.
    pub(crate) fn put(&self, hosts: &Hosts, reply: &mut Reply<'_>) {
        let spans = self.spans.next();
        let mut at = reply.len();
        for span in spans.into_iter().flatten() {
            let record = self.bytes.get(span.start..span.end).unwrap_or_default();
            if !reply.put(Section::Answer, &[record, &self.name_end]) {
                return;
            }
        }
        let first = spans.into_iter().flatten().map(|span| span.host).next();
        let mut before = None;
        for span in spans.into_iter().flatten() {
            // Once for each host: the one that was begun with may come again at the end of the round.
            let again = before == Some(span.host) || before.is_some() && first == Some(span.host);
            if !again && !put_host(hosts, span.host, at + BEFORE_TARGET, reply) {
                return;
            }
            before = Some(span.host);
            at += span.end - span.start + self.name_end.len();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.spans.bytes() + self.bytes.len() + self.name_end.len()
    }
}

/// Puts all addresses of a host, whose name stands at this place of the reply, or none; whether it did.
fn put_host(hosts: &Hosts, place: usize, name_at: usize, reply: &mut Reply<'_>) -> bool {
    let (Some(host), Some(owner)) = (hosts.get(place), pointer(name_at)) else { return false };
    if host.record_bytes() > reply.space() {
        return false;
    }
    host.addresses().all(|address| reply.put_address(Section::Additional, owner, address))
}
