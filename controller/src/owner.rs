//! The owner: the one task that holds the index, so that nothing needs a lock, and publishes what follows from it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rollcall_catalogue::{PodFacts, PodUid, Snapshot, Step};
use rollcall_net::Shutdown;
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, info};

use crate::{
    index::{Change, Index, Kind, OutsideTarget},
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

/// Holds what everyone may see of the catalogue at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub catalogue: Snapshot,
    /// Grows by one with each snapshot of this process.
    pub generation: u64,
    /// Every kind was listed once: only from here on does empty mean that there is nothing.
    pub complete: bool,
    /// The kinds that are not listed yet.
    pub awaited: Vec<Kind>,
    /// The addresses outside the cluster that are to be asked whether they are up.
    pub outside: Arc<[OutsideTarget]>,
}

/// Holds the way to the owner.
#[derive(Debug, Clone)]
pub struct IndexHandle {
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<Arc<View>>,
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
    sessions: HashMap<PodUid, OpenSession>,
    /// Resolve as sessions end. In these, and not in a queue, since nothing that is dropped may fail to be noticed.
    departures: FuturesUnordered<BoxFuture<'static, (PodUid, u64)>>,
    sessions_opened: u64,
    clock: Clock,
    published_at: Option<Instant>,
    /// Something came in since then.
    pending: bool,
}

/// Holds a clock that never goes back, in milliseconds since 1970 as the machine had them when the process began.
struct Clock {
    started: Instant,
    started_ms: u64,
}

enum Input {
    Change(Change),
    Ask(Box<dyn FnOnce(&mut Index) + Send>),
    SessionOpened { uid: PodUid, reply: oneshot::Sender<Presence> },
}

/// Holds a session's place at the owner. Dropping it is how a session ends, however it ends.
#[derive(Debug)]
pub(crate) struct Presence {
    _alive: oneshot::Sender<()>,
    /// Resolves when the owner no longer wants this session.
    dismissed: oneshot::Receiver<Dismissal>,
}

/// Says why the owner ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dismissal {
    PodGone,
    Superseded,
}

#[derive(Debug)]
struct OpenSession {
    number: u64,
    dismiss: oneshot::Sender<Dismissal>,
}

/// An owner of this index, which is empty so far, and the way to it.
pub fn owner(index: Index, metrics: Metrics) -> (Owner, IndexHandle) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    let (publish, view) = watch::channel(Arc::new(View::default()));
    let owner = Owner {
        index,
        metrics,
        inputs,
        view: publish,
        sessions: HashMap::new(),
        departures: FuturesUnordered::new(),
        sessions_opened: 0,
        clock: Clock::start(),
        published_at: None,
        pending: false,
    };
    (owner, IndexHandle { inputs: sender, view })
}

// === impl Owner ===

impl Owner {
    /// Applies what comes in and publishes what follows, until the process ends.
    pub async fn run(mut self, mut shutdown: Shutdown) {
        let mut turn = Vec::with_capacity(TURN_MAX);
        loop {
            let due = self.due();
            tokio::select! {
                () = shutdown.requested() => return,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.publish(),
                Some((uid, number)) = self.departures.next() => {
                    self.departed(&uid, number);
                    self.pending = true;
                }
                taken = self.inputs.recv_many(&mut turn, TURN_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    turn.drain(..).for_each(|input| self.apply(input));
                    self.pending = true;
                }
            }
            while let Some(Some((uid, number))) = self.departures.next().now_or_never() {
                self.departed(&uid, number);
            }
            if self.due().is_some_and(|due| due <= Instant::now()) {
                self.publish();
            }
        }
    }

    fn apply(&mut self, input: Input) {
        match input {
            Input::Change(change) => {
                self.index.apply(change);
                self.dismiss_the_podless();
            }
            Input::Ask(question) => question(&mut self.index),
            Input::SessionOpened { uid, reply } => self.open(&uid, reply),
        }
    }

    fn open(&mut self, uid: &PodUid, reply: oneshot::Sender<Presence>) {
        if self.index.pod(uid).is_none() {
            return;
        }
        self.sessions_opened += 1;
        let number = self.sessions_opened;
        let (alive, ended) = oneshot::channel::<()>();
        let (dismiss, dismissed) = oneshot::channel();
        let departing = uid.clone();
        self.departures.push(
            async move {
                // An error is the sign: the session dropped its end.
                let _ = ended.await;
                (departing, number)
            }
            .boxed(),
        );
        // One session a pod: a second is the same sidecar come back before its first was missed.
        if let Some(older) = self.sessions.insert(uid.clone(), OpenSession { number, dismiss }) {
            let _ = older.dismiss.send(Dismissal::Superseded);
        }
        self.index.heard(uid, true);
        // Whoever opened it may have gone away: the presence is then dropped here, and its departure noticed.
        let _ = reply.send(Presence { _alive: alive, dismissed });
    }

    fn departed(&mut self, uid: &PodUid, number: u64) {
        if self.sessions.get(uid).is_some_and(|session| session.number == number) {
            self.sessions.remove(uid);
            self.index.heard(uid, false);
        }
    }

    /// A token outlives its pod by up to an hour: the session must not.
    fn dismiss_the_podless(&mut self) {
        if self.index.pods_removed() {
            let index = &self.index;
            for (_, session) in self.sessions.extract_if(|uid, _| index.pod(uid).is_none()) {
                let _ = session.dismiss.send(Dismissal::PodGone);
            }
        }
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
        let outside = self.index.take_outside();
        let awaited = self.index.awaited();
        if step.is_none() && outside.is_none() && awaited == held.awaited && complete == held.complete {
            return;
        }
        if complete && !held.complete {
            info!("every kind is listed: sessions are served from now on");
        }
        let catalogue = step.map_or_else(|| held.catalogue.clone(), |step| step.snapshot);
        let generation = held.generation + 1;
        debug!(generation, services = catalogue.len(), "published");
        let outside = outside.unwrap_or_else(|| held.outside.clone());
        self.view.send_replace(Arc::new(View { catalogue, generation, complete, awaited, outside }));
    }

    fn measure(&mut self, before: &Snapshot, step: Option<&Step>, took: Duration) {
        self.metrics.turned(took);
        self.metrics.sessions(self.sessions.len());
        self.metrics.registrations(self.index.known(Kind::Registration));
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

// === impl Clock ===

impl Clock {
    fn start() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    fn now_ms(&self) -> u64 {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add(since)
    }
}

// === impl IndexHandle ===

impl IndexHandle {
    /// The catalogue as it is published, now and later.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    pub async fn apply(&self, change: Change) -> Result<(), OwnerGone> {
        self.inputs.send(Input::Change(change)).await.map_err(|_| OwnerGone)
    }

    /// What is known of this pod.
    pub async fn pod(&self, uid: PodUid) -> Result<Option<PodFacts>, OwnerGone> {
        self.ask(move |index| index.pod(&uid).cloned()).await
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

    /// Counts this pod as live for as long as the presence is held; none if the pod is gone.
    pub(crate) async fn open_session(&self, uid: PodUid) -> Result<Option<Presence>, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::SessionOpened { uid, reply }).await.map_err(|_| OwnerGone)?;
        Ok(answer.await.ok())
    }
}

// === impl Presence ===

impl Presence {
    pub(crate) async fn dismissed(&mut self) -> Dismissal {
        // An owner that is gone is a process that ends; the session hears that from its own shutdown.
        match (&mut self.dismissed).await {
            Ok(dismissal) => dismissal,
            Err(_) => std::future::pending().await,
        }
    }
}
