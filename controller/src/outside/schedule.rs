//! The schedule: whose turn it is to be asked, and what is known of each. A value; time and chance come in as
//! arguments.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    time::Duration,
};

use rollcall_catalogue::{
    Namespace,
    liveness::{Answer, Attempt, Judge, ProbeWitness},
};
use rollcall_net::{
    Jitter,
    probe::{Check, HttpMethod},
};
use tracing::warn;

use crate::index::{OutsideId, OutsideTarget};

/// Attempts under way at a time. Each holds a socket and at most some 100 KiB of what a peer sends; answers take
/// milliseconds, so that even these few ask thousands of addresses a second.
pub(super) const IN_FLIGHT_MAX: usize = 64;

/// Of these, those of one namespace. Addresses that swallow every packet hold their places for as long as their
/// registrations say, up to five minutes: they must not keep the addresses of others from being asked.
pub(super) const IN_FLIGHT_OF_NAMESPACE_MAX: usize = 8;

/// Holds all targets, in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    targets: HashMap<OutsideId, Entry>,
    lanes: HashMap<Namespace, Lane>,
    /// The first in each lane that has somebody waiting, and room.
    heads: BTreeSet<(u64, Namespace)>,
    /// Also those whose target was forgotten meanwhile: they hold their places until they have ended.
    in_flight: HashMap<Ticket, OutsideId>,
    tickets: u64,
}

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// Holds one question that is to be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) ticket: Ticket,
    pub(super) target: SocketAddr,
    pub(super) check: Check,
    pub(super) limit: Duration,
}

/// Names a target that is no longer wanted as it was, and the attempt at it that is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) id: OutsideId,
    pub(super) ticket: Option<Ticket>,
}

#[derive(Debug)]
struct Entry {
    target: OutsideTarget,
    check: Check,
    judge: Judge,
    turn: Turn,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Due { at_ms: u64 },
    Asked { ticket: Ticket, began_ms: u64 },
}

/// Holds the targets of one namespace, which share its places.
#[derive(Debug, Default)]
struct Lane {
    due: BTreeSet<(u64, OutsideId)>,
    in_flight: usize,
    /// Under which it stands among the heads.
    head_ms: Option<u64>,
}

// === impl Schedule ===

impl Schedule {
    /// Takes over the list as it is now. What is in it as before goes on as before; all else begins anew, and
    /// what ends is returned.
    pub(super) fn replace(
        &mut self,
        targets: &[OutsideTarget],
        now_ms: u64,
        jitter: &mut Jitter,
    ) -> Vec<Forgotten> {
        let wanted: BTreeMap<_, _> = targets.iter().map(|target| (&target.id, target)).collect();
        let is_as_before = |id: &OutsideId, entry: &Entry| wanted.get(id) == Some(&&entry.target);
        let gone: Vec<_> = self.targets.extract_if(|id, entry| !is_as_before(id, entry)).collect();
        let mut forgotten = Vec::with_capacity(gone.len());
        for (id, entry) in gone {
            let ticket = match entry.turn {
                Turn::Asked { ticket, .. } => Some(ticket),
                Turn::Due { at_ms } => {
                    self.in_lane(&id.service.namespace, |lane| {
                        lane.due.remove(&(at_ms, id.clone()));
                    });
                    None
                }
            };
            forgotten.push(Forgotten { id, ticket });
        }
        for (id, target) in wanted {
            if !self.targets.contains_key(id) {
                self.begin(target, now_ms, jitter);
            }
        }
        forgotten
    }

    fn begin(&mut self, target: &OutsideTarget, now_ms: u64, jitter: &mut Jitter) {
        // Whoever owns the address has not asked to be asked: no more than the head of an answer.
        let check = match Check::of(&target.probe.check, HttpMethod::Head) {
            Ok(check) => check,
            // The schema and the domain both refuse such a path.
            Err(error) => return warn!(service = %target.id.service, %error, "an address is not probed"),
        };
        let judge = Judge::new(&target.probe);
        let at_ms = judge.first_at_ms(now_ms, draw(jitter));
        let entry = Entry { target: target.clone(), check, judge, turn: Turn::Due { at_ms } };
        self.targets.insert(target.id.clone(), entry);
        self.wait(&target.id, at_ms);
    }

    /// The question that is due for longest, if there is a place for it.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Question> {
        if self.next_due_ms()? > now_ms {
            return None;
        }
        let (_, namespace) = self.heads.first()?.clone();
        let mut taken = None;
        self.in_lane(&namespace, |lane| {
            taken = lane.due.pop_first();
            lane.in_flight += usize::from(taken.is_some());
        });
        let (_, id) = taken?;
        let entry = self.targets.get_mut(&id)?;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        entry.turn = Turn::Asked { ticket, began_ms: now_ms };
        let question = Question {
            ticket,
            target: (id.address, entry.target.port).into(),
            check: entry.check.clone(),
            limit: Duration::from_millis(entry.target.probe.timeout_ms.into()),
        };
        self.in_flight.insert(ticket, id);
        Some(question)
    }

    /// When the next question is due; none while there is no place, or nobody to be asked.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        self.heads.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the end of an attempt, and says what is new of its target. One that nobody waits for any more only
    /// gives back its place.
    pub(super) fn ended(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        now_ms: u64,
        jitter: &mut Jitter,
    ) -> Option<(OutsideId, ProbeWitness)> {
        let id = self.in_flight.remove(&ticket)?;
        self.in_lane(&id.service.namespace, |lane| lane.in_flight = lane.in_flight.saturating_sub(1));
        let entry = self.targets.get_mut(&id)?;
        let Turn::Asked { ticket: awaited, began_ms } = entry.turn else { return None };
        if awaited != ticket {
            return None;
        }
        let before = entry.judge.witness();
        let attempt = Attempt { answer, began_ms, ended_ms: now_ms };
        let judged = entry.judge.outcome(attempt, draw(jitter));
        entry.turn = Turn::Due { at_ms: judged.next_at_ms };
        self.wait(&id, judged.next_at_ms);
        (judged.witness != before).then_some((id, judged.witness))
    }

    fn wait(&mut self, id: &OutsideId, at_ms: u64) {
        self.in_lane(&id.service.namespace, |lane| {
            lane.due.insert((at_ms, id.clone()));
        });
    }

    /// Changes a lane, and puts it where it belongs then.
    fn in_lane(&mut self, namespace: &Namespace, change: impl FnOnce(&mut Lane)) {
        let lane = self.lanes.entry(namespace.clone()).or_default();
        change(lane);
        let has_room = lane.in_flight < IN_FLIGHT_OF_NAMESPACE_MAX;
        let head_ms = lane.due.first().map(|(at_ms, _)| *at_ms).filter(|_| has_room);
        if head_ms != lane.head_ms {
            if let Some(before) = lane.head_ms {
                self.heads.remove(&(before, namespace.clone()));
            }
            lane.head_ms = head_ms;
            self.heads.extend(head_ms.map(|at_ms| (at_ms, namespace.clone())));
        }
        if lane.due.is_empty() && lane.in_flight == 0 {
            self.lanes.remove(namespace);
        }
    }
}

/// As the judge wants chance: any number, all equally likely.
fn draw(jitter: &mut Jitter) -> u32 {
    (jitter.next_u64() >> 32) as u32
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
