//! The controller's end of a session as a state machine without IO: frames and snapshots in, frames out.
//!
//! There is no queue of frames for a peer. What is pending is a set of names, at most as large as the subscriptions;
//! the frame is made from the newest snapshot when the socket takes it, and shared with all who need the same. A slow
//! reader skips states; what it keeps alive meanwhile is the encoded frames of the one service that it is in the middle
//! of.
//!
//! ```text
//!  hear(frame) ─► Heard: what the shell must do      look(snapshot) ─► what is stale ─► speak() ─► frame
//! ```

mod allowance;
mod clock;
mod summary;
mod talk;
mod telling;
mod told;
mod version;
mod way;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use allowance::Allowance;
use bytes::Bytes;
use clock::{Clock, Due};
use rollcall_catalogue::{ContentHash, ServiceKey, Snapshot, changes::Reading, liveness::ProbeWitness};
use talk::Talk;
use telling::Telling;
use thiserror::Error;
use version::Version;
pub use way::Way;

use crate::{
    duty::{DUTIES_MAX, Duty},
    feed::{Feed, Room, encoded},
    frame::{Down, Drain, HealthOf, PROTOCOL, PodIdentity, Up},
    limits::{
        ANSWERS_MAX, ASKS_MAX, DRAIN_DEFAULT, DRAIN_MAX, INCARNATION_BYTES_MAX, REGISTRATIONS_MAX,
        RESYNC_EVERY, SUBSCRIPTIONS_MAX, TOKEN_EVERY, milliseconds,
    },
    question::{Question, Told},
    registration::{RegistrationKey, SelfRegistration},
    token::Token,
    usage::ServiceUsage,
};

/// Why a session ends, in our own words: those of a `goaway`. Any other reason is a [`Violation`].
pub mod reason {
    pub const SHUTDOWN: &str = "shutdown";
    /// Another replica has fewer sessions.
    pub const MOVED: &str = "moved";
    /// This replica hears neither the others nor Kubernetes.
    pub const CUT: &str = "cut";
    pub const BEHIND: &str = "behind";
    /// The pod has a newer session.
    pub const SUPERSEDED: &str = "superseded";
    pub const POD_GONE: &str = "pod-gone";
    /// Nothing was heard for too long.
    pub const SILENT: &str = "silent";
    /// A frame was not taken, or a `synced` not acknowledged, for too long.
    pub const SLOW: &str = "slow";
    /// No session lives for ever.
    pub const EXPIRED: &str = "expired";
    pub const NO_HELLO: &str = "no-hello";
}

/// Holds what a session begins with.
#[derive(Debug, Clone)]
pub struct Opening {
    pub replica: String,
    /// Where sessions are served: this one first, as the peer has reached it.
    pub replicas: Arc<[SocketAddr]>,
    pub way: Way,
    pub pod: PodIdentity,
    /// How long the session may last.
    pub life_ms: u64,
}

/// Holds what both ends have agreed on, and what is still to be said.
#[derive(Debug)]
pub struct Server {
    pod: PodIdentity,
    feed: Arc<Feed>,
    stage: Stage,
    version: Version,
    /// Names this replica in the welcome, which is sent after the peer's hello.
    welcome: Option<String>,
    replicas: Arc<[SocketAddr]>,
    /// They are others than the peer was told.
    replicas_due: bool,
    way: Way,
    /// It is another one than the peer was told.
    way_due: bool,
    answers: VecDeque<Down>,
    /// The newest, where the peer has not heard it.
    duties: Option<Arc<[Duty]>>,
    telling: Telling,
    /// Questions that were heard, and whose answers are not all told.
    asks: usize,
    talk: Talk,
    clock: Clock,
    farewell: Option<Farewell>,
    /// Services are told later; everything else is not.
    held_back: bool,
    /// When the peer was found out of step.
    resynced_ms: Option<u64>,
    /// When the last token was taken that the peer has shown in the session.
    token_ms: Option<u64>,
    usage: Allowance,
    unknown_frames: u64,
}

/// Holds the last word.
#[derive(Debug, Clone)]
struct Farewell {
    reason: String,
    /// Where the peer is to come back at once.
    dial: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `hello` has not come.
    Silent,
    Open,
    /// `goaway` was sent, or nobody took it.
    Closed,
}

