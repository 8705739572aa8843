//! Drains: the real roster of who has acknowledged what, and who is answered when.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceKey;
use rollcall_controller::sessions::roster::{DrainId, Outcome, Roster, SessionId};
use rollcall_wire::Down;

use super::{Controller, owner::DrainAsked};
use crate::{agenda::Millis, ether::Ether, kubernetes::PodNo, network::ConnectionId, world::Event};

/// As the contract has it.
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 1..=60_000;
const DEADLINE_UNSAID_MS: u64 = 10_000;

/// Holds the roster, and what each drain is for.
#[derive(Debug, Default)]
pub(super) struct Drains {
    roster: Roster,
    sessions: BTreeMap<ConnectionId, SessionId>,
    connections: BTreeMap<SessionId, ConnectionId>,
    open: BTreeMap<DrainId, Open>,
}

#[derive(Debug)]
struct Open {
    asker: ConnectionId,
    pod: PodNo,
    services: Vec<ServiceKey>,
    terminating: bool,
    ask: Option<u64>,
    began_ms: Millis,
    /// The sessions that could be late.
    asked: Vec<ConnectionId>,
}

/// Holds a drain that was answered with `complete`, for the check that this is true.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) pod: PodNo,
    pub(crate) services: Vec<ServiceKey>,
    /// The sessions that were waited for.
    pub(crate) asked: Vec<ConnectionId>,
}

impl Controller {
    pub(super) fn drains_joined(&mut self, id: ConnectionId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let session = self.drains.roster.joined(&stream.namespace, &stream.pod.name());
        self.drains.sessions.insert(id, session);
        self.drains.connections.insert(session, id);
        // What it subscribed to before the owner had its place for it.
        let keys = stream.subscribed.iter().cloned().collect::<Vec<_>>();
        self.drains.roster.subscribed(session, keys);
    }

    pub(super) fn drains_left(&mut self, id: ConnectionId, ether: &mut Ether) {
        if let Some(session) = self.drains.sessions.remove(&id) {
            self.drains.connections.remove(&session);
            let over = self.drains.roster.left(session);
            over.into_iter().for_each(|drain| self.drained(drain, ether));
        }
    }

    pub(super) fn drains_subscribed(&mut self, id: ConnectionId, keys: Vec<ServiceKey>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.subscribed.extend(keys.iter().cloned());
        }
        if let Some(session) = self.drains.sessions.get(&id) {
            self.drains.roster.subscribed(*session, keys);
        }
    }

    pub(super) fn drains_unsubscribed(&mut self, id: ConnectionId, keys: Vec<ServiceKey>, ether: &mut Ether) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.subscribed.retain(|key| !keys.contains(key));
        }
        if let Some(session) = self.drains.sessions.get(&id) {
            let over = self.drains.roster.unsubscribed(*session, keys);
            over.into_iter().for_each(|drain| self.drained(drain, ether));
        }
    }

    /// Notes how far the peer has come.
    pub(super) fn drains_progress(&mut self, id: ConnectionId, ether: &mut Ether) {
        if let Some(number) = self.streams.get(&id).and_then(|stream| stream.server.in_step()) {
            self.drains_acked(id, number, ether);
        }
    }

    pub(super) fn drains_acked(&mut self, id: ConnectionId, number: u64, ether: &mut Ether) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| number > stream.in_step) else { return };
        stream.in_step = number;
        if let Some(session) = self.drains.sessions.get(&id) {
            let over = self.drains.roster.acked(*session, number);
            over.into_iter().for_each(|drain| self.drained(drain, ether));
        }
    }

    pub(super) fn drain(
        &mut self,
        id: ConnectionId,
        services: Vec<ServiceKey>,
        terminating: bool,
        question: DrainAsked,
        ether: &mut Ether,
    ) {
        let Some(asker) = self.drains.sessions.get(&id).copied() else { return };
        let Some(pod) = self.streams.get(&id).map(|stream| stream.pod) else { return };
        let begun = self.drains.roster.begin(services.clone(), self.number, Some(asker));
        let asked = self.streams.iter().filter(|(one, stream)| {
            **one != id && services.iter().any(|key| stream.subscribed.contains(key)) && stream.opened
        });
        let asked: Vec<_> = asked.map(|(id, _)| *id).collect();
        let DrainAsked { deadline_ms, ask } = question;
        let open = Open { asker: id, pod, services, terminating, ask, began_ms: ether.now_ms(), asked };
        self.drains.open.insert(begun.id, open);
        if begun.awaited.is_empty() {
            return self.drained(begun.id, ether);
        }
        for session in &begun.awaited {
            if let Some(id) = self.drains.connections.get(session).copied() {
                self.look(id, ether);
            }
        }
        let deadline_ms = match deadline_ms {
            0 => DEADLINE_UNSAID_MS,
            said_ms => said_ms.clamp(*DEADLINE_MS.start(), *DEADLINE_MS.end()),
        };
        ether.agenda.after(deadline_ms, Event::DrainDue(self.life, begun.id));
    }

    /// Everyone knows, or the time is up.
    pub(crate) fn drained(&mut self, drain: DrainId, ether: &mut Ether) {
        let Some(open) = self.drains.open.remove(&drain) else { return };
        let Outcome { acked, subscribers, late } = self.drains.roster.end(drain);
        let complete = acked == subscribers;
        let elapsed_ms = ether.now_ms() - open.began_ms;
        ether.note(format!("the drain of {:?} is complete: {complete}, {acked} of {subscribers}", open.pod));
        let Open { asker, pod, services, terminating, ask, asked, .. } = open;
        if complete {
            self.answered.push(Answered { pod, services, asked });
        }
        let down = Down::Drained { ask, complete, terminating, acked, subscribers, late, elapsed_ms };
        self.say(asker, down, ether);
    }
}
