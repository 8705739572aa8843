//! The roster as all sessions of the process share it, and how one of them is woken.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{PodIdentity, ServiceUsage};
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until, timeout_at},
};

use super::{
    consumers::Consumer,
    ending::Ending,
    roster::{DrainId, Outcome, Roster, SessionId},
};
use crate::auth::Shown;

/// After a restart of ours, whoever lives is back by then: a sidecar comes after a second at first, and then tries again
/// within 2 s each. Before that, nobody knows who calls a pod.
pub(crate) const BACK_AFTER: Duration = Duration::from_secs(10);

/// Holds the roster, and a bell for each session and each drain. The lock is held for lookups, never while anything
/// is waited for.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// There was no process before this one whose callers may come back.
    nobody_returns: bool,
    roster: Roster,
    sessions: HashMap<SessionId, Seat>,
    drains: HashMap<DrainId, Arc<Notify>>,
    /// Where the other replicas serve.
    others: Arc<[SocketAddr]>,
    /// Since when sessions may come.
    serves_since: Option<Instant>,
    /// When the first session came, and with it all others began to come back.
    first_at: Option<Instant>,
}

/// Holds what is known of one session beside what it subscribes to.
#[derive(Debug, Default)]
struct Seat {
    bell: Arc<Bell>,
    leave: Option<Leave>,
    /// The token with which its peer would come back; none while a newer one is reviewed.
    shown: Option<Shown>,
}

/// Holds how one session is woken.
#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    /// There are orders, which cost a look at the board.
    has_orders: AtomicBool,
}

/// Says how a session is to end, which is not at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    pub(crate) ending: Ending,
    /// Where its peer is to come back.
    pub(crate) dial: Option<SocketAddr>,
}

/// Holds what a session is told by this replica about all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) leave: Option<Leave>,
    /// Where the other replicas serve.
    pub(crate) others: Arc<[SocketAddr]>,
}

/// Holds a session's place on the board. Dropping it is how it leaves.
#[derive(Debug)]
pub(crate) struct Place {
    board: Arc<Board>,
    id: SessionId,
    bell: Arc<Bell>,
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
    /// That of a process whose callers are all within it: none of them is known only to the process before.
    pub(crate) fn of_one_process() -> Self {
        Self(Mutex::new(Inner { nobody_returns: true, ..Inner::default() }))
    }

    pub(crate) fn join(self: &Arc<Self>, pod: &PodIdentity) -> Place {
        let bell = Arc::<Bell>::default();
        let mut inner = self.inner();
        inner.first_at.get_or_insert_with(Instant::now);
        let id = inner.roster.joined(&pod.namespace, &pod.name);
        inner.sessions.insert(id, Seat { bell: bell.clone(), ..Seat::default() });
        Place { board: self.clone(), id, bell }
    }

    /// Sessions may come from now on.
    pub(crate) fn serves(&self) {
        self.inner().serves_since.get_or_insert_with(Instant::now);
    }

    /// The other replicas serve here from now on: all sessions are told.
    pub(crate) fn set_others(&self, others: &[SocketAddr]) {
        let mut inner = self.inner();
        if *inner.others == *others {
            return;
        }
        inner.others = others.into();
        inner.sessions.values().for_each(|seat| seat.bell.summon());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner().sessions.is_empty()
    }

    /// Those that were not sent away.
    pub(crate) fn staying(&self) -> usize {
        self.inner().sessions.values().filter(|seat| seat.leave.is_none()).count()
    }

    /// All of them, but those that are about to leave as soon as they hear it; the oldest first.
    pub(crate) fn all(&self) -> Vec<SessionId> {
        let inner = self.inner();
        let stays = |seat: &Seat| seat.leave.is_none_or(|leave| !leave.is_urgent());
        sorted(inner.sessions.iter().filter(|(_, seat)| stays(seat)).map(|(id, _)| *id))
    }

    /// Those that can go without having to be told much twice; the oldest first.
    pub(crate) fn movable(&self) -> Vec<SessionId> {
        let inner = self.inner();
        let is_movable = |id: &SessionId, seat: &Seat| seat.leave.is_none() && inner.roster.is_in_step(*id);
        sorted(inner.sessions.iter().filter(|(id, seat)| is_movable(id, seat)).map(|(id, _)| *id))
    }

    /// Who subscribes to this service here, in no order; whoever was sent to another replica is that one's.
    pub(crate) fn consumers(&self, key: &ServiceKey) -> Vec<Consumer> {
        let inner = self.inner();
        let here = inner.roster.consumers(key).filter(|(id, ..)| inner.sessions.contains_key(id));
        here.map(|(_, pod, used)| Consumer { pod: pod.clone(), used: used.copied() }).collect()
    }

