//! A session's place at the owner, and what goes back and forth between the two.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use rollcall_catalogue::{PodUid, ServiceKey, liveness::ProbeWitness};
use rollcall_wire::{Drain, Duty, HealthOf, RegistrationKey, SelfRegistration};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Input, OwnerGone, clock::Clock};
use crate::index::is_late;

/// Says what became of a session that said hello.
#[derive(Debug)]
pub(crate) enum Opened {
    Open(Presence),
    /// The same sidecar has made a newer session since.
    Stale,
    PodGone,
}

/// Holds a session's place at the owner. Dropping it is how a session ends, however it ends.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(super) place: Place,
    pub(super) pulse: Arc<Pulse>,
    pub(super) clock: Clock,
    pub(super) inputs: mpsc::Sender<Input>,
    /// Resolves when the owner no longer wants this session.
    pub(super) dismissed: oneshot::Receiver<Dismissal>,
    /// What the pod is, once that is known.
    pub(super) duties: watch::Receiver<Option<Arc<[Duty]>>>,
    /// Of the registrations that came with `hello`, those that are refused.
    pub(super) rejected: Vec<Answer>,
    pub(super) _alive: oneshot::Sender<()>,
}

/// Holds a session's right to speak for its pod.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    place: Place,
    inputs: mpsc::Sender<Input>,
}

/// Says what the owner tells a session that it did not ask for.
#[derive(Debug)]
pub(crate) enum News {
    Dismissed(Dismissal),
    /// What the pod is, now that it is known or another than before; only the newest.
    Duties(Arc<[Duty]>),
}

/// Says why the owner ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dismissal {
    PodGone,
    Superseded,
}

/// Says what an app, or its sidecar, wants of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Register(SelfRegistration),
    Deregister(RegistrationKey),
    Health { of: Option<HealthOf>, probe: ProbeWitness },
    Drain(Drain),
}

/// Says what came of a word; given when everyone may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Registered(RegistrationKey),
    Rejected {
        key: RegistrationKey,
        reason: String,
        field: Option<String>,
    },
    /// Of the other words on the app.
    Done,
    /// Of each drain: who is to acknowledge the catalogue's change of this number before nobody calls the pod any more.
    /// Without services there is nobody to be waited for.
    Drained {
        terminating: bool,
        number: u64,
        services: Vec<ServiceKey>,
    },
}

/// Names one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) uid: PodUid,
    /// Counts the sessions of the process.
    pub(super) number: u64,
}

/// Holds how a session ended, for its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parting {
    pub(super) heard_ms: u64,
    /// The pod's end closed it.
    pub(super) by_peer: bool,
}

/// Holds what a session and the owner both look at, so that a frame costs no message.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When the last frame came, of the owner's clock.
    heard_ms: AtomicU64,
    /// The owner misses frames: the next one is news.
    doubted: AtomicBool,
    ended_by_peer: AtomicBool,
}

// === impl Presence ===

impl Presence {
    /// A frame came.
    pub(crate) fn heard(&self) {
        self.pulse.heard_ms.store(self.clock.now_ms(), Ordering::SeqCst);
        if self.pulse.doubted.load(Ordering::SeqCst) {
            // An owner that is that busy looks at the pulse within a second.
            let told = self.inputs.try_send(Input::Heard(self.place.clone()));
            self.pulse.doubted.store(told.is_err(), Ordering::SeqCst);
        }
    }

    /// Those of the registrations that came with `hello` that are refused; given once.
    pub(crate) fn take_rejected(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.rejected)
    }

    /// What the owner has for this session next. Safe to drop and call again.
    pub(crate) async fn news(&mut self) -> News {
        tokio::select! {
            // An owner that is gone is a process that ends; the session hears that from its own shutdown.
            Ok(dismissal) = &mut self.dismissed => News::Dismissed(dismissal),
            duties = newest(&mut self.duties) => News::Duties(duties),
        }
    }

    /// The pod's end has closed or reset the stream, or was heard until we sent it away: its node is alive. Not for one that
    /// was silent.
    pub(crate) fn ended_by_peer(&mut self) {
        self.pulse.ended_by_peer.store(true, Ordering::SeqCst);
    }

    /// We send it away to another replica, now: until that one hears it, its clock goes on, so that for whoever asks nothing
    /// has changed. It counts from here, since until here nobody missed it, and a dial in vain takes it seconds; not for one
    /// that was late already.
    pub(crate) fn moved(&self) {
        let now_ms = self.clock.now_ms();
        if !is_late(self.pulse.heard_ms(), now_ms) {
            self.pulse.heard_ms.store(now_ms, Ordering::SeqCst);
        }
    }

    /// What speaks for this session, while others move it.
    pub(crate) fn voice(&self) -> Voice {
        Voice { place: self.place.clone(), inputs: self.inputs.clone() }
    }
}

/// The next value; never, where nobody is left who gives one.
async fn newest(duties: &mut watch::Receiver<Option<Arc<[Duty]>>>) -> Arc<[Duty]> {
    while duties.changed().await.is_ok() {
        if let Some(duties) = duties.borrow_and_update().clone() {
            return duties;
        }
    }
    std::future::pending().await
}

// === impl Voice ===

impl Voice {
    /// Says this to the registry, and waits until everyone may see what came of it.
    pub(crate) async fn say(self, word: Word) -> Result<Answer, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Word { place: self.place, word, reply };
        self.inputs.send(input).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }
}

// === impl Pulse ===

impl Pulse {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            heard_ms: AtomicU64::new(now_ms),
            doubted: AtomicBool::default(),
            ended_by_peer: AtomicBool::default(),
        }
    }

    pub(super) fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::SeqCst)
    }

    /// The next frame is news. Gives when the last one came, should it have come just now.
    pub(super) fn doubt(&self) -> u64 {
        self.doubted.store(true, Ordering::SeqCst);
        self.heard_ms()
    }

    /// How the session ended, which is asked once it has.
    pub(super) fn parting(&self) -> Parting {
        Parting { heard_ms: self.heard_ms(), by_peer: self.ended_by_peer.load(Ordering::SeqCst) }
    }
}
