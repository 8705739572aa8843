//! The one task that knows all links, decides who is heard, and tells everybody else in the process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::body::Incoming;
use kube::Client;
use rollcall_catalogue::changes::Position;
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
    behind::{Way as GivesWay, serves},
    book::{Book, Look, TICK_MS, Turn},
    dial::{DialError, Dialer},
    dials::Dials,
    drains::{self, Asked, Question},
    fleet::{Fleet, Other},
    handle::{Ends, PeersHandle, handle},
    link::{Event, LinkId, Moving, Needs, ORDERS_MAX, Order, Way},
    links::Links,
    sign::{self, Errand, Word},
    standing::{Process, is_met},
};
use crate::{
    index::{Index, PeerStanding, Replica},
    operate::Metrics,
    owner::{IndexHandle, OwnerGone, View},
    sessions::roster::Outcome,
};

/// Events of all links that wait for the hub. A link whose event has no place waits, which only fills its socket.
const EVENTS_MAX: usize = 256;

/// Answers of the API server that wait: one about each that is missed.
const WORDS_MAX: usize = 64;

/// A replica that starts waits for what the others know for so long at most: one that does not tell it is not well itself, and
/// must not keep us from serving.
const MEET_MAX_MS: u64 = 3_000;

/// Between two looks at the file of our own token, which the kubelet renews some ten minutes before it ends.
const TOKEN_LOOKS_MS: u64 = 30_000;

