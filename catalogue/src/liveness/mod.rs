//! Liveness: what the witnesses of an instance say, and what follows from it.
//!
//! ```text
//!  pod, endpoint ─────────────┐
//!  SessionFacts + now ─► session ─┐
//!  attempts ─► judge ─► probe ────┤
//!  intent ────────────────────────┼─► verdict ─► (State, Reason), per instance
//!  the guard: registry's own health ┘            spare_the_last, per service
//! ```
//!
//! `docs/liveness.md` has the verdict as a table; a test holds the two together.

mod guard;
mod judge;
mod last;
mod session;
mod verdict;
mod witness;

pub use guard::{Assessment, FreezeCause, Guard, NodeView, OwnHealth, Ticks, WINDOW_MS};
pub use judge::{Answer, Attempt, CONFIRM_AFTER_MS, FIRST_WITHIN_MS, Judge, Judged};
pub use last::{Settled, settle};
pub use session::{LOST_LONG_AFTER_MS, Ours, QUIET_AFTER_MS, SILENT_AFTER_MS, SessionFacts};
pub use verdict::{Verdict, verdict};
pub use witness::{
    EndpointWitness, Intent, Phase, PodLife, PodWitness, ProbeWitness, RegistryHealth, SessionWitness,
    Witnesses,
};
