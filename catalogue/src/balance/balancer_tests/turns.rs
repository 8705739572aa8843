//! Random and the two kinds of taking turns.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[test]
fn random_is_even_whatever_the_weights() {
    let candidates = with_weights(&[1, 100, 1_000, 7, 100, 100, 50, 3, 900, 100]);
    for seed in 0..20 {
        let counts = counts(&mut balancer(seed, &candidates), &candidates, Policy::Random, 10_000);
        // 9 degrees of freedom: once in 10,000 by chance alone.
        assert!(chi_square(&counts, &[1; 10]) < 33.7, "{counts:?}");
    }
}

#[test]
fn sidecars_begin_their_rounds_with_different_instances() {
    let candidates = equal(10);
    for policy in [Policy::RoundRobin, Policy::Weighted] {
        let begins: Vec<_> = (0..200).map(|seed| balancer(seed, &candidates).pick(policy, "", 0)).collect();
        for number in 0..10 {
            let count = begins.iter().filter(|begin| **begin == Some(number)).count();
            assert!((5..=40).contains(&count), "{policy}: {count} of 200 begin with {number}");
        }
    }
}

proptest! {
    /// Candidates come and go in the middle of rounds. Nobody gets a second turn before all that were there at his
    /// first have had one, and without a change each round is complete.
    #[test]
    fn each_has_one_turn_a_round_over_every_change(
        steps in proptest::collection::vec((proptest::collection::btree_set(0usize..12, 1..12), 0usize..30), 1..12),
        seed in any::<u64>(),
    ) {
        let mut balancer = Balancer::new(seed);
        let mut waiting: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (present, picks) in steps {
            let candidates: Vec<_> = present.iter().map(|number| candidate(*number, 100, None)).collect();
            balancer.set_candidates(&candidates, None);
            waiting.retain(|number, _| present.contains(number));
            let numbers: Vec<_> = present.iter().copied().collect();
            let picked: Vec<_> =
                (0..picks).map(|_| numbers[balancer.pick(Policy::RoundRobin, "", 0).unwrap()]).collect();
            for round in picked.chunks_exact(numbers.len()) {
                prop_assert_eq!(round.iter().copied().collect::<BTreeSet<_>>(), present.clone());
            }
            for number in picked {
                let before = waiting.insert(number, present.iter().copied().filter(|n| *n != number).collect());
                let skipped = before.into_iter().flatten().find(|other| present.contains(other));
                prop_assert_eq!(skipped, None, "before the second turn of {}", number);
                waiting.values_mut().for_each(|others| { others.remove(&number); });
            }
        }
    }
}

#[test]
fn a_weight_above_the_most_counts_as_the_most() {
    let mut balancer = balancer(1, &with_weights(&[u16::MAX, WEIGHT_MAX]));
    let first = (0..1_000).filter(|_| balancer.pick(Policy::Weighted, "", 0) == Some(0)).count();
    assert_eq!(first, 500);
}

proptest! {
    /// Over a cycle the counts are the weights, and on the way nobody is more than a pick ahead of its due.
    #[test]
    fn a_cycle_of_the_weighted_is_exact_and_smooth(
        weights in proptest::collection::vec(0u16..40, 1..10), seed in any::<u64>(),
    ) {
        let total: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        let mut balancer = balancer(seed, &with_weights(&weights));
        for _ in 0..2 {
            let mut counts = vec![0; weights.len()];
            for picks in 1..=total {
                let picked = balancer.pick(Policy::Weighted, "", 0).unwrap();
                counts[picked] += 1;
                prop_assert!((counts[picked] - 1) * total < picks * usize::from(weights[picked]));
            }
            prop_assert_eq!(&counts, &weights.iter().map(|weight| usize::from(*weight)).collect::<Vec<_>>());
        }
    }

    /// The same weights in another unit are the same weights.
    #[test]
    fn only_the_ratio_of_the_weights_counts(
        weights in proptest::collection::vec(1u16..200, 1..10), factor in 2u16..5, seed in any::<u64>(),
    ) {
        let larger: Vec<_> = weights.iter().map(|weight| weight * factor).collect();
        let (mut one, mut other) = (balancer(seed, &with_weights(&weights)), balancer(seed, &with_weights(&larger)));
        for nth in 0..200 {
            for policy in [Policy::Weighted, Policy::LeastLoaded, Policy::ConsistentHash] {
                let key = nth.to_string();
                prop_assert_eq!(one.pick(policy, &key, nth), other.pick(policy, &key, nth));
            }
        }
    }

    /// After a change a round is two picks off at most; the same candidates again are no change.
    #[test]
    fn a_change_costs_the_weighted_two_picks_of_a_round_at_most(
        before in proptest::collection::vec(1u16..12, 1..8), after in proptest::collection::vec(1u16..12, 1..8),
        picks in 0usize..60,
    ) {
        let candidates = with_weights(&after);
        let mut balancer = balancer(1, &with_weights(&before));
        (0..picks).for_each(|_| { balancer.pick(Policy::Weighted, "", 0); });
        let round: usize = after.iter().map(|weight| usize::from(*weight)).sum();
        for _ in 0..3 {
            balancer.set_candidates(&candidates, None);
            let counts = counts(&mut balancer, &candidates, Policy::Weighted, round);
            for (count, weight) in counts.iter().zip(&after) {
                prop_assert!(count.abs_diff((*weight).into()) <= 2, "{:?} for {:?}", counts, after);
            }
        }
    }

    /// Whatever happened before, the credits are settled: from any change on, everyone gets its due within a few
    /// picks.
    #[test]
    fn the_weighted_is_near_its_due_after_any_change(
        steps in proptest::collection::vec((
            prop_oneof![proptest::collection::vec(1u16..5, 1..10), proptest::collection::vec(500u16..=1_000, 1..10)],
            0usize..40,
        ), 1..8),
    ) {
        let mut balancer = Balancer::new(1);
        let mut last = vec![];
        for (weights, picks) in steps {
            balancer.set_candidates(&with_weights(&weights), None);
            prop_assert_eq!(balancer.members.iter().map(|member| member.credit).sum::<i64>(), 0);
            for _ in 0..picks {
                balancer.pick(Policy::Weighted, "", 0);
            }
            last = weights;
        }
        let mut counts = vec![0usize; last.len()];
        for _ in 0..500 {
            counts[balancer.pick(Policy::Weighted, "", 0).unwrap()] += 1;
        }
        let total: f64 = last.iter().map(|weight| f64::from(*weight)).sum();
        for (count, weight) in counts.into_iter().zip(last) {
            let due = 500.0 * f64::from(weight) / total;
            prop_assert!((count as f64 - due).abs() < 4.0, "{} of {}", count, due);
        }
    }
}
