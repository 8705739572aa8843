//! The place of one name: what is known of it now, and who waits for more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arc_swap::{ArcSwap, Guard};
use rollcall_catalogue::{ServiceKey, balance::Outcome};
use tokio::sync::{Notify, futures::Notified};

use super::{Held, Used, uses::Uses};

/// Holds what is known of one name. Readers keep it as long as they like: when nobody subscribes to the name any more, it
/// is `left`, and says nothing new.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: ServiceKey,
    known: ArcSwap<Known>,
    changed: Notify,
    /// Those who wait for what becomes of it.
    followers: AtomicUsize,
    /// Somebody asked since the agent looked.
    asked: AtomicBool,
    uses: Uses,
}

/// Holds one who waits for what becomes of a name, which is not given up for another meanwhile.
#[derive(Debug)]
pub(crate) struct Follower(Arc<Slot>);

/// Says what is known of a name.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// It was asked for, and has no answer yet.
    Awaited,
    /// The controller knows no such service.
    Unknown,
    Service(Arc<Held>),
    /// It does not fit into what this process may hold.
    TooLarge,
    /// Nobody keeps this place any more: it is to be looked for again.
    Left,
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(key: ServiceKey, known: Known) -> Self {
        Self {
            key,
            known: ArcSwap::from_pointee(known),
            changed: Notify::new(),
            followers: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            uses: Uses::default(),
        }
    }

    pub(crate) fn known(&self) -> Guard<Arc<Known>> {
        self.known.load()
    }

    /// Resolves at the next change after this call. To be called before [`Slot::known`]: then none is missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn follow(self: Arc<Self>) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower(self)
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// Somebody wants to know, or still does. Most find it marked, and change nothing.
    pub(crate) fn mark_asked(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody asked since the last call.
    pub(super) fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    /// How often it was used since it is subscribed to.
    pub(crate) fn used(&self) -> Used {
        self.uses.used()
    }

    /// Whether it was looked up more than once. Of many names, most are asked for at a start and never again.
    pub(crate) fn is_asked_again(&self) -> bool {
        self.uses.lookups() > 1
    }

    pub(super) fn count_lookup(&self) {
        self.uses.count_lookup();
    }

    pub(super) fn count_report(&self, outcome: Outcome, latency_ms: u64) {
        self.uses.count_report(outcome, latency_ms);
    }

    pub(super) fn set(&self, known: Known) {
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }
}

// === impl Follower ===

impl Follower {
    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.0
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
