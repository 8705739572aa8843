//! The balancer's state over any history.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn ten_thousand_changes_leave_nothing_behind() {
    let mut balancer = Balancer::new(1);
    for change in 0..10_000 {
        let candidates: Vec<_> = (change..change + 10).map(|number| candidate(number, 100, None)).collect();
        balancer.set_candidates(&candidates, None);
        for policy in Policy::ALL {
            let picked = balancer.pick(policy, "key", change as u64).unwrap();
            if change % 2 == 0 {
                balancer.report(&candidates[picked].id, Outcome::Failure, 1, change as u64);
            }
        }
        balancer.report(&format!("orders-{}", change.wrapping_sub(1)), Outcome::Success, 1, change as u64);
    }
    assert_eq!((balancer.members.len(), balancer.numbers.len()), (10, 10));
    assert!(balancer.members.capacity() <= 40 && balancer.numbers.capacity() <= 40);
}

#[test]
fn what_is_known_of_an_instance_survives_changes_by_its_id() {
    let mut balancer = balancer(1, &equal(5));
    fail(&mut balancer, "orders-3", 5, 0);
    balancer.pick(Policy::ConsistentHash, "key", 0);
    let load = balancer.near.in_flight;
    let mut candidates = equal(9);
    candidates.reverse();
    balancer.set_candidates(&candidates, None);
    assert_eq!(balancer.near.in_flight, load);
    let ejected = candidates.iter().position(|candidate| &*candidate.id == "orders-3").unwrap();
    assert!(balancer.members[ejected].is_ejected());
    balancer.set_candidates(&[], None);
    balancer.set_candidates(&candidates, None);
    assert!(balancer.near.in_flight == 0 && !balancer.members[ejected].is_ejected(), "gone is forgotten");
}

#[derive(Debug, Clone)]
enum Step {
    Candidates(Vec<(usize, u16, usize)>, Option<u64>),
    Pick(usize, u8),
    Report(usize, bool, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let weight = prop_oneof![Just(0), Just(1), Just(100), any::<u16>()];
    let candidates = proptest::collection::vec((0usize..9, weight, 0usize..3), 0..9);
    let listed = proptest::option::of(prop_oneof![0u64..900, any::<u64>()]);
    prop_oneof![
        1 => (candidates, listed).prop_map(|(all, listed)| Step::Candidates(all, listed)),
        5 => (0usize..6, any::<u8>()).prop_map(|(policy, key)| Step::Pick(policy, key)),
        5 => (0usize..10, any::<bool>(), prop_oneof![0u64..2_000, any::<u64>()])
            .prop_map(|(number, fails, latency_ms)| Step::Report(number, fails, latency_ms)),
    ]
}

proptest! {
    /// Any calls in any order, ids that stand twice, and a clock that jumps both ways: the state stays whole, no
    /// weight of 0 is picked, and a pick fails only where there is none above.
    #[test]
    fn nothing_breaks_it(
        steps in proptest::collection::vec((step(), prop_oneof![4 => 0u64..200_000, 1 => any::<u64>()]), 1..100),
    ) {
        let (mut balancer, mut candidates) = (Balancer::new(1), vec![]);
        for (step, now_ms) in steps {
            match step {
                Step::Candidates(all, listed) => {
                    let zones = [None, Some("a"), Some("b")];
                    candidates =
                        all.into_iter().map(|(number, weight, zone)| candidate(number, weight, zones[zone])).collect();
                    let home = listed.map(|listed_weight| Home { zone: "a".into(), listed_weight });
                    balancer.set_candidates(&candidates, home.as_ref());
                }
                Step::Pick(policy, key) => {
                    let picked = balancer.pick(Policy::ALL[policy], &key.to_string(), now_ms);
                    let mut ids = BTreeSet::new();
                    let any = candidates.iter().any(|one| ids.insert(&one.id) && one.weight > 0);
                    prop_assert_eq!(picked.is_some(), any);
                    prop_assert!(picked.is_none_or(|number| candidates[number].weight > 0));
                }
                Step::Report(number, fails, latency_ms) => {
                    let outcome = if fails { Outcome::Failure } else { Outcome::Success };
                    balancer.report(&format!("orders-{number}"), outcome, latency_ms, now_ms);
                }
            }
            check(&balancer, &candidates);
        }
    }
}
