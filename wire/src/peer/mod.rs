//! What replicas say to each other: each tells all that it knows of the pods' sessions, its own and what others told it, so
//! that it does not matter through whom one hears of them.
//!
//! ```text
//!  owner ─ notes ─► Ledger ─ what the other one does not have ─► Link ─► frames ─► the other replica
//!                                                                  ◄─ records ─┘   the higher version wins
//! ```

mod frame;
mod record;

pub use frame::{Beat, Frame, Introduction, OutsideWord, Standing};
pub use record::{HealthWord, Record, Said, SaidRegistration, SessionWord, Version};
