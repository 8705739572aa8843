//! The one task that knows all links, decides who is heard, and tells everybody else in the process.

mod look;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::body::Incoming;
use kube::Client;
use rollcall_net::{Jitter, Network, Shutdown};
use rollcall_wire::{
    PROTOCOL, Token,
    peer::{Beat, Frame, Heard, Introduction},
};
use rustls::ClientConfig;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    behind::Way as GivesWay,
    book::{Book, Look, TICK_MS},
    dial::{DialError, Dialer},
    dials::Dials,
    drains::{self, Asked, Question},
    handle::{Ends, PeersHandle, handle},
    link::{Event, LinkId, Moving, Needs, ORDERS_MAX, Order, Way},
    links::Links,
    sign::{self, Errand, Word},
};
use crate::{
    operate::Metrics,
    owner::{IndexHandle, OwnerGone},
    sessions::roster::Outcome,
};

/// Events of all links that wait for the hub. A link whose event has no place waits, which only fills its socket.
const EVENTS_MAX: usize = 256;

/// Answers of the API server that wait: one about each that is missed.
const WORDS_MAX: usize = 64;

/// Questions of others that are under way; as many as we may have ourselves.
const QUESTIONS_MAX: usize = 1_024;

/// Between two times in which news of the catalogue, or of the addresses outside the cluster, are told: lists are told whole, and
/// what comes meanwhile is in the next.
const REST: Duration = Duration::from_millis(10);

/// What the links' last words get at the end of the process.
const END_MAX: Duration = Duration::from_millis(1_200);

/// Says who we are, and where others may be.
#[derive(Debug, Clone)]
pub struct Settings {
    pub replica: String,
    /// The controller's own.
    pub namespace: String,
    /// Of the Lease that all replicas share.
    pub lease_name: String,
    /// Where all replicas have their sessions.
    pub port: u16,
    /// Processes that Kubernetes does not know.
    pub named: Vec<SocketAddr>,
    /// Holds the token that we show to other replicas.
    pub token_file: PathBuf,
}

/// Holds what the replicas are met with, once it is there.
pub struct Means {
    pub client: Client,
    pub network: Arc<dyn Network>,
    /// Believes our own authorities alone, as they are at each time.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// Whether we hold the Lease, and ask the addresses outside the cluster.
    pub asks_outside: watch::Receiver<bool>,
}

/// Holds what is to be told to the other replicas, and heard of them.
pub struct Peers {
    settings: Settings,
    index: IndexHandle,
    metrics: Metrics,
    ends: Ends,
}

/// Holds a request that another replica has opened.
pub(super) struct Door {
    pub(super) incoming: Incoming,
    pub(super) outgoing: mpsc::Sender<Bytes>,
    /// None where there are too many links.
    pub(super) reply: oneshot::Sender<Option<Box<Moving>>>,
}

struct Hub {
    settings: Settings,
    index: IndexHandle,
    metrics: Metrics,
    ends: Ends,
    means: Means,
    needs: Needs,
    dialer: Dialer,
    book: Book,
    links: Links,
    dials: Dials,
    asked: Asked,
    questions: usize,
    beat: watch::Sender<Beat>,
    errand: watch::Sender<Errand>,
    /// Our own, as it was read last, and when it is read again.
    token: watch::Sender<Option<Token>>,
    token_due_ms: u64,
    look: Look,
    way: GivesWay,
    /// Since when every kind is listed.
    complete_ms: Option<u64>,
    is_met: bool,
    /// When it is looked next whether notes had to be dropped.
    told_again_ms: u64,
    /// Who told us last what addresses outside the cluster answer.
    outside_by: Option<Arc<str>>,
    tasks: JoinSet<Done>,
}

/// Says what a task of the hub came to.
enum Done {
    Dialled(SocketAddr, Result<Way, DialError>),
    Answered(LinkId, Frame),
    Link,
}

/// The way to the other replicas, and what has to run for it.
pub fn peers(settings: Settings, index: IndexHandle, metrics: Metrics) -> (PeersHandle, Peers) {
    let (handle, ends) = handle();
    (handle, Peers { settings, index, metrics, ends })
}

// === impl Peers ===

