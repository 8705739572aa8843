//! The sessions: the controller's end of the wire.
//!
//! ```text
//!  connection ─ handshake, HTTP/2 ─► session: hears, speaks ◄─ woken by the board ◄─ bell ◄─ View
//!      one task for both                │ words, presence                │ acks
//!                                       ▼                                ▼
//!                                     owner                            roster: who calls whom, drains
//! ```
//!
//! A steward sees to it that all replicas have about as many, and that those of one that ends go to the others.

mod admission;
mod away;
mod bell;
mod board;
mod callers;
mod connection;
mod consumers;
mod ending;
mod errands;
mod inquiries;
mod piece;
mod refusal;
mod renewal;
mod returns;
pub mod roster;
mod server;
mod spread;
mod steward;
mod stream;
#[cfg(test)]
mod tests;
mod trials;
mod turn;

pub(crate) use admission::DESCRIPTORS;
pub(crate) use consumers::{Consumer, Use};

pub use consumers::Consumers;
pub use ending::Ending;
pub use server::{Sessions, SessionsError};
