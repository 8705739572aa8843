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
    group.finish();
}

criterion_group! {
    name = balance;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = picks, reports, changes
}
criterion_main!(balance);