    /// How many subscribe to each of these here, in their order.
    pub(crate) fn consumer_counts<'a>(&self, keys: impl Iterator<Item = &'a ServiceKey>) -> Vec<usize> {
        let inner = self.inner();
        keys.map(|key| inner.roster.consumer_count(key)).collect()
    }

    /// How many subscriptions all sessions have.
    pub(crate) fn subscriptions(&self) -> usize {
        self.inner().roster.subscriptions()
    }

    /// With which token the session's peer would come back, where that was found good.
    pub(crate) fn shown(&self, id: SessionId) -> Option<Shown> {
        self.inner().sessions.get(&id)?.shown.clone()
    }

    /// The session is to end; says whether it was there.
    pub(crate) fn send_away(&self, id: SessionId, leave: Leave) -> bool {
        let mut inner = self.inner();
        let Some(seat) = inner.sessions.get_mut(&id) else { return false };
        seat.leave = Some(leave);
        seat.bell.summon();
        true
    }

    /// These services have changed: whoever subscribes to one of them is woken. Gives how many those are.
    pub(crate) fn ring(&self, services: &BTreeSet<ServiceKey>) -> usize {
        let concerned = {
            let inner = self.inner();
            inner.bells(inner.roster.subscribers_of(services))
        };
        concerned.iter().for_each(|bell| bell.rung.notify_one());
        concerned.len()
    }

    /// Anything may have changed. Gives how many there are.
    pub(crate) fn ring_all(&self) -> usize {
        let all = {
            let inner = self.inner();
            inner.bells(inner.roster.all())
        };
        all.iter().for_each(|bell| bell.rung.notify_one());
        all.len()
    }

    /// The list of all services may have changed.
    pub(crate) fn ring_summary_readers(&self) {
        let readers = {
            let inner = self.inner();
            inner.bells(inner.roster.summary_readers())
        };
        readers.iter().for_each(|bell| bell.rung.notify_one());
    }

    /// Waits until everyone here who calls these services has applied this number of the feed, or until the deadline; the
    /// session that asks is not waited for. None where it is not known who they are.
    pub(crate) async fn drained(
        &self,
        services: Vec<ServiceKey>,
        number: u64,
        deadline: Instant,
        asker: Option<SessionId>,
    ) -> Option<Outcome> {
        let all_are_back = {
            let inner = self.inner();
            match inner.nobody_returns {
                true => Instant::now(),
                false => inner.first_at.or(inner.serves_since).unwrap_or_else(Instant::now) + BACK_AFTER,
            }
        };
        if all_are_back > Instant::now() {
            sleep_until(all_are_back.min(deadline)).await;
            if deadline < all_are_back {
                return None;
            }
        }
        let done = Arc::<Notify>::default();
        let (begun, bells) = {
            let mut inner = self.inner();
            let begun = inner.roster.begin(services, number, asker);
            inner.drains.insert(begun.id, done.clone());
            let bells = inner.bells(begun.awaited.iter().copied());
            (begun, bells)
        };
        let draining = Draining { board: self, id: begun.id };
        // Who was told long ago has nothing more to acknowledge: it says so when it looks.
        bells.iter().for_each(|bell| bell.rung.notify_one());
        if begun.is_late {
            // Who is late then is in the outcome; where there was no room to wait, that is everyone who was.
            let _ = timeout_at(deadline, done.notified()).await;
        }
        Some(draining.end())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere loses at most one session's wake-up; its next heartbeat makes up for it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sorted(ids: impl Iterator<Item = SessionId>) -> Vec<SessionId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}

// === impl Inner ===

impl Inner {
    fn bells(&self, sessions: impl IntoIterator<Item = SessionId>) -> Vec<Arc<Bell>> {
        sessions.into_iter().filter_map(|id| Some(self.sessions.get(&id)?.bell.clone())).collect()
    }

    fn resolve(&self, drains: &[DrainId]) {
        for bell in drains.iter().filter_map(|id| self.drains.get(id)) {
            bell.notify_one();
        }
    }
}

// === impl Bell ===

impl Bell {
    fn summon(&self) {
        self.has_orders.store(true, Ordering::SeqCst);
        self.rung.notify_one();
    }
}

// === impl Leave ===

impl Leave {
    /// Whatever it is doing: otherwise it goes when it has answered.
    pub(crate) fn is_urgent(self) -> bool {
        self.ending != Ending::Moved
    }
}

// === impl Place ===

impl Place {
    /// Returns when something has changed that concerns this session. Safe to drop and call again.
    pub(crate) async fn rung(&self) {
        self.bell.rung.notified().await;
    }

    /// What this session is to do; none while that is what it was told last.
    pub(crate) fn orders(&self) -> Option<Orders> {
        if !self.bell.has_orders.swap(false, Ordering::SeqCst) {
            return None;
        }
        let inner = self.board.inner();
        let leave = inner.sessions.get(&self.id).and_then(|seat| seat.leave);
        Some(Orders { leave, others: inner.others.clone() })
    }

    /// Its peer would come back with this token from now on.
    pub(crate) fn shows(&self, shown: Option<Shown>) {
        if let Some(seat) = self.board.inner().sessions.get_mut(&self.id) {
            seat.shown = shown;
        }
    }

    /// Where the other replicas serve.
    pub(crate) fn others(&self) -> Arc<[SocketAddr]> {
        self.board.inner().others.clone()
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

    /// So has its app used these services.
    pub(crate) fn used(&self, said: Vec<ServiceUsage>) {
        self.board.inner().roster.used(self.id, said, Instant::now());
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

    /// The session is over, and its pod is on its way to another replica: who goes waits for it as before, and nobody
    /// else does.
    pub(crate) fn departs(&self) {
        self.board.inner().sessions.remove(&self.id);
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
    /// Of those in session here: see [`Board::drained`].
    pub(crate) async fn drained(
        &self,
        services: Vec<ServiceKey>,
        number: u64,
        deadline: Instant,
    ) -> Option<Outcome> {
        self.board.drained(services, number, deadline, Some(self.id)).await
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
