//! The scribe: puts what the app says of itself on the disk at once, so that who has an answer to it finds it there after a
//! restart. The catalogue takes its time, being large; these are words of a few kilobytes.
//!
//! That is a restart of the sidecar. When a node loses its power, its apps lose their memory as well, and register anew: so
//! nobody waits for the device, which a hundred pods share.

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
        Self { folder, store, own, pod, changes, due: false, not_before: now, pace, failing: false }
    }

    /// Writes until the process ends, and then what is left.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(()) = self.changes.changed(), if !self.due => self.due = true,
                () = sleep_until(self.not_before), if self.due => self.write().await,
            }
        }
        if self.due || self.changes.has_changed().unwrap_or(true) {
            self.write().await;
        }
    }

    async fn write(&mut self) {
        // Before the words themselves: what is said in between is in them, and is written once more.
        let until = *self.changes.borrow_and_update();
        let told = || self.store.around().pod.as_ref().map(|pod| pod.uid.clone());
        let words = Words { pod: self.pod.clone().or_else(told), said: self.own.saved() };
        let folder = self.folder.clone();
        let mut writing = spawn_blocking(move || folder.write_words(&words));
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
                self.not_before = self.pace.wrote(now);
                self.own.set_kept(Some(until));
                if std::mem::take(&mut self.failing) {
                    info!("what the app says of itself is kept again");
                }
            }
            Err(error) => {
                self.not_before = now + RETRY_AFTER;
                self.own.set_kept(None);
                self.failed(&error);
            }
        }
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
    /// When the next write may begin after one that ended now.
    fn wrote(&mut self, now: Instant) -> Instant {
        self.0 = self.0.max(now) + APART;
        self.0.checked_sub(APART * (AT_ONCE - 1)).unwrap_or(self.0).max(now)
    }
}

#[cfg(test)]
#[path = "scribe_tests.rs"]
mod tests;
