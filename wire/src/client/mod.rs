//! The sidecar's end of the wire, without IO and without a clock: frames in, frames and events out.
//!
//! ```text
//!  open ─► hello, subscribe ─►  ║ controller ║ ─► hear ─┬─► events: what lookups are answered from
//!  take_up ─► acks, heartbeats ►║            ║          └─► a violation: the session is over
//!  closed ◄── whoever ended it ─╨────────────╨  what is held stays, and is offered in the next `hello`
//! ```
//!
//! A held service is dropped only where the controller says that it is gone, and nothing is believed that does not come
//! to the hash that was told with it.

mod event;
mod holdings;
mod parts;
mod subscriptions;
mod summary;
mod words;

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::{
    Service, ServiceKey, ServiceName, ServiceRef, changes::Head, liveness::ProbeWitness,
};

pub use self::event::{Drained, Event, Full, Violation};
use self::{
    holdings::Holdings,
    parts::{Parts, Told},
    subscriptions::{Answer, Due, Subscriptions},
    summary::Summary,
    words::Words,
};
use crate::{
    frame::{Down, Drain, PROTOCOL, ServiceSummary, Up},
    limits::{EPOCH_BYTES_MAX, FRAME_BYTES_MAX, FRAME_HEAD_BYTES_MAX, HEARTBEAT_EVERY, SILENCE_MAX},
    registration::SelfRegistration,
};

const HEARTBEAT_EVERY_MS: u64 = HEARTBEAT_EVERY.as_millis() as u64;
const SILENCE_MAX_MS: u64 = SILENCE_MAX.as_millis() as u64;

/// Holds what a sidecar knows of its sessions, over all of them: what is held and wanted, and what the pod said of
/// itself. Times are milliseconds of any clock that never goes back.
#[derive(Debug)]
pub struct Client {
    incarnation: String,
    /// Sessions so far.
    sequence: u64,
    place: Option<Place>,
    subscriptions: Subscriptions,
    holdings: Holdings,
    summary: Summary,
    words: Words,
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
    /// What had to wait for what goes before it.
    later: Vec<Up>,
    /// One for each `synced` that was heard since they were taken.
    acks: Vec<u64>,
    beat_due: bool,
    beat_at_ms: u64,
    heard_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Welcome {
    /// The peer speaks exactly our version: its hashes are of fields that we know.
    verify: bool,
}

// === impl Client ===

impl Client {
    /// Of a process that is named so, differently after each start.
    pub fn new(incarnation: String) -> Self {
        Self {
            incarnation,
            sequence: 0,
            place: None,
            subscriptions: Subscriptions::default(),
            holdings: Holdings::default(),
            summary: Summary::default(),
            words: Words::default(),
            session: None,
            unknown_frames: 0,
        }
    }

