//! Liveness: what the witnesses of an instance say, and what follows from it.
//!
//! ```text
//!  pod, endpoint ─────────────┐
//!  SessionFacts + now ─► session ─┐
//!  probe, intent ─────────────────┼─► verdict ─► (State, Reason), per instance
//!  the guard: registry's own health ┘            Standing, per service
//! ```
//!
//! `docs/liveness.md` has the verdict as a table; a test holds the two together.

mod guard;
mod last;
mod session;
mod verdict;
mod witness;

pub use guard::{Assessment, FreezeCause, Guard, NodeView, OwnHealth, Ticks, WINDOW_MS};
pub(crate) use last::is_silent;
pub use last::{Settled, Standing};
pub use session::{LOST_LONG_AFTER_MS, Ours, QUIET_AFTER_MS, SILENT_AFTER_MS, SessionFacts};
pub use verdict::{Verdict, verdict};
pub use witness::{
    EndpointWitness, Intent, Phase, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Witnesses,
};
