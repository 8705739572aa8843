//! The sidecar: one session to the controller, the last good state in memory, lookups on localhost.
//!
//! ```text
//!  controller ══ session ══► Agent (the only writer) ──► Store (ArcSwap) ──► lookups
//!                              ▲ wanted names, bounded                          │
//!                              └────────────────────────────────────────────────┘
//! ```
//!
//! A lookup of a known name reads memory and nothing else: no lock, no wait, no other process.

mod agent;
mod api;
pub mod app;
pub mod args;
mod classic;
mod health;
mod interest;
mod own;
mod prestop;
mod probe;
mod session;
mod store;

pub use own::Declared;
