//! The sidecar's end of the wire, without IO and without a clock: frames in, frames and events out.
//!
//! ```text
//!  open ─► hello, subscribe ─►  ║ controller ║ ─► hear ─┬─► events: what lookups are answered from
//!  take_up ─► acks, heartbeats ►║            ║          └─► a violation: the session is over
//!  closed ◄── whoever ended it ─╨────────────╨  what is held stays, and is offered in the next `hello`
//! ```
//!
//! A held service is dropped only where the controller says that it is gone, and nothing is believed that does not come
//! to the hash that was told with it. Of a replica that has read less of Kubernetes than was told before, what is new is
//! shown, and what it lacks stays.

mod acks;
mod asks;
mod event;
mod hear;
mod holdings;
mod horizon;
mod parts;
mod subscriptions;
mod summary;
mod weight;
mod words;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use rollcall_catalogue::{Service, ServiceKey, ServiceRef, changes::Position, liveness::ProbeWitness};

pub use self::event::{Drained, Event, Full, Violation};
use self::{
    acks::Acks,
    asks::Asks,
    event::Doubt,
    holdings::Holdings,
    horizon::Horizon,
    parts::Parts,
    subscriptions::{Due, Subscriptions},
    summary::Summary,
    words::Words,
};
use crate::{
    duty::Duty,
    frame::{Down, Drain, HealthOf, PROTOCOL, ServiceSummary, Up},
    limits::{
        ANSWERED_OTHERWISE_WITHIN, ANSWERED_WITHIN, FRAME_BYTES_MAX, FRAME_HEAD_BYTES_MAX, HEARTBEAT_EVERY,
        LATENESS_MAX, SILENCE_MAX, SILENCE_WITH_OTHERS_MAX, USAGE_SERVICES_MAX, milliseconds,
    },
    question::Question,
    registration::{RegistrationKey, SelfRegistration},
    token::Token,
    usage::ServiceUsage,
};

/// Holds what a sidecar knows of its sessions, over all of them: what is held and wanted, and what the pod said of
/// itself. Times are milliseconds of any clock that never goes back.
#[derive(Debug)]
pub struct Client {
    incarnation: String,
    /// Sessions so far.
    sequence: u64,
    place: Option<Place>,
    horizon: Horizon,
    /// Where sessions are served, as was told last.
    replicas: Vec<SocketAddr>,
    subscriptions: Subscriptions,
    holdings: Holdings,
    summary: Summary,
    words: Words,
    /// As the controller said last.
    duties: Vec<Duty>,
    /// Of the last question or drain.
    number: u64,
    session: Option<Session>,
    unknown_frames: u64,
}

/// Holds how far the controller's process that was heard last has told.
#[derive(Debug)]
struct Place {
    epoch: String,
    cursor: u64,
}

/// Holds what is known of the session that is open.
#[derive(Debug)]
struct Session {
    welcome: Option<Welcome>,
    parts: Parts,
    asks: Asks,
    /// What had to wait for what goes before it.
    later: Vec<Up>,
    acks: Acks,
    beat_due: bool,
    beat_at_ms: u64,
    /// The replica is to be asked how far it has come.
    position_due: bool,
    heard_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Welcome {
    /// Its hashes are of fields that we know.
    verify: bool,
    /// It hears of tokens that are renewed.
    takes_tokens: bool,
    /// It hears how services are used.
    takes_usage: bool,
}

// === impl Session ===

impl Session {
    /// Something was heard: a heartbeat is due, but where one was just said. So both ends know of one silence, and whoever
    /// waits for the other one, and goes, is there before it is missed.
    fn answer(&mut self, is_beat: bool, now_ms: u64) {
        let said_ms = self.beat_at_ms.saturating_sub(milliseconds(HEARTBEAT_EVERY));
        let within = if is_beat { ANSWERED_WITHIN } else { ANSWERED_OTHERWISE_WITHIN };
        if self.welcome.is_some() && now_ms >= said_ms.saturating_add(milliseconds(within)) {
            self.beat(now_ms);
        }
    }

