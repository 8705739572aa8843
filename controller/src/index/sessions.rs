//! What the index has of the pods' sessions: who was heard when, and what that says.

use std::sync::Arc;

use rollcall_catalogue::{
    PodUid,
    liveness::{Ours, Peers, SessionFacts, SessionWitness},
};
use rollcall_wire::{
    SelfRegistration,
    limits::INCARNATION_BYTES_MAX,
    peer::{self, SessionNote, Version},
};

use crate::index::{
    Index,
    alarms::Doubt,
    endpoints::OwnerId,
    said::{Refused, Said},
};

/// An open session that is silent for so long is late, and other replicas are told: a frame comes at least every 3 s. Found
/// each second, it is told before the guard counts the session as unheard, which is after 5 s, and so the guards of all
/// replicas count the same ones.
const LATE_AFTER_MS: u64 = 3_500;

/// Holds what the sessions of one pod have told, one after the other and wherever they were, for as long as the pod lives.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: SessionFacts,
    /// What the facts came to when they were judged last: between two assessments of the guard nobody is.
    pub(super) witness: SessionWitness,
    pub(super) said: Said,
    pub(super) doubts: Vec<Doubt>,
    /// Of its note, which is the newest one that anybody has.
    pub(super) version: Version,
    /// The process that has the newest session, or had it, by its epoch.
    pub(super) origin: Arc<str>,
    /// How that one stands, where it is another process; none where it is this one, which has it in its facts.
    pub(super) elsewhere: Option<SessionNote>,
    /// When the newest one was opened that was opened here.
    pub(super) opened_ms: u64,
    /// Others are told that it is late.
    pub(super) is_late: bool,
    /// What was said, as others are told it; none where that is to be put together anew.
    pub(super) told: Option<Arc<peer::Said>>,
    /// Where it stands in the queue of deadlines.
    due_ms: Option<u64>,
}

/// Holds what a sidecar says first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Names the sidecar's process.
    pub incarnation: String,
    /// Counts its sessions.
    pub sequence: u64,
    pub registrations: Vec<SelfRegistration>,
}

/// Says what became of a session that wants to be the pod's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It is; these of its registrations were refused.
    Open(Vec<Refused>),
    /// The same sidecar has made a newer one since.
    Stale,
}

// === impl Session ===

impl Session {
    /// The first of a pod, whose app had said this before.
    pub(super) fn begun(said: Said, expected: bool) -> Self {
        let facts = SessionFacts { expected, ours: Ours::Never, peers: Peers::Never };
        Self {
            facts,
            witness: facts.witness(0),
            said,
            doubts: Vec::new(),
            version: Version::default(),
            origin: Arc::default(),
            elsewhere: None,
            opened_ms: 0,
            is_late: false,
            told: None,
            due_ms: None,
        }
    }

    /// Whether it is open here.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.facts.ours, Ours::Open { .. })
    }

    /// Takes the place of the session that is known, if it is a newer one; says whether another process of the sidecar
    /// makes it. Of one process the session counts that it made last.
    fn opens(&mut self, incarnation: &str, sequence: u64) -> Option<bool> {
        let held = &mut self.version;
        // The first generation is 1: before it there was no session.
        let same = held.generation > 0 && *held.incarnation == *incarnation;
        match same {
            true if sequence < held.sequence => return None,
            true if sequence == held.sequence => {}
            true => (held.sequence, held.count) = (sequence, 0),
            false => {
                let generation = held.generation.saturating_add(1);
                *held = Version { generation, incarnation: incarnation.into(), sequence, count: 0 };
            }
        }
        Some(!same)
    }
}

// === impl Index ===

impl Index {
    /// A session of this pod has said hello; none where the pod is gone. Of one sidecar the session counts that it made
    /// last, in whatever order they come; of two sidecars the one that comes later. So it is
    /// of all replicas together.
    pub fn open_session(&mut self, uid: &PodUid, hello: &Hello, now_ms: u64) -> Option<Opening> {
        let entry = self.pods.get_mut(uid)?;
        let expected = entry.facts.has_sidecar;
        let (written, namespace) = (&self.written, &entry.facts.namespace);
        let session = entry.session.get_or_insert_with(|| {
            // From here on the app speaks for itself: it begins with what it had said to another process.
            let said = Said::begun(uid, written.of(namespace, uid));
            Box::new(Session::begun(said, expected))
        });
        let fits = hello.incarnation.floor_char_boundary(INCARNATION_BYTES_MAX);
        let incarnation = hello.incarnation.get(..fits).unwrap_or_default();
        let Some(anew) = session.opens(incarnation, hello.sequence) else { return Some(Opening::Stale) };
        if anew {
            session.said.begin_incarnation();
        }
        session.facts.heard(now_ms);
        session.opened_ms = now_ms;
        self.brought_here(uid);
        if anew {
            // What an earlier process said of what the pod is no more, nobody takes back.
            self.forget_moot_words(uid);
        }
        self.note_said(uid);
        self.clock.meets(uid);
        self.mark_on_duty(uid);
        self.settle_session(uid, now_ms, false);
        Some(Opening::Open(self.app_has_registered(uid, &hello.registrations)))
    }

