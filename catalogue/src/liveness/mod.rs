//! Liveness: what the witnesses of an instance say, and what follows from it.
//!
//! ```text
//!  pod, endpoint ─────────────┐
//!  SessionFacts + now ─► session ─┐
//!  attempts ─► judge ─► probe ────┤
//!  intent ────────────────────────┼─► verdict ─► (State, Reason), per instance
//!  the guard: registry's own health ┘            Standing, per service
//! ```
//!
//! `docs/liveness.md` has the verdict as a table; a test holds the two together.

mod assessment;
mod guard;
mod judge;
mod last;
mod session;
mod ticks;
mod verdict;
mod witness;

pub use assessment::{Assessment, FreezeCause};
pub use guard::{Guard, NodeView, OwnHealth, WINDOW_MS};
pub use judge::{Answer, Attempt, CONFIRM_AFTER_MS, FIRST_WITHIN_MS, Judge, Judged};
pub(crate) use last::is_silent;
pub use last::{Settled, Standing};
pub use session::{
    LOST_LONG_AFTER_MS, Ours, PEER_LOST_AFTER_MS, Peers, QUIET_AFTER_MS, SILENT_AFTER_MS, SessionFacts,
};
pub use ticks::Ticks;
pub use verdict::{Verdict, verdict};
pub use witness::{
    EndpointWitness, Intent, Phase, PodLife, PodWitness, ProbeWitness, RegistryHealth, SessionWitness,
    Witnesses,
};