/// Says what the shell must do about a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Hello {
        incarnation: String,
        sequence: u64,
        registrations: Vec<SelfRegistration>,
    },
    /// These as well, from now on.
    Subscribed(Vec<ServiceKey>),
    Unsubscribed(Vec<ServiceKey>),
    /// Everything up to this number of the feed is applied, of what is subscribed to.
    Acked(u64),
    Register(SelfRegistration),
    Deregister(RegistrationKey),
    Health {
        /// None is all that the pod is.
        of: Option<HealthOf>,
        probe: ProbeWitness,
    },
    Drain {
        drain: Drain,
        deadline_ms: u64,
        /// To be given back.
        ask: Option<u64>,
    },
    /// To be answered with [`Server::tell`].
    Ask {
        ask: u64,
        question: Question,
    },
    /// To be reviewed; one that is no good says nothing of the session.
    Token(Token),
    /// So has the app used these, which it need not subscribe to.
    Used(Vec<ServiceUsage>),
    Resynced(Resync),
}

/// Says why a session is told more than what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resync {
    /// It holds services, and its cursor is of another process, or too old.
    Cursor,
    /// It holds something else than it was told.
    Digest,
}

/// Says what a peer did that no peer may do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    #[error("hello must be the first frame, and come once")]
    Hello,
    #[error("protocol: `{0}` is not spoken here; use {PROTOCOL}")]
    Protocol(String),
    #[error("incarnation: use 1 to {INCARNATION_BYTES_MAX} bytes")]
    Incarnation,
    #[error("more than {SUBSCRIPTIONS_MAX} subscriptions; unsubscribe first")]
    Subscriptions,
    #[error("more than {REGISTRATIONS_MAX} registrations")]
    Registrations,
    #[error("more than {ASKS_MAX} questions at a time; wait for their answers")]
    Asks,
    #[error("ack of {told}: there is no synced of this number to be acknowledged")]
    Ack { told: u64 },
}

// === impl Server ===

impl Server {
    pub fn new(opening: Opening, feed: Arc<Feed>, now_ms: u64) -> Self {
        let Opening { replica, replicas, way, pod, life_ms } = opening;
        Self {
            talk: Talk::new(pod.namespace.clone(), feed.clone()),
            pod,
            feed,
            stage: Stage::Silent,
            version: Version::default(),
            welcome: Some(replica),
            replicas,
            replicas_due: false,
            way: way.fit(),
            way_due: false,
            answers: VecDeque::new(),
            duties: None,
            telling: Telling::default(),
            asks: 0,
            clock: Clock::new(life_ms, now_ms),
            farewell: None,
            held_back: false,
            resynced_ms: None,
            token_ms: None,
            usage: Allowance::default(),
            unknown_frames: 0,
        }
    }

    /// Who is at the other end.
    pub fn pod(&self) -> &PodIdentity {
        &self.pod
    }

    /// Why the session ends, or has ended; none while it does not.
    pub fn farewell(&self) -> Option<&str> {
        self.farewell.as_ref().map(|farewell| farewell.reason.as_str())
    }

    /// The number of the feed up to which the peer has applied everything that concerns it; none while something is to
    /// be told or acknowledged.
    pub fn in_step(&self) -> Option<u64> {
        let told = self.stage == Stage::Open && self.clock.syncs.is_empty();
        self.talk.told_all().filter(|_| told)
    }

    /// Whether the peer wants the list of all services.
    pub fn reads_summary(&self) -> bool {
        self.talk.reads_summary()
    }

    /// While held back, a peer is told nothing of services: it waits for its turn, and hears heartbeats meanwhile.
    pub fn hold_back(&mut self, held_back: bool) {
        self.held_back = held_back;
    }

