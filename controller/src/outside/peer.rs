//! A peer: what listens at one address, and all registrations that want to know of it. One attempt answers all.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use rollcall_catalogue::{
    Namespace, ProbeSpec,
    liveness::{Answer, Attempt, CONFIRM_AFTER_MS, Judge, ProbeWitness},
};
use rollcall_net::probe::{BadPath, Check, HttpMethod};

use crate::index::{OutsideId, OutsideTarget};

/// The longest that an attempt lasts, whatever its registration says: so long does an address that swallows every
/// packet hold a place that all addresses outside share. Whoever takes longer to answer is of no use to its callers.
pub(super) const ATTEMPT_MS_MAX: u32 = 5_000;

/// The least time between two attempts at a peer, however many registrations ask for it and whatever they say: who
/// may write a registration could else aim us at somebody. Only a refusal is asked after once more, and sooner.
pub(super) const ATTEMPT_PAUSE_MS: u64 = 200;

/// Who waits this long at most for an answer, as is usual, does not share attempts with those who wait longer: nobody
/// else's patience makes it hear of a silence later.
const IMPATIENT_MS_MAX: u32 = 1_000;

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// Names a peer by what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PeerKey {
    pub(super) address: SocketAddr,
    pub(super) check: Check,
    patient: bool,
}

/// Holds those who ask, and what each of them makes of the answers.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: PeerKey,
    /// Where it waits for its turn, and for when.
    pub(super) waits: BTreeMap<Namespace, u64>,
    askers: BTreeMap<OutsideId, Asker>,
    under_way: Option<UnderWay>,
    rest_until_ms: u64,
    /// When a first refusal is asked after, which need not wait for the end of the rest.
    confirm_at_ms: Option<u64>,
}

#[derive(Debug)]
struct Asker {
    target: OutsideTarget,
    judge: Judge,
    due_ms: u64,
    /// The attempt that it waits for: whoever comes later than that began waits for the next.
    awaits: Option<Ticket>,
}

#[derive(Debug)]
struct UnderWay {
    ticket: Ticket,
    began_ms: u64,
    limit_ms: u32,
    confirms: bool,
}

// === impl PeerKey ===

impl PeerKey {
    pub(super) fn of(target: &OutsideTarget) -> Result<Self, BadPath> {
        // However it is written, it is one machine.
        let address: IpAddr = target.id.address.to_canonical();
        Ok(Self {
            address: (address, target.port).into(),
            // Whoever owns the address has not asked to be asked: no more than the head of an answer.
            check: Check::of(&target.probe.check, HttpMethod::Head)?,
            patient: target.probe.timeout_ms > IMPATIENT_MS_MAX,
        })
    }
}

// === impl Peer ===

impl Peer {
    pub(super) fn new(key: PeerKey) -> Self {
        Self {
            key,
            waits: BTreeMap::new(),
            askers: BTreeMap::new(),
            under_way: None,
            rest_until_ms: 0,
            confirm_at_ms: None,
        }
    }

    pub(super) fn has_askers(&self) -> bool {
        !self.askers.is_empty()
    }

    pub(super) fn has(&self, target: &OutsideTarget) -> bool {
        self.askers.get(&target.id).is_some_and(|asker| asker.target == *target)
    }

    pub(super) fn add(&mut self, target: &OutsideTarget, now_ms: u64, draw: u32) {
        let judge = Judge::new(&target.probe);
        let due_ms = judge.first_at_ms(now_ms, draw);
        let asker = Asker { target: target.clone(), judge, due_ms, awaits: None };
        self.askers.insert(target.id.clone(), asker);
    }

    /// Forgets who asked; returns the attempt under way if nobody waits for it any more.
    pub(super) fn remove(&mut self, id: &OutsideId) -> Option<Ticket> {
        let awaited = self.askers.remove(id)?.awaits?;
        if self.askers.values().any(|asker| asker.awaits == Some(awaited)) {
            return None;
        }
        self.under_way.take_if(|under_way| under_way.ticket == awaited).map(|under_way| under_way.ticket)
    }

    /// When it is to be asked, for each namespace that wants to know: a namespace is not charged for the haste of
    /// another.
    pub(super) fn wanted(&self) -> BTreeMap<Namespace, u64> {
        let mut wanted: BTreeMap<Namespace, u64> = BTreeMap::new();
        if self.under_way.is_some() {
            return wanted;
        }
        for (id, asker) in &self.askers {
            let at_ms = match self.confirm_at_ms {
                Some(confirm_at_ms) if asker.due_ms <= confirm_at_ms => confirm_at_ms,
                _ => asker.due_ms.max(self.rest_until_ms),
            };
            match wanted.get_mut(&id.service.namespace) {
                Some(earliest_ms) => *earliest_ms = at_ms.min(*earliest_ms),
                None => drop(wanted.insert(id.service.namespace.clone(), at_ms)),
            }
        }
        wanted
    }

    /// An attempt begins, for all who ask; returns its limit.
    pub(super) fn begin(&mut self, ticket: Ticket, now_ms: u64) -> u32 {
        let confirms = self.confirm_at_ms.take().is_some() && now_ms < self.rest_until_ms;
        if !confirms {
            self.rest_until_ms = now_ms.saturating_add(ATTEMPT_PAUSE_MS);
        }
        let mut longest_ms = 0;
        for asker in self.askers.values_mut() {
            asker.awaits = Some(ticket);
            longest_ms = longest_ms.max(limit_ms(&asker.target.probe));
        }
        self.under_way = Some(UnderWay { ticket, began_ms: now_ms, limit_ms: longest_ms, confirms });
        longest_ms
    }

    /// Takes the end of an attempt, and says for whom it changes what is known.
    pub(super) fn ended(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        now_ms: u64,
        draw: u32,
    ) -> Vec<(OutsideId, ProbeWitness)> {
        let Some(ended) = self.under_way.take_if(|under_way| under_way.ticket == ticket) else {
            return Vec::new();
        };
        let took_ms = now_ms.saturating_sub(ended.began_ms);
        let confirm_at_ms = now_ms.saturating_add(CONFIRM_AFTER_MS);
        let mut to_confirm = false;
        let mut news = Vec::new();
        for (id, asker) in self.askers.iter_mut().filter(|(_, asker)| asker.awaits == Some(ticket)) {
            asker.awaits = None;
            // Somebody else waited longer than this one would have.
            let own_ms = limit_ms(&asker.target.probe);
            let too_late = own_ms < ended.limit_ms && took_ms > own_ms.into() && answer != Answer::Unasked;
            let answer = if too_late { Answer::TimedOut } else { answer };
            let before = asker.judge.witness();
            let judged =
                asker.judge.outcome(Attempt { answer, began_ms: ended.began_ms, ended_ms: now_ms }, draw);
            asker.due_ms = judged.next_at_ms;
            to_confirm |= answer == Answer::Refused && judged.next_at_ms <= confirm_at_ms;
            if judged.witness != before {
                news.push((id.clone(), judged.witness));
            }
        }
        // A confirmation is not confirmed: however many judges are new to it, one is all that comes out of turn.
        self.confirm_at_ms = (to_confirm && !ended.confirms).then_some(confirm_at_ms);
        news
    }
}

fn limit_ms(probe: &ProbeSpec) -> u32 {
    probe.timeout_ms.min(ATTEMPT_MS_MAX)
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
