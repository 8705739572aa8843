//! One session: its machine, and everything that moves it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use rollcall_catalogue::PodUid;
use rollcall_net::Shutdown;
use rollcall_wire::{
    Decoder, Down, Up,
    server::{Heard, Resync, Server},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{Instant, Sleep, sleep_until},
};
use tracing::{debug, info};

use super::{
    admission::Stranger,
    away::Away,
    board::{Leave, Orders, Place},
    callers::Callers,
    ending::Ending,
    errands::{DRAINS_MAX, Errands, Reply},
    inquiries::Inquiries,
    piece::{PIECES_MAX, pieces},
    renewal::{PUT_OFF_BY, Renewal},
    server::way,
    turn::Turn,
};
use crate::{
    operate::Metrics,
    owner::{Answer, Dismissal, IndexHandle, News, Opened, OwnerGone, Presence, View, Word},
    peers::PeersHandle,
    told::Told,
};

/// Later than anything that a session waits for.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// Holds one session. Dropping it ends the session.
pub(crate) struct Session {
    pub(crate) uid: PodUid,
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    pub(crate) incoming: Incoming,
    /// Has room for what goes at once, and takes it when the socket has taken what went before.
    pub(crate) outgoing: mpsc::Sender<Bytes>,
    pub(crate) index: IndexHandle,
    pub(crate) inquiries: Arc<Inquiries>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) place: Place,
    /// Where its peer has reached this replica.
    pub(crate) local: Option<SocketAddr>,
    /// What its peer is to know of the installation.
    pub(crate) told: watch::Receiver<Told>,
    pub(crate) peers: PeersHandle,
    pub(crate) metrics: Metrics,
    pub(crate) renewal: Renewal,
    pub(crate) turn: Turn,
    /// Its connection's, until the owner knows the session.
    pub(crate) stranger: Arc<Stranger>,
    /// The session's place among all, given back with the rest.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Holds the monotonic clock of a session's machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

struct Running {
    session: Session,
    decoder: Decoder<Up>,
    presence: Option<Presence>,
    errands: Errands,
    alarm: std::pin::Pin<Box<Sleep>>,
    /// The number up to which the peer is known to be in step.
    in_step: u64,
    /// It has asked for more since, and nothing that it acknowledges says that it has all of it.
    catches_up: bool,
    reads_summary: bool,
    /// It is to end.
    leave: Option<Leave>,
    /// Its end was noted, and only the last word is to be taken.
    leaving: bool,
}

/// Says what moved a session.
enum Moved {
    Room,
    Taken(Option<Result<Frame<Bytes>, hyper::Error>>),
    NobodyTakes,
    Rung,
    Due,
    Turn(OwnedSemaphorePermit),
    Answered(Result<Reply, OwnerGone>),
    News(News),
    Told,
    Judged,
    Shutdown,
}

// === impl Session ===

impl Session {
    /// Moves the session until it has ended.
    pub(crate) fn run(self, mut shutdown: Shutdown) -> impl Future<Output = ()> + Send {
        // Here, and not in what waits: that would hold the session twice.
        let mut running = Running {
            session: self,
            decoder: Decoder::default(),
            presence: None,
            errands: Errands::new(),
            alarm: Box::pin(sleep_until(Instant::now())),
            in_step: 0,
            catches_up: false,
            reads_summary: false,
            leave: None,
            leaving: false,
        };
        async move {
            let ending = loop {
                running.hear_what_came().await;
                running.note_progress();
                running.leave_if_told();
                if let Some(ending) = running.ended() {
                    break ending;
                }
                let moved = running.moved(&mut shutdown).await;
                if let Some(ending) = running.apply(moved) {
                    break ending;
                }
            };
            running.close(ending);
        }
    }
}

// === impl Running ===