    /// A heartbeat is due, and the next one a whole time later.
    fn beat(&mut self, now_ms: u64) {
        self.beat_due = true;
        self.beat_at_ms = now_ms.saturating_add(milliseconds(HEARTBEAT_EVERY));
    }
}

// === impl Client ===

impl Client {
    /// Of a process that is named so, differently after each start. `bytes_max`: what all that is held of services may
    /// take in memory, by an estimate that counts each instance as if it shared nothing. While a service is told anew as
    /// a whole, what was held of it comes on top.
    pub fn new(incarnation: String, bytes_max: usize) -> Self {
        Self {
            incarnation,
            sequence: 0,
            place: None,
            horizon: Horizon::default(),
            replicas: Vec::new(),
            subscriptions: Subscriptions::default(),
            holdings: Holdings::new(bytes_max),
            summary: Summary::default(),
            words: Words::default(),
            duties: Vec::new(),
            number: 0,
            session: None,
            unknown_frames: 0,
        }
    }

    /// What an earlier process held, and verified; before the first session. It is wanted from now on, and offered to the
    /// controller; what has no room is left out.
    pub fn restore(&mut self, held: impl IntoIterator<Item = (ServiceKey, Service)>) {
        for (key, service) in held {
            // Nothing is held that is not wanted.
            if self.subscriptions.want(key.clone()) && !self.holdings.restore(key.clone(), service) {
                self.subscriptions.unwant(&key);
            }
        }
    }

    /// How far an earlier process had been told, at the least, of what it held.
    pub fn restore_position(&mut self, position: Position) {
        self.horizon.restore(position);
    }

    /// A new link is open: what is to be said first.
    pub fn open(&mut self, now_ms: u64) -> Vec<Up> {
        self.sequence += 1;
        self.subscriptions.begin();
        self.words.begin();
        self.horizon.leave();
        let summary = self.summary.begin();
        self.session = Some(Session {
            welcome: None,
            parts: Parts::default(),
            asks: Asks::default(),
            later: Vec::new(),
            acks: Acks::default(),
            beat_due: false,
            position_due: false,
            beat_at_ms: now_ms.saturating_add(milliseconds(HEARTBEAT_EVERY)),
            heard_ms: now_ms,
        });
        let registrations = self.words.registrations();
        let room = FRAME_BYTES_MAX - FRAME_HEAD_BYTES_MAX;
        let hello = Up::Hello {
            protocol: PROTOCOL.to_owned(),
            incarnation: self.incarnation.clone(),
            sequence: self.sequence,
            epoch: self.place.as_ref().map(|place| place.epoch.clone()),
            cursor: self.place.as_ref().map_or(0, |place| place.cursor),
            held: self.holdings.offer(room.saturating_sub(self.words.registrations_bytes())),
            registrations,
        };
        let Due { ask, .. } = self.subscriptions.take_due();
        [hello].into_iter().chain(subscribe(&ask, summary)).chain(self.words.after_hello()).collect()
    }

    /// What the controller says. After a violation the session is over: nothing more of it is heard.
    pub fn hear(&mut self, frame: Down, now_ms: u64) -> Result<Vec<Event>, Violation> {
        let heard = self.take(frame, now_ms);
        if let Err(violation) = &heard {
            self.holdings.doubt(&violation.doubt());
            self.session = None;
        }
        heard
    }

    /// The app wants to be told of these, over all sessions; beyond the limit they are not taken. The frame is to be
    /// sent now; what must wait comes with [`Client::take_up`].
    pub fn subscribe(&mut self, keys: impl IntoIterator<Item = ServiceKey>) -> Option<Up> {
        keys.into_iter().for_each(|key| {
            self.subscriptions.want(key);
        });
        self.say_due()
    }

    /// Not any more: they are not held from now on.
    pub fn unsubscribe<'a>(&mut self, keys: impl IntoIterator<Item = &'a ServiceKey>) -> Option<Up> {
        for key in keys {
            self.subscriptions.unwant(key);
            self.holdings.let_go(key);
        }
        self.say_due()
    }

    /// Whether the app wants to be told of all services that it may see, in short.
    pub fn want_summary(&mut self, wanted: bool) -> Option<Up> {
        let changed = self.summary.want(wanted);
        self.session.as_ref()?;
        let (services, summary) = (Vec::new(), true);
        match wanted {
            true => self.summary.ask().then_some(Up::Subscribe { services, summary }),
            false => changed.then_some(Up::Unsubscribe { services, summary }),
        }
    }

    /// The app registers itself, or changes what it registered under this key; said in each session from now on.
    pub fn register(&mut self, registration: SelfRegistration) -> Result<Option<Up>, Full> {
        let open = self.session.is_some();
        self.words.register(registration.clone(), open)?;
        Ok(open.then_some(Up::Register { registration }))
    }

