//! The balancers of a sidecar: one for each service and filter that somebody picks from, within limits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rollcall_catalogue::{
    Instance, Match, Policy, Query, Service, ServiceKey, States,
    balance::{Balancer, Candidate, Home, Outcome},
};
use rollcall_net::Jitter;
use tokio::time::Instant;

use super::lookup::Asked;
use crate::store::Held;

/// Services and filters that are picked from: an app calls a handful of services, each with a filter or two.
const BALANCERS_MAX: usize = 256;
/// Their candidates in all: three services of 5,000 instances; each takes less than half a kilobyte, so that they are some
/// 8 MB at most.
const CANDIDATES_MAX: usize = 16_384;

/// Holds who was picked how often, and how it went.
#[derive(Debug)]
pub(super) struct Balancers {
    table: Mutex<Table>,
    begin: Instant,
}

#[derive(Debug)]
struct Table {
    kept: HashMap<Name, Entry>,
    /// Counts picks, so that the balancer that was used longest ago is known.
    uses: u64,
    jitter: Jitter,
}

/// Names a balancer: the service, and the filters as one text.
type Name = (ServiceKey, String);

#[derive(Debug)]
struct Entry {
    balancer: Balancer,
    /// What the candidates were taken from.
    of: Option<(Arc<Service>, Option<Arc<str>>)>,
    chosen: Vec<(Arc<Instance>, u16)>,
    used: u64,
}

/// Holds what a caller wants to pick by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) policy: Policy,
    pub(super) key: &'a str,
    /// The zone that the caller is in.
    pub(super) home: Option<&'a Arc<str>>,
}

// === impl Balancers ===

impl Default for Balancers {
    fn default() -> Self {
        let table = Table { kept: HashMap::new(), uses: 0, jitter: Jitter::from_entropy() };
        Self { table: Mutex::new(table), begin: Instant::now() }
    }
}

impl Balancers {
    /// One of the instances that are asked for, and the port to use; none where none of them may be picked.
    pub(super) fn pick(
        &self,
        held: &Held,
        asked: &Asked,
        wanted: Wanted<'_>,
    ) -> Option<(Arc<Instance>, u16)> {
        let now_ms = self.now_ms();
        let mut table = self.table();
        let name = (held.key.clone(), asked.text.clone());
        let entry = table.entry(&name);
        entry.follow(&held.service, &asked.query, wanted.home);
        let number = entry.balancer.pick(wanted.policy, wanted.key, now_ms);
        let picked = number.and_then(|number| entry.chosen.get(number)).cloned();
        table.shrink(&name);
        picked
    }

    /// Tells everyone who may have picked this instance how a call to it went.
    pub(super) fn report(&self, key: &ServiceKey, id: &str, outcome: Outcome, latency_ms: u64) {
        let now_ms = self.now_ms();
        let mut table = self.table();
        let of_service = table.kept.iter_mut().filter(|((service, _), _)| service == key);
        of_service.for_each(|(_, entry)| entry.balancer.report(id, outcome, latency_ms, now_ms));
    }

    /// Whole whoever panicked while holding it: what is half known of a balancer is forgotten with its next change.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl Table ===

impl Table {
    fn entry(&mut self, name: &Name) -> &mut Entry {
        self.uses += 1;
        let (used, seed) = (self.uses, self.jitter.next_u64());
        let fresh = || Entry { balancer: Balancer::new(seed), of: None, chosen: Vec::new(), used };
        let entry = self.kept.entry(name.clone()).or_insert_with(fresh);
        entry.used = used;
        entry
    }

    /// Drops those that were used longest ago until the others fit; this one stays.
    fn shrink(&mut self, stays: &Name) {
        let candidates =
            |kept: &HashMap<Name, Entry>| -> usize { kept.values().map(|entry| entry.chosen.len()).sum() };
        while self.kept.len() > BALANCERS_MAX
            || (self.kept.len() > 1 && candidates(&self.kept) > CANDIDATES_MAX)
        {
            let others = self.kept.iter().filter(|(name, _)| *name != stays);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone())
            else {
                return;
            };
            self.kept.remove(&oldest);
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Goes on with what the service is now.
    fn follow(&mut self, service: &Arc<Service>, query: &Query, zone: Option<&Arc<str>>) {
        let same =
            |(held, at): &(Arc<Service>, Option<Arc<str>>)| Arc::ptr_eq(held, service) && at.as_ref() == zone;
        if self.of.as_ref().is_some_and(same) {
            return;
        }
        let chosen = query.select(service);
        self.chosen = chosen.iter().map(|Match { instance, port }| (Arc::clone(instance), *port)).collect();
        let candidates: Vec<_> = chosen.iter().map(|one| Candidate::from(&**one.instance)).collect();
        let home = zone.map(|zone| {
            // What the zone could serve if all of it were well.
            let all = Query { states: States::All, ..query.clone() };
            let listed = all.select(service).into_iter().map(|one| one.instance);
            let near = listed.filter(|instance| instance.zone.as_ref() == Some(zone));
            let listed_weight = near.map(|instance| u64::from(instance.profile.weight)).sum();
            Home { zone: Arc::clone(zone), listed_weight }
        });
        self.balancer.set_candidates(&candidates, home.as_ref());
        self.of = Some((Arc::clone(service), zone.cloned()));
    }
}

#[cfg(test)]
#[path = "balancers_tests.rs"]
mod tests;