impl Running {
    /// Waits for whatever comes first. Safe to drop: nothing is taken that is not given.
    async fn moved(&mut self, shutdown: &mut Shutdown) -> Moved {
        let wakes_at = self.session.clock.at(self.session.server.wake_at_ms());
        let wakes_at = self.session.turn.ends_at().map_or(wakes_at, |ends_at| wakes_at.min(ends_at));
        if self.alarm.deadline() != wakes_at {
            self.alarm.as_mut().reset(wakes_at);
        }
        let stays = !self.leaving;
        let hears = stays && self.errands.have_room();
        // One answer to a person is held at a time, and is long.
        let may_answer = !self.session.server.is_telling();
        let Self { session, presence, errands, alarm, .. } = self;
        let (renewal, told) = (&mut session.renewal, &mut session.told);
        tokio::select! {
            room = session.outgoing.reserve_many(PIECES_MAX), if session.server.has_more() => match room {
                Ok(_) => Moved::Room,
                Err(_) => Moved::NobodyTakes,
            },
            frame = session.incoming.frame(), if hears => Moved::Taken(frame),
            () = session.place.rung(), if stays => Moved::Rung,
            () = alarm.as_mut() => Moved::Due,
            turn = session.turn.come(), if stays => Moved::Turn(turn),
            answer = errands.next(may_answer), if stays => Moved::Answered(answer),
            news = news(presence), if stays => Moved::News(news),
            () = renewal.judged(), if stays => Moved::Judged,
            () = changed(told), if stays => Moved::Told,
            () = shutdown.requested(), if stays => Moved::Shutdown,
        }
    }