    /// Frames of types that are not known here.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown_frames
    }

    pub fn closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// What the shell must do about this frame. After a violation the session ends with its text.
    pub fn hear(&mut self, frame: Up, now_ms: u64) -> Result<Vec<Heard>, Violation> {
        if self.farewell.is_some() {
            return Ok(Vec::new());
        }
        self.understand(frame, now_ms).inspect_err(|violation| self.go_away(violation.to_string()))
    }

    /// A new snapshot, which is the feed's of this number, and holds all that the replica had read of Kubernetes up to this
    /// position. To be called before anything can be told, whenever a service has changed that is subscribed to, after
    /// [`Heard::Subscribed`], and before [`Server::tick`].
    pub fn look(&mut self, catalogue: &Snapshot, number: u64, reading: &Arc<Reading>) {
        self.talk.look(catalogue, number, reading);
    }

    /// Answers of the shell.
    pub fn say(&mut self, frame: Down) {
        if self.answers.len() >= ANSWERS_MAX {
            return self.go_away(reason::SLOW);
        }
        self.answers.push_back(frame);
    }

    /// The answer to a question that was heard. The shell has one made at a time: what was not told is kept here.
    pub fn tell(&mut self, ask: u64, told: Told) {
        self.telling.add(ask, told);
    }

    /// Whether the peer waits for an answer: all of them are said before the last word only where that comes later.
    pub fn owes_answers(&self) -> bool {
        !self.answers.is_empty() || self.asks > 0
    }

    /// Whether an answer is not told to its end.
    pub fn is_telling(&self) -> bool {
        self.telling.has_more()
    }

    /// What the pod is, from now on: only the newest is told.
    pub fn set_duties(&mut self, duties: Arc<[Duty]>) {
        self.duties = Some(duties);
    }

    /// Where sessions are served from now on, this replica first: only the newest is told.
    pub fn set_replicas(&mut self, replicas: Arc<[SocketAddr]>) {
        if self.replicas != replicas {
            self.replicas = replicas;
            // Who was not greeted yet hears them then.
            self.replicas_due = self.welcome.is_none() && self.version.knows_replicas();
        }
    }

    /// Whom to believe and where to call from now on: only the newest is told.
    pub fn set_way(&mut self, way: Way) {
        let way = way.fit();
        if self.way != way {
            self.way = way;
            // Who was not greeted yet hears it then.
            self.way_due = self.welcome.is_none() && self.version.knows_the_installation();
        }
    }

    /// The session ends after this word.
    pub fn go_away(&mut self, reason: impl Into<String>) {
        self.send_away(reason, None);
    }

    /// The same, and the peer is to come back at once, to this address.
    pub fn send_away(&mut self, reason: impl Into<String>, dial: Option<SocketAddr>) {
        let dial = dial.filter(|_| self.version.knows_replicas());
        self.farewell.get_or_insert_with(|| Farewell { reason: reason.into(), dial });
    }

    /// Where the peer was told to come back.
    pub fn dial(&self) -> Option<SocketAddr> {
        self.farewell.as_ref().and_then(|farewell| farewell.dial)
    }

    pub fn has_more(&self) -> bool {
        match self.stage {
            Stage::Closed => false,
            _ if self.farewell.is_some() => true,
            Stage::Silent => false,
            Stage::Open => {
                self.welcome.is_some()
                    || self.replicas_due
                    || self.way_due
                    || self.duties.is_some()
                    || !self.answers.is_empty()
                    || self.telling.has_more()
                    || self.clock.beat_due
                    || (!self.held_back && self.talk.has_more(&self.clock))
            }
        }
    }

    /// The next frame that the socket may take, made from this snapshot, which is not older than the last that was
    /// looked at; none while there is nothing to say.
    pub fn speak(&mut self, catalogue: &Snapshot, now_ms: u64) -> Option<Bytes> {
        if self.stage == Stage::Closed {
            return None;
        }
        if let Some(Farewell { reason, dial }) = self.farewell.clone() {
            self.stage = Stage::Closed;
            return encoded(&Down::Goaway { reason, dial }).ok();
        }
        if self.stage == Stage::Silent {
            return None;
        }
        let first = self.greet().or_else(|| self.name_replicas()).or_else(|| self.name_way());
        // Answers hold a few names and sentences, and fit.
        let answer = |answers: &mut VecDeque<Down>| answers.pop_front().and_then(|one| encoded(&one).ok());
        let mut talk = |clock: &mut Clock| match self.held_back {
            true => None,
            false => self.talk.speak(catalogue, clock, now_ms),
        };
        let frame = first
            .or_else(|| self.duties.take().and_then(|duties| duties_frame(&duties)))
            .or_else(|| answer(&mut self.answers))
            .or_else(|| talk(&mut self.clock))
            .or_else(|| self.tell_on())
            .or_else(|| self.clock.beat_due.then(|| encoded(&Down::Heartbeat).ok()).flatten());
        if frame.is_some() {
            self.clock.spoke(now_ms);
        }
        frame
    }

    /// Call [`Server::tick`] then at the latest.
    pub fn wake_at_ms(&self) -> u64 {
        let clock_ms = self.clock.wake_at_ms(self.farewell.is_some());
        self.talk.wake_at_ms().map_or(clock_ms, |talk_ms| clock_ms.min(talk_ms))
    }

    /// Whether the session has lived for so long as it may.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.farewell.is_none() && self.clock.has_expired(now_ms)
    }

    /// It may live for so much longer.
    pub fn put_off(&mut self, by_ms: u64, now_ms: u64) {
        self.clock.put_off(by_ms, now_ms);
    }

    /// Heartbeats, silence, slowness, and the end of the session's life.
    pub fn tick(&mut self, now_ms: u64) {
        self.talk.tick(now_ms);
        match self.clock.tick(now_ms, self.farewell.is_some()) {
            Due::Nothing => {}
            // It has done nothing wrong, and finds its successor here.
            Due::Farewell(reason::EXPIRED) => {
                self.send_away(reason::EXPIRED, self.replicas.first().copied());
            }
            Due::Farewell(reason) => self.go_away(reason),
            Due::Closed => self.stage = Stage::Closed,
        }
        if self.clock.beat_due && self.clock.is_new(now_ms) {
            self.talk.owe_reading();
        }
    }

    fn greet(&mut self) -> Option<Bytes> {
        let replica = self.welcome.take()?;
        (self.replicas_due, self.way_due) = (false, false);
        let reading = match self.version.knows_replicas() {
            true => self.talk.tell_reading(),
            false => Arc::default(),
        };
        let (position, changed) = (reading.reach.clone(), reading.changed_otherwise());
        let (protocol, epoch) = (self.version.to_string(), self.feed.epoch().to_string());
        let (replicas, pod) = (self.replicas.to_vec(), self.pod.clone());
        // The first minor has a field for the authorities.
        let Way { ca, controller } = self.way.clone();
        let controller = controller.filter(|_| self.version.knows_the_installation());
        let welcome =
            Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed };
        encoded(&welcome).ok()
    }

    fn name_replicas(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.replicas_due) {
            return None;
        }
        encoded(&Down::Replicas { replicas: self.replicas.to_vec() }).ok()
    }

    fn name_way(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.way_due) {
            return None;
        }
        let Way { ca, controller } = self.way.clone();
        encoded(&Down::Way { ca, controller }).ok()
    }

    /// The next frame of an answer to a person: after all that lookups need.
    fn tell_on(&mut self) -> Option<Bytes> {
        let (frame, ends) = self.telling.speak()?;
        self.asks -= usize::from(ends);
        Some(frame)
    }

    fn understand(&mut self, frame: Up, now_ms: u64) -> Result<Vec<Heard>, Violation> {
        if frame != Up::Unknown && (self.stage == Stage::Silent) != matches!(frame, Up::Hello { .. }) {
            return Err(Violation::Hello);
        }
        if self.stage == Stage::Open || frame != Up::Unknown {
            self.clock.heard(now_ms);
        }
        Ok(match frame {
            Up::Hello { protocol, incarnation, sequence, epoch, cursor, held, registrations } => {
                let Some(version) = Version::common(&protocol) else {
                    return Err(Violation::Protocol(protocol.chars().take(16).collect()));
                };
                if incarnation.is_empty() || incarnation.len() > INCARNATION_BYTES_MAX {
                    return Err(Violation::Incarnation);
                }
                if registrations.len() > REGISTRATIONS_MAX {
                    return Err(Violation::Registrations);
                }
                let is_ours = epoch.is_some_and(|epoch| *epoch == **self.feed.epoch());
                let is_resumed = held.is_empty() || (is_ours && self.feed.knows(cursor));
                self.talk.hold(held)?;
                self.version = version;
                self.stage = Stage::Open;
                let hello = Heard::Hello { incarnation, sequence, registrations };
                std::iter::once(hello)
                    .chain((!is_resumed).then_some(Heard::Resynced(Resync::Cursor)))
                    .collect()
            }
            Up::Subscribe { services, summary } => {
                let new = self.talk.subscribe(&services, summary)?;
                if new.is_empty() { Vec::new() } else { vec![Heard::Subscribed(new)] }
            }
            Up::Unsubscribe { services, summary } => {
                let left = self.talk.unsubscribe(&services, summary);
                if left.is_empty() { Vec::new() } else { vec![Heard::Unsubscribed(left)] }
            }
            Up::Ack { cursor } => match self.clock.syncs.iter().position(|(told, _)| *told == cursor) {
                // One that names a later one has applied those before it as well.
                Some(place) => {
                    self.clock.syncs.drain(..=place);
                    vec![Heard::Acked(cursor)]
                }
                None => return Err(Violation::Ack { told: cursor }),
            },
            Up::Heartbeat { cursor, digest } => self.compare(cursor, digest, now_ms),
            Up::Register { registration } => vec![Heard::Register(registration)],
            Up::Deregister { key } => vec![Heard::Deregister(key)],
            Up::Health { of, probe } => vec![Heard::Health { of, probe }],
            Up::Drain { drain, deadline_ms, ask } => {
                let deadline_ms = match deadline_ms {
                    0 => milliseconds(DRAIN_DEFAULT),
                    said => said.min(milliseconds(DRAIN_MAX)),
                };
                vec![Heard::Drain { drain, deadline_ms, ask }]
            }
            Up::Ask { ask, question } => {
                if self.asks >= ASKS_MAX {
                    return Err(Violation::Asks);
                }
                self.asks += 1;
                vec![Heard::Ask { ask, question }]
            }
            Up::Token { token } => self.take_token(token, now_ms),
            Up::Usage { services } => self.take_usage(services, now_ms),
            Up::Unknown => {
                self.unknown_frames += 1;
                Vec::new()
            }
        })
    }

    /// What cannot be a token, or comes too soon after another one, is nothing.
    fn take_token(&mut self, token: Token, now_ms: u64) -> Vec<Heard> {
        if !self.version.knows_replicas() {
            self.unknown_frames += 1;
            return Vec::new();
        }
        let may = |then_ms| now_ms >= then_ms + milliseconds(TOKEN_EVERY);
        if !token.fits() || !self.token_ms.is_none_or(may) {
            return Vec::new();
        }
        self.token_ms = Some(now_ms);
        vec![Heard::Token(token)]
    }

    fn take_usage(&mut self, services: Vec<ServiceUsage>, now_ms: u64) -> Vec<Heard> {
        if !self.version.knows_the_installation() {
            self.unknown_frames += 1;
            return Vec::new();
        }
        let taken = self.usage.take(services, now_ms);
        if taken.is_empty() { Vec::new() } else { vec![Heard::Used(taken)] }
    }

    /// Finds staleness that nobody noticed. Only a peer that has applied everything can be compared.
    fn compare(&mut self, cursor: u64, digest: ContentHash, now_ms: u64) -> Vec<Heard> {
        let is_settled = self.clock.syncs.is_empty() && self.talk.is_settled(cursor);
        if !is_settled || self.talk.digest() == digest {
            return Vec::new();
        }
        // Who is always out of step is not told everything at each of its heartbeats.
        if self.resynced_ms.is_some_and(|then| now_ms < then + milliseconds(RESYNC_EVERY)) {
            return Vec::new();
        }
        self.resynced_ms = Some(now_ms);
        self.talk.tell_all_again();
        vec![Heard::Resynced(Resync::Digest)]
    }
}

/// As many as there may be, and fit.
fn duties_frame(duties: &[Duty]) -> Option<Bytes> {
    let mut room = Room::default();
    let fit = duties.iter().take(DUTIES_MAX).take_while(|duty| room.take(duty).unwrap_or(false));
    encoded(&Down::Duties { duties: fit.cloned().collect() }).ok()
}

#[cfg(test)]
mod tests;
