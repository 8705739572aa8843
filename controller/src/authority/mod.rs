//! Whom sidecars, replicas and the API server believe, and what we show them: an authority that signs, the one before while
//! it is still believed, and a short-lived certificate of this process.
//!
//! ```text
//!  Secret ──► secret ──► plan ──► at most one write, of a whole state
//!  (and the     read      │ pure
//!   outer one)            ▼
//!                       State: current, outgoing
//!                         │ who signs now        │ who is believed
//!                         ▼                      ▼
//!                       leaf ─► ShownCertificate  Told ─► sessions, pods, webhook, links
//! ```
//!
//! Every step is one write of the whole Secret, guarded by its version, so that any replica may do it and a process may
//! die between any two. What is decided is decided by functions without a clock; the keeper alone reads and writes.

mod allowance;
mod events;
mod keeper;
mod leaf;
mod pair;
mod plan;
mod secret;
mod state;
mod terms;

pub use self::{
    keeper::{Clock, Keeper, KeeperError, Setting, Trust, begin},
    leaf::Leaf,
    pair::{Authority, CaError},
    plan::Why,
    terms::{Terms, TermsError, term},
};

#[cfg(test)]
mod tests;
