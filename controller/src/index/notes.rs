//! What replicas share of the pods: one note each, written where the pod's newest session is, and the same everywhere.

use std::{collections::BTreeSet, sync::Arc};

use rollcall_catalogue::{
    PodUid, ServiceKey,
    liveness::{Ours, Peers, SessionWitness},
};
use rollcall_wire::peer::{Note, Record, SessionNote, Version};

use crate::index::{
    Index,
    endpoints::OwnerId,
    said::Said,
    sessions::{Session, is_open_and_late},
};

/// Says what is to be told of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tidings {
    /// This is known of its newest session.
    Known(Note),
    /// It is gone, or was never in session.
    Gone(PodUid),
}

// === impl Session ===

impl Session {
    /// The same, to be told.
    fn note(&mut self, uid: &PodUid) -> Note {
        let ours = match self.facts.ours {
            Ours::Open { heard_ms } => {
                SessionNote::Open { unheard_since_ms: self.is_late.then_some(heard_ms) }
            }
            Ours::Reset { at_ms, heard_ms, by_peer } => SessionNote::Ended { at_ms, heard_ms, by_peer },
            // A note is somebody's, and nobody has told this one.
            Ours::Never => SessionNote::Ended { at_ms: 0, heard_ms: 0, by_peer: false },
        };
        Note {
            pod: uid.clone(),
            version: self.version.clone(),
            origin: self.origin.clone(),
            session: self.elsewhere.unwrap_or(ours),
            said: self.told.get_or_insert_with(|| self.said.told().into()).clone(),
        }
    }

    /// Whether it is open here and live, and began after another one was heard last that has ended: then it is the newer
    /// one, though the note of that has the higher version. Of one sidecar that is the newer one which it made later.
    fn outlives(&self, note: &Note, now_ms: u64) -> bool {
        let SessionNote::Ended { heard_ms, .. } = note.session else { return false };
        let (held, other) = (&self.version, &note.version);
        let made_before = held.incarnation == other.incarnation && held.sequence < other.sequence;
        let is_live = self.is_open() && self.facts.witness(now_ms) == SessionWitness::Live;
        is_live && !made_before && self.opened_ms > heard_ms
    }
}

// === impl Index ===

impl Index {
    /// What another replica knows of a pod, as it tells it now. Says whether it was news.
    pub fn hear_record(&mut self, record: Record, now_ms: u64) -> bool {
        self.hear_note(Note::of(record, now_ms), now_ms)
    }

    /// The same, in the clock of this process. The higher version wins as a whole; of a pod that is not known yet it waits for
    /// that.
    pub fn hear_note(&mut self, note: impl Into<Arc<Note>>, now_ms: u64) -> bool {
        self.clock.reaches(now_ms);
        self.weigh_note(note.into())
    }

    /// Whether that much is known of the pod.
    pub fn knows(&self, uid: &PodUid, version: &Version) -> bool {
        let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        session.is_some_and(|session| session.version >= *version)
    }

    /// What there is to be told of the pods since the last call.
    pub fn take_notes(&mut self) -> Vec<Tidings> {
        let untold = std::mem::take(&mut self.sharing.untold);
        let tidings = untold.into_iter().map(|uid| {
            let session = self.pods.get_mut(&uid).and_then(|entry| entry.session.as_mut());
            match session {
                Some(session) => Tidings::Known(session.note(&uid)),
                None => Tidings::Gone(uid),
            }
        });
        tidings.collect()
    }

    /// The pods that had an open session here, and have a newer one elsewhere, since the last call.
    pub fn take_superseded(&mut self) -> Vec<PodUid> {
        std::mem::take(&mut self.sharing.superseded)
    }

    /// Whether a note had to be dropped that waited for its pod, since the last call: whoever told it does not tell it again
    /// by itself.
    pub(crate) fn take_dropped_notes(&mut self) -> bool {
        self.sharing.early.take_had_no_room()
    }

    /// A note that came before its pod did.
    pub(super) fn hear_early_note(&mut self, uid: &PodUid) {
        if let Some(note) = self.sharing.early.take(uid) {
            self.weigh_note(note);
        }
    }