    /// A new link is open: what is to be said first.
    pub fn open(&mut self, now_ms: u64) -> Vec<Up> {
        self.sequence += 1;
        self.subscriptions.begin();
        self.words.begin();
        let summary = self.summary.begin();
        self.session = Some(Session {
            welcome: None,
            parts: Parts::default(),
            later: Vec::new(),
            acks: Vec::new(),
            beat_due: false,
            beat_at_ms: now_ms.saturating_add(HEARTBEAT_EVERY_MS),
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
        [hello].into_iter().chain(subscribe(&ask, summary)).chain(self.words.health()).collect()
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
        keys.into_iter().for_each(|key| self.subscriptions.want(key));
        self.ask()
    }

    /// Not any more: they are not held from now on.
    pub fn unsubscribe<'a>(&mut self, keys: impl IntoIterator<Item = &'a ServiceKey>) -> Option<Up> {
        for key in keys {
            self.subscriptions.unwant(key);
            self.holdings.let_go(key);
        }
        self.ask()
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

    /// The app registers itself, or changes what it registered under this name; said in each session from now on.
    pub fn register(&mut self, registration: SelfRegistration) -> Result<Option<Up>, Full> {
        let open = self.session.is_some();
        self.words.register(registration.clone(), open)?;
        Ok(open.then_some(Up::Register { registration }))
    }

    pub fn deregister(&mut self, service: &ServiceName) -> Option<Up> {
        let said = self.words.deregister(service) && self.session.is_some();
        said.then(|| Up::Deregister { service: service.clone() })
    }

    /// What is known of the app's health; the latest word is said again in each session.
    pub fn health(&mut self, service: Option<ServiceName>, probe: ProbeWitness) -> Result<Option<Up>, Full> {
        self.words.say_health(service.clone(), probe)?;
        Ok(self.session.as_ref().map(|_| Up::Health { service, probe }))
    }

    /// Asks for this in the session that is open; with it, the question is lost.
    pub fn drain(&mut self, drain: Drain, deadline_ms: u64) -> Option<Up> {
        self.session.as_ref().map(|_| Up::Drain { drain, deadline_ms })
    }

    /// What is due to be said. To be asked for after each call of [`Client::hear`] and [`Client::tick`]: each `synced`
    /// is acknowledged.
    pub fn take_up(&mut self) -> Vec<Up> {
        let later = self.ask();
        let digest = self.holdings.digest();
        let cursor = self.place.as_ref().map_or(0, |place| place.cursor);
        let Some(session) = &mut self.session else { return Vec::new() };
        let acks = std::mem::take(&mut session.acks).into_iter().map(|cursor| Up::Ack { cursor });
        let beat = std::mem::take(&mut session.beat_due).then_some(Up::Heartbeat { cursor, digest });
        // Whoever hears the acks knows what was left before.
        std::mem::take(&mut session.later).into_iter().chain(later).chain(acks).chain(beat).collect()
    }

    /// When [`Client::tick`] is to be called, at the latest.
    pub fn wake_at_ms(&self) -> u64 {
        let silent_at = |session: &Session| session.heard_ms.saturating_add(SILENCE_MAX_MS);
        self.session.as_ref().map_or(u64::MAX, |session| session.beat_at_ms.min(silent_at(session)))
    }

    /// Notes that a heartbeat is due, or finds that the controller was silent for too long: the session is over then.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Violation> {
        let Some(session) = &mut self.session else { return Ok(()) };
        if now_ms >= session.heard_ms.saturating_add(SILENCE_MAX_MS) {
            self.session = None;
            return Err(Violation::Silent);
        }
        if now_ms >= session.beat_at_ms {
            session.beat_due = true;
            session.beat_at_ms = now_ms.saturating_add(HEARTBEAT_EVERY_MS);
        }
        Ok(())
    }

    /// The link is gone, whoever ended it. What is held stays.
    pub fn closed(&mut self) {
        self.session = None;
    }

    /// All that is held, whether in step or not.
    pub fn held(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.holdings.iter()
    }

    /// The list of services as it was last known to be whole; none where it is not wanted, or was never told.
    pub fn summary(&self) -> Option<&BTreeMap<ServiceKey, ServiceSummary>> {
        self.summary.shown()
    }

    /// Whether everything that is wanted was answered in this session: all that is held is kept current.
    pub fn in_step(&self) -> bool {
        let welcome = self.session.as_ref().is_some_and(|session| session.welcome.is_some());
        welcome && self.subscriptions.all_answered() && self.summary.answered()
    }

    /// Frames of types that this build does not know, which were skipped.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown_frames
    }

