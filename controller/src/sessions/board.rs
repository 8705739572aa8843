//! The roster as all sessions of the process share it, and how one of them is woken.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rollcall_catalogue::ServiceKey;
use rollcall_wire::PodIdentity;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until, timeout_at},
};

use super::roster::{DrainId, Outcome, Roster, SessionId};

/// After a restart of ours, whoever lives is back by then: a sidecar comes after a second at first, and then tries again
/// within 2 s each. Before that, nobody knows who calls a pod.
pub(crate) const BACK_AFTER: Duration = Duration::from_secs(10);

/// Holds the roster, and a bell for each session and each drain. The lock is held for lookups, never while anything
/// is waited for.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    roster: Roster,
    sessions: HashMap<SessionId, Arc<Notify>>,
    drains: HashMap<DrainId, Arc<Notify>>,
    /// When the first session came, and with it all others began to come back.
    first_at: Option<Instant>,
}

/// Holds a session's place on the board. Dropping it is how it leaves.
#[derive(Debug)]
pub(crate) struct Place {
    board: Arc<Board>,
    id: SessionId,
    bell: Arc<Notify>,
}

/// Holds the right to ask on behalf of a session's pod who still calls it.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    board: Arc<Board>,
    id: SessionId,
}

/// Holds a drain that has begun, however its session ends.
struct Draining<'a> {
    board: &'a Board,
    id: DrainId,
}

// === impl Board ===

impl Board {
    pub(crate) fn join(self: &Arc<Self>, pod: &PodIdentity) -> Place {
        let bell = Arc::<Notify>::default();
        let mut inner = self.inner();
        inner.first_at.get_or_insert_with(Instant::now);
        let id = inner.roster.joined(&pod.namespace, &pod.name);
        inner.sessions.insert(id, bell.clone());
        Place { board: self.clone(), id, bell }
    }

    /// These services have changed: whoever subscribes to one of them is woken.
    pub(crate) fn ring(&self, services: &BTreeSet<ServiceKey>) {
        let concerned = {
            let inner = self.inner();
            inner.bells(inner.roster.subscribers_of(services))
        };
        concerned.iter().for_each(|bell| bell.notify_one());
    }

    /// Anything may have changed.
    pub(crate) fn ring_all(&self) {
        let all = {
            let inner = self.inner();
            inner.bells(inner.roster.all())
        };
        all.iter().for_each(|bell| bell.notify_one());
    }

    /// The list of all services may have changed.
    pub(crate) fn ring_summary_readers(&self) {
        let readers = {
            let inner = self.inner();
            inner.bells(inner.roster.summary_readers())
        };
        readers.iter().for_each(|bell| bell.notify_one());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere loses at most one session's wake-up; its next heartbeat makes up for it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn bells(&self, sessions: impl IntoIterator<Item = SessionId>) -> Vec<Arc<Notify>> {
        sessions.into_iter().filter_map(|id| self.sessions.get(&id).cloned()).collect()
    }

    fn resolve(&self, drains: &[DrainId]) {
        for bell in drains.iter().filter_map(|id| self.drains.get(id)) {
            bell.notify_one();
        }
    }
}

// === impl Place ===

impl Place {
    /// Returns when something has changed that concerns this session. Safe to drop and call again.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn subscribed(&self, keys: Vec<ServiceKey>) {
        self.board.inner().roster.subscribed(self.id, keys);
    }

    /// Nothing that it has acknowledged counts any more.
    pub(crate) fn fell_behind(&self) {
        self.board.inner().roster.fell_behind(self.id);
    }

    pub(crate) fn unsubscribed(&self, keys: Vec<ServiceKey>) {
        let mut inner = self.board.inner();
        let drains = inner.roster.unsubscribed(self.id, keys);
        inner.resolve(&drains);
    }

    pub(crate) fn wants_summary(&self, wanted: bool) {
        self.board.inner().roster.wants_summary(self.id, wanted);
    }

    /// Everything up to this number of the feed is applied at the other end.
    pub(crate) fn acked(&self, number: u64) {
        let mut inner = self.board.inner();
        let drains = inner.roster.acked(self.id, number);
        inner.resolve(&drains);
    }

    pub(crate) fn asker(&self) -> Asker {
        Asker { board: self.board.clone(), id: self.id }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.board.inner();
        inner.sessions.remove(&self.id);
        let drains = inner.roster.left(self.id);
        inner.resolve(&drains);
    }
}

// === impl Asker ===

impl Asker {
    /// Waits until everyone who calls these services has applied this number of the feed, or until the deadline. None
    /// where it is not known who they are.
    pub(crate) async fn drained(
        &self,
        services: Vec<ServiceKey>,
        number: u64,
        deadline: Instant,
    ) -> Option<Outcome> {
        let all_are_back = self.board.inner().first_at.map(|first_at| first_at + BACK_AFTER);
        if let Some(all_are_back) = all_are_back.filter(|at| *at > Instant::now()) {
            sleep_until(all_are_back.min(deadline)).await;
            if deadline < all_are_back {
                return None;
            }
        }
        let done = Arc::<Notify>::default();
        let (begun, bells) = {
            let mut inner = self.board.inner();
            let begun = inner.roster.begin(services, number, self.id);
            inner.drains.insert(begun.id, done.clone());
            let bells = inner.bells(begun.awaited.iter().copied());
            (begun, bells)
        };
        let draining = Draining { board: &self.board, id: begun.id };
        // Who was told long ago has nothing more to acknowledge: it says so when it looks.
        bells.iter().for_each(|bell| bell.notify_one());
        if begun.is_late {
            // Who is late then is in the outcome; where there was no room to wait, that is everyone who was.
            let _ = timeout_at(deadline, done.notified()).await;
        }
        Some(draining.end())
    }
}

// === impl Draining ===

impl Draining<'_> {
    fn end(&self) -> Outcome {
        let mut inner = self.board.inner();
        inner.drains.remove(&self.id);
        inner.roster.end(self.id)
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        // Ended twice is as good as once.
        self.end();
    }
}
