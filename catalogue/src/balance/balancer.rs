//! The balancer of one service and filter: the face of this folder.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{instance::Instance, limits::WEIGHT_MAX};

use super::{
    ejection::ejected_max,
    hash::{Draws, fingerprint, mix},
    in_flight::{EXPIRY_MS, Slice},
    latency::Typical,
    member::{Member, Side},
    policy::Policy,
    pool::{Ask, Pool},
};

/// A zone keeps its traffic while this part of its weight is left to serve it, as a fraction: 5/7, so that with half
/// of it gone the zone keeps 70 %, and the rest of its instances never get more than 1.4 times their share.
const ENOUGH_AT_HOME: (u128, u128) = (5, 7);

/// A zone keeps its traffic while it has this part of the mean weight of all zones, as a fraction: 1/2, so that were
/// the callers spread evenly, its instances never got more than twice what their weights say. A test instance of
/// weight 1 does not get the traffic of a whole zone for standing there alone.
const ENOUGH_OF_MEAN: (u128, u128) = (1, 2);

/// The whole of the traffic, as [`Balancer::near_share`] counts it: one more than the largest 32-bit number.
const EVERYTHING: u64 = 1 << 32;

/// Holds what the balancer needs to know of an instance that may be picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub id: Arc<str>,
    /// Its share of the traffic; with 0 it is never picked.
    pub weight: u16,
    pub zone: Option<Arc<str>>,
}

/// Holds the caller's own zone, whose instances it would rather call.
///
/// Keys spill over with the rest: when an instance at home fails, some keys of the others leave the zone too. With
/// one of three gone that is a fifteenth of them; together with the keys of the failed one, up to 1.3 times as many
/// as without a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub zone: Arc<str>,
    /// The weights of this zone's instances in any state, added up: what it could serve if all were well.
    pub listed_weight: u64,
}

/// Says how a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Failure,
}

/// Holds who may be picked and what is known of each. It knows no clock: time comes with each call, from any
/// monotonic clock, and stands still where it would go back.
#[derive(Debug)]
pub struct Balancer {
    /// What was given last, so that the same again changes nothing.
    candidates: Vec<Candidate>,
    home: Option<Home>,
    /// In the order of the candidates.
    members: Vec<Member>,
    numbers: HashMap<Arc<str>, usize>,
    near: Pool,
    far: Pool,
    /// The part of the picks that stays near, of [`EVERYTHING`].
    near_share: u64,
    typical: Typical,
    now_ms: u64,
    /// When the first of the ejected returns.
    next_return_ms: Option<u64>,
    reported_ms: Option<u64>,
    draws: Draws,
}

// === impl Candidate ===

impl From<&Instance> for Candidate {
    fn from(instance: &Instance) -> Self {
        Self {
            id: instance.id.to_string().into(),
            weight: instance.profile.weight,
            zone: instance.zone.clone(),
        }
    }
}

// === impl Balancer ===

impl Balancer {
    /// A balancer without candidates. The seed should differ between sidecars: a thousand of them must not begin
    /// their rounds with the same instance.
    pub fn new(seed: u64) -> Self {
        Self {
            candidates: Vec::new(),
            home: None,
            members: Vec::new(),
            numbers: HashMap::new(),
            near: Pool::empty(Side::Near),
            far: Pool::empty(Side::Far),
            near_share: EVERYTHING,
            typical: Typical::default(),
            now_ms: 0,
            next_return_ms: None,
            reported_ms: None,
            draws: Draws::new(seed),
        }
    }

    /// Goes on with these candidates. Those that were there before keep what is known of them, by their ids; the
    /// others are forgotten. Without a known home all candidates are alike. To be told the same again costs a
    /// comparison.
    pub fn set_candidates(&mut self, candidates: &[Candidate], home: Option<&Home>) {
        if self.candidates == candidates && self.home.as_ref() == home {
            return;
        }
        let mut held: Vec<_> = std::mem::take(&mut self.members).into_iter().map(Some).collect();
        let mut numbers = HashMap::with_capacity(candidates.len());
        for (number, candidate) in candidates.iter().enumerate() {
            let before = self.numbers.get(&candidate.id).and_then(|number| held.get_mut(*number)?.take());
            let mut member = before.unwrap_or_else(|| Member::new(&candidate.id, self.draws.next()));
            member.at_home = home.is_none_or(|home| candidate.zone.as_ref() == Some(&home.zone));
            // An id that stands twice counts once.
            member.weight = match numbers.entry(Arc::clone(&candidate.id)) {
                Entry::Vacant(vacant) => {
                    vacant.insert(number);
                    candidate.weight.min(WEIGHT_MAX)
                }
                Entry::Occupied(_) => 0,
            };
            self.members.push(member);
        }
        self.numbers = numbers;
        self.candidates.clear();
        self.candidates.extend_from_slice(candidates);
        self.home = home.cloned();
        self.seat();
    }

    /// Chooses an instance: its place among the candidates; none where all weights are 0. The key is read by
    /// [`Policy::ConsistentHash`] alone. The pick is under way until its report, or for a minute.
    pub fn pick(&mut self, policy: Policy, key: &str, now_ms: u64) -> Option<usize> {
        self.advance(now_ms);
        let key = match policy {
            Policy::ConsistentHash => fingerprint(key),
            _ => 0,
        };
        let ask = Ask {
            policy,
            key,
            now_ms: self.now_ms,
            typical: &self.typical,
            loads_known: self.reported_ms.is_some_and(|at_ms| self.now_ms - at_ms < EXPIRY_MS),
        };
        let stays_near = match policy {
            _ if self.near_share == EVERYTHING => true,
            // A key stays on its side while the shares stay as they are, and moves only as far as they move.
            Policy::ConsistentHash => mix(key) >> 32 < self.near_share,
            _ => self.draws.below(EVERYTHING) < self.near_share,
        };
        let pool = if stays_near { &mut self.near } else { &mut self.far };
        let number = pool.pick(&ask, &mut self.members, &mut self.draws)? as usize;
        self.members.get_mut(number)?.in_flight.begin(Slice::at(self.now_ms));
        pool.in_flight += 1;
        Some(number)
    }

