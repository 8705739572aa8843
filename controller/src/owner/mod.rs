//! The owner: the one task that holds the index, so that nothing needs a lock, and publishes what follows from it.
//!
//! Frames of sessions do not come this way: a session notes when it heard the last one, and the owner looks there when
//! that session's time is up. What its app says does, and is answered when everyone may see what came of it.

mod clock;
mod handle;
mod presence;
mod progress;
mod rest;
mod sessions;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use rollcall_catalogue::{
    PodUid, ServiceKey, Snapshot, Step,
    changes::{Position, Reading},
};
use rollcall_net::{Jitter, Shutdown};
use rollcall_wire::{
    Feed,
    peer::{Ledger, OutsideWord, Version},
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use self::{clock::Clock, presence::Place, rest::rest, sessions::Sessions};
pub use self::{
    handle::IndexHandle,
    progress::{Progress, Read},
};
pub(crate) use self::{
    presence::{Answer, Dismissal, News, Opened, Presence, Voice, Word},
    progress::revision,
};
use crate::{
    index::{Change, Hello, Index, Kind, OutsideTarget, Replica, Tidings, because},
    operate::Metrics,
};

/// Inputs that wait for the owner: a burst of a list goes through in one turn, and a watch that is faster than the
/// owner waits, which only fills its socket.
const INPUTS_MAX: usize = 1_024;

/// Inputs that one turn takes before the owner looks at its clock again.
const TURN_MAX: usize = 512;

/// A watch that did not prove that it works for so long does not: each of its calls is ended, which is a proof, after
/// 50 s, and a begun list or a second try takes some time.
pub(crate) const WATCH_STALE_AFTER: Duration = Duration::from_secs(120);

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
    /// Ourselves and the others, as Kubernetes knows them.
    pub replicas: Arc<[Replica]>,
    /// How far Kubernetes was read: its reach is never ahead of the catalogue, and what has changed never behind it. It goes on without being news to those who wait for views,
    /// and so is to be read when it is told.
    pub reading: Arc<Reading>,
    /// The newest change of each kind that was seen to happen; it goes on as the reading does.
    pub happened: Arc<Position>,
}

/// Holds who may still call a pod that goes, as it is asked by another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Going {
    /// Of the catalogue's change that has it.
    pub(crate) number: u64,
    /// Where it may be called; what has been taken out of the index by now, the other replica knows.
    pub(crate) services: Vec<ServiceKey>,
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
    progress: Progress,
    ledger: Arc<Ledger>,
    ledger_changes: watch::Sender<u64>,
    outside_words: watch::Sender<Arc<[OutsideWord]>>,
    /// Until then what comes in waits for the next snapshot.
    rests_until: Instant,
    /// Something came in since the last one.
    pending: bool,
}

enum Input {
    Change {
        change: Change,
        /// Of Kubernetes: everything up to it was told.
        revision: Option<u64>,
    },
    /// Nothing of this kind has changed up to this revision.
    Advanced(Kind, u64),
    /// A list of this kind has objects up to this revision.
    Found(Kind, u64),
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
    Going {
        uid: PodUid,
        version: Option<Version>,
        until_ms: u64,
        reply: oneshot::Sender<Option<Going>>,
    },
}

