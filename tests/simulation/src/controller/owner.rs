//! The owner: inputs in order, the index's clock, and what is published of it.

use std::sync::Arc;

use rollcall_catalogue::{PodUid, ServiceKey, liveness::ProbeWitness};
use rollcall_controller::{
    Read,
    index::{Change, Hello, Kind, Opening, Refused},
};
use rollcall_wire::{Down, Drain, HealthOf, RegistrationKey, SelfRegistration, peer::Note};

use super::Controller;
use crate::{agenda::Millis, ether::Ether, network::ConnectionId, world::Event};

/// As the real owner has it.
const COALESCED_FOR_MS: u64 = 10;
/// Nothing of Kubernetes for this long makes its words stale.
const STALE_AFTER_MS: u64 = 120_000;
/// How long the owner waits for the watch to say that a pod is going, whose sidecar says so.
const GOING_WITHIN_MS: u64 = 1_000;

/// Says what comes in at the owner.
#[derive(Debug)]
pub(crate) enum Input {
    /// With the revision of an event, or of the list that ends.
    Change(Box<Change>, Option<u64>),
    Found(Kind, u64),
    Advanced(Kind, u64),
    Open {
        id: ConnectionId,
        incarnation: String,
        sequence: u64,
        registrations: Vec<SelfRegistration>,
    },
    /// A doubted session was heard.
    Heard(PodUid),
    Word {
        id: ConnectionId,
        word: Word,
    },
    /// Another replica knows of a pod.
    Note(Arc<Note>),
    /// Another process has told all that it knew.
    Synced(Arc<str>),
}

/// Says what a pod says of itself.
#[derive(Debug)]
pub(crate) enum Word {
    Register(SelfRegistration),
    Deregister(RegistrationKey),
    Health { of: Option<HealthOf>, probe: ProbeWitness },
    Drain { drain: Drain, question: DrainAsked },
}

/// Holds how a drain was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DrainAsked {
    pub(crate) deadline_ms: u64,
    pub(crate) ask: Option<u64>,
}

/// Says what is answered once that is published.
#[derive(Debug)]
pub(super) enum Reply {
    Say(Box<Down>),
    /// The removal is told; when everyone knows of it is the roster's matter.
    Drains {
        services: Vec<ServiceKey>,
        terminating: bool,
        question: DrainAsked,
    },
}

impl Controller {
    /// Puts something into the owner's queue.
    pub(crate) fn input(&mut self, input: Input, ether: &mut Ether) {
        self.inputs.push_back(input);
        let pause_ms = ether.chance.within(0..=4);
        ether.agenda.after(pause_ms, Event::Owner(self.life));
    }

    /// The owner takes the next of its inputs.
    pub(crate) fn take_input(&mut self, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        match self.inputs.pop_front() {
            None => return,
            Some(Input::Change(change, revision)) => {
                self.kubernetes_heard_ms = ether.now_ms();
                self.apply(*change, revision);
                for uid in self.index.take_orphans() {
                    if let Some(id) = self.open.get(&uid) {
                        self.dismiss(*id, "pod-gone", ether);
                    }
                }
            }
            Some(Input::Found(kind, revision)) => self.progress.found(kind, revision),
            Some(Input::Advanced(kind, revision)) => {
                self.kubernetes_heard_ms = ether.now_ms();
                self.progress.advanced(kind, revision);
            }
            Some(Input::Heard(uid)) => {
                if let Some(stream) = self.open.get(&uid).and_then(|id| self.streams.get(id)) {
                    self.index.heard(&uid, stream.heard_ms, now_ms);
                }
            }
            Some(Input::Open { id, incarnation, sequence, registrations }) => {
                self.open(id, &Hello { incarnation, sequence, registrations }, ether);
            }
            Some(Input::Word { id, word }) => self.word(id, word, ether),
            Some(Input::Note(note)) => {
                self.index.hear_note(note, now_ms);
            }
            Some(Input::Synced(epoch)) => self.synced(&epoch),
        }
        self.publish_soon(ether);
    }

