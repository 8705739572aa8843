//! The sessions: the controller's end of the wire.
//!
//! ```text
//!  connection ─ handshake, HTTP/2 ─► session: hears, speaks ◄─ woken by the board ◄─ bell ◄─ View
//!      one task for both                │ words, presence                │ acks
//!                                       ▼                                ▼
//!                                     owner                            roster: who calls whom, drains
//! ```

mod admission;
mod bell;
mod board;
mod connection;
mod ending;
mod errands;
mod inquiries;
mod relief;
pub mod roster;
mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use ending::Ending;
pub use server::{Sessions, SessionsError};
