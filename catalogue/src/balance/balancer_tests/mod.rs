//! The balancer under test, and what all its tests use.

use std::collections::BTreeSet;

use super::*;

mod ejection;
mod hash;
mod loads;
mod turns;
mod whole;
mod zones;

fn candidate(number: usize, weight: u16, zone: Option<&str>) -> Candidate {
    Candidate { id: format!("orders-{number}").into(), weight, zone: zone.map(Into::into) }
}

fn with_weights(weights: &[u16]) -> Vec<Candidate> {
    weights.iter().enumerate().map(|(number, weight)| candidate(number, *weight, None)).collect()
}

fn equal(count: usize) -> Vec<Candidate> {
    with_weights(&vec![100; count])
}

fn balancer(seed: u64, candidates: &[Candidate]) -> Balancer {
    let mut balancer = Balancer::new(seed);
    balancer.set_candidates(candidates, None);
    balancer
}

/// How often each of `count` candidates is picked, each pick reported at once.
fn counts(balancer: &mut Balancer, candidates: &[Candidate], policy: Policy, picks: usize) -> Vec<usize> {
    let mut counts = vec![0; candidates.len()];
    for nth in 0..picks {
        let picked = balancer.pick(policy, &format!("key-{nth}"), balancer.now_ms).unwrap();
        balancer.report(&candidates[picked].id, Outcome::Success, 5, balancer.now_ms);
        counts[picked] += 1;
    }
    counts
}

/// Pearson's chi-square of counts that should be as `weights`; its mean is the number of candidates less one.
fn chi_square(counts: &[usize], weights: &[u16]) -> f64 {
    let picks: usize = counts.iter().sum();
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let term = |(count, weight): (&usize, &u16)| {
        let due = picks as f64 * f64::from(*weight) / total;
        (*count as f64 - due).powi(2) / due
    };
    counts.iter().zip(weights).map(term).sum()
}

/// What of the whole state must hold after any call.
fn check(balancer: &Balancer, candidates: &[Candidate]) {
    assert_eq!(balancer.members.len(), candidates.len());
    assert!(balancer.numbers.len() <= candidates.len());
    let mut seated = BTreeSet::new();
    for (pool, side) in [(&balancer.near, Side::Near), (&balancer.far, Side::Far)] {
        let members = pool.seats.iter().map(|seat| &balancer.members[*seat as usize]);
        assert!(
            members.clone().all(|member| member.side == side && member.weight > 0 && !member.is_ejected())
        );
        assert_eq!(members.map(|member| u64::from(member.in_flight.total())).sum::<u64>(), pool.in_flight);
        seated.extend(pool.seats.iter().copied());
    }
    let pickable = balancer.members.iter().filter(|member| member.is_pickable()).count();
    assert!(seated.len() >= pickable - ejected_max(pickable), "too many are ejected");
}

fn fail(balancer: &mut Balancer, id: &str, times: usize, now_ms: u64) {
    (0..times).for_each(|_| balancer.report(id, Outcome::Failure, 1, now_ms));
}
