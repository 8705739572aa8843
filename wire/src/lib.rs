//! What Rollcall's processes say to each other: the frames of a session, their codec and the controller's end of it
//! without IO; the JSON of the local API, and its problems. `docs/protocol.md` tells the same to people who write a
//! client.

pub mod api;
pub mod client;
mod codec;
mod duty;
mod feed;
mod frame;
#[cfg(test)]
mod golden;
pub mod limits;
pub mod peer;
mod problem;
pub mod query;
mod question;
mod registration;
pub mod server;
#[cfg(test)]
mod testing;
mod token;
mod usage;

pub use codec::{CodecError, Decoder, Line, encode};
pub use duty::{DUTIES_MAX, Duty, DutyCheck, DutyProbe};
pub use feed::{Feed, upserts};
pub use frame::{Down, Drain, HealthOf, PROTOCOL, PodIdentity, SERVING, ServiceSummary, Up, Upsert};
pub use problem::{Problem, Slug};
pub use question::{Explained, Found, Question, Told, Unknown, WitnessWords};
pub use registration::{RegistrationKey, SelfPort, SelfRegistration};
pub use token::Token;
pub use usage::{Reports, ServiceUsage};
