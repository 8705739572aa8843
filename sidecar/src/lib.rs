//! The sidecar: one session to the controller, the last good state in memory, lookups on localhost.
//!
//! ```text
//!  controller ══ session ══► Agent (the only writer) ──► Store (ArcSwap) ──► lookups
//!                              ▲ Errands: wanted names, bounded      │          │
//!                              ├─────────────────────────────────────┼──────────┘
//!                              └─ Own: what the app registers        └─► disk: the last good state, for the next process
//! ```
//!
//! A lookup of a known name reads memory and nothing else: no lock, no wait, no other process.

mod agent;
mod api;
pub mod app;
pub mod args;
mod classic;
mod core;
mod disk;
mod dns;
pub mod embedded;
mod finder;
mod health;
mod interest;
pub mod local;
mod metrics;
mod own;
mod owners;
mod ports;
mod prestop;
mod probe;
mod requires;
mod session;
mod store;

pub use dns::{Servers, ServersError};
pub use finder::{BadName, Name};
pub use own::Declared;
pub use requires::Requires;
