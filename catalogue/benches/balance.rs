//! What a pick costs, and what a change of the candidates costs.
//! `cargo bench -p rollcall-catalogue --bench balance`
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark that goes wrong should stop")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rollcall_catalogue::balance::{Balancer, Candidate, Outcome, Policy};

/// Keys that take turns, so that no branch is learned by heart.
const KEYS: usize = 1_024;

fn candidates(count: usize) -> Vec<Candidate> {
    let id = |n: usize| Arc::from(format!("b2a9a6de-5b0c-4a6f-9d2e-0f7a6c1d{n:04x}-8080"));
    (0..count).map(|n| Candidate { id: id(n), weight: 100, zone: None }).collect()
}

/// A balancer under way: half of its picks have been reported.
fn warm(candidates: &[Candidate], policy: Policy, keys: &[String]) -> Balancer {
    let mut balancer = Balancer::new(1);
    balancer.set_candidates(candidates, None);
    for (n, key) in keys.iter().enumerate() {
        let picked = balancer.pick(policy, key, 1_000).expect("candidates");
        if n % 2 == 0 {
            balancer.report(&candidates[picked].id, Outcome::Success, 5 + n as u64 % 20, 1_000);
        }
    }
    balancer
}

fn picks(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..KEYS).map(|n| format!("customer-{n:06}")).collect();
    let mut group = criterion.benchmark_group("pick");
    for count in [10, 1_000] {
        let candidates = candidates(count);
        for policy in Policy::ALL {
            let mut balancer = warm(&candidates, policy, &keys);
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(policy.as_str(), count), |bencher| {
                bencher.iter(|| {
                    turn = (turn + 1) % KEYS;
                    balancer.pick(policy, black_box(&keys[turn]), 1_001)
                });
            });
        }
    }
    group.finish();
}

/// Where weights differ much, a search passes points of light members on its way to a heavy one; and beside a new
/// member the least loaded is not simply the least loaded.
fn uneven_picks(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..KEYS).map(|n| format!("customer-{n:06}")).collect();
    let mut group = criterion.benchmark_group("uneven");
    type Weight = fn(usize) -> u16;
    let weights: [(&str, Weight); 3] = [
        ("one heavy", |n| if n == 0 { 1_000 } else { 1 }),
        ("one light", |n| if n == 0 { 1 } else { 1_000 }),
        ("all kinds", |n| 1 + (n * 617 % 1_000) as u16),
    ];
    for (name, weight) in weights {
        let mut candidates = candidates(1_000);
        candidates.iter_mut().enumerate().for_each(|(n, one)| one.weight = weight(n));
        let mut balancer = warm(&candidates, Policy::ConsistentHash, &keys);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("hash", name), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % KEYS;
                balancer.pick(Policy::ConsistentHash, black_box(&keys[turn]), 1_001)
            });
        });
    }
    let (newcomer, others) = (candidates(10), candidates(9));
    let mut balancer = warm(&others, Policy::LeastLoaded, &keys);
    balancer.set_candidates(&newcomer, None);
    group.bench_function("least-loaded/10 with a new one", |bencher| {
        bencher.iter(|| balancer.pick(Policy::LeastLoaded, "", 1_001));
    });
    group.finish();
}

fn reports(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..KEYS).map(|n| format!("customer-{n:06}")).collect();
    let candidates = candidates(10);
    let mut balancer = warm(&candidates, Policy::PowerOfTwo, &keys);
    criterion.bench_function("pick and report/p2c/10", |bencher| {
        bencher.iter(|| {
            let picked = balancer.pick(Policy::PowerOfTwo, "", 1_001).expect("candidates");
            balancer.report(&candidates[picked].id, Outcome::Success, 7, 1_002);
        });
    });
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    for count in [10, 100, 1_000] {
        let all = candidates(count);
        let (_, fewer) = all.split_first().expect("candidates");
        for (name, policy) in
            [("candidates", Policy::RoundRobin), ("candidates and ring", Policy::ConsistentHash)]
        {
            let mut balancer = warm(&all, policy, &[]);
            let mut shrinks = false;
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    shrinks = !shrinks;
                    balancer.set_candidates(if shrinks { fewer } else { &all }, None);
                    balancer.pick(policy, "key", 1_001)
                });
            });
        }
    }
    for count in [10, 1_000] {
        let all = candidates(count);
        let mut balancer = warm(&all, Policy::ConsistentHash, &["key".to_owned()]);
        group.bench_function(BenchmarkId::new("none", count), |bencher| {
            bencher.iter(|| {
                balancer.set_candidates(black_box(&all), None);
                balancer.pick(Policy::ConsistentHash, "key", 1_001)
            });
        });
    }
    group.finish();
}

/// No timing: how evenly keys fall on the instances. The figures stand beside the ring's `POINTS`.
fn shares(_: &mut Criterion) {
    for (count, seeds) in [(10, 40), (100, 8), (1_000, 2)] {
        let largest = (0..seeds).map(|seed| {
            let id = |n: usize| Arc::from(format!("{seed}-{n}"));
            let members: Vec<_> =
                (0..count).map(|n| Candidate { id: id(n), weight: 100, zone: None }).collect();
            let mut balancer = Balancer::new(1);
            balancer.set_candidates(&members, None);
            let mut held = vec![0u32; count];
            let keys = 20_000 * count;
            for key in 0..keys {
                let picked = balancer.pick(Policy::ConsistentHash, &format!("{key}"), 1_000);
                held[picked.expect("candidates")] += 1;
            }
            f64::from(held.into_iter().max().unwrap_or_default()) * count as f64 / keys as f64
        });
        println!("{count} instances: the largest share is {:.3} of the mean", largest.fold(0.0, f64::max));
    }
}

criterion_group! {
    name = balance;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = shares, picks, uneven_picks, reports, changes
}
criterion_main!(balance);
