//! The owner: the one task that holds the index, so that nothing needs a lock, and publishes what follows from it.
//!
//! Frames of sessions do not come this way: a session notes when it heard the last one, and the owner looks there when
//! that session's time is up. What its app says does, and is answered when everyone may see what came of it.

mod clock;
mod presence;
mod sessions;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use rollcall_catalogue::{PodFacts, PodUid, Snapshot, Step};
use rollcall_net::{Jitter, Shutdown};
use rollcall_wire::{Feed, SelfRegistration};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

pub(crate) use self::presence::{Answer, Dismissal, News, Opened, Presence, Voice, Word};
use self::{
    clock::Clock,
    presence::{Parting, Place},
    sessions::Sessions,
};
use crate::{
    index::{Change, Hello, Index, Kind, OutsideTarget, Vigil, because},
    operate::Metrics,
};

/// Inputs that wait for the owner: a burst of a list goes through in one turn, and a watch that is faster than the
/// owner waits, which only fills its socket.
const INPUTS_MAX: usize = 1_024;

/// Inputs that one turn takes before the owner looks at its clock again.
const TURN_MAX: usize = 512;

/// The least time between two snapshots: under load many changes become one, an idle owner publishes each at once.
/// Half of what a change may take to become visible.
const COALESCED_FOR: Duration = Duration::from_millis(10);

/// A watch that did not prove that it works for so long does not: each of its calls is ended, which is a proof, after
/// 50 s, and a begun list or a second try takes some time.
const WATCH_STALE_AFTER: Duration = Duration::from_secs(120);

/// Holds what everyone may see of the catalogue at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub catalogue: Snapshot,
    /// Grows by one with each snapshot of this process.
    pub generation: u64,
    /// Of the last change of the catalogue: what acknowledgements name.
    pub number: u64,
    /// Every kind was listed once: only from here on does empty mean that there is nothing.
    pub complete: bool,
    /// The kinds that are not listed yet.
    pub awaited: Vec<Kind>,
    /// The addresses outside the cluster that are to be asked whether they are up.
    pub outside: Arc<[OutsideTarget]>,
    /// The pod that an eye is kept on.
    pub vigil: Option<Vigil>,
    pub position: Arc<rollcall_catalogue::changes::Position>,
}

/// Holds the way to the owner.
#[derive(Debug, Clone)]
pub struct IndexHandle {
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<Arc<View>>,
    feed: Arc<Feed>,
}

/// Says that the owner has ended, which happens only while the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the controller is shutting down; connect again")]
pub struct OwnerGone;

/// Holds the index, and who is in session.
pub struct Owner {
    index: Index,
    metrics: Metrics,
    inputs: mpsc::Receiver<Input>,
    view: watch::Sender<Arc<View>>,
    feed: Arc<Feed>,
    sessions: Sessions,
    clock: Clock,
    published_at: Option<Instant>,
    /// Something came in since then.
    pending: bool,
}

enum Input {
    Change(Change),
    Ask(Box<dyn FnOnce(&mut Index) + Send>),
    Open {
        uid: PodUid,
        hello: Hello,
        reply: oneshot::Sender<Opened>,
    },
    /// A session that is doubted was heard.
    Heard(Place),
    Word {
        place: Place,
        word: Word,
        reply: oneshot::Sender<Answer>,
    },
}

/// An owner of this index, which is empty so far, and the way to it.
pub fn owner(index: Index, metrics: Metrics) -> (Owner, IndexHandle) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    let clock = Clock::start();
    let (publish, view) = watch::channel(Arc::new(View::default()));
    // Cursors of another process must not be taken for ours.
    let epoch = format!("{:016x}", Jitter::from_entropy().next_u64());
    let feed = Arc::new(Feed::new(epoch.into()));
    let owner = Owner {
        index,
        metrics,
        inputs,
        view: publish,
        feed: feed.clone(),
        sessions: Sessions::new(clock, sender.downgrade()),
        clock,
        published_at: None,
        pending: false,
    };
    (owner, IndexHandle { inputs: sender, view, feed })
}