    /// Whether Kubernetes ends this pod, or has.
    pub(crate) fn is_ending(&self, uid: &PodUid) -> bool {
        self.pods.get(uid).is_none_or(|entry| !entry.is_alive())
    }

    /// The last frame of the pod's open session came then.
    pub fn heard(&mut self, uid: &PodUid, heard_ms: u64, now_ms: u64) {
        if self.note_heard(uid, heard_ms) {
            self.settle_session(uid, now_ms, false);
        }
    }

    /// The pod's session has ended. `by_peer`: the pod's end closed it, or reset it.
    pub fn session_ended(&mut self, uid: &PodUid, heard_ms: u64, by_peer: bool, now_ms: u64) {
        // Whoever fell silent while we stood still has not: it was we who did not listen.
        let heard_ms = if self.clock.recovers(now_ms) { now_ms } else { heard_ms };
        self.note_heard(uid, heard_ms);
        let session = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut());
        let Some(session) = session.filter(|session| session.is_open()) else { return };
        session.facts.ended(now_ms, by_peer);
        session.is_late = false;
        self.note_news(uid);
        self.settle_session(uid, now_ms, false);
    }

    /// Whether that was news.
    pub(super) fn note_heard(&mut self, uid: &PodUid, heard_ms: u64) -> bool {
        let session = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut());
        let Some(session) = session else { return false };
        let news = matches!(session.facts.ours, Ours::Open { heard_ms: held_ms } if held_ms < heard_ms);
        if news {
            session.facts.heard(heard_ms);
            if std::mem::take(&mut session.is_late) {
                self.note_news(uid);
            }
        }
        news
    }

    /// Takes note of what the facts say now. Who falls silent is judged after the guard was asked, and not before:
    /// `may_judge`. Good news needs nobody's leave.
    pub(super) fn settle_session(&mut self, uid: &PodUid, now_ms: u64, may_judge: bool) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let Some(session) = &mut entry.session else { return };
        let said = session.facts.witness(now_ms);
        let (witness, due_ms) = if may_judge || !is_doubt(said) || said == session.witness {
            (said, session.facts.changes_at_ms(now_ms))
        } else {
            (session.witness, Some(now_ms))
        };
        self.clock.reschedule(uid, session.due_ms, due_ms);
        session.due_ms = due_ms;
        if std::mem::replace(&mut session.witness, witness) != witness {
            let services = entry.services.clone();
            self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
        }
    }

    /// The pod is gone, and its session with it.
    pub(super) fn forget_session(&mut self, uid: &PodUid, session: &Session) {
        self.clock.forget(uid, session.due_ms);
        self.forget_note(uid, session);
        self.orphans.push(uid.clone());
    }

    /// The pods that had a session and are gone, since the last call.
    pub fn take_orphans(&mut self) -> Vec<PodUid> {
        std::mem::take(&mut self.orphans)
    }
}

/// Whether it is open here, and a frame of it is missing.
pub(super) fn is_open_and_late(facts: &SessionFacts, now_ms: u64) -> bool {
    matches!(facts.ours, Ours::Open { heard_ms } if is_late(heard_ms, now_ms))
}

/// Whether a frame is missing of one that was heard then.
pub(crate) fn is_late(heard_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(heard_ms) >= LATE_AFTER_MS
}

/// Whether it makes an instance less than served.
pub(super) fn is_doubt(witness: SessionWitness) -> bool {
    match witness {
        SessionWitness::Quiet | SessionWitness::Silent | SessionWitness::LostLong => true,
        SessionWitness::NotExpected
        | SessionWitness::NeverCame
        | SessionWitness::Live
        | SessionWitness::HeardByPeer
        | SessionWitness::Lost => false,
    }
}
