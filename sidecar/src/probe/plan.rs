//! The plan: which instance is asked when, and what its answers come to. A value; time and chance come in as arguments.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use rollcall_catalogue::{
    ProbeCheck, ProbeSpec,
    limits::PROBE_MILLISECONDS,
    liveness::{Answer, Attempt, Judge, ProbeWitness},
};
use rollcall_net::probe::{Check, HttpMethod};
use rollcall_wire::{Duty, DutyCheck, DutyProbe};

use super::looks::Looks;
use crate::own::Spot;

/// An attempt that ended so long after its time was up: we stood still ourselves, and its end says nothing of the app.
const LATE_MS: u64 = 1_000;

/// Holds who is asked, and how the last answers ran.
#[derive(Debug, Default)]
pub(super) struct Plan {
    probed: BTreeMap<Spot, Probed>,
    looks: Looks,
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

// === impl Plan ===

impl Plan {
    /// These are the instances that there are. Gives those that are not asked any more.
    pub(super) fn set(&mut self, duties: &[Duty], now_ms: u64, mut draw: impl FnMut() -> u32) -> Vec<Spot> {
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
        self.looks.set(&self.probed.values().map(|probed| probed.target).collect());
        left
    }

    /// The questions that are to be put now.
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<Ask> {
        let due = self.probed.iter_mut().filter(|(_, probed)| probed.is_due(now_ms));
        due.map(|(spot, probed)| probed.ask(spot, now_ms)).collect()
    }

    /// The addresses that are to be looked at now: whether anybody listens there.
    pub(super) fn looks(&mut self, now_ms: u64) -> Vec<SocketAddr> {
        self.looks.take(now_ms)
    }

    /// When there is something to be done, if nothing happens before.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        let waiting = self.probed.values().filter(|probed| !probed.under_way);
        waiting.map(|probed| probed.next_at_ms).chain(self.looks.wake_at_ms()).min()
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
        }
        self.looks.probed(probed.target, answer, now_ms);
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

    /// Whether anybody listens there. Where somebody did and nobody does any more, who is there is asked at once.
    pub(super) fn looked(&mut self, target: SocketAddr, listens: bool, now_ms: u64) {
        if !self.looks.looked(target, listens, now_ms) {
            return;
        }
        for probed in self.probed.values_mut().filter(|probed| probed.target == target) {
            match probed.under_way {
                // It may have been answered before the end.
                true => probed.again = true,
                false => probed.next_at_ms = now_ms,
            }
        }
    }

    /// The kernel does not tell who listens. Probes go on as ever.
    pub(super) fn blind(&mut self, now_ms: u64) {
        self.looks.blind(now_ms);
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
