//! The schedule: whose turn it is to be asked, and what is known of each. A value; time and chance come in as
//! arguments.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use rollcall_catalogue::liveness::{Answer, Attempt, Judge, ProbeWitness};
use rollcall_net::{
    Jitter,
    probe::{Check, HttpMethod},
};
use tracing::warn;

use crate::{
    index::{OutsideId, OutsideTarget},
    outside::lanes::Lanes,
};

/// The longest that an attempt lasts, whatever its registration says: so long does an address that swallows every
/// packet hold a place that all addresses outside share. Whoever takes longer to answer is of no use to its callers.
pub(super) const ATTEMPT_MS_MAX: u32 = 5_000;

/// Holds all targets, in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    targets: HashMap<OutsideId, Entry>,
    lanes: Lanes<OutsideId>,
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
                    self.lanes.leave(&id.service.namespace, at_ms, id.clone());
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

    /// The question that is next, if it is due and there is a place for it.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Question> {
        let (_, id) = self.lanes.take(now_ms)?;
        let entry = self.targets.get_mut(&id)?;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        entry.turn = Turn::Asked { ticket, began_ms: now_ms };
        let question = Question {
            ticket,
            target: (id.address, entry.target.port).into(),
            check: entry.check.clone(),
            limit: Duration::from_millis(entry.target.probe.timeout_ms.min(ATTEMPT_MS_MAX).into()),
        };
        self.in_flight.insert(ticket, id);
        Some(question)
    }

    /// When the next question is due; none while there is no place, or nobody to be asked.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.lanes.next_at_ms()
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
        self.lanes.give_back(&id.service.namespace);
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
        self.lanes.wait(&id.service.namespace, at_ms, id.clone());
    }
}

/// As the judge wants chance: any number, all equally likely.
fn draw(jitter: &mut Jitter) -> u32 {
    (jitter.next_u64() >> 32) as u32
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
