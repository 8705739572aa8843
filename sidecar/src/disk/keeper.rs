//! The keeper: writes what is known to the disk, soon after it changed and never often.

use rollcall_net::{Shutdown, time_of_day};
use rollcall_wire::PodIdentity;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use super::{
    file::{FileError, Folder, wall_ms},
    format::State,
};
use crate::store::{Known, Store};

/// So much later than a change it is written: others come with it, as at the start of an app.
const GATHER: Duration = Duration::from_secs(1);
/// Two writes are so far apart at least.
const APART_MIN: Duration = Duration::from_secs(5);
/// And so far that no sidecar writes more than this on average: a node has a hundred of them, and one disk.
const BYTES_PER_SECOND: u64 = 64 * 1024;
/// After one that failed, the next is tried so much later.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// While nothing changes, the file is told this often that it is still so. How old a state is that a restarted sidecar
/// answers from is known no better than that.
const TOUCH_EVERY: Duration = Duration::from_secs(30);

/// Holds what is to be kept, and where.
pub(crate) struct Keeper {
    folder: Folder,
    store: Store,
    contents: watch::Receiver<()>,
    around: watch::Receiver<()>,
    /// Since when nothing was current, where nothing ever was.
    begin: Instant,
    pace: Pace,
}

/// Holds what became of the last writes, and with it when the next is due.
#[derive(Debug)]
struct Pace {
    changed_at: Option<Instant>,
    not_before: Instant,
    /// The last one failed, which was said.
    failing: bool,
    /// There is a file, and what it says is what is known.
    kept: bool,
    /// The pod that the file names.
    pod: Option<PodIdentity>,
    left_out: usize,
}

// === impl Keeper ===

impl Keeper {
    /// Of what changes from now on. `restored`: what is known now is what the file says.
    pub(crate) fn new(folder: Folder, store: Store, restored: bool) -> Self {
        let pod = store.around().pod.clone();
        let pace = Pace {
            changed_at: None,
            not_before: Instant::now(),
            failing: false,
            kept: restored,
            pod,
            left_out: 0,
        };
        let (contents, around) = (store.contents(), store.changes());
        Self { folder, store, contents, around, begin: Instant::now(), pace }
    }

    /// Keeps the file until the process ends, and then once more.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        let mut touch = interval(TOUCH_EVERY);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (clean, due_at) = (self.pace.changed_at.is_none(), self.pace.due_at());
            tokio::select! {
                // The touch comes last: who knows of a change does not say that all is as it was.
                biased;
                () = shutdown.requested() => break,
                Ok(()) = self.contents.changed(), if clean => self.pace.changed(),
                Ok(()) = self.around.changed(), if clean => {
                    if self.store.around().pod != self.pace.pod {
                        self.pace.changed();
                    }
                }
                () = sleep_until(due_at), if !clean => self.save().await,
                _ = touch.tick(), if clean => self.touch().await,
            }
        }
        if self.contents.has_changed().unwrap_or(true) || self.pace.changed_at.is_some() {
            self.save().await;
        } else {
            self.touch().await;
        }
    }

    async fn save(&mut self) {
        // What changes from here on is for the next write.
        self.contents.mark_unchanged();
        let state = self.state();
        let pace = &mut self.pace;
        pace.changed_at = None;
        pace.pod.clone_from(&state.pod);
        let folder = self.folder.clone();
        let written = spawn_blocking(move || folder.write(&state)).await;
        // It cannot fail otherwise than by a bug, which ends the process.
        let Ok(written) = written else { return };
        match written {
            Ok(written) => pace.written(written.bytes, written.left_out),
            Err(error) => pace.failed(&error),
        }
    }

    /// All that was written is still so, if it is.
    async fn touch(&mut self) {
        if !self.pace.kept || !self.store.in_step() {
            return;
        }
        let (folder, at_ms) = (self.folder.clone(), wall_ms(time_of_day()));
        if let Ok(Err(error)) = spawn_blocking(move || folder.touch(at_ms)).await {
            self.pace.failed(&error);
        }
    }

    fn state(&self) -> State {
        // Before what is held: that may be newer than its position says, and not older.
        let position = self.store.position();
        let names = self.store.names();
        let current_at = self.store.current_at().unwrap_or(self.begin);
        let mut state = State {
            pod: self.store.around().pod.clone(),
            current_at_ms: time_of_day().checked_sub(current_at.elapsed()).map_or(0, wall_ms),
            position,
            ..State::default()
        };
        for slot in names.iter() {
            match &**slot.known() {
                Known::Service(held) => {
                    state.names.push(slot.key.clone());
                    state.services.push((slot.key.clone(), held.service.clone()));
                }
                Known::TooLarge => state.names.push(slot.key.clone()),
                Known::Awaited | Known::Unknown | Known::Left => {}
            }
        }
        state
    }
}

// === impl Pace ===

impl Pace {
    fn changed(&mut self) {
        self.changed_at = Some(Instant::now());
    }

    fn due_at(&self) -> Instant {
        self.changed_at.map_or(self.not_before, |at| (at + GATHER).max(self.not_before))
    }

    fn written(&mut self, bytes: u64, left_out: usize) {
        self.not_before = Instant::now() + APART_MIN.max(Duration::from_secs(bytes / BYTES_PER_SECOND));
        self.kept = true;
        if std::mem::take(&mut self.failing) {
            info!("the state is kept again");
        }
        if left_out != self.left_out {
            warn!(
                left_out,
                "services do not fit into the kept state; a restart without a controller lacks them"
            );
        }
        self.left_out = left_out;
    }

    fn failed(&mut self, error: &FileError) {
        let now = Instant::now();
        self.not_before = now + RETRY_AFTER;
        self.kept = false;
        self.changed_at = Some(now);
        if !std::mem::replace(&mut self.failing, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(%error, cause, "the state is not kept; a restart without a controller has nothing to answer");
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
