//! SRV records: whom to call at which port, and at which addresses they are.

use crate::{
    Kind,
    host::{Host, HostLabel, Hosts},
    record::{ASKED, head, pointer},
    records::Ring,
    reply::{Reply, Section},
};

/// Bytes of a record before the name of its target: owner, head, priority, weight, port.
const BEFORE_TARGET: usize = 18;
/// Bytes of a message up to which the addresses of targets are put into it, as if their names were written out. Pointers
/// reach no further (RFC 1035), and c-ares, which is Node's, writes the message anew before it is looked at: its names in
/// full, and pointers to whatever place they had then. Beyond this it takes its own message for a broken one.
const WITH_ADDRESSES_BYTES_MAX: usize = 16 * 1024;

/// Holds one port of an instance. Its record is written when it is asked for: it takes 52 bytes and more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// The place among the hosts of the one where it is.
    pub(crate) host: u32,
    pub(crate) port: u16,
    pub(crate) weight: u16,
}

/// Holds what the records of every choice of a service say alike: of its hosts, and how their names end.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hosts: Hosts,
    pub(crate) name_end: Box<[u8]>,
}

// === impl Ring: of targets ===

impl Ring<Target> {
    /// Puts as many as there is room for; and where that is all and the message is small, the addresses of their hosts.
    /// Targets of one host stand side by side.
    pub(crate) fn put(&self, shared: &Shared, reply: &mut Reply<'_>) {
        let targets = self.next();
        let mut at = reply.len();
        for target in targets.into_iter().flatten() {
            if !put_target(shared, target, reply) {
                return;
            }
        }
        let mut written_out = reply.len();
        let first = targets.into_iter().flatten().map(|target| target.host).next();
        let mut before = None;
        for target in targets.into_iter().flatten() {
            // Once for each host: the one that was begun with may come again at the end of the round.
            let again = before == Some(target.host) || before.is_some() && first == Some(target.host);
            let name_bytes = shared.name_bytes(target.host);
            if !again {
                let Some(host) = shared.hosts.get(target.host) else { return };
                written_out += host.record_bytes() + host.addresses().count() * name_bytes;
                if written_out > WITH_ADDRESSES_BYTES_MAX || !put_host(host, at + BEFORE_TARGET, reply) {
                    return;
                }
            }
            before = Some(target.host);
            at += BEFORE_TARGET + name_bytes;
        }
    }
}

/// Puts the record of a target; whether there was room for it.
fn put_target(shared: &Shared, target: &Target, reply: &mut Reply<'_>) -> bool {
    // Every target was made of a host.
    let Some(label) = shared.label(target.host) else { return true };
    let name = label.bytes();
    let [priority, weight, port] = [0, target.weight, target.port].map(u16::to_be_bytes);
    let data = [priority, weight, port];
    let head = head(Kind::SRV, data.as_flattened().len() + 1 + name.len() + shared.name_end.len());
    let length = [u8::try_from(name.len()).unwrap_or_default()];
    let parts: [&[u8]; 6] = [&ASKED, &head, data.as_flattened(), &length, name, &shared.name_end];
    reply.put(Section::Answer, &parts)
}

/// Puts all addresses of a host, whose name stands at this place of the reply, or none; whether it did.
fn put_host(host: &Host, name_at: usize, reply: &mut Reply<'_>) -> bool {
    let Some(owner) = pointer(name_at) else { return false };
    if host.record_bytes() > reply.space() {
        return false;
    }
    host.addresses().all(|address| reply.put_address(Section::Additional, owner, address))
}

// === impl Shared ===

impl Shared {
    fn label(&self, host: u32) -> Option<HostLabel> {
        self.hosts.get(host).map(|host| HostLabel::of(host.primary()))
    }

    /// Bytes of the name of a host.
    fn name_bytes(&self, host: u32) -> usize {
        self.label(host).map_or(0, |label| 1 + label.bytes().len() + self.name_end.len())
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.hosts.bytes() + self.name_end.len()
    }
}
