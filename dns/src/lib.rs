//! The zone `rollcall.` as values and functions: what a packet asks, what a name means, and the bytes of the answer. No
//! IO, no clock.
//!
//! ```text
//!  packet ─► read ─┬─ Nothing: a reply, or no message at all; nobody is told anything
//!                  ├─ Refused: what we do not answer, with the bytes that say so
//!                  └─ Query ─► meaning ─► (who has the catalogue finds Records) ─► Query::answer ─► bytes
//! ```
//!
//! `Records` are written once for each content of a service. Addresses are copied from them, from another beginning each
//! time; SRV records, which are much longer than what they say, are composed of them.

mod forward;
mod host;
mod meaning;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod oracle;
mod query;
mod record;
mod records;
mod reply;
mod targets;
#[cfg(test)]
mod testing;
mod text;
mod write;

pub use forward::Forwarded;
pub use host::Host;
pub use meaning::{Choice, Meaning, PortAsked};
pub use query::{Kind, Query, Read, Refusal, read};
pub use records::Records;
pub use write::{Answer, Carrier};

/// Seconds for which an answer may be kept, and that there is none as well.
pub const TTL_SECONDS: u32 = 1;
/// Bytes of an answer over UDP, whatever the asker would take: no network cuts it into pieces.
pub const UDP_BYTES_MAX: usize = 1_232;
/// Bytes of an answer over UDP to who says nothing of its size.
pub const UDP_BYTES_PLAIN: usize = 512;
/// Bytes of a query; a name takes 255, and what stands beside it a few hundred.
pub const QUERY_BYTES_MAX: usize = 4_096;