// === impl Owner ===

impl Owner {
    /// Applies what comes in and publishes what follows, until the process ends.
    pub async fn run(mut self, mut shutdown: Shutdown) {
        let mut turn = Vec::with_capacity(TURN_MAX);
        loop {
            let due = self.due();
            let wakes_at = self.wakes_at();
            tokio::select! {
                () = shutdown.requested() => return,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.publish(),
                () = sleep_until(wakes_at) => {}
                departed = self.sessions.departed() => self.depart(&departed),
                taken = self.inputs.recv_many(&mut turn, TURN_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    turn.drain(..).for_each(|input| self.apply(input));
                    self.pending = true;
                }
            }
            while let Some(departed) = self.sessions.departed().now_or_never() {
                self.depart(&departed);
            }
            if self.wakes_at() <= Instant::now() {
                self.tick();
            }
            if self.due().is_some_and(|due| due <= Instant::now()) {
                self.publish();
            }
        }
    }

    fn apply(&mut self, input: Input) {
        let now_ms = self.clock.now_ms();
        match input {
            Input::Change(change) => {
                self.index.apply(change);
                // A token outlives its pod by up to an hour: the session must not.
                self.index.take_orphans().iter().for_each(|uid| self.sessions.dismiss(uid));
                self.sessions.look_for_endings(&self.index);
            }
            Input::Ask(question) => question(&mut self.index),
            Input::Open { uid, hello, reply } => {
                let opening = self.index.open_session(&uid, &hello, now_ms);
                // Whoever opened it may have gone away: the presence is then dropped here, and its departure noticed.
                let _ = reply.send(self.sessions.open(uid, opening));
            }
            Input::Heard(place) => {
                if let Some(heard_ms) = self.sessions.heard_ms_of(&place) {
                    self.index.heard(&place.uid, heard_ms, now_ms);
                }
            }
            Input::Word { place, word, reply } => {
                self.sessions.hear(&mut self.index, &place, word, reply, now_ms);
            }
        }
    }

    fn depart(&mut self, place: &Place) {
        let Some(parting) = self.sessions.depart(place) else { return };
        match parting {
            Parting::Ended { heard_ms, by_peer } => {
                self.index.session_ended(&place.uid, heard_ms, by_peer, self.clock.now_ms());
            }
            Parting::HandedOver => self.index.session_handed_over(&place.uid),
        }
        self.pending = true;
    }

    /// Looks after what time alone changes.
    fn tick(&mut self) {
        let now_ms = self.clock.now_ms();
        let ages = self.metrics.watch_ages();
        let watches_stale = Kind::ALL.iter().any(|kind| ages.age(*kind) > WATCH_STALE_AFTER);
        let was_frozen = self.index.freezes().next().is_some();
        let doubted = self.index.tick(now_ms, watches_stale, |uid| self.sessions.heard_ms(uid));
        for uid in doubted {
            // It may have been heard just now, by a session that was not doubted yet.
            if let Some(heard_ms) = self.sessions.doubt(&uid) {
                self.index.heard(&uid, heard_ms, now_ms);
            }
        }
        let cause = self.index.freezes().next();
        self.metrics.frozen(cause.is_some());
        match cause {
            Some(cause) if !was_frozen => warn!(cause = because(cause), "lost sessions evict nobody"),
            None if was_frozen => info!("lost sessions count again"),
            _ => {}
        }
        self.pending |= self.index.is_marked();
        self.pending |= self.sessions.give_up_waiting(&self.index, now_ms);
    }

    fn wakes_at(&self) -> Instant {
        let now_ms = self.clock.now_ms();
        let index_ms = self.index.wakes_at_ms(now_ms);
        self.clock.instant(self.sessions.wakes_at_ms().map_or(index_ms, |at_ms| at_ms.min(index_ms)))
    }

