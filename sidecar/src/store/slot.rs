//! The place of one name: what is known of it now, and who waits for more.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use rollcall_catalogue::ServiceKey;
use tokio::sync::{Notify, futures::Notified};

use super::Held;

/// Holds what is known of one name. Readers keep it as long as they like: when nobody subscribes to the name any more, it
/// is `left`, and says nothing new.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: ServiceKey,
    known: ArcSwap<Known>,
    changed: Notify,
}

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
        Self { key, known: ArcSwap::from_pointee(known), changed: Notify::new() }
    }

    pub(crate) fn known(&self) -> Guard<Arc<Known>> {
        self.known.load()
    }

    /// Resolves at the next change after this call. To be called before [`Slot::known`]: then none is missed.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn set(&self, known: Known) {
        self.known.store(Arc::new(known));
        self.changed.notify_waiters();
    }
}
