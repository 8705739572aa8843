//! Who is in session, and who waits for an answer.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rollcall_catalogue::PodUid;
use rollcall_wire::{Drain, Duty, peer::Version};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Answer, Dismissal, Going, Input, Opened, Presence, Word,
    clock::Clock,
    presence::{Parting, Place, Pulse},
};
use crate::index::{Index, Opening, Refused};

/// How long the end of a pod may take to come through the watch, when its sidecar knows of it already.
const ENDING_AWAITED_FOR_MS: u64 = 1_000;

/// Waits for that at a time: as many as pods end in a second by a node drain or a large rollout. Who comes when all
/// places are taken is told what is known.
const WAITING_MAX: usize = 1_024;

/// Holds the open sessions, and the answers that they wait for.
pub(super) struct Sessions {
    clock: Clock,
    /// Back to the owner, whom a session in doubt tells of its next frame. Weak, since the owner ends when nobody
    /// else can tell it anything.
    inputs: mpsc::WeakSender<Input>,
    open: HashMap<PodUid, Open>,
    opened: u64,
    /// Resolve as sessions end. In these, and not in a queue, since nothing that is dropped may fail to be noticed.
    departures: FuturesUnordered<BoxFuture<'static, Place>>,
    /// Given after the next snapshot, and so as few as the inputs between two of them.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    goings: Vec<(oneshot::Sender<Option<Going>>, Option<Going>)>,
    waiting: Vec<Waiting>,
}

struct Open {
    number: u64,
    pulse: Arc<Pulse>,
    dismiss: oneshot::Sender<Dismissal>,
    /// What the pod is, as its session was told last.
    duties: watch::Sender<Option<Arc<[Duty]>>>,
}

/// Holds a drain of a pod that may be about to end, or of which another replica knows that it drains.
struct Waiting {
    uid: PodUid,
    /// Of the note that says that it drains.
    version: Option<Version>,
    until_ms: u64,
    reply: Reply,
}

/// Says who waits.
enum Reply {
    Sidecar(oneshot::Sender<Answer>),
    Replica(oneshot::Sender<Option<Going>>),
}

// === impl Sessions ===

