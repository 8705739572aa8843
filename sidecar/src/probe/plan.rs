//! The plan: which instance is asked when, and what its answers come to. A value; time and chance come in as arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use rollcall_catalogue::{
    ProbeCheck, ProbeSpec,
    limits::PROBE_MILLISECONDS,
    liveness::{Answer, Attempt, CONFIRM_AFTER_MS, Judge, ProbeWitness},
};
use rollcall_net::probe::{Check, HttpMethod};
use rollcall_wire::{Duty, DutyCheck, DutyProbe};

use super::wire::Wires;
use crate::own::Spot;

/// An attempt that ended so long after its time was up: we stood still ourselves, and its end says nothing of the app.
const LATE_MS: u64 = 1_000;

/// Holds who is asked, and how the last answers ran.
#[derive(Debug, Default)]
pub(super) struct Plan {
    probed: BTreeMap<Spot, Probed>,
    wires: Wires,
    epochs: u64,
}

/// Holds one instance that is asked; one attempt at a time is under way, so that there are as many as duties at most.
#[derive(Debug)]
struct Probed {
    target: SocketAddr,
    probe: DutyProbe,
    check: Check,
    judge: Judge,
    next_at_ms: u64,
    under_way: bool,
    /// To be asked again as soon as the attempt that is under way has ended.
    again: bool,
    /// Its connection has ended: of an app that dies, one socket may be gone before the other.
    tripped: bool,
    /// Tells its attempts from those of an earlier way of asking.
    epoch: u64,
    word: Option<ProbeWitness>,
}

/// Holds one question that is to be put now.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) spot: Spot,
    pub(super) epoch: u64,
    pub(super) target: SocketAddr,
    pub(super) check: Check,
    pub(super) limit: Duration,
    pub(super) began_ms: u64,
}

/// Says how a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) answer: Answer,
    /// Nobody was at the address, but somebody at the same port of 127.0.0.1.
    pub(super) on_loopback: bool,
}

/// Holds what is to be done now.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) ask: Vec<Ask>,
    pub(super) hold: Vec<SocketAddr>,
}

// === impl Plan ===

impl Plan {
    /// These are the instances that there are. Gives those that are not asked any more, and the connections that are not
    /// to be held any more.
    pub(super) fn set(
        &mut self,
        duties: &[Duty],
        now_ms: u64,
        mut draw: impl FnMut() -> u32,
    ) -> (Vec<Spot>, Vec<SocketAddr>) {
        let mut next = BTreeMap::new();
        for duty in duties {
            let Some((target, probe)) = duty.addresses.first().zip(duty.probe.as_ref()) else { continue };
            let target = SocketAddr::new(*target, probe.port);
            let spot = Spot { service: duty.service.clone(), port: duty.port };
            let before = self.probed.remove(&spot);
            let probed = match before {
                Some(same) if same.target == target && same.probe == *probe => same,
                // What is known of it stands until it is known better.
                before => {
                    self.epochs += 1;
                    let word = before.and_then(|before| before.word);
                    match Probed::new(target, probe, self.epochs, word, now_ms, draw()) {
                        Some(probed) => probed,
                        None => continue,
                    }
                }
            };
            next.insert(spot, probed);
        }
        let left = std::mem::replace(&mut self.probed, next).into_keys();
        let left = left.filter(|spot| !self.probed.contains_key(spot)).collect();
        let targets: BTreeSet<_> = self.probed.values().map(|probed| probed.target).collect();
        (left, self.wires.set(&targets))
    }

    /// What is to be done now.
    pub(super) fn take(&mut self, now_ms: u64) -> Due {
        let due = self.probed.iter_mut().filter(|(_, probed)| probed.is_due(now_ms));
        let ask = due.map(|(spot, probed)| probed.ask(spot, now_ms)).collect();
        Due { ask, hold: self.wires.take(now_ms) }
    }

