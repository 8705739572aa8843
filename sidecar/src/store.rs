//! The store: what lookups are answered from. One writer, any number of readers, none of whom ever waits.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use rollcall_catalogue::{Namespace, Query, Service, ServiceKey};
use rollcall_wire::{api::service_body, limits::HEARTBEAT_EVERY};
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// A live session that was silent for this long is no longer in step: two heartbeats are missing.
const IN_STEP_FOR: Duration = HEARTBEAT_EVERY.saturating_mul(2);

/// Holds the local state at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Local {
    /// The pod's own namespace, as the controller says; none before the first session.
    pub(crate) home: Option<Namespace>,
    /// What is known of each name that was asked for; a name that is not in here was not answered yet.
    pub(crate) names: HashMap<ServiceKey, Known>,
    pub(crate) contact: Contact,
}

/// Says what is known of a name.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// The controller knows no such service.
    Unknown,
    Service(Arc<Held>),
}

/// Holds a service with its answer, rendered once when it changed.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) body: Bytes,
    pub(crate) etag: HeaderValue,
    pub(crate) revision: HeaderValue,
}

/// Says whether the state is being kept current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Contact {
    /// No session has been yet.
    #[default]
    Never,
    /// In session; `caught_up` once everything held from before was answered in it: from then on all that is held is
    /// pushed. `synced` while nothing that was asked for since awaits its answer.
    Live { caught_up: bool, synced: bool },
    /// The session is lost, and with it the word that anything is current.
    Lost,
}

/// Holds the way to the state for readers.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<Shared>);

/// Holds the only right to change the state.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    local: ArcSwap<Local>,
    /// When everything held was last known to be current. Beside the state, since most frames move it.
    current_at: ArcSwap<Option<Instant>>,
    /// Wakes lookups that wait for a name.
    changed: watch::Sender<()>,
}

pub(crate) fn store() -> (Writer, Store) {
    let shared = Arc::new(Shared {
        local: ArcSwap::default(),
        current_at: ArcSwap::default(),
        changed: watch::channel(()).0,
    });
    (Writer(shared.clone()), Store(shared))
}

// === impl Held ===

impl Held {
    pub(crate) fn new(key: &ServiceKey, service: &Service) -> Self {
        let body = service_body(key, service, &Query::default());
        let (revision, hash) = (service.revision, service.hash);
        // The revision alone would do; with the hash, not even a controller that lost its clock can mislead.
        let etag = HeaderValue::from_str(&format!("\"{revision}-{hash}\""));
        Self {
            body: body.into(),
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
            revision: HeaderValue::from(revision),
        }
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) fn local(&self) -> Arc<Local> {
        self.0.local.load_full()
    }

    /// The next state: what readers see from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Local)) {
        let mut next = Local::clone(&self.0.local.load());
        change(&mut next);
        self.0.local.store(Arc::new(next));
        self.0.changed.send_replace(());
    }

    /// The controller was heard: all is current, if this session has caught up.
    pub(crate) fn heard(&self) {
        if let Contact::Live { caught_up: true, .. } = self.0.local.load().contact {
            self.current();
        }
    }

    /// Everything held is current now.
    pub(crate) fn current(&self) {
        self.0.current_at.store(Arc::new(Some(Instant::now())));
    }
}

// === impl Store ===

impl Store {
    pub(crate) fn local(&self) -> arc_swap::Guard<Arc<Local>> {
        self.0.local.load()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Whole seconds since the state was known to be current; 0 in step, and only then.
    pub(crate) fn age(&self) -> u64 {
        let since = self.since_current();
        match self.local().contact {
            Contact::Live { caught_up: true, .. } if since < IN_STEP_FOR => 0,
            _ => since.as_secs().max(1),
        }
    }

    /// Whether there is a session, whatever it has said yet.
    pub(crate) fn in_session(&self) -> bool {
        matches!(self.local().contact, Contact::Live { .. })
    }

    /// Whether everything asked for is current.
    pub(crate) fn in_step(&self) -> bool {
        let synced = matches!(self.local().contact, Contact::Live { caught_up: true, synced: true });
        synced && self.since_current() < IN_STEP_FOR
    }

    fn since_current(&self) -> Duration {
        self.0.current_at.load().map_or(Duration::ZERO, |at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn live(caught_up: bool, synced: bool) -> impl FnOnce(&mut Local) {
        move |local| local.contact = Contact::Live { caught_up, synced }
    }

    #[tokio::test(start_paused = true)]
    async fn age_counts_from_the_last_moment_in_step() {
        let (writer, store) = store();
        assert!(!store.in_step());
        writer.current();
        writer.change(live(true, true));
        assert!(store.age() == 0 && store.in_step());
        writer.change(live(true, false));
        assert!(store.age() == 0 && !store.in_step(), "one name more is awaited; the others are pushed");
        writer.change(live(true, true));

        advance(IN_STEP_FOR).await;
        assert!(store.age() == IN_STEP_FOR.as_secs() && !store.in_step(), "in session, and silent");
        writer.heard();
        assert!(store.age() == 0 && store.in_step());

        writer.change(|local| local.contact = Contact::Lost);
        assert_eq!(store.age(), 1, "0 is said in step only");
        advance(Duration::from_secs(100)).await;
        assert_eq!(store.age(), 100);
        // The next session: nothing of what is held was confirmed yet, whatever else is heard.
        writer.change(live(false, false));
        writer.heard();
        assert!(store.age() == 100 && !store.in_step());
        writer.current();
        writer.change(live(true, true));
        assert!(store.age() == 0 && store.in_step());
    }
}
