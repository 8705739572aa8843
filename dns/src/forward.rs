//! A query on its way to another server, and which packet is the reply to it.

use crate::{Carrier, Query};

/// Holds what tells the reply to a forwarded query from anything else that comes in.
#[derive(Debug)]
pub struct Forwarded {}

// === impl Forwarded ===

impl Forwarded {
    /// The query as it is sent on, under this id, which nobody can guess.
    pub fn new(query: &Query<'_>, id: u16, carrier: Carrier) -> (Self, Vec<u8>) {
        let _ = (query, id, carrier);
        todo!()
    }

    /// The reply for the asker, with his own id and within his room; none where this packet is not the reply.
    pub fn reply(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let _ = packet;
        todo!()
    }
}