impl Sessions {
    pub(super) fn new(clock: Clock, inputs: mpsc::WeakSender<Input>) -> Self {
        Self {
            clock,
            inputs,
            open: HashMap::new(),
            opened: 0,
            departures: FuturesUnordered::new(),
            answers: Vec::new(),
            goings: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// What becomes of a session, by what the index made of its hello.
    pub(super) fn open(&mut self, uid: PodUid, opening: Option<Opening>) -> Opened {
        let refused = match opening {
            Some(Opening::Open(refused)) => refused,
            Some(Opening::Stale) => return Opened::Stale,
            None => return Opened::PodGone,
        };
        // Nobody is left who could have asked.
        let Some(inputs) = self.inputs.upgrade() else { return Opened::PodGone };
        self.opened += 1;
        let place = Place { uid: uid.clone(), number: self.opened };
        let (alive, ended) = oneshot::channel::<()>();
        let (dismiss, dismissed) = oneshot::channel();
        let departing = place.clone();
        self.departures.push(
            async move {
                // An error is the sign: the session dropped its end.
                let _ = ended.await;
                departing
            }
            .boxed(),
        );
        let pulse = Arc::new(Pulse::new(self.clock.now_ms()));
        let (tell, duties) = watch::channel(None);
        let open = Open { number: place.number, pulse: pulse.clone(), dismiss, duties: tell };
        // One session a pod: a second is the same sidecar come back before its first was missed.
        if let Some(older) = self.open.insert(uid, open) {
            let _ = older.dismiss.send(Dismissal::Superseded);
        }
        let rejected = refused.into_iter().map(rejected).collect();
        let clock = self.clock;
        Opened::Open(Presence { place, pulse, clock, inputs, dismissed, duties, rejected, _alive: alive })
    }

    /// The next session that ends; never, while there is none.
    pub(super) async fn departed(&mut self) -> Place {
        match self.departures.next().await {
            Some(place) => place,
            None => std::future::pending().await,
        }
    }

    /// A session has ended; none where it was the pod's no more.
    pub(super) fn depart(&mut self, place: &Place) -> Option<Parting> {
        let pulse = self.current(place)?.pulse.clone();
        self.open.remove(&place.uid);
        Some(pulse.parting())
    }

    /// The pod is gone, or is in session elsewhere.
    pub(super) fn dismiss(&mut self, uid: &PodUid, why: Dismissal) {
        if let Some(session) = self.open.remove(uid) {
            let _ = session.dismiss.send(why);
        }
    }

    /// What the pod is: told to its session where that is another than it was.
    pub(super) fn set_duties(&self, uid: &PodUid, duties: impl FnOnce() -> Vec<Duty>) {
        let Some(session) = self.open.get(uid) else { return };
        let duties = duties();
        session.duties.send_if_modified(|told| {
            let is_news = told.as_deref() != Some(&duties[..]);
            if is_news {
                *told = Some(duties.into());
            }
            is_news
        });
    }

    /// When the pod's open session was heard last.
    pub(super) fn heard_ms(&self, uid: &PodUid) -> Option<u64> {
        self.open.get(uid).map(|session| session.pulse.heard_ms())
    }

    /// When this session was heard last, if it is the pod's.
    pub(super) fn heard_ms_of(&self, place: &Place) -> Option<u64> {
        self.current(place).map(|session| session.pulse.heard_ms())
    }

    /// The next frame of this pod's session is news. Gives when the last one came.
    pub(super) fn doubt(&self, uid: &PodUid) -> Option<u64> {
        self.open.get(uid).map(|session| session.pulse.doubt())
    }

    /// Takes what a session says; it is answered after the next snapshot, or when it was waited for long enough.
    pub(super) fn hear(
        &mut self,
        index: &mut Index,
        place: &Place,
        word: Word,
        reply: oneshot::Sender<Answer>,
        now_ms: u64,
    ) {
        let uid = &place.uid;
        if self.current(place).is_none() {
            // It is dismissed, and hears that as well.
            let answer = match word {
                Word::Register(said) => Answer::Rejected {
                    key: said.key(),
                    reason: "this session is over; a newer one speaks for the pod".to_owned(),
                    field: None,
                },
                Word::Deregister(_) | Word::Health { .. } => Answer::Done,
                Word::Drain(_) => drained(index, uid),
            };
            return self.answers.push((reply, answer));
        }
        let answer = match word {
            Word::Register(said) => match index.app_registers(uid, &said) {
                Ok(()) => Answer::Registered(said.key()),
                Err(refused) => rejected(refused),
            },
            Word::Deregister(key) => {
                index.app_deregisters(uid, &key);
                Answer::Done
            }
            Word::Health { of, probe } => {
                index.app_health(uid, of, probe);
                Answer::Done
            }
            Word::Drain(Drain::Start) => {
                index.app_drains(uid, true);
                drained(index, uid)
            }
            Word::Drain(Drain::Stop) => {
                index.app_drains(uid, false);
                Answer::Drained { terminating: index.is_ending(uid), number: 0, services: Vec::new() }
            }
            Word::Drain(Drain::Wait) if !index.is_ending(uid) && self.waiting.len() < WAITING_MAX => {
                let until_ms = now_ms.saturating_add(ENDING_AWAITED_FOR_MS);
                let (uid, reply) = (uid.clone(), Reply::Sidecar(reply));
                return self.waiting.push(Waiting { uid, version: None, until_ms, reply });
            }
            Word::Drain(Drain::Wait) => ending(index, uid),
        };
        self.answers.push((reply, answer));
    }

    /// Another replica asks who still calls a pod that goes. It is answered when that is known here too: as the note of this
    /// version says, or because Kubernetes ends the pod.
    pub(super) fn ask_for_going(
        &mut self,
        index: &Index,
        uid: PodUid,
        version: Option<Version>,
        until_ms: u64,
        reply: oneshot::Sender<Option<Going>>,
    ) {
        let waiting = Waiting { uid, version, until_ms, reply: Reply::Replica(reply) };
        match waiting.is_over(index) || self.waiting.len() >= WAITING_MAX {
            true => self.give(index, waiting),
            false => self.waiting.push(waiting),
        }
    }

    /// Whether the pods go that are to go: they are answered with the snapshot that has it.
    pub(super) fn look_for_endings(&mut self, index: &Index) {
        let over: Vec<_> = self.waiting.extract_if(.., |waiting| waiting.is_over(index)).collect();
        over.into_iter().for_each(|waiting| self.give(index, waiting));
    }

    /// Those who have waited long enough are told what is known. Says whether there were any.
    pub(super) fn give_up_waiting(&mut self, index: &Index, now_ms: u64) -> bool {
        let over: Vec<_> = self.waiting.extract_if(.., |waiting| waiting.until_ms <= now_ms).collect();
        let any = !over.is_empty();
        over.into_iter().for_each(|waiting| self.give(index, waiting));
        any
    }

    fn give(&mut self, index: &Index, waiting: Waiting) {
        let is_over = waiting.is_over(index);
        match waiting.reply {
            Reply::Sidecar(reply) => self.answers.push((reply, ending(index, &waiting.uid))),
            Reply::Replica(reply) => {
                let going = is_over.then(|| Going { number: 0, services: index.called_in(&waiting.uid) });
                self.goings.push((reply, going));
            }
        }
    }

    /// When the next of them has waited long enough.
    pub(super) fn wakes_at_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|waiting| waiting.until_ms).min()
    }

    /// What was said is in the catalogue of this number.
    pub(super) fn answer(&mut self, number: u64) {
        for (reply, going) in self.goings.drain(..) {
            // Whoever asked may have gone away.
            let _ = reply.send(going.map(|going| Going { number, ..going }));
        }
        for (reply, mut answer) in self.answers.drain(..) {
            if let Answer::Drained { number: held, .. } = &mut answer {
                *held = number;
            }
            // Whoever asked may have gone away.
            let _ = reply.send(answer);
        }
    }

    fn current(&self, place: &Place) -> Option<&Open> {
        self.open.get(&place.uid).filter(|session| session.number == place.number)
    }
}

// === impl Waiting ===

impl Waiting {
    /// Nothing more is to be waited for.
    fn is_over(&self, index: &Index) -> bool {
        let heard = |version| index.knows(&self.uid, version);
        index.is_ending(&self.uid) || self.version.as_ref().is_some_and(heard)
    }
}

/// Everyone who may call the pod is to acknowledge that it goes. The number is that of the next snapshot.
fn drained(index: &Index, uid: &PodUid) -> Answer {
    Answer::Drained { terminating: index.is_ending(uid), number: 0, services: index.called_in(uid) }
}

/// The same, if Kubernetes ends it; otherwise nothing is awaited.
fn ending(index: &Index, uid: &PodUid) -> Answer {
    match index.is_ending(uid) {
        true => drained(index, uid),
        false => Answer::Drained { terminating: false, number: 0, services: Vec::new() },
    }
}

fn rejected(refused: Refused) -> Answer {
    let Refused { key, why } = refused;
    let reason = format!("{}: {}; {}", why.field, why.problem, why.remedy);
    Answer::Rejected { key, reason, field: Some(why.field.to_owned()) }
}