    /// When there is something to be done, if nothing happens before.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        let waiting = self.probed.values().filter(|probed| !probed.under_way);
        waiting.map(|probed| probed.next_at_ms).chain(self.wires.wake_at_ms()).min()
    }

    /// How this question ended: what is known of the instance by now, where that is something else than before.
    pub(super) fn ended(&mut self, ask: &Ask, ended: Ended, now_ms: u64, draw: u32) -> Option<ProbeWitness> {
        let probed = self.probed.get_mut(&ask.spot).filter(|probed| probed.epoch == ask.epoch)?;
        let answer = match now_ms > ask.began_ms.saturating_add(millis(ask.limit)).saturating_add(LATE_MS) {
            true => Answer::Unasked,
            false => ended.answer,
        };
        let judged = probed.judge.outcome(Attempt { answer, began_ms: ask.began_ms, ended_ms: now_ms }, draw);
        probed.under_way = false;
        probed.next_at_ms = judged.next_at_ms;
        if std::mem::take(&mut probed.again) {
            probed.next_at_ms = now_ms;
        } else if std::mem::take(&mut probed.tripped) {
            probed.next_at_ms = probed.next_at_ms.min(now_ms.saturating_add(CONFIRM_AFTER_MS));
        }
        if answer != Answer::Unasked {
            self.wires.probed(probed.target, answer == Answer::Passing);
        }
        let word = match judged.witness {
            ProbeWitness::Pending => None,
            ProbeWitness::Dead if ended.on_loopback => Some(ProbeWitness::LoopbackOnly),
            // An attempt that was not made says nothing of where it listens either.
            ProbeWitness::Dead if answer == Answer::Unasked => probed.word,
            known => Some(known),
        };
        let word = word.filter(|_| word != probed.word);
        probed.word = word.or(probed.word);
        word
    }

    /// The connection that was held to this address has ended: who is there is asked at once, and once more soon after.
    pub(super) fn tripped(&mut self, target: SocketAddr, lived_ms: Option<u64>, now_ms: u64) {
        self.wires.ended(target, lived_ms, now_ms);
        for probed in self.probed.values_mut().filter(|probed| probed.target == target) {
            probed.tripped = true;
            match probed.under_way {
                // It may have been answered before the end.
                true => probed.again = true,
                false => probed.next_at_ms = now_ms,
            }
        }
    }
}

// === impl Probed ===

impl Probed {
    fn new(
        target: SocketAddr,
        probe: &DutyProbe,
        epoch: u64,
        word: Option<ProbeWitness>,
        now_ms: u64,
        draw: u32,
    ) -> Option<Self> {
        let check = match &probe.check {
            DutyCheck::Tcp => ProbeCheck::Tcp { port: None },
            DutyCheck::Http(path) => ProbeCheck::Http { path: path.clone(), port: None },
            DutyCheck::Grpc(service) => ProbeCheck::Grpc { service: service.clone(), port: None },
        };
        let spec = ProbeSpec {
            interval_ms: probe.interval_ms,
            timeout_ms: probe.timeout_ms,
            failure_threshold: probe.failure_threshold,
            success_threshold: probe.success_threshold,
            ..ProbeSpec::new(check)
        };
        let judge = Judge::new(&spec);
        Some(Self {
            target,
            check: Check::of(&spec.check, HttpMethod::Get).ok()?,
            probe: probe.clone(),
            next_at_ms: judge.first_at_ms(now_ms, draw),
            judge,
            under_way: false,
            again: false,
            tripped: false,
            epoch,
            word,
        })
    }

    fn is_due(&self, now_ms: u64) -> bool {
        !self.under_way && self.next_at_ms <= now_ms
    }

    fn ask(&mut self, spot: &Spot, now_ms: u64) -> Ask {
        self.under_way = true;
        let (shortest, longest) = (*PROBE_MILLISECONDS.start(), *PROBE_MILLISECONDS.end());
        let limit_ms = self.probe.timeout_ms.clamp(shortest, longest);
        Ask {
            spot: spot.clone(),
            epoch: self.epoch,
            target: self.target,
            check: self.check.clone(),
            limit: Duration::from_millis(limit_ms.into()),
            began_ms: now_ms,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
