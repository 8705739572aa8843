//! The controller: watches Kubernetes, owns the catalogue, and serves it to the sidecars' sessions.
//!
//! ```text
//!  watches ──┐ Change                        View (Arc)
//!            ├───────► Owner [ Index ] ─────────────────► sessions ──► sidecars
//!  sessions ─┘ presence   one task, no lock   watch channel   one stream each, no queue
//! ```

mod admission;
pub mod app;
pub mod args;
pub mod auth;
pub mod authority;
pub mod embedded;
pub mod index;
mod kubernetes;
pub mod lease;
pub mod operate;
mod outside;
mod own_objects;
mod owner;
pub mod parts;
pub mod peers;
#[cfg(test)]
mod scripted_api;
pub mod sessions;
pub mod status;
mod told;

pub use authority::{Authority, CaError, Leaf};
pub use owner::{IndexHandle, Owner, OwnerGone, Progress, Read, View, owner};
pub use told::Told;
