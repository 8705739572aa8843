//! What the index has of the pods' sessions: who was heard when, and what that says.

use rollcall_catalogue::{
    PodUid,
    liveness::{Ours, Peers, PodWitness, SessionFacts, SessionWitness},
};
use rollcall_wire::SelfRegistration;

use crate::index::{
    Index, PodEntry,
    alarms::Doubt,
    endpoints::OwnerId,
    said::{Refused, Said},
};

/// Bytes of an incarnation that are kept: any name that tells two processes apart is shorter.
const INCARNATION_BYTES_MAX: usize = 128;

/// Holds what the sessions of one pod have told, one after the other, for as long as the pod lives.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: SessionFacts,
    /// What the facts came to when they were judged last: between two assessments of the guard nobody is.
    pub(super) witness: SessionWitness,
    pub(super) said: Said,
    pub(super) doubts: Vec<Doubt>,
    incarnation: Box<str>,
    sequence: u64,
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
    fn new(expected: bool) -> Self {
        let facts = SessionFacts { expected, ours: Ours::Never, peers: Peers::Never };
        Self {
            facts,
            witness: facts.witness(0),
            said: Said::default(),
            doubts: Vec::new(),
            incarnation: Box::default(),
            sequence: 0,
            due_ms: None,
        }
    }

    /// Whether it is open here.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.facts.ours, Ours::Open { .. })
    }
}

// === impl PodEntry ===

impl PodEntry {
    /// Kubernetes has it, and does not end it.
    pub(super) fn is_alive(&self) -> bool {
        match self.facts.life.witness(false) {
            PodWitness::Ended | PodWitness::Terminating | PodWitness::Gone => false,
            PodWitness::NoPod | PodWitness::Ready | PodWitness::NodeUnknown | PodWitness::NotReady => true,
        }
    }
}

// === impl Index ===

impl Index {
    /// A session of this pod has said hello; none where the pod is gone. Of one sidecar the session counts that it made
    /// last, in whatever order they come; of two sidecars the one that comes later.
    pub fn open_session(&mut self, uid: &PodUid, hello: &Hello, now_ms: u64) -> Option<Opening> {
        let entry = self.pods.get_mut(uid)?;
        let expected = entry.facts.has_sidecar;
        let (written, namespace) = (&self.written, &entry.facts.namespace);
        let session = entry.session.get_or_insert_with(|| {
            // From here on the app speaks for itself: it begins with what it had said to another process.
            let said = Said::begun(uid, written.of(namespace, uid));
            Box::new(Session { said, ..Session::new(expected) })
        });
        let fits = hello.incarnation.floor_char_boundary(INCARNATION_BYTES_MAX);
        let incarnation = hello.incarnation.get(..fits).unwrap_or_default();
        let same = *session.incarnation == *incarnation;
        if same && hello.sequence < session.sequence {
            return Some(Opening::Stale);
        }
        if !same {
            session.incarnation = incarnation.into();
            session.said.begin_incarnation();
        }
        session.sequence = hello.sequence;
        session.facts.heard(now_ms);
        if !same {
            // What an earlier process said of what the pod is no more, nobody takes back.
            self.forget_moot_words(uid);
        }
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
        // Whoever closed it while we stood still has not been quiet: it was we who did not listen.
        let heard_ms = if by_peer && self.clock.recovers(now_ms) { now_ms } else { heard_ms };
        self.note_heard(uid, heard_ms);
        let Some(session) = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut()) else { return };
        session.facts.ended(now_ms, by_peer);
        self.settle_session(uid, now_ms, false);
    }

    /// Another replica hears this pod from now on, and what it told us only grows old: it is forgotten, so that all is as
    /// if we had just begun.
    pub fn session_handed_over(&mut self, uid: &PodUid) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let Some(session) = entry.session.take() else { return };
        let (services, namespace) = (entry.services.clone(), entry.facts.namespace.clone());
        self.clock.forget(uid, session.due_ms);
        self.on_duty.remove(uid);
        let written: Vec<_> = self.written.of(&namespace, uid).map(|word| word.key.clone()).collect();
        let owner = OwnerId::Pod(uid.clone());
        self.mark_owner(&services, &owner);
        self.mark_owner(&written, &owner);
    }

    /// Another replica has begun to hear the pods, or we have: of those whose sessions are over here, nothing is known.
    pub(crate) fn hand_over_closed_sessions(&mut self) {
        let is_closed = |entry: &PodEntry| entry.session.as_ref().is_some_and(|session| !session.is_open());
        let closed = self.pods.iter().filter(|(_, entry)| is_closed(entry));
        let closed: Vec<_> = closed.map(|(uid, _)| uid.clone()).collect();
        closed.iter().for_each(|uid| self.session_handed_over(uid));
    }

    /// Whether that was news.
    pub(super) fn note_heard(&mut self, uid: &PodUid, heard_ms: u64) -> bool {
        let session = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut());
        let Some(session) = session else { return false };
        let news = matches!(session.facts.ours, Ours::Open { heard_ms: held_ms } if held_ms < heard_ms);
        if news {
            session.facts.heard(heard_ms);
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
        self.orphans.push(uid.clone());
    }

    /// The pods that had a session and are gone, since the last call.
    pub fn take_orphans(&mut self) -> Vec<PodUid> {
        std::mem::take(&mut self.orphans)
    }
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
