//! A pick by each policy, and what is heard of it.

use std::{hint::black_box, sync::Arc};

use anyhow::Context;
use rollcall_catalogue::balance::{Balancer, Candidate, Outcome, Policy};
use rollcall_counts::{Path, shop};

/// Keys that take turns.
const KEYS: usize = 1_024;
/// A moment, at which nothing expires.
const NOW_MS: u64 = 1_000;

pub(crate) fn paths() -> Vec<Path> {
    let sizes = [10, 1_000].into_iter();
    let all = sizes.flat_map(|count| Policy::ALL.into_iter().map(move |policy| (policy, count)));
    let picks = all.map(|(policy, count)| {
        Path::new(format!("pick/{policy}/{count}"), KEYS, move |_| {
            let (keys, candidates) = (keys(), candidates(count));
            let mut balancer = warm(&candidates, policy, &keys)?;
            Ok(Box::new(move |turn| {
                let key = keys.get(turn % KEYS);
                key.is_some_and(|key| black_box(balancer.pick(policy, black_box(key), NOW_MS + 1)).is_some())
            }))
        })
    });
    let reported = Path::new("pick and report/p2c/10", KEYS, |_| {
        let candidates = candidates(10);
        let mut balancer = warm(&candidates, Policy::PowerOfTwo, &keys())?;
        Ok(Box::new(move |_| {
            let picked = balancer.pick(Policy::PowerOfTwo, "", NOW_MS + 1);
            let Some(candidate) = picked.and_then(|picked| candidates.get(picked)) else { return false };
            balancer.report(black_box(&candidate.id), Outcome::Success, 7, NOW_MS + 2);
            true
        }))
    });
    picks.chain([reported]).collect()
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|number| format!("customer-{number:06}")).collect()
}

fn candidates(count: usize) -> Vec<Candidate> {
    let id = |number: usize| Arc::from(format!("{}-8080", shop::uid(number)));
    (0..count).map(|number| Candidate { id: id(number), weight: 100, zone: None }).collect()
}

/// A balancer under way: half of its picks have been reported.
fn warm(candidates: &[Candidate], policy: Policy, keys: &[String]) -> anyhow::Result<Balancer> {
    let mut balancer = Balancer::new(1);
    balancer.set_candidates(candidates, None);
    for (number, key) in keys.iter().enumerate() {
        let picked = balancer.pick(policy, key, NOW_MS).and_then(|picked| candidates.get(picked));
        let picked = picked.context("nobody was picked")?;
        if number % 2 == 0 {
            balancer.report(&picked.id, Outcome::Success, 5 + number as u64 % 20, NOW_MS);
        }
    }
    Ok(balancer)
}