impl Peers {
    /// Meets the other replicas, and stays with them until the process ends.
    pub async fn run(self, means: Means, mut ear: Shutdown) -> Result<(), OwnerGone> {
        let Self { settings, index, metrics, ends } = self;
        let epoch = index.feed().epoch().clone();
        let who = Introduction {
            protocol: PROTOCOL.to_owned(),
            replica: settings.replica.clone(),
            epoch: epoch.clone(),
        };
        let (events, mut heard) = mpsc::channel(EVENTS_MAX);
        let (told, mut words) = mpsc::channel(WORDS_MAX);
        let (beat, beats) = watch::channel(Beat::default());
        let (errand, errands) = watch::channel(Errand::default());
        let (tokens, reviewer) = (ends.tokens.clone(), ends.reviewer.clone());
        let (token, shown) = watch::channel(None);
        let signs = sign::Settings {
            namespace: settings.namespace.clone(),
            lease_name: settings.lease_name.clone(),
            replica: settings.replica.clone(),
            epoch: epoch.clone(),
        };
        let signs =
            sign::run(means.client.clone(), signs, index.clone(), metrics.writes().clone(), errands, told);
        let dialer = Dialer {
            network: means.network.clone(),
            tls: means.tls.clone(),
            token_file: settings.token_file.clone(),
        };
        let own: Arc<str> = settings.replica.as_str().into();
        let mut hub = Hub {
            book: Book::new(epoch, index.now_ms()),
            links: Links::new(who.clone()),
            dials: Dials::new(own, settings.port, &settings.named, Jitter::from_entropy()),
            needs: Needs { who, index: index.clone(), tokens, token: shown, reviewer, beat: beats, events },
            settings,
            index,
            metrics,
            ends,
            means,
            dialer,
            asked: Asked::default(),
            questions: 0,
            beat,
            errand,
            token,
            token_due_ms: 0,
            look: Look::default(),
            way: GivesWay::default(),
            complete_ms: None,
            is_met: false,
            told_again_ms: 0,
            outside_by: None,
            tasks: JoinSet::new(),
        };
        let (mut view, mut outside) = (hub.index.view(), hub.index.outside_words());
        let mut asks_outside = hub.means.asks_outside.clone();
        let mut signs = std::pin::pin!(signs);
        let mut rests_until = Instant::now();
        loop {
            let seen = view.borrow_and_update().clone();
            hub.look(&seen, &ear).await?;
            let now = Instant::now();
            let rests = rests_until > now;
            let wakes_at = if rests { hub.wakes_at().min(rests_until) } else { hub.wakes_at() };
            tokio::select! {
                () = ear.requested() => break,
                Some((id, event)) = heard.recv() => hub.hear(id, event).await?,
                Some(door) = hub.ends.doors.recv() => hub.open(door),
                Some(ask) = hub.ends.asks.recv() => hub.ask(ask),
                Some(word) = words.recv() => hub.note(word),
                Ok(()) = hub.ends.own.changed() => {}
                changed = view.changed(), if !rests => {
                    changed.map_err(|_| OwnerGone)?;
                    rests_until = Instant::now() + REST;
                }
                Ok(()) = outside.changed(), if !rests => {
                    hub.tell_outside();
                    rests_until = Instant::now() + REST;
                }
                Ok(()) = asks_outside.changed() => hub.tell_outside(),
                Some(done) = hub.tasks.join_next() => hub.done(done, &ear),
                // It ends with the hub alone.
                () = signs.as_mut() => return Err(OwnerGone),
                () = sleep_until(wakes_at) => {}
            }
        }
        // Nobody is told what the links still hear.
        drop(heard);
        if timeout(END_MAX, async { while hub.tasks.join_next().await.is_some() {} }).await.is_err() {
            debug!("some links were cut off");
        }
        Ok(())
    }
}

// === impl Hub ===

impl Hub {
    async fn hear(&mut self, id: LinkId, event: Event) -> Result<(), OwnerGone> {
        let now_ms = self.index.now_ms();
        let heard = match event {
            Event::Heard(heard) => heard,
            Event::Ourselves => {
                if let Some(address) = self.links.get(id).and_then(|held| held.dialled) {
                    self.dials.is_ours(address);
                }
                return Ok(());
            }
            Event::Ended(reason) => {
                self.ended(id, &reason, now_ms);
                return Ok(());
            }
        };
        let epoch = self.links.get(id).and_then(|held| held.met.as_ref()).map(|met| met.epoch.clone());
        match heard {
            Heard::Hello { who, beat } => self.met(id, &who, &beat, now_ms),
            Heard::Synced => epoch.iter().for_each(|epoch| self.book.synced(epoch)),
            Heard::Beat(beat) => {
                epoch.iter().for_each(|epoch| self.book.beat(epoch, &beat, now_ms));
                self.links.beat(id, beat);
            }
            Heard::Outside { answers, whole } => {
                self.outside_by = epoch;
                self.index.outside_told(answers, whole).await?;
            }
            Heard::Drain { ask, pod, version, services, deadline_ms } => {
                let deadline = Question::deadline(deadline_ms, Instant::now());
                self.answer(id, Question { ask, pod, version, services, deadline });
            }
            Heard::Drained { ask, acked, subscribers, late } => {
                self.asked.answered(id, ask, Outcome { acked, subscribers, late });
            }
            Heard::Goaway(reason) => debug!(reason, "a link is ended by the other replica"),
            // They go elsewhere.
            Heard::Note(_) | Heard::Token { .. } | Heard::Renewed(_) => {}
        }
        Ok(())
    }