    fn take(&mut self, frame: Down, now_ms: u64) -> Result<Vec<Event>, Violation> {
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        session.heard_ms = now_ms;
        let first = session.welcome.is_none();
        match &frame {
            Down::Goaway { .. } | Down::Unknown => {}
            frame if matches!(frame, Down::Welcome { .. }) != first => return Err(Violation::Welcome),
            Down::Remove { .. } | Down::Summary { .. } | Down::Synced { .. } => {
                if let Some(key) = session.parts.open() {
                    return Err(Violation::Parts(key.clone()));
                }
            }
            _ => {}
        }
        Ok(match frame {
            Down::Welcome { protocol, replica, epoch, pod, .. } => {
                session.welcome = Some(Welcome { verify: protocol == PROTOCOL });
                self.begin_epoch(&protocol, epoch)?;
                vec![Event::Welcomed { replica, pod }]
            }
            Down::Upsert {
                service: key,
                revision,
                hash,
                base,
                policy,
                truncated,
                instances,
                removed,
                more,
            } => {
                let head = Head { revision, hash, policy, truncated };
                match session.parts.add(Told { key, head, base, instances, removed }, more)? {
                    None => Vec::new(),
                    Some(told) => self.upsert(told)?,
                }
            }
            Down::Remove { service: key, .. } => {
                let gone = self.subscriptions.takes(&key) && self.holdings.let_go(&key);
                gone.then_some(Event::Gone { key }).into_iter().collect()
            }
            Down::Summary { services, removed, whole } => {
                let changed = self.summary.take(services, &removed, whole)?;
                changed.then_some(Event::SummaryChanged).into_iter().collect()
            }
            Down::Synced { cursor, services, summary } => self.synced(cursor, services, summary)?,
            Down::Registered { service } => {
                self.words.accepted(&service);
                vec![Event::Registered { service }]
            }
            Down::Rejected { service, reason, field } => {
                self.words.rejected(&service);
                vec![Event::Rejected { service, reason, field }]
            }
            Down::Drained { complete, terminating, acked, subscribers, late, elapsed_ms } => {
                let drained = Drained { complete, terminating, acked, subscribers, late, elapsed_ms };
                vec![Event::Drained(drained)]
            }
            Down::Heartbeat => Vec::new(),
            Down::Goaway { reason } => vec![Event::Dismissed { reason }],
            Down::Unknown => {
                self.unknown_frames += 1;
                Vec::new()
            }
        })
    }

    fn begin_epoch(&mut self, protocol: &str, epoch: String) -> Result<(), Violation> {
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if major(protocol) != major(PROTOCOL) {
            return Err(Violation::Protocol);
        }
        if epoch.len() > EPOCH_BYTES_MAX {
            return Err(Violation::Epoch);
        }
        if self.place.as_ref().is_none_or(|place| place.epoch != epoch) {
            self.holdings.begin_epoch();
            self.place = Some(Place { epoch, cursor: 0 });
        }
        Ok(())
    }

    fn upsert(&mut self, told: Told) -> Result<Vec<Event>, Violation> {
        if !self.subscriptions.takes(&told.key) {
            return Ok(Vec::new());
        }
        let verify = self.session.as_ref().and_then(|session| session.welcome).is_some_and(|it| it.verify);
        let key = told.key.clone();
        match self.holdings.take(told, verify) {
            Ok(changed) => Ok(changed.map(|service| Event::Changed { key, service }).into_iter().collect()),
            Err(Violation::OutOfStep(key)) if !self.holdings.has(&key) && self.subscriptions.skip(&key) => {
                Ok(Vec::new())
            }
            Err(violation) => Err(violation),
        }
    }

    fn synced(
        &mut self,
        cursor: u64,
        services: Vec<ServiceKey>,
        summary: bool,
    ) -> Result<Vec<Event>, Violation> {
        match &mut self.place {
            Some(place) if place.cursor <= cursor => place.cursor = cursor,
            _ => return Err(Violation::Cursor),
        }
        let mut events = Vec::new();
        for key in services {
            match self.subscriptions.answer(&key) {
                Answer::Counts { .. } if self.holdings.vouched(&key) => {}
                Answer::Counts { skipped: true } => return Err(Violation::OutOfStep(key)),
                Answer::Counts { skipped: false } => {
                    self.holdings.let_go(&key);
                    events.push(Event::Gone { key });
                }
                Answer::Moot => {}
            }
        }
        if summary && self.summary.synced() {
            events.push(Event::SummaryChanged);
        }
        if let Some(session) = &mut self.session {
            session.acks.push(cursor);
        }
        events.push(Event::Synced);
        Ok(events)
    }

    /// What is due of the subscriptions, where it is one frame; several wait, in their order, for [`Client::take_up`].
    fn ask(&mut self) -> Option<Up> {
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
