//! Waiting for what becomes of one name, also where its place is given up and taken again.

use std::sync::Arc;

use rollcall_catalogue::ServiceKey;
use tokio::time::{Duration, timeout};

use crate::{
    agent::Errands,
    store::{Follower, Known, Slot, Store},
};

/// Names of which nothing is known are forgotten after a minute without a lookup; who waits for one asks again before.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// Holds the place of a name that somebody waits for; it is not given up for another name.
pub(super) struct Follow {
    store: Store,
    errands: Errands,
    place: Follower,
}

// === impl Follow ===

impl Follow {
    pub(super) fn new(store: &Store, errands: &Errands, slot: Arc<Slot>) -> Self {
        Self { store: store.clone(), errands: errands.clone(), place: slot.follow() }
    }

    /// What is known of the name, as soon as that is what is waited for.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Known) -> bool) -> Arc<Known> {
        loop {
            let slot = self.place.slot().clone();
            slot.mark_asked();
            // Before the look at what is known, so that no change is missed.
            let changed = slot.changed();
            let known = slot.known();
            if matches!(**known, Known::Left) {
                drop(known);
                self.place = taken(&self.store, &self.errands, &slot.key).await.follow();
                continue;
            }
            if wanted(&known) {
                return Arc::clone(&known);
            }
            let unknown = matches!(**known, Known::Unknown);
            drop(known);
            if timeout(ASKED_AGAIN_AFTER, changed).await.is_err() && unknown {
                // One that finds no room is made again the next time.
                self.errands.wish(&slot.key);
            }
        }
    }

    /// What is known of the name now.
    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.place.slot().known())
    }
}

/// The place of this name, once it has one.
pub(super) async fn taken(store: &Store, errands: &Errands, key: &ServiceKey) -> Arc<Slot> {
    let mut changes = store.changes();
    let mut asked = false;
    loop {
        changes.mark_unchanged();
        if let Some(slot) = store.names().get(key) {
            return slot.clone();
        }
        // One that finds no room is made again at the next change.
        asked = asked || errands.wish(key);
        match timeout(ASKED_AGAIN_AFTER, changes.changed()).await {
            Ok(Ok(())) => {}
            // The agent is gone, which ends the process.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => asked = false,
        }
    }
}
