//! The scribe: keeps what the app says of itself at once, so that who has an answer to it finds it there after a restart. The
//! catalogue takes its time, being large; these are words of a few kilobytes.
//!
//! That is a restart of the sidecar, and needs no device: a hundred pods of a node share that, and each wait for it takes
//! milliseconds. It has the words soon after, for a node that loses its power.

use rollcall_net::Shutdown;
use rollcall_wire::limits::REGISTRATIONS_MAX;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    file::{FileError, Folder},
    words::Words,
};
use crate::{own::Own, store::Store};

/// So many writes may follow each other at once: what an app registers as it starts, one after the other.
const AT_ONCE: u32 = REGISTRATIONS_MAX as u32;
/// And others so far apart: an app that never says the same twice costs 20 small ones a second. What is said meanwhile goes
/// into one.
const APART: Duration = Duration::from_millis(50);
/// So much later than the first of some words they are on the device: what is said meanwhile goes there with them.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// A disk that takes longer is one that nobody waits for.
const SLOW: Duration = Duration::from_secs(1);
/// After one that failed, the next is tried so much later.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Holds what is to be kept of the app's words, and where.
pub(crate) struct Scribe {
    folder: Folder,
    store: Store,
    own: Own,
    /// The UID of this pod, where its token says it.
    pod: Option<String>,
    changes: watch::Receiver<u64>,
    /// Something was said that is not on the disk.
    due: bool,
    not_before: Instant,
    pace: Pace,
    /// When what was written is to be on the device; none where it is.
    settles_at: Option<Instant>,
    /// The last one failed, which was said.
    failing: bool,
}

/// Holds until when the writes so far would last, were each of them followed by its rest.
#[derive(Debug)]
struct Pace(Instant);

// === impl Scribe ===

impl Scribe {
    /// Of what is said from now on: what was restored is on the disk already.
    pub(crate) fn new(folder: Folder, store: Store, own: Own, pod: Option<String>) -> Self {
        let (changes, now) = (own.changes(), Instant::now());
        own.set_kept(Some(*changes.borrow()));
        let pace = Pace(now);
        Self {
            folder,
            store,
            own,
            pod,
            changes,
            due: false,
            not_before: now,
            pace,
            settles_at: None,
            failing: false,
        }
    }

    /// Writes until the process ends, and then what is left.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(()) = self.changes.changed(), if !self.due => self.due = true,
                () = sleep_until(self.not_before), if self.due => self.write().await,
                () = sleep_until(self.settles_at.unwrap_or(self.not_before)), if self.settles_at.is_some() => {
                    self.settle().await;
                }
            }
        }
        if self.due || self.changes.has_changed().unwrap_or(true) {
            self.write().await;
        }
        if self.settles_at.is_some() {
            self.settle().await;
        }
    }

    async fn write(&mut self) {
        // Before the words themselves: what is said in between is in them, and is written once more.
        let until = *self.changes.borrow_and_update();
        let told = || self.store.around().pod.as_ref().map(|pod| pod.uid.clone());
        let words = Words { pod: self.pod.clone().or_else(told), said: self.own.saved() };
        let (folder, began) = (self.folder.clone(), Instant::now());
        let written = self.with_the_disk(move || folder.write_fresh_words(&words)).await;
        let now = Instant::now();
        self.due = written.is_err();
        match written {
            Ok(()) => {
                self.not_before = self.pace.wrote(began, now);
                self.settles_at.get_or_insert(now + SETTLE_AFTER);
                self.own.set_kept(Some(until));
            }
            Err(error) => {
                self.not_before = now + RETRY_AFTER;
                self.own.set_kept(None);
                self.failed(&error);
            }
        }
    }

    async fn settle(&mut self) {
        let folder = self.folder.clone();
        match self.with_the_disk(move || folder.settle_words()).await {
            Ok(()) => {
                self.settles_at = None;
                if std::mem::take(&mut self.failing) {
                    info!("what the app says of itself is kept again");
                }
            }
            Err(error) => {
                self.settles_at = None;
                // All of it anew: what became of what was written is not known.
                self.due = true;
                self.not_before = Instant::now() + RETRY_AFTER;
                self.own.set_kept(None);
                self.failed(&error);
            }
        }
    }

    /// Nobody else waits for a slow one.
    async fn with_the_disk(
        &self,
        act: impl FnOnce() -> Result<(), FileError> + Send + 'static,
    ) -> Result<(), FileError> {
        let mut acting = spawn_blocking(act);
        let acted = match timeout(SLOW, &mut acting).await {
            Ok(acted) => acted,
            Err(_) => {
                self.own.set_kept(None);
                acting.await
            }
        };
        // It cannot fail otherwise than by a bug, which ends the process.
        acted.unwrap_or(Ok(()))
    }

    fn failed(&mut self, error: &FileError) {
        if !std::mem::replace(&mut self.failing, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(%error, cause, "what the app says of itself is not kept; a restart knows it from the controller alone");
        }
    }
}

// === impl Pace ===

impl Pace {
    /// When the next write may begin after one that began then and ended now.
    fn wrote(&mut self, began: Instant, now: Instant) -> Instant {
        self.0 = self.0.max(began) + now.duration_since(began) + APART;
        self.0.checked_sub(APART * (AT_ONCE - 1)).unwrap_or(self.0).max(now)
    }
}

#[cfg(test)]
#[path = "scribe_tests.rs"]
mod tests;
