//! The sessions: the controller's end of the wire.

mod conversation;
mod server;
mod stream;

pub use server::{Sessions, SessionsError};