/// Between two times in which all is to be told to us again, where notes had to be dropped: that is as many notes as there
/// are pods.
const TOLD_AGAIN_EVERY_MS: u64 = 60_000;

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
    /// Does what follows from all that is known now.
    async fn look(&mut self, view: &View, ear: &Shutdown) -> Result<(), OwnerGone> {
        let now_ms = self.index.now_ms();
        let replicas = view.complete.then_some(&*view.replicas);
        if let Some(replicas) = replicas {
            self.dials.set(replicas);
        }
        for id in self.links.dropped() {
            self.ended(id, "dropped", now_ms);
        }
        self.asked.tick(Instant::now());
        self.look_at_token(now_ms);
        let look = self.book.look(replicas, &view.reading.reach, now_ms);
        for (replica, turn) in &look.turns {
            match turn {
                Turn::Lost => {
                    warn!(%replica, "another replica is lost: nobody hears it, and it gives no sign of life");
                }
                Turn::Back => info!(%replica, "another replica that was lost is heard again"),
            }
        }
        if look.is_cut && !self.look.is_cut {
            warn!("no other replica is heard, and no API server: we are cut off, and send our sessions away");
        }
        match (self.look.is_behind, look.is_behind) {
            (false, true) => warn!("other replicas read on in Kubernetes, and we do not: we are behind"),
            (true, false) => info!("as much of Kubernetes is known here as other replicas know"),
            _ => {}
        }
        if look.standings != self.look.standings {
            self.index.set_peers(look.standings.clone()).await?;
        }
        self.look = look;
        self.metrics.peers(self.look.counts);
        if !self.is_met {
            self.is_met = self.meets(replicas, now_ms);
        }
        self.have_told_again(now_ms).await?;
        self.tell(replicas.unwrap_or_default(), &view.happened, now_ms);
        let links = &self.links;
        for address in self.dials.due(now_ms, |name| links.has_named(name)) {
            let (dialer, mut ear) = (self.dialer.clone(), ear.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    dialled = dialer.dial(address) => Done::Dialled(address, dialled),
                    () = ear.requested() => Done::Link,
                }
            });
        }
        Ok(())
    }

    /// A file that cannot be read is the dialler's to tell of.
    fn look_at_token(&mut self, now_ms: u64) {
        if now_ms < self.token_due_ms {
            return;
        }
        self.token_due_ms = now_ms + TOKEN_LOOKS_MS;
        if let Ok(token) = self.dialer.token() {
            self.token.send_if_modified(|held| held.replace(token.clone()) != Some(token));
        }
    }

    /// Where notes had to be dropped that waited for their pods, all is to be told again: with new links.
    async fn have_told_again(&mut self, now_ms: u64) -> Result<(), OwnerGone> {
        if now_ms < self.told_again_ms {
            return Ok(());
        }
        self.told_again_ms = now_ms.saturating_add(TOLD_AGAIN_EVERY_MS);
        if self.index.ask(Index::take_dropped_notes).await? {
            warn!("too many pods that others tell of are not known here yet: all is told again");
            self.links.end_all("again");
        }
        Ok(())
    }

    /// Whether we know what the others know; once it is so, it stays.
    fn meets(&mut self, replicas: Option<&[Replica]>, now_ms: u64) -> bool {
        let Some(replicas) = replicas else { return false };
        let complete_ms = *self.complete_ms.get_or_insert(now_ms);
        let known = self.book.known();
        let is_synced = |epoch: &Arc<str>| known.get(epoch).is_some_and(Process::is_synced);
        let all_are = is_met(known, replicas, &self.settings.replica, self.dials.named_are(is_synced));
        if !all_are && now_ms < complete_ms + MEET_MAX_MS {
            return false;
        }
        info!(waited_ms = now_ms - complete_ms, told = all_are, "what the other replicas know is known here");
        true
    }

    /// Tells the process and the other replicas how all of us stand.
    fn tell(&mut self, replicas: &[Replica], happened: &Position, now_ms: u64) {
        let own = *self.ends.own.borrow();
        let met: Vec<_> = self.links.one_each().map(|(_, met)| met).collect();
        // Whom we hear again, and who has not told all yet, others hear through us as little.
        let is_unheard = |epoch| matches!(self.look.standings.get(epoch), Some(PeerStanding::Unheard { .. }));
        let heard = met.iter().filter(|met| !is_unheard(&met.epoch));
        let hears = heard.map(|met| met.epoch.clone()).collect();
        let beat = Beat { sessions: own.sessions, hears, standing: own.standing, changed: happened.clone() };
        self.beat.send_if_modified(|held| std::mem::replace(held, beat.clone()) != beat);

        let reachable = met.iter().filter_map(|met| {
            let sessions_at = self.dials.address_of(&met.replica, &met.epoch)?;
            Some((met, sessions_at))
        });
        let reachable: Vec<_> = reachable.collect();
        let standings: Vec<_> = reachable.iter().map(|(met, _)| met.beat.standing).collect();
        let others = reachable.into_iter().map(|(met, sessions_at)| Other {
            replica: met.replica.clone(),
            sessions_at,
            sessions: met.beat.sessions,
            serves: serves(met.beat.standing, own.standing, &standings),
        });
        let mut fleet = Fleet {
            is_met: self.is_met,
            others: others.collect(),
            cut_from: Vec::new(),
            is_behind: self.look.is_behind,
            gives_way: self.way.look(self.look.is_behind, &standings, now_ms),
        };
        if self.look.is_cut {
            let missed = self.look.lookout.reads.iter();
            let at = missed.filter_map(|missed| self.dials.address_of(&missed.replica, &missed.epoch));
            fleet.cut_from = at.collect();
        }
        self.ends.fleet.send_if_modified(|held| {
            let is_news = **held != fleet;
            if is_news {
                *held = Arc::new(fleet);
            }
            is_news
        });

        let is_ours = |replica: &&Replica| *replica.name == *self.settings.replica;
        let pod = replicas.iter().find(is_ours).map(|replica| replica.uid.clone());
        let errand = Errand { lookout: self.look.lookout.clone(), pod };
        self.errand.send_if_modified(|held| std::mem::replace(held, errand.clone()) != errand);
    }

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
            Heard::Hello { who, beat } => self.met(id, &who, beat, now_ms),
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

    fn met(&mut self, id: LinkId, who: &Introduction, beat: Beat, now_ms: u64) {
        if !self.links.has(&who.epoch) {
            info!(replica = who.replica, epoch = %who.epoch, "another replica is met");
        }
        self.book.linked(who, &beat, now_ms);
        if let Some(address) = self.links.get(id).and_then(|held| held.dialled) {
            self.dials.met(address, &who.epoch);
        }
        self.links.met(id, who, beat);
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
