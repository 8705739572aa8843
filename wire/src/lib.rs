//! What Rollcall's processes say to each other: the frames of a session and their codec, the JSON of the local
//! API, and its problems. `docs/protocol.md` tells the same to people who write a client.

pub mod api;
pub mod client;
mod codec;
mod frame;
pub mod limits;
mod problem;
pub mod query;
mod registration;

pub use codec::{CodecError, Decoder, encode};
pub use frame::{Down, Drain, PROTOCOL, PodIdentity, ServiceSummary, Up, upserts};
pub use problem::{Problem, Slug};
pub use registration::{SelfPort, SelfRegistration};