    /// No longer; said in each session from now on, until it is registered again: a controller may know of it that did not
    /// hear that it was taken back.
    pub fn deregister(&mut self, key: &RegistrationKey) -> Option<Up> {
        self.words.deregister(key);
        self.session.as_ref().map(|_| Up::Deregister { key: key.clone() })
    }

    /// What is known of the app's health; the latest word is said again in each session. Nothing is all that the pod is.
    pub fn health(&mut self, of: Option<HealthOf>, probe: ProbeWitness) -> Result<Option<Up>, Full> {
        self.words.say_health(of.clone(), probe)?;
        Ok(self.session.as_ref().map(|_| Up::Health { of, probe }))
    }

    /// This is the pod's token from now on: whoever knows it to be good takes us back without asking. None without a
    /// session, or in one that does not know of this.
    pub fn renew(&self, token: Token) -> Option<Up> {
        let welcome = self.session.as_ref()?.welcome?;
        welcome.takes_tokens.then_some(Up::Token { token })
    }

    /// How the app has used services, which is asked for only where it can be told: in a session that knows of this.
    pub fn tell_usage(&self, news: impl FnOnce() -> Vec<ServiceUsage>) -> Vec<Up> {
        let welcome = self.session.as_ref().and_then(|session| session.welcome);
        if !welcome.is_some_and(|welcome| welcome.takes_usage) {
            return Vec::new();
        }
        let frame = |services: &[ServiceUsage]| Up::Usage { services: services.to_vec() };
        news().chunks(USAGE_SERVICES_MAX).map(frame).collect()
    }

    /// Asks this in the session that is open, under a number that the answer comes with; with the session, the question
    /// is lost. None without a session, or while too many have no answer.
    pub fn ask(&mut self, question: Question) -> Option<(u64, Up)> {
        let session = self.session.as_mut()?;
        let ask = self.number + 1;
        if !session.asks.ask(ask, &question) {
            return None;
        }
        self.number = ask;
        Some((ask, Up::Ask { ask, question }))
    }

    /// Asks for this in the session that is open, under a number that the answer comes with; with the session, the
    /// question is lost.
    pub fn drain(&mut self, drain: Drain, deadline_ms: u64) -> Option<(u64, Up)> {
        self.session.as_ref()?;
        self.number += 1;
        Some((self.number, Up::Drain { drain, deadline_ms, ask: Some(self.number) }))
    }

    /// The instances that the pod is, as the controller said last, in this session or an earlier one.
    pub fn duties(&self) -> &[Duty] {
        &self.duties
    }

    /// What is due to be said. To be asked for after each call of [`Client::hear`] and [`Client::tick`]: what was told is
    /// acknowledged.
    pub fn take_up(&mut self) -> Vec<Up> {
        let later = self.say_due();
        let asked = self.place_due().and_then(|key| subscribe(&[key], false));
        let cursor = self.place.as_ref().map_or(0, |place| place.cursor);
        let Some(session) = &mut self.session else { return Vec::new() };
        // The digest is of all that is held: it is taken for a heartbeat, and not with each frame that is heard.
        let beat = std::mem::take(&mut session.beat_due);
        let beat = beat.then(|| Up::Heartbeat { cursor, digest: self.holdings.digest() });
        // Whoever hears the acks knows what was left before.
        let mut frames: Vec<_> =
            std::mem::take(&mut session.later).into_iter().chain(later).chain(asked).collect();
        let is_said_anyway = beat.is_some() || !frames.is_empty();
        let acks = session.acks.take(is_said_anyway).map(|cursor| Up::Ack { cursor });
        frames.extend(acks.chain(beat));
        frames
    }

    /// When [`Client::tick`] is to be called, at the latest.
    pub fn wake_at_ms(&self) -> u64 {
        let Some(session) = &self.session else { return u64::MAX };
        let silent_at_ms = session.heard_ms.saturating_add(milliseconds(self.silence_max()));
        let ack_at_ms = session.acks.wake_at_ms().unwrap_or(u64::MAX);
        session.beat_at_ms.min(silent_at_ms).min(ack_at_ms).min(self.horizon.ask_at_ms())
    }

    /// For how long a controller may say nothing: less where there is another one to go to.
    pub fn silence_max(&self) -> Duration {
        if self.replicas.len() > 1 { SILENCE_WITH_OTHERS_MAX } else { SILENCE_MAX }
    }