    /// Does what follows; gives how the session ends, where it ends without another word.
    fn apply(&mut self, moved: Moved) -> Option<Ending> {
        match moved {
            Moved::Room => self.speak(),
            Moved::Taken(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    self.decoder.push(&chunk);
                }
            }
            Moved::Taken(Some(Err(error))) => {
                debug!(%error, "a session broke off");
                return Some(self.ending());
            }
            Moved::Taken(None) | Moved::NobodyTakes => return Some(self.ending()),
            Moved::Rung => {
                self.take_orders();
                self.look();
            }
            Moved::Due => {
                self.session.turn.end_if_over();
                self.look();
                self.mind_expiry();
                self.session.server.tick(self.session.clock.now_ms());
            }
            Moved::Turn(permit) => {
                self.session.turn = Turn::held(permit);
                self.session.server.hold_back(false);
            }
            Moved::Answered(Ok(Reply::Nothing)) => {}
            Moved::Answered(Ok(Reply::Frame(frame))) => self.session.server.say(*frame),
            Moved::Answered(Ok(Reply::Told { ask, told })) => self.session.server.tell(ask, told),
            Moved::Answered(Err(OwnerGone)) | Moved::Shutdown => self.end(Ending::Shutdown),
            Moved::Told => {
                let told = way(&self.session.told.borrow_and_update());
                self.session.server.set_way(told);
            }
            Moved::Judged => self.session.place.shows(self.session.renewal.shown()),
            Moved::News(News::Duties(duties)) => self.session.server.set_duties(duties),
            Moved::News(News::Dismissed(Dismissal::PodGone)) => self.end(Ending::PodGone),
            Moved::News(News::Dismissed(Dismissal::Superseded)) => self.end(Ending::Superseded),
        }
        None
    }

    /// Hears the frames that are there, as long as there is room for what follows from them.
    async fn hear_what_came(&mut self) {
        while self.session.server.farewell().is_none() && self.errands.have_room() {
            let frame = match self.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return self.session.server.go_away(error.to_string()),
            };
            match self.session.server.hear(frame, self.session.clock.now_ms()) {
                Ok(heard) => {
                    if let Some(presence) = &self.presence {
                        presence.heard();
                    }
                    for heard in heard {
                        self.heed(heard).await;
                    }
                    self.note_summary();
                }
                // The machine says goodbye by itself.
                Err(violation) => return debug!(%violation, "a session is at fault"),
            }
        }
    }

    async fn heed(&mut self, heard: Heard) {
        match heard {
            Heard::Hello { incarnation, sequence, registrations } => {
                let uid = self.session.uid.clone();
                let opening = self.session.index.open_session(uid, incarnation, sequence, registrations);
                match opening.await {
                    Ok(Opened::Open(presence)) => self.open(presence),
                    Ok(Opened::Stale) => self.end(Ending::Superseded),
                    Ok(Opened::PodGone) => self.end(Ending::PodGone),
                    Err(OwnerGone) => self.end(Ending::Shutdown),
                }
            }
            Heard::Subscribed(keys) => {
                if self.session.turn.ask() {
                    self.session.server.hold_back(true);
                }
                self.session.place.subscribed(keys);
                self.falls_behind();
                self.look();
            }
            Heard::Unsubscribed(keys) => self.session.place.unsubscribed(keys),
            Heard::Acked(number) if !self.catches_up => self.acked(number),
            Heard::Acked(_) => {}
            Heard::Register(registration) => self.say(Word::Register(registration)),
            Heard::Deregister(key) => self.say(Word::Deregister(key)),
            Heard::Health { of, probe } => self.say(Word::Health { of, probe }),
            Heard::Drain { drain, deadline_ms, ask } => {
                let Some(presence) = &self.presence else { return };
                let callers = Callers {
                    index: self.session.index.clone(),
                    pod: self.session.uid.clone(),
                    here: self.session.place.asker(),
                    elsewhere: self.session.peers.clone(),
                };
                if !self.errands.drain(presence.voice(), callers, drain, deadline_ms, ask) {
                    let reason = format!("more than {DRAINS_MAX} drains at a time; wait for their answers");
                    self.session.server.go_away(reason);
                }
            }
            Heard::Ask { ask, question } => {
                let (inquiries, home) = (&self.session.inquiries, &self.session.server.pod().namespace);
                self.errands.ask(inquiries.clone(), home.clone(), ask, question);
            }
            Heard::Used(said) => self.session.place.used(said),
            Heard::Token(token) => {
                self.session.renewal.begin(token);
                self.session.place.shows(None);
            }
            Heard::Resynced(why) => {
                self.session.metrics.resynced(why);
                if why == Resync::Digest {
                    self.session.place.fell_behind();
                    self.falls_behind();
                }
            }
        }
    }

    fn open(&mut self, mut presence: Presence) {
        for answer in presence.take_rejected() {
            if let Answer::Rejected { key, reason, field } = answer {
                self.session.server.say(Down::Rejected { key, reason, field });
            }
        }
        self.presence = Some(presence);
        self.session.stranger.becomes_known();
        self.look();
    }

    fn say(&mut self, word: Word) {
        // The machine hears no word before hello.
        if let Some(presence) = &self.presence {
            self.errands.say(presence.voice(), word);
        }
    }

    fn look(&mut self) {
        let view = self.session.view.borrow().clone();
        self.session.server.look(&view.catalogue, view.number, &view.reading);
    }

    fn speak(&mut self) {
        let view = self.session.view.borrow().clone();
        self.session.server.look(&view.catalogue, view.number, &view.reading);
        let Session { server, clock, outgoing, .. } = &mut self.session;
        let now_ms = clock.now_ms();
        let frames = std::iter::from_fn(|| server.speak(&view.catalogue, now_ms));
        for piece in pieces(frames).into_iter().flatten() {
            // Nobody else fills the room that there was; a reader that is gone is noticed with the next.
            let _ = outgoing.try_send(piece);
        }
    }

    fn take_orders(&mut self) {
        if let Some(Orders { leave, others }) = self.session.place.orders() {
            self.leave = leave;
            self.session.server.set_replicas(replicas(self.session.local, &others));
        }
    }

    /// Whoever is only moved has his answers first: a drain that is under way would have to begin anew.
    fn leave_if_told(&mut self) {
        let is_answered = || self.errands.are_done() && !self.session.server.owes_answers();
        let goes = |leave: &mut Leave| leave.is_urgent() || is_answered();
        if let Some(Leave { ending, dial }) = self.leave.take_if(goes) {
            self.session.server.send_away(ending.as_str(), dial);
        }
    }

    /// Whoever is sent away for no fault must be let in again.
    fn mind_expiry(&mut self) {
        let now_ms = self.session.clock.now_ms();
        if self.session.server.has_expired(now_ms) && !self.session.renewal.may_expire() {
            let by_ms = u64::try_from(PUT_OFF_BY.as_millis()).unwrap_or(u64::MAX);
            self.session.server.put_off(by_ms, now_ms);
        }
    }

    /// Tells the board how far the peer has come.
    fn note_progress(&mut self) {
        if let Some(number) = self.session.server.in_step() {
            self.session.turn.end();
            self.catches_up = false;
            self.acked(number);
        }
    }

    /// Whatever it has acknowledged, it may hold something older from now on.
    fn falls_behind(&mut self) {
        self.in_step = 0;
        self.catches_up = true;
    }

    fn acked(&mut self, number: u64) {
        if number > self.in_step {
            self.in_step = number;
            self.session.place.acked(number);
        }
    }

    fn note_summary(&mut self) {
        let reads_summary = self.session.server.reads_summary();
        if reads_summary != self.reads_summary {
            self.reads_summary = reads_summary;
            self.session.place.wants_summary(reads_summary);
        }
    }

    /// How the session has ended; none while the machine has something to say.
    fn ended(&mut self) -> Option<Ending> {
        let reason = self.session.server.farewell()?;
        if !self.leaving {
            let pod = self.session.server.pod();
            info!(namespace = %pod.namespace, pod = pod.name, reason, "a session is ended");
            self.leaving = true;
            if self.session.server.dial().is_some()
                && let Some(presence) = &self.presence
            {
                presence.moved();
            }
            // Nothing of it is moved from now on, and whoever is being answered keeps others waiting.
            self.errands.forget_asks();
            // Others wait for their turn.
            self.session.turn = Turn::Over;
        }
        self.session.server.closed().then(|| self.ending())
    }

    /// Who has nothing to say goodbye for was left.
    fn ending(&self) -> Ending {
        self.session.server.farewell().map_or(Ending::Closed, Ending::of)
    }

    fn end(&mut self, ending: Ending) {
        self.session.server.go_away(ending.as_str());
    }

    fn close(mut self, ending: Ending) {
        if ending == Ending::Closed {
            let pod = self.session.server.pod();
            debug!(namespace = %pod.namespace, pod = pod.name, "a session is closed by its pod");
        }
        // Whom we send away though it is heard has done nothing that a dead one does; if it finds no way back at once,
        // that is for our own reasons. Who was told where to go is there before anybody misses it.
        let heard_to_the_end =
            matches!(ending, Ending::Closed | Ending::Slow | Ending::Violation | Ending::Expired);
        if let Some(presence) = self.presence.as_mut().filter(|_| heard_to_the_end) {
            presence.ended_by_peer();
        }
        self.session.metrics.session_ended(ending);
        let is_led = self.session.server.dial().is_some();
        let Self { session: Session { uid, place, index, .. }, presence, .. } = self;
        if is_led
            && presence.is_some()
            && let Some(away) = Away::of(&uid, place, index)
        {
            // It ends by itself, and needs nobody who waits for it.
            drop(tokio::spawn(away.run()));
        }
    }
}

/// Where sessions are served, as one peer is told: here first, as it has reached us.
pub(super) fn replicas(local: Option<SocketAddr>, others: &[SocketAddr]) -> Arc<[SocketAddr]> {
    local.iter().chain(others).copied().collect()
}

/// Returns when something else is to be told; what nobody changes any more stays as it is.
async fn changed(told: &mut watch::Receiver<Told>) {
    if told.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn news(presence: &mut Option<Presence>) -> News {
    match presence {
        Some(presence) => presence.news().await,
        None => std::future::pending().await,
    }
}

// === impl Clock ===

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(self, ms: u64) -> Instant {
        self.0.checked_add(Duration::from_millis(ms)).unwrap_or_else(|| self.0 + FAR)
    }
}
