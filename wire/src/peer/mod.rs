//! What replicas say to each other: each tells all that it knows of the pods' sessions, its own and what others told it, so
//! that it does not matter through whom one hears of them.
//!
//! ```text
//!  owner ─ notes ─► Ledger ─ what the other one does not have ─► Link ─► frames ─► the other replica
//!                                                                  ◄─ records ─┘   the higher version wins
//! ```

mod bounds;
mod frame;
mod ledger;
mod link;
mod note;
mod record;
mod violation;

pub use frame::{Beat, Frame, Introduction, OutsideWord, Standing};
pub use ledger::Ledger;
pub use link::{Heard, Link};
pub use note::{Note, SessionNote};
pub use record::{HealthWord, Record, Said, SaidRegistration, SessionWord, Version};
pub use violation::Violation;