    /// Takes in how a call went; of an instance that is no candidate it says nothing any more.
    pub fn report(&mut self, id: &str, outcome: Outcome, latency_ms: u64, now_ms: u64) {
        self.advance(now_ms);
        let Some(member) = self.numbers.get(id).and_then(|number| self.members.get_mut(*number)) else {
            return;
        };
        self.reported_ms = Some(self.now_ms);
        let began = Slice::at(self.now_ms.saturating_sub(latency_ms));
        if member.in_flight.end(began, Slice::at(self.now_ms)) {
            match member.side {
                Side::Near => self.near.in_flight -= 1,
                Side::Far => self.far.in_flight -= 1,
                Side::Out => {}
            }
        }
        // No call takes longer than it is waited for, whatever a report says.
        let latency_ms = latency_ms.min(EXPIRY_MS);
        match outcome {
            Outcome::Success => {
                self.typical.hear(latency_ms);
                member.latency.hear_success(latency_ms, &self.typical, self.now_ms);
            }
            Outcome::Failure => member.latency.hear_failure(latency_ms, &self.typical, self.now_ms),
        }
        if member.ejection.hear(outcome) && member.side != Side::Out {
            self.eject(id);
        }
    }

    /// Ejects an instance, unless as many are ejected as may be.
    fn eject(&mut self, id: &str) {
        let pickable = self.members.iter().filter(|member| member.is_pickable());
        let ejected = pickable.clone().filter(|member| member.is_ejected()).count();
        if ejected < ejected_max(pickable.count())
            && let Some(member) = self.numbers.get(id).and_then(|number| self.members.get_mut(*number))
        {
            member.ejection.eject(self.now_ms);
            self.seat();
        }
    }

    /// Lets time go on: expires picks, and lets the ejected return.
    fn advance(&mut self, now_ms: u64) {
        if now_ms <= self.now_ms {
            return;
        }
        let (before, now) = (Slice::at(self.now_ms), Slice::at(now_ms));
        self.now_ms = now_ms;
        if before != now {
            self.members.iter_mut().for_each(|member| member.in_flight.expire(before, now));
            self.near.recount(&self.members);
            self.far.recount(&self.members);
        }
        if self.next_return_ms.is_some_and(|returns_ms| returns_ms <= now_ms) {
            self.seat();
        }
    }

    /// Gives every member its place, after the candidates or the ejections have changed.
    fn seat(&mut self) {
        self.release();
        for member in &mut self.members {
            member.sit(match member.at_home {
                _ if !member.is_pickable() || member.is_ejected() => Side::Out,
                true => Side::Near,
                false => Side::Far,
            });
        }
        for pool in [&mut self.near, &mut self.far] {
            *pool = Pool::new(&mut self.members, pool.side, pool.ring.take(), self.now_ms);
        }
        self.near_share = match &self.home {
            Some(home) if self.far.len() > 0 => {
                near_share(self.near.weight().into(), home.listed_weight.into(), self.elsewhere())
            }
            _ => EVERYTHING,
        };
        self.next_return_ms = self.members.iter().filter_map(|member| member.ejection.returns_ms()).min();
    }

    /// The other zones: how much weight they have together, ejected or not, and how many they are. Candidates of no
    /// known zone make one.
    fn elsewhere(&self) -> (u128, u128) {
        let others = self.members.iter().zip(&self.candidates).filter(|(member, _)| !member.at_home);
        let weighty = others.filter(|(member, _)| member.is_pickable());
        let weight = weighty.clone().map(|(member, _)| u128::from(member.weight)).sum();
        let zones: BTreeSet<_> = weighty.map(|(_, candidate)| candidate.zone.as_deref()).collect();
        (weight, zones.len() as u128)
    }

    /// Releases the ejected whose time has come; and those whose time comes first, where the candidates have become
    /// so few that too many are ejected.
    fn release(&mut self) {
        let pickable = self.members.iter().filter(|member| member.is_pickable()).count();
        let mut ejected: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|member| Some((member.ejection.returns_ms()?, member)))
            .collect();
        ejected.sort_by_key(|(returns_ms, _)| *returns_ms);
        let mut too_many = ejected
            .iter()
            .filter(|(_, member)| member.is_pickable())
            .count()
            .saturating_sub(ejected_max(pickable));
        for (returns_ms, member) in ejected {
            if returns_ms <= self.now_ms || too_many > 0 {
                member.ejection.release();
                too_many = too_many.saturating_sub(usize::from(member.is_pickable()));
            }
        }
    }
}

/// The part of the picks that stays in the caller's zone, of [`EVERYTHING`], with so much weight left there of what
/// is listed, and so much in so many other zones.
fn near_share(near: u128, listed: u128, (elsewhere, others): (u128, u128)) -> u64 {
    let listed = listed.max(near).max(1);
    let part =
        |whole: u128, enough: (u128, u128)| near * u128::from(EVERYTHING) * enough.1 / (whole * enough.0);
    let of_listed = part(listed, ENOUGH_AT_HOME);
    let of_mean = part(listed + elsewhere, ENOUGH_OF_MEAN) * (others + 1);
    of_listed.min(of_mean).try_into().unwrap_or(EVERYTHING).min(EVERYTHING)
}

#[cfg(test)]
#[path = "balancer_tests/mod.rs"]
mod tests;
