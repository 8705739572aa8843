//! The policies that go by loads and latencies.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use proptest::prelude::*;

use super::*;

#[test]
fn an_idle_service_is_shared_by_weight() {
    let weights = [100, 100, 50, 200, 1_000, 10];
    let candidates = with_weights(&weights);
    let counts = counts(&mut balancer(1, &candidates), &candidates, Policy::LeastLoaded, 20_000);
    // 5 degrees of freedom: once in 10,000 by chance alone.
    assert!(chi_square(&counts, &weights) < 25.8, "{counts:?}");
}

proptest! {
    #[test]
    fn the_least_loaded_is_never_above_the_minimum(
        weights in proptest::collection::vec(1u16..=1_000, 1..10),
        reports in proptest::collection::vec(proptest::option::of(0usize..10), 1..200),
    ) {
        let candidates = with_weights(&weights);
        let mut balancer = balancer(1, &candidates);
        let mut loads = vec![0u64; weights.len()];
        for report in reports {
            match report.filter(|number| *number < weights.len()) {
                Some(number) => {
                    balancer.report(&candidates[number].id, Outcome::Success, 1, 0);
                    loads[number] = loads[number].saturating_sub(1);
                }
                None => {
                    let picked = balancer.pick(Policy::LeastLoaded, "", 0).unwrap();
                    for (load, weight) in loads.iter().zip(&weights) {
                        prop_assert!(loads[picked] * u64::from(*weight) <= load * u64::from(weights[picked]));
                    }
                    loads[picked] += 1;
                }
            }
        }
    }
}

#[test]
fn picks_that_nobody_reports_expire() {
    let candidates = equal(2);
    let mut balancer = balancer(1, &candidates);
    let now_ms = 1_000;
    let busy = balancer.pick(Policy::RoundRobin, "", now_ms).unwrap();
    for _ in 0..20 {
        let picked = balancer.pick(Policy::LeastLoaded, "", now_ms + EXPIRY_MS).unwrap();
        if picked != busy {
            balancer.report(&candidates[picked].id, Outcome::Success, 0, now_ms + EXPIRY_MS);
        }
        assert_ne!(picked, busy, "it is still under way");
    }
    let later_ms = now_ms + EXPIRY_MS + 4_000;
    assert_eq!(balancer.near.in_flight, 1);
    let picked: BTreeSet<_> = (0..2).map(|_| balancer.pick(Policy::LeastLoaded, "", later_ms)).collect();
    assert_eq!(picked.len(), 2, "both are idle now, so both are picked");
    assert_eq!(balancer.near.in_flight, 2);
}

/// Holds a service under simulated time: who answers how fast, and which answers are still to come.
struct Simulation {
    candidates: Vec<Candidate>,
    balancer: Balancer,
    now_ms: u64,
    /// When an answer comes, from whom, and after how long.
    answers: BinaryHeap<Reverse<(u64, usize, u64)>>,
}

impl Simulation {
    fn new(candidates: Vec<Candidate>) -> Self {
        Self { balancer: balancer(7, &candidates), candidates, now_ms: 0, answers: BinaryHeap::new() }
    }

    /// Picks once every `gap_ms` for `lasts_ms`, and counts who is picked.
    fn run(
        &mut self,
        lasts_ms: u64,
        gap_ms: u64,
        latency_ms: impl Fn(usize) -> u64,
        fails: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut counts = vec![0; self.candidates.len()];
        for _ in 0..lasts_ms / gap_ms {
            self.now_ms += gap_ms;
            while let Some(&Reverse((at_ms, picked, took_ms))) = self.answers.peek()
                && at_ms <= self.now_ms
            {
                self.answers.pop();
                let outcome = if fails(picked) { Outcome::Failure } else { Outcome::Success };
                self.balancer.report(&self.candidates[picked].id, outcome, took_ms, at_ms);
            }
            let picked = self.balancer.pick(Policy::PowerOfTwo, "", self.now_ms).unwrap();
            counts[picked] += 1;
            let took_ms = latency_ms(picked);
            self.answers.push(Reverse((self.now_ms + took_ms, picked, took_ms)));
        }
        counts
    }
}

fn share(counts: &[usize], number: usize) -> f64 {
    counts[number] as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn a_slow_instance_loses_its_traffic_and_gets_it_back() {
    for gap_ms in [1, 10, 100] {
        let mut simulation = Simulation::new(equal(11));
        let slow = |number| if number == 4 { 1_000 } else { 10 };
        simulation.run(5_000, gap_ms, slow, |_| false);
        let counts = simulation.run(120_000, gap_ms, slow, |_| false);
        assert!(share(&counts, 4) < 0.02, "one pick in {gap_ms} ms: {counts:?}");
        assert!(counts[4] > 0, "it is tried again");
        simulation.run(15_000, gap_ms, |_| 10, |_| false);
        let counts = simulation.run(60_000, gap_ms, |_| 10, |_| false);
        let even = 1.0 / 11.0;
        assert!((0.6 * even..1.4 * even).contains(&share(&counts, 4)), "one pick in {gap_ms} ms: {counts:?}");
    }
}

#[test]
fn an_instance_that_fails_now_and_then_counts_as_slow() {
    // Fast, and never 5 failures in a row: ejection does not help here.
    let mut simulation = Simulation::new(equal(11));
    let calls = std::cell::Cell::new(0);
    let fails = |number| {
        calls.set(calls.get() + usize::from(number == 4));
        number == 4 && calls.get().is_multiple_of(2)
    };
    let counts = simulation.run(120_000, 10, |number| if number == 4 { 1 } else { 10 }, fails);
    assert!(share(&counts, 4) < 0.02, "{counts:?}");
}

#[test]
fn a_newcomer_is_neither_flooded_nor_starved() {
    for latency_ms in [3, 300] {
        let mut simulation = Simulation::new(equal(10));
        simulation.run(60_000, 5, |_| latency_ms, |_| false);
        simulation.candidates = equal(11);
        simulation.balancer.set_candidates(&simulation.candidates, None);
        let counts = simulation.run(2_000, 5, |_| latency_ms, |_| false);
        assert!((0.04..0.2).contains(&share(&counts, 10)), "{latency_ms} ms: {counts:?}");
    }
}

#[test]
fn no_report_counts_for_more_than_a_minute() {
    for outcome in [Outcome::Success, Outcome::Failure] {
        let mut balancer = balancer(1, &equal(2));
        balancer.report("orders-0", outcome, u64::MAX, 0);
        assert_eq!(balancer.members[0].latency.estimate_ms(&balancer.typical, 0), 60_000.0);
        assert!(balancer.members[1].latency.estimate_ms(&balancer.typical, 0) <= 60_000.0);
    }
}

#[test]
fn two_choices_without_differences_go_by_weight() {
    let weights = [100, 200, 50, 100, 400];
    let mut simulation = Simulation::new(with_weights(&weights));
    let counts = simulation.run(100_000, 10, |_| 9, |_| false);
    // 4 degrees of freedom: once in 10,000 by chance alone.
    assert!(chi_square(&counts, &weights) < 23.5, "{counts:?}");
}
