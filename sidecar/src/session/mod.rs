//! The sidecar's end of the wire.

mod conversation;
mod link;

pub(crate) use conversation::{Conversation, Event};
pub(crate) use link::{Link, LinkError, connect};