    /// Something of the pod's session, which is here, is to be told.
    pub(super) fn note_news(&mut self, uid: &PodUid) {
        let session = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut());
        if let Some(session) = session.filter(|session| session.elsewhere.is_none()) {
            session.version.count += 1;
            self.sharing.untold.insert(uid.clone());
        }
    }

    /// So is what its app has said.
    pub(super) fn note_said(&mut self, uid: &PodUid) {
        if let Some(session) = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut()) {
            session.told = None;
        }
        self.note_news(uid);
    }

    /// The pod's open session is late, or was and is no more. Says whether it has become so.
    pub(super) fn note_lateness(&mut self, uid: &PodUid, now_ms: u64) -> bool {
        // Whoever stood still himself does not know who was silent meanwhile.
        let recovers = self.clock.recovers(now_ms);
        let Some(session) = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut()) else {
            return false;
        };
        let is_late = !recovers && is_open_and_late(&session.facts, now_ms);
        if std::mem::replace(&mut session.is_late, is_late) == is_late {
            return false;
        }
        self.note_news(uid);
        is_late
    }

    fn weigh_note(&mut self, note: Arc<Note>) -> bool {
        let (now_ms, listed) = (self.clock.now_ms(), self.complete());
        let Some(entry) = self.pods.get_mut(&note.pod) else {
            let early = &mut self.sharing.early;
            if early.get(&note.pod).is_none_or(|held| note.is_newer_than(held)) {
                early.keep(note.pod.clone(), note, now_ms, listed);
            }
            return false;
        };
        let is_older = |held: &Session| (&note.version, &note.origin) <= (&held.version, &held.origin);
        if entry.session.as_deref().is_some_and(is_older) {
            return false;
        }
        if let Some(session) = &mut entry.session
            && session.outlives(&note, now_ms)
        {
            // Whoever opened it could not know of that one, and would have counted on from there.
            session.version.generation = note.version.generation.saturating_add(1);
            self.note_news(&note.pod);
            return false;
        }
        let Note { pod: uid, version, origin, session: word, said } = Note::clone(&note);
        let namespace = &entry.facts.namespace;
        let expected = entry.facts.has_sidecar;
        let written = &self.written;
        let session = entry.session.get_or_insert_with(|| {
            let said = Said::begun(&uid, written.of(namespace, &uid));
            Box::new(Session::begun(said, expected))
        });
        if session.is_open() {
            self.sharing.superseded.push(uid.clone());
        }
        if session.elsewhere.is_some() {
            self.sharing.is_not_at(&uid, &session.origin);
        }
        self.sharing.is_at(&uid, &origin, now_ms);
        let changed = session.said.becomes(namespace, &uid, &said, now_ms);
        session.facts.ours = Ours::Never;
        session.facts.peers = self.sharing.heard_at(&origin, word);
        session.elsewhere = Some(word);
        session.is_late = false;
        session.told = Some(said);
        (session.version, session.origin) = (version, origin);
        let held = entry.services.iter().filter(|key| changed.concerns(key));
        let services: BTreeSet<ServiceKey> = held.chain(&changed.services).cloned().collect();
        self.clock.meets(&uid);
        self.on_duty.remove(&uid);
        self.sharing.untold.insert(uid.clone());
        self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
        self.settle_told(&uid);
        true
    }

    /// Takes note of what is told of a session elsewhere.
    pub(super) fn settle_told(&mut self, uid: &PodUid) {
        self.settle_session(uid, self.clock.now_ms(), false);
        let Some(entry) = self.pods.get(uid) else { return };
        let is_heard =
            |session: &Session| matches!(session.witness, SessionWitness::Live | SessionWitness::HeardByPeer);
        // Its last word may be another one, by which a freeze covers it or not.
        if entry.session.as_deref().is_some_and(|session| !is_heard(session)) {
            let services = entry.services.clone();
            self.mark_owner(&services, &OwnerId::Pod(uid.clone()));
        }
    }

    /// The pod's newest session is here from now on.
    pub(super) fn brought_here(&mut self, uid: &PodUid) {
        let Some(session) = self.pods.get_mut(uid).and_then(|entry| entry.session.as_mut()) else { return };
        if session.elsewhere.take().is_some() {
            self.sharing.is_not_at(uid, &session.origin);
        }
        session.origin = self.sharing.epoch.clone();
        session.facts.peers = Peers::Never;
        session.is_late = false;
    }

    /// The pod is gone, and what was told of it is of no use.
    pub(super) fn forget_note(&mut self, uid: &PodUid, session: &Session) {
        if session.elsewhere.is_some() {
            self.sharing.is_not_at(uid, &session.origin);
        }
        self.sharing.untold.insert(uid.clone());
    }
}
