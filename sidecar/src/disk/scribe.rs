//! The scribe: keeps what the app says of itself at once, so that who has an answer to it finds it there after a restart. The
//! catalogue takes its time, being large; these are words of a few kilobytes.
//!
//! That is a restart of the sidecar, and needs no device: a hundred pods of a node share that, and each wait for it takes
//! milliseconds. It has the words soon after, in a file of its own, for a node that loses its power.

use rollcall_net::Shutdown;
use rollcall_wire::limits::REGISTRATIONS_MAX;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
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
/// So much later than the first of some words they go to the device, and what is said meanwhile with them: no pod makes it wait
/// more than once a second, and a node that loses its power forgets no more than that.
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
    /// When what was written is to go to the device; none where it is there, or on its way.
    settles_at: Option<Instant>,
    /// Resolves when it is there. Writes go on meanwhile.
    settling: Option<JoinHandle<Result<(), FileError>>>,
    /// The last one failed, which was said.
    failing: bool,
}

/// Holds until when the writes so far would last, were each of them followed by its rest.
#[derive(Debug)]
struct Pace(Instant);

// === impl Scribe ===

impl Scribe {
    /// Of what is said from now on: what was restored is in a file already, and may have been on its way to the device.
    pub(crate) fn new(folder: Folder, store: Store, own: Own, pod: Option<String>) -> Self {
        let (changes, now) = (own.changes(), Instant::now());
        let said = *changes.borrow();
        own.set_kept(Some(said));
        let settles_at = (said > 0).then_some(now + SETTLE_AFTER);
        let (due, settling, failing) = (false, None, false);
        Self {
            folder,
            store,
            own,
            pod,
            changes,
            due,
            not_before: now,
            pace: Pace(now),
            settles_at,
            settling,
            failing,
        }
    }

    /// Writes until the process ends, and then what is left.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        loop {
            let settles_at = self.settles_at.filter(|_| self.settling.is_none());
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(()) = self.changes.changed(), if !self.due => self.due = true,
                () = sleep_until(self.not_before), if self.due => self.write().await,
                () = sleep_until(settles_at.unwrap_or(self.not_before)), if settles_at.is_some() => self.settle(),
                settled = ended(&mut self.settling) => self.settled(settled),
            }
        }
        if self.due || self.changes.has_changed().unwrap_or(true) {
            self.write().await;
        }
        // Two of them would be in each other's way.
        if self.settling.is_some() {
            let settled = ended(&mut self.settling).await;
            self.settled(settled);
        }
        if self.settles_at.is_some() {
            self.settle();
            let settled = ended(&mut self.settling).await;
            self.settled(settled);
        }
    }

    async fn write(&mut self) {
        // Before the words themselves: what is said in between is in them, and is written once more.
        let until = *self.changes.borrow_and_update();
        let (folder, words, began) = (self.folder.clone(), self.words(), Instant::now());
        let mut writing = spawn_blocking(move || folder.write_fresh_words(&words));
        let written = match timeout(SLOW, &mut writing).await {
            Ok(written) => written,
            Err(_) => {
                self.own.set_kept(None);
                writing.await
            }
        };
        // It cannot fail otherwise than by a bug, which ends the process.
        let Ok(written) = written else { return };
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

    /// Puts on the device what is said by now, while nobody waits.
    fn settle(&mut self) {
        self.settles_at = None;
        let (folder, words) = (self.folder.clone(), self.words());
        self.settling = Some(spawn_blocking(move || folder.write_words(&words)));
    }

    fn settled(&mut self, settled: Result<(), FileError>) {
        self.settling = None;
        match settled {
            Ok(()) if self.due => {}
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    info!("what the app says of itself is kept again");
                }
            }
            Err(error) => {
                self.settles_at = Some(Instant::now() + RETRY_AFTER);
                self.failed(&error);
            }
        }
    }

    fn words(&self) -> Words {
        let told = || self.store.around().pod.as_ref().map(|pod| pod.uid.clone());
        Words { pod: self.pod.clone().or_else(told), said: self.own.saved() }
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

/// What became of it; never, while there is nothing.
async fn ended(settling: &mut Option<JoinHandle<Result<(), FileError>>>) -> Result<(), FileError> {
    match settling {
        // It cannot fail otherwise than by a bug, which ends the process.
        Some(settling) => settling.await.unwrap_or(Ok(())),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "scribe_tests.rs"]
mod tests;
