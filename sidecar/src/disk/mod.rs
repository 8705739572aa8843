//! What outlives the process: the last good state, on a volume of the pod. A sidecar that starts answers from it before it
//! has reached anybody.
//!
//! ```text
//!  start ─► read ─► State ─► Client, Store, Own        while it runs: Keeper ─► write, at most every 5 s after a change
//!             └─ damaged, foreign, missing: nothing is believed, one warning
//! ```
//!
//! Nothing depends on it: a disk that is full, read-only or gone costs a warning and the answers after a restart.

mod file;
mod format;
mod keeper;

use std::time::SystemTime;

use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use self::file::wall_ms;
pub(crate) use self::{file::Folder, format::State, keeper::Keeper};

/// The state that the process before this one left, if it can be believed.
pub(crate) fn read(folder: &Folder) -> Option<State> {
    match folder.read() {
        Ok(Some(state)) => {
            info!(services = state.services.len(), "answering from the last state until a session is there");
            Some(state)
        }
        Ok(None) => None,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(%error, cause, "the last state is not used");
            None
        }
    }
}

// === impl State ===

impl State {
    /// When it was last known to be current, by the clock that answers are dated with. A wall clock that went back since
    /// says nothing of how long that is: it counts as no time at all, which is told as an age of 1.
    pub(crate) fn current_at(&self) -> Option<Instant> {
        let age_ms = wall_ms(SystemTime::now()).saturating_sub(self.current_at_ms?);
        Instant::now().checked_sub(Duration::from_millis(age_ms))
    }
}
