//! The policies that go by loads and latencies.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
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

/// Says which picks are reported: none, nine of ten, or all.
const REPORTED: [u64; 3] = [0, 9, 10];

/// Holds a service at 100 picks a second, each taking `took_ms` until its report, if it is reported.
struct Steady {
    candidates: Vec<Candidate>,
    balancer: Balancer,
    now_ms: u64,
    took_ms: u64,
    reported: u64,
    answers: VecDeque<(u64, Arc<str>)>,
}

impl Steady {
    fn new(candidates: Vec<Candidate>, reported: u64, took_ms: u64) -> Self {
        let balancer = balancer(11, &candidates);
        Self { candidates, balancer, now_ms: 0, took_ms, reported, answers: VecDeque::new() }
    }

    fn set_candidates(&mut self, candidates: Vec<Candidate>) {
        self.balancer.set_candidates(&candidates, None);
        self.candidates = candidates;
    }

    /// How often each is picked.
    fn run(&mut self, picks: u64) -> Vec<usize> {
        let mut counts = vec![0; self.candidates.len()];
        for nth in 0..picks {
            self.now_ms += 10;
            while let Some((_, id)) = self.answers.pop_front_if(|(at_ms, _)| *at_ms <= self.now_ms) {
                self.balancer.report(&id, Outcome::Success, self.took_ms, self.now_ms);
            }
            let picked = self.balancer.pick(Policy::LeastLoaded, "", self.now_ms).unwrap();
            counts[picked] += 1;
            if nth % 10 < self.reported {
                self.answers.push_back((self.now_ms + self.took_ms, Arc::clone(&self.candidates[picked].id)));
            }
        }
        counts
    }
}

/// Runs three spells of 500 picks, and holds each to half of the due at least, and 4 standard deviations above it at
/// most.
fn check_share(steady: &mut Steady, number: usize, due: f64, what: &str) {
    for spell in 0..3 {
        let counts = steady.run(500);
        let (least, most) = (500.0 * due / 2.0, 500.0 * due + 4.0 * (500.0 * due * (1.0 - due)).sqrt());
        assert!(
            (least..most).contains(&(counts[number] as f64)),
            "{what}, {} of 10 reported after {} ms, spell {spell}: {counts:?}",
            steady.reported,
            steady.took_ms
        );
    }
}

#[test]
fn who_comes_returns_or_grows_gets_its_share_from_the_least_loaded_and_no_flood() {
    for reported in REPORTED {
        for took_ms in [0, 5, 300, 20_000] {
            let mut steady = Steady::new(equal(10), reported, took_ms);
            steady.run(7_000);
            steady.set_candidates(equal(11));
            check_share(&mut steady, 10, 1.0 / 11.0, "a newcomer");

            let mut steady = Steady::new(equal(10), reported, took_ms);
            steady.run(7_000);
            fail(&mut steady.balancer, "orders-3", 5, steady.now_ms);
            assert_eq!(steady.run(999)[3], 0, "it is ejected");
            check_share(&mut steady, 3, 0.1, "one that returns");

            let mut weights = [100; 10];
            weights[3] = 1;
            let mut steady = Steady::new(with_weights(&weights), reported, took_ms);
            steady.run(7_000);
            steady.set_candidates(equal(10));
            check_share(&mut steady, 3, 0.1, "one whose weight has grown");
        }
    }
}

/// Afterwards it is one of them, with no more and no less.
#[test]
fn who_came_is_new_no_longer_than_picks_count() {
    for reported in REPORTED {
        let mut steady = Steady::new(equal(10), reported, 300);
        steady.run(7_000);
        steady.set_candidates(equal(11));
        let is_new = |steady: &Steady| steady.now_ms < steady.balancer.near.new_until_ms;
        assert!(is_new(&steady));
        steady.run(6_400);
        assert!(!is_new(&steady));
        let counts = steady.run(11_000);
        assert!((900..1_100).contains(&counts[10]), "{reported} of 10 reported: {counts:?}");
    }
}

/// Weights that all change alike, an instance that leaves, and a service that begins make nobody new.
#[test]
fn nobody_is_new_beside_none() {
    let mut balancer = balancer(1, &with_weights(&[100; 10]));
    assert_eq!(balancer.near.new_until_ms, 0, "all begin");
    for weights in [&[200; 10][..], &[1; 10], &[1; 9], &[1; 2], &[0, 0]] {
        balancer.set_candidates(&with_weights(weights), None);
        assert_eq!(balancer.near.new_until_ms, 0, "{weights:?}");
    }
    balancer.set_candidates(&with_weights(&[100, 100, 100, 100, 100]), None);
    assert_eq!(balancer.near.new_until_ms, 0, "all begin again");
    balancer.set_candidates(&with_weights(&[100, 100, 100, 100, 50]), None);
    assert_eq!(balancer.near.new_until_ms, 0, "the others have grown by a ninth");
}

/// A newcomer that is slow does not get its share on top of what it has not done yet.
#[test]
fn a_slow_newcomer_is_no_refuge() {
    let mut steady = Steady::new(equal(10), 10, 50);
    steady.run(1_000);
    steady.set_candidates(equal(11));
    // It never answers.
    let mut lost = 0;
    for _ in 0..1_000 {
        steady.now_ms += 10;
        let picked = steady.balancer.pick(Policy::LeastLoaded, "", steady.now_ms).unwrap();
        if picked == 10 {
            lost += 1;
        } else {
            steady.balancer.report(&steady.candidates[picked].id, Outcome::Success, 0, steady.now_ms);
        }
    }
    assert!(lost <= 2, "{lost} picks went to it");
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