    fn met(&mut self, id: LinkId, who: &Introduction, beat: &Beat, now_ms: u64) {
        let is_first = !self.links.has(&who.epoch);
        if !self.links.met(id, who, beat.clone()) {
            return;
        }
        if is_first {
            info!(replica = who.replica, epoch = %who.epoch, "another replica is met");
        }
        self.book.linked(who, beat, now_ms);
        if let Some(address) = self.links.get(id).and_then(|held| held.dialled) {
            self.dials.met(address, &who.epoch);
        }
        for question in self.asked.met(id, &who.epoch, Instant::now()) {
            self.links.order(id, Order::Say(question));
        }
        // Who asks tells all; and where nobody who does is heard, each tells what it was told.
        let asks = *self.means.asks_outside.borrow();
        let is_told = self.outside_by.as_ref().is_some_and(|by| self.links.has(by));
        if asks || !is_told {
            let words = self.index.outside_words().borrow().clone();
            for frame in Frame::outside(&words, asks) {
                self.links.order(id, Order::Say(frame));
            }
        }
    }

    fn ended(&mut self, id: LinkId, reason: &str, now_ms: u64) {
        let Some(held) = self.links.close(id) else { return };
        self.asked.lost(id);
        let failure = held.met.is_none().then(|| reason.to_owned());
        if let Some(address) = held.dialled
            && self.dials.over(address, failure, now_ms)
        {
            debug!(%address, reason, "a link is over before it has begun");
        }
        if let Some(met) = held.met
            && !self.links.has(&met.epoch)
        {
            info!(replica = %met.replica, epoch = %met.epoch, reason, "another replica is missed");
            self.book.broken(&met.epoch, now_ms);
        }
    }

    /// One more link; none where there are too many.
    fn link(&mut self, dialled: Option<SocketAddr>, way: Way) -> Option<Box<Moving>> {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let id = self.links.open(dialled, orders)?;
        Some(Box::new(Moving::new(id, self.needs.clone(), way, taken)))
    }

    fn open(&mut self, door: Door) {
        let Door { incoming, outgoing, reply } = door;
        let link = self.link(None, Way { incoming, outgoing, connection: None });
        // Whoever opened it may have gone away; its link is dropped, and says that it has ended.
        if let Err(Some(link)) = reply.send(link) {
            drop(self.links.close(link.id()));
        }
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>, ear: &Shutdown) {
        let now_ms = self.index.now_ms();
        match done {
            Ok(Done::Dialled(address, Ok(way))) => match self.link(Some(address), way) {
                Some(link) => {
                    let ear = ear.clone();
                    self.tasks.spawn(async move {
                        link.run(ear).await;
                        Done::Link
                    });
                }
                None => drop(self.dials.over(address, Some("too many links".to_owned()), now_ms)),
            },
            Ok(Done::Dialled(address, Err(error))) => {
                if self.dials.over(address, Some(error.to_string()), now_ms) {
                    info!(%address, %error, "another replica is not met there, and is dialled again");
                }
            }
            Ok(Done::Answered(link, frame)) => {
                self.questions = self.questions.saturating_sub(1);
                self.links.order(link, Order::Say(frame));
            }
            Ok(Done::Link) => {}
            Err(error) => warn!(%error, "a link's task died"),
        }
    }

    fn ask(&mut self, ask: super::handle::Ask) {
        let others = self.links.one_each().map(|(id, met)| (id, met.replica.clone())).collect();
        if let Some(frame) = self.asked.begin(ask, others, self.book.missed(), Instant::now()) {
            self.links.say(&frame);
        }
    }

    fn answer(&mut self, link: LinkId, question: Question) {
        if self.questions >= QUESTIONS_MAX {
            let late = vec![format!("replica {}", self.settings.replica)];
            let frame = Frame::Drained { ask: question.ask, acked: 0, subscribers: 1, late };
            return self.links.order(link, Order::Say(frame));
        }
        self.questions += 1;
        let (index, subscribers) = (self.index.clone(), self.ends.subscribers.clone());
        self.tasks
            .spawn(async move { Done::Answered(link, drains::answer(question, index, subscribers).await) });
    }

    fn note(&mut self, word: Word) {
        let now_ms = self.index.now_ms();
        match word {
            Word::Sign { epoch, answer, asked_ms } => self.book.sign(&epoch, answer, asked_ms, now_ms),
            Word::Answered => self.book.answered(now_ms),
        }
    }

    /// Who asks the addresses outside the cluster tells the others what they answer.
    fn tell_outside(&mut self) {
        if *self.means.asks_outside.borrow() {
            let words = self.index.outside_words().borrow().clone();
            Frame::outside(&words, true).iter().for_each(|frame| self.links.say(frame));
        }
    }

    fn wakes_at(&self) -> Instant {
        let tick = Instant::now() + Duration::from_millis(TICK_MS);
        self.asked.wakes_at().map_or(tick, |asked| asked.min(tick))
    }
}