/// An owner of this index, which is empty so far, and the way to it.
pub fn owner(index: Index, metrics: Metrics) -> (Owner, IndexHandle) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    let clock = Clock::start();
    let (publish, view) = watch::channel(Arc::new(View::default()));
    // Cursors of another process must not be taken for ours.
    let epoch = format!("{:016x}", Jitter::from_entropy().next_u64());
    let epoch: Arc<str> = epoch.into();
    let feed = Arc::new(Feed::new(epoch.clone()));
    let ledger = Arc::new(Ledger::default());
    let (number, ledger_changes) = watch::channel(0);
    let (words, outside_words) = watch::channel(Arc::default());
    let owner = Owner {
        index: index.of_process(epoch),
        metrics,
        inputs,
        view: publish,
        feed: feed.clone(),
        sessions: Sessions::new(clock, sender.downgrade()),
        clock,
        progress: Progress::default(),
        ledger: ledger.clone(),
        ledger_changes: number,
        outside_words: words,
        rests_until: Instant::now(),
        pending: false,
    };
    (owner, IndexHandle { inputs: sender, view, feed, clock, ledger, ledger_changes, outside_words })
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
            // Before it is published: another replica may be asked who still calls a pod as soon as it is.
            self.tell_replicas();
            if self.due().is_some_and(|due| due <= Instant::now()) {
                self.publish();
            }
        }
    }

    fn apply(&mut self, input: Input) {
        let now_ms = self.clock.now_ms();
        match input {
            Input::Change { change, revision } => {
                let kind = change.kind();
                if matches!(change, Change::ListEnds(_)) {
                    let known = self.index.known(kind);
                    self.index.apply(change);
                    self.progress.listed(kind, revision, self.index.known(kind) < known);
                } else {
                    self.index.apply(change);
                    revision.into_iter().for_each(|revision| self.progress.happened(kind, revision));
                }
            }
            Input::Found(kind, revision) => self.progress.found(kind, revision),
            Input::Advanced(kind, revision) => self.progress.advanced(kind, revision),
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
            Input::Going { uid, version, until_ms, reply } => {
                self.sessions.ask_for_going(&self.index, uid, version, until_ms, reply);
            }
        }
        self.dismiss();
        self.sessions.look_for_endings(&self.index);
    }

    /// Ends the sessions that are over by what came in, before the next of the same pod does.
    fn dismiss(&mut self) {
        // A token outlives its pod by up to an hour: the session must not.
        for uid in self.index.take_orphans() {
            self.sessions.dismiss(&uid, Dismissal::PodGone);
        }
        for uid in self.index.take_superseded() {
            self.sessions.dismiss(&uid, Dismissal::Superseded);
        }
    }

    fn depart(&mut self, place: &Place) {
        let Some(parting) = self.sessions.depart(place) else { return };
        self.index.session_ended(&place.uid, parting.heard_ms, parting.by_peer, self.clock.now_ms());
        self.pending = true;
    }

    /// What is known of the pods' sessions, to be told to other replicas.
    fn tell_replicas(&mut self) {
        let tidings = self.index.take_notes();
        if tidings.is_empty() {
            return;
        }
        for tidings in tidings {
            match tidings {
                Tidings::Known(note) => drop(self.ledger.put(note)),
                Tidings::Gone(uid) => self.ledger.forget(&uid),
            }
        }
        let number = self.ledger.number();
        self.ledger_changes.send_if_modified(|told| std::mem::replace(told, number) != number);
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
        self.metrics.apps_failing(self.index.failing_count());
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
        let began = Instant::now();
        self.pending = false;
        let complete = self.index.complete();
        let held = self.view.borrow().clone();
        // Half a list would announce a mass removal; the changes wait in the index.
        let step = if complete { self.index.advance(self.clock.now_ms()) } else { None };
        self.measure(&held.catalogue, step.as_ref(), began.elapsed());
        let outside = self.index.take_outside();
        // Empty needs proof here as well.
        let (replicas, read) = match complete {
            true => (self.index.take_replicas(), self.progress.take()),
            false => (None, None),
        };
        let read = read.map(|Read { reading, happened }| (Arc::new(reading), Arc::new(happened)));
        let awaited = self.index.awaited();
        let is_news = step.is_some() || outside.is_some() || replicas.is_some();
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
            let replicas = replicas.unwrap_or_else(|| held.replicas.clone());
            let (reading, happened) = read.unwrap_or_else(|| (held.reading.clone(), held.happened.clone()));
            let view = View {
                catalogue,
                generation,
                number,
                complete,
                awaited,
                outside,
                replicas,
                reading,
                happened,
            };
            self.view.send_replace(Arc::new(view));
        } else if let Some((reading, happened)) = read {
            let view = Arc::new(View { reading, happened, ..View::clone(&held) });
            // Nobody is woken by it: an object of every other kind than ours changes somewhere all the time.
            self.view.send_if_modified(|held| {
                *held = view;
                false
            });
        }
        if let Some(words) = self.index.take_answers() {
            self.outside_words.send_replace(words);
        }
        for uid in self.index.take_on_duty() {
            self.sessions.set_duties(&uid, || self.index.duties(&uid));
        }
        let number = self.view.borrow().number;
        self.sessions.answer(number);
        self.rests_until = began + rest(began.elapsed());
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
        self.pending.then_some(self.rests_until)
    }
}

#[cfg(test)]
mod tests;