    /// Notes that a heartbeat is due, or finds that the controller was silent for too long: the session is over then. Who
    /// comes much too late stood still, and may have the controller's words still before it.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Violation> {
        let late_ms = now_ms.saturating_sub(self.wake_at_ms());
        let silence_ms = milliseconds(self.silence_max());
        let Some(session) = &mut self.session else { return Ok(()) };
        if late_ms > milliseconds(LATENESS_MAX) {
            session.heard_ms = now_ms;
        }
        if now_ms >= session.heard_ms.saturating_add(silence_ms) {
            self.session = None;
            return Err(Violation::Silent);
        }
        self.horizon.pass(now_ms);
        session.position_due |= self.horizon.take_ask(now_ms);
        session.acks.tick(now_ms);
        if now_ms >= session.beat_at_ms {
            session.beat(now_ms);
        }
        Ok(())
    }

    /// The link is gone, whoever ended it. What is held stays.
    pub fn closed(&mut self) {
        self.session = None;
    }

    /// The link is gone because what came was no frame: of which service it was is not known, so that the next session
    /// offers none.
    pub fn garbled(&mut self) {
        self.holdings.doubt(&Doubt::All);
        self.session = None;
    }

    /// What is held may lack what this build knows of it: it stays, and the next session tells all of it anew.
    pub fn doubt_held(&mut self) {
        self.holdings.doubt(&Doubt::All);
    }

    /// All that is shown, whether in step or not.
    pub fn held(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.holdings.iter()
    }

    /// The list of services as it was last known to be whole; none where it is not wanted, or was never told.
    pub fn summary(&self) -> Option<&Arc<BTreeMap<ServiceKey, ServiceSummary>>> {
        self.summary.shown()
    }

    /// Whether everything that is wanted was answered in this session, by one who is not behind: all that is shown is kept
    /// current.
    pub fn in_step(&self) -> bool {
        let welcome = self.session.as_ref().is_some_and(|session| session.welcome.is_some());
        welcome && !self.is_behind() && self.subscriptions.all_answered() && self.summary.answered()
    }

    /// How far Kubernetes is known here, by the word of those who told what is shown.
    pub fn position(&self) -> &Position {
        self.horizon.known()
    }

    /// Where sessions are served, as was told last; the one that told it first. Not more than
    /// [`crate::limits::REPLICAS_MAX`].
    pub fn replicas(&self) -> &[SocketAddr] {
        &self.replicas
    }

    /// Frames of types that this build does not know, which were skipped.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown_frames
    }

    /// The name to ask for again, where the replica is to say how far it has come. Of somebody who wants nothing, nothing
    /// waits for that.
    fn place_due(&mut self) -> Option<ServiceKey> {
        let due = std::mem::take(&mut self.session.as_mut()?.position_due);
        due.then(|| self.subscriptions.ask_again()).flatten()
    }

    /// Whether what is told may lack what was known here before. To who wants nothing, nothing is told.
    fn is_behind(&self) -> bool {
        self.horizon.is_behind() && self.subscriptions.any_wanted()
    }

    /// Whether nothing is kept beside what was told.
    #[cfg(test)]
    fn shows_what_was_told(&self) -> bool {
        self.holdings.is_as_told()
    }

    /// What is due of the subscriptions, where it is one frame; several wait, in their order, for [`Client::take_up`].
    fn say_due(&mut self) -> Option<Up> {
        let session = self.session.as_mut()?;
        let Due { leave, ask } = self.subscriptions.take_due();
        let leave = (!leave.is_empty())
            .then(|| Up::Unsubscribe { services: leave.iter().map(reference).collect(), summary: false });
        let mut frames = leave.into_iter().chain(subscribe(&ask, false));
        match (frames.next(), frames.next()) {
            (only, None) => only,
            (first, second) => {
                session.later.extend(first.into_iter().chain(second));
                None
            }
        }
    }
}

fn subscribe(ask: &[ServiceKey], summary: bool) -> Option<Up> {
    let services: Vec<_> = ask.iter().map(reference).collect();
    (summary || !services.is_empty()).then_some(Up::Subscribe { services, summary })
}

fn reference(key: &ServiceKey) -> ServiceRef {
    ServiceRef { service: key.service.clone(), namespace: Some(key.namespace.clone()) }
}

#[cfg(test)]
mod client_tests;