    /// As the real owner does it.
    fn apply(&mut self, change: Change, revision: Option<u64>) {
        let kind = change.kind();
        if matches!(change, Change::ListEnds(_)) {
            let known = self.index.known(kind);
            self.index.apply(change);
            return self.progress.listed(kind, revision, self.index.known(kind) < known);
        }
        self.index.apply(change);
        revision.into_iter().for_each(|revision| self.progress.happened(kind, revision));
    }

    /// The owner's clock: each second, and when a deadline is due.
    pub(crate) fn wake(&mut self, ether: &mut Ether) {
        self.wake_noted_ms = None;
        let now_ms = self.clock_ms(ether);
        let stale = ether.now_ms().saturating_sub(self.kubernetes_heard_ms) >= STALE_AFTER_MS;
        let (open, streams) = (&self.open, &self.streams);
        let heard = |uid: &PodUid| Some(streams.get(open.get(uid)?)?.heard_ms);
        let doubted = self.index.tick(now_ms, stale, heard);
        self.doubted.extend(doubted);
        self.publish_soon(ether);
        self.note_wake(ether);
    }

    fn note_wake(&mut self, ether: &mut Ether) {
        let at_ms = self.index.wakes_at_ms(self.clock_ms(ether)).saturating_sub(self.skew_ms);
        let at_ms = at_ms.max(ether.now_ms() + 1);
        if self.wake_noted_ms.is_none_or(|noted_ms| at_ms < noted_ms) {
            self.wake_noted_ms = Some(at_ms);
            ether.agenda.at(at_ms, Event::ControllerWakes(self.life));
        }
    }

