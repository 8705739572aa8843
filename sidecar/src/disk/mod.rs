//! What outlives the process, on a volume of the pod: the last good state, from which a sidecar that starts answers before it
//! has reached anybody, what the app said of itself, and what a controller told of the way to it.
//!
//! ```text
//!  start ─► read ─┬─► State ─► Client, Store     while it runs: Keeper ─► write, at most every 5 s after a change
//!             │   ├─► Words ─► Own                             Scribe ─► write, at once; a second later on the device
//!             │   └─► Way ─► Trust, Plan                       Usher ──► write, at once
//!             └─ damaged, foreign, missing, another pod's: nothing is believed, one warning
//! ```
//!
//! Nothing depends on it: a disk that is full, read-only or gone costs a warning and the answers after a restart.

mod file;
mod format;
mod keeper;
mod scribe;
mod usher;
mod way;
mod words;

use rollcall_net::time_of_day;
use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use self::file::{FileError, wall_ms};
pub(crate) use self::{file::Folder, format::State, keeper::Keeper, scribe::Scribe, usher::Usher, way::Way};

/// Holds what the process before this one left, as far as it can be believed.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) state: Option<State>,
    /// What the app said, in words of those who look after it.
    pub(crate) said: Option<Vec<u8>>,
    pub(crate) way: Option<Way>,
}

/// What was left for the pod of this UID. Without knowing who we are, we take the volume for our own.
pub(crate) fn read(folder: &Folder, pod: Option<&str>) -> Left {
    let state = believed(folder.read())
        .filter(|state| is_of(pod, state.pod.as_ref().map(|pod| &*pod.uid), "the last state"));
    if let Some(state) = &state {
        info!(services = state.services.len(), "answering from the last state until a session is there");
    }
    let said = read_said(folder, pod);
    let way = believed(folder.read_way())
        .filter(|way| is_of(pod, way.pod.as_deref(), "whom a controller told to believe"));
    Left { state, said, way }
}

/// What its app said, alone.
pub(crate) fn read_said(folder: &Folder, pod: Option<&str>) -> Option<Vec<u8>> {
    let words = believed(folder.read_fresh_words()).or_else(|| believed(folder.read_words()));
    let words = words.filter(|words| is_of(pod, words.pod.as_deref(), "what an app registered"));
    words.map(|words| words.said)
}

fn is_of(pod: Option<&str>, theirs: Option<&str>, what: &str) -> bool {
    let ours = theirs.is_none() || pod.is_none() || theirs == pod;
    if !ours {
        warn!(what, "another pod's, and not used; give each pod a state folder of its own");
    }
    ours
}

fn believed<T>(read: Result<Option<T>, FileError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        warn!(%error, cause, "a file of the process before is not used");
        None
    })
}

// === impl State ===

impl State {
    /// When it was last known to be current, by the clock that answers are dated with. A wall clock that went back since
    /// says nothing of how long that is: it counts as no time at all, which is told as an age of 1.
    pub(crate) fn current_at(&self) -> Option<Instant> {
        let age_ms = wall_ms(time_of_day()).saturating_sub(self.current_at_ms);
        Instant::now().checked_sub(Duration::from_millis(age_ms))
    }
}