    fn publish(&mut self) {
        self.published_at = Some(Instant::now());
        self.pending = false;
        let complete = self.index.complete();
        let held = self.view.borrow().clone();
        // Half a list would announce a mass removal; the changes wait in the index.
        let began = Instant::now();
        let step = if complete { self.index.advance(self.clock.now_ms()) } else { None };
        self.measure(&held.catalogue, step.as_ref(), began.elapsed());
        let (outside, vigil) = (self.index.take_outside(), self.index.take_vigil());
        let awaited = self.index.awaited();
        let is_news = step.is_some() || outside.is_some() || vigil.is_some();
        if is_news || awaited != held.awaited || complete != held.complete {
            if complete && !held.complete {
                info!("every kind is listed: sessions are served from now on");
            }
            let generation = held.generation + 1;
            let (catalogue, number) = match step {
                // What the view shows, the feed knows already.
                Some(step) => (step.snapshot, self.feed.push(step.deltas)),
                None => (held.catalogue.clone(), held.number),
            };
            debug!(generation, services = catalogue.len(), "published");
            let outside = outside.unwrap_or_else(|| held.outside.clone());
            let vigil = vigil.or_else(|| held.vigil.clone());
            let position = held.position.clone();
            let view = View { catalogue, generation, number, complete, awaited, outside, vigil, position };
            self.view.send_replace(Arc::new(view));
        }
        for uid in self.index.take_on_duty() {
            self.sessions.set_duties(&uid, || self.index.duties(&uid));
        }
        let number = self.view.borrow().number;
        self.sessions.answer(number);
    }

    fn measure(&mut self, before: &Snapshot, step: Option<&Step>, took: Duration) {
        self.metrics.turned(took);
        self.metrics.sessions(self.sessions.len());
        self.metrics.registrations(self.index.known(Kind::Registration));
        self.metrics.without_sidecar(self.index.without_sidecar());
        self.metrics.alarmed(&self.index.take_alarms());
        let turned_ms = self.index.take_turned();
        let Some(step) = step else { return };
        self.metrics.stepped(before, &step.deltas);
        let now_ms = self.clock.now_ms();
        for turned_ms in turned_ms {
            // By two clocks, and the API server's has whole seconds: good enough for a histogram, and for nothing else.
            self.metrics.propagated(now_ms.saturating_sub(turned_ms) as f64 / 1e3);
        }
    }

    /// When what has come in is to be published: at once when little comes, and once for all of it when much does.
    fn due(&self) -> Option<Instant> {
        let earliest = self.published_at.map(|at| at + COALESCED_FOR);
        self.pending.then(|| earliest.unwrap_or_else(Instant::now))
    }
}

// === impl IndexHandle ===

impl IndexHandle {
    /// The catalogue as it is published, now and later.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What changed lately, under the numbers that the views have.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    pub async fn apply(&self, change: Change) -> Result<(), OwnerGone> {
        self.inputs.send(Input::Change(change)).await.map_err(|_| OwnerGone)
    }

    /// What is known of this pod.
    pub async fn pod(&self, uid: PodUid) -> Result<Option<PodFacts>, OwnerGone> {
        self.ask(move |index| index.pod(&uid).cloned()).await
    }

    /// The zone of this node, where Kubernetes says it.
    pub(crate) async fn zone(&self, node: Arc<str>) -> Result<Option<Arc<str>>, OwnerGone> {
        self.ask(move |index| index.zone(&node)).await
    }

    /// Asks the index, in its turn among all that comes in.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> Result<T, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone away meanwhile; nothing is lost then.
        let question = Box::new(move |index: &mut Index| drop(reply.send(question(index))));
        self.inputs.send(Input::Ask(question)).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }

    /// Counts this pod as live for as long as its presence is held, and takes what its sidecar says first.
    pub(crate) async fn open_session(
        &self,
        uid: PodUid,
        incarnation: String,
        sequence: u64,
        registrations: Vec<SelfRegistration>,
    ) -> Result<Opened, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        let hello = Hello { incarnation, sequence, registrations };
        self.inputs.send(Input::Open { uid, hello, reply }).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }
}

#[cfg(test)]
mod tests;