    fn open(&mut self, id: ConnectionId, hello: &Hello, ether: &mut Ether) {
        let now_ms = self.clock_ms(ether);
        // Whoever asked may have gone away.
        let Some(stream) = self.streams.get(&id) else { return };
        let uid = stream.uid.clone();
        match self.index.open_session(&uid, hello, now_ms) {
            None => self.dismiss(id, "pod-gone", ether),
            Some(Opening::Stale) => self.dismiss(id, "superseded", ether),
            Some(Opening::Open(refused)) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.opened = true;
                }
                if let Some(older) = self.open.insert(uid, id) {
                    self.dismiss(older, "superseded", ether);
                }
                self.drains_joined(id);
                refused
                    .into_iter()
                    .for_each(|refused| self.replies.push((id, Reply::Say(Box::new(rejected(refused))))));
            }
        }
    }

    /// A session that had its pod's place has ended.
    pub(crate) fn departed(
        &mut self,
        id: ConnectionId,
        uid: &PodUid,
        heard_ms: Millis,
        by_peer: bool,
        ether: &mut Ether,
    ) {
        if self.open.get(uid) == Some(&id) {
            self.open.remove(uid);
            self.index.session_ended(uid, heard_ms, by_peer, self.clock_ms(ether));
            self.publish_soon(ether);
        }
    }

    fn word(&mut self, id: ConnectionId, word: Word, ether: &mut Ether) {
        let Some(uid) = self.streams.get(&id).map(|stream| stream.uid.clone()) else { return };
        // Only the session that is the pod's speaks for it.
        if self.open.get(&uid) != Some(&id) {
            return;
        }
        let reply = match word {
            Word::Register(said) => match self.index.app_registers(&uid, &said) {
                Ok(()) => Reply::Say(Box::new(Down::Registered { key: said.key() })),
                Err(refused) => Reply::Say(Box::new(rejected(refused))),
            },
            Word::Deregister(key) => return self.index.app_deregisters(&uid, &key),
            Word::Health { of, probe } => return self.index.app_health(&uid, of, probe),
            Word::Drain { drain: Drain::Start, question } => {
                self.index.app_drains(&uid, true);
                self.drains_reply(&uid, question)
            }
            Word::Drain { drain: Drain::Stop, question } => {
                self.index.app_drains(&uid, false);
                Reply::Say(Box::new(at_once(self.is_going(&uid), question)))
            }
            Word::Drain { drain: Drain::Wait, question } if self.is_going(&uid) => {
                self.drains_reply(&uid, question)
            }
            Word::Drain { drain: Drain::Wait, question } => {
                return ether.agenda.after(GOING_WITHIN_MS, Event::Going(self.life, id, uid, question));
            }
        };
        self.replies.push((id, reply));
    }

    /// The watch has had its time to say that the pod is going.
    pub(crate) fn going(&mut self, id: ConnectionId, uid: &PodUid, question: DrainAsked, ether: &mut Ether) {
        let reply = match self.is_going(uid) {
            true => self.drains_reply(uid, question),
            false => Reply::Say(Box::new(at_once(false, question))),
        };
        self.replies.push((id, reply));
        self.publish_soon(ether);
    }

    pub(super) fn is_going(&self, uid: &PodUid) -> bool {
        self.index.pod(uid).is_none_or(|facts| facts.life.deleting)
    }

    fn drains_reply(&self, uid: &PodUid, question: DrainAsked) -> Reply {
        let (services, terminating) = (self.index.services_of(uid), self.is_going(uid));
        Reply::Drains { services, terminating, question }
    }

    pub(crate) fn dismiss(&mut self, id: ConnectionId, reason: &str, ether: &mut Ether) {
        if let Some(stream) = self.streams.get_mut(&id) {
            ether.note(format!("controller dismisses {id:?} of {:?}: {reason}", stream.pod));
            stream.server.go_away(reason);
            self.pump(id, ether);
        }
    }

    pub(super) fn publish_soon(&mut self, ether: &mut Ether) {
        if !self.publish_noted {
            self.publish_noted = true;
            let earliest_ms = self.published_ms.map_or(0, |at_ms| at_ms + COALESCED_FOR_MS);
            ether.agenda.at(earliest_ms, Event::Publish(self.life));
        }
    }

    /// The catalogue as everything that came in has made it; whether it is another one.
    pub(crate) fn publish(&mut self, ether: &mut Ether) -> bool {
        self.publish_noted = false;
        self.tell_notes(ether);
        self.published_ms = Some(ether.now_ms());
        let complete = self.index.complete();
        let step = if complete { self.index.advance(self.clock_ms(ether)) } else { None };
        let news = step.is_some() || complete != self.complete;
        self.complete = complete;
        if let Some(Read { reading, happened }) = complete.then(|| self.progress.take()).flatten() {
            (self.reading, self.happened) = (Arc::new(reading), happened);
        }
        if let Some(step) = step {
            for delta in &step.deltas {
                ether.note(format!("controller {} publishes {delta:?}", self.life));
            }
            self.number = self.feed.push(step.deltas);
            self.catalogue = step.snapshot;
            let streams: Vec<_> = self.streams.keys().copied().collect();
            for id in streams {
                let pause_ms = ether.chance.within(0..=5);
                ether.agenda.after(pause_ms, Event::Look(self.life, id));
            }
        }
        for uid in self.index.take_on_duty() {
            let duties = self.index.duties(&uid).into();
            if let Some(stream) = self.open.get(&uid).and_then(|id| self.streams.get_mut(id)) {
                stream.server.set_duties(duties);
            }
            if let Some(id) = self.open.get(&uid).copied() {
                self.pump(id, ether);
            }
        }
        for (id, reply) in std::mem::take(&mut self.replies) {
            self.reply(id, reply, ether);
        }
        self.note_wake(ether);
        news
    }

    fn reply(&mut self, id: ConnectionId, reply: Reply, ether: &mut Ether) {
        match reply {
            Reply::Say(down) => self.say(id, *down, ether),
            Reply::Drains { services, terminating, question } => {
                self.drain(id, services, terminating, question, ether);
            }
        }
    }

    pub(super) fn say(&mut self, id: ConnectionId, down: Down, ether: &mut Ether) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.server.say(down);
            self.pump(id, ether);
        }
    }
}

fn rejected(refused: Refused) -> Down {
    let Refused { key, why } = refused;
    Down::Rejected { key, reason: why.to_string(), field: Some(why.field.to_owned()) }
}

/// There is nobody to wait for.
fn at_once(terminating: bool, question: DrainAsked) -> Down {
    let (ask, late) = (question.ask, Vec::new());
    Down::Drained { ask, complete: true, terminating, acked: 0, subscribers: 0, late, elapsed_ms: 0 }
}
