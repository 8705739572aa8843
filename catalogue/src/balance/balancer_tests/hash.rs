//! Consistent hashing with its bound; the ring has its own tests.

use proptest::prelude::*;

use super::*;

/// A change of these owners would make sidecars of two builds disagree. They were worked out by a second
/// implementation, in another language.
#[test]
fn owners_are_the_same_in_every_build() {
    let candidates = with_weights(&[100, 100, 50, 200, 100]);
    let table = [
        ("", 4),
        ("alice", 4),
        ("bob", 1),
        ("carol", 3),
        ("dave", 3),
        ("erin", 3),
        ("customer-4711", 3),
        ("müller", 0),
        ("10.0.0.7", 3),
        ("a key of more than eight bytes", 2),
    ];
    for (key, owner) in table {
        let picked = balancer(9, &candidates).pick(Policy::ConsistentHash, key, 0);
        assert_eq!(picked, Some(owner), "{key:?}");
    }
}

#[test]
fn without_reports_a_key_stays_with_its_owner() {
    let mut balancer = balancer(1, &equal(10));
    let owner = balancer.pick(Policy::ConsistentHash, "alice", 0);
    for nth in 1..1_000 {
        assert_eq!(balancer.pick(Policy::ConsistentHash, "alice", nth * 300), owner);
    }
    let last_ms = 1_000_000;
    balancer.report("orders-0", Outcome::Success, 1, last_ms);
    let picked = |balancer: &mut Balancer, now_ms| -> BTreeSet<_> {
        (0..100).map(|_| balancer.pick(Policy::ConsistentHash, "alice", now_ms)).collect()
    };
    assert!(picked(&mut balancer, last_ms + EXPIRY_MS - 1).len() > 1, "the loads are known");
    assert_eq!(picked(&mut balancer, last_ms + EXPIRY_MS), [owner].into(), "the reports have ended");
}

#[test]
fn a_key_spills_over_while_its_owner_is_full_and_returns() {
    let candidates = equal(10);
    let mut balancer = balancer(1, &candidates);
    let owner = balancer.pick(Policy::ConsistentHash, "alice", 0).unwrap();
    balancer.report(&candidates[owner].id, Outcome::Success, 1, 1);
    let picked: Vec<_> =
        (0..100).map(|_| balancer.pick(Policy::ConsistentHash, "alice", 2).unwrap()).collect();
    assert_eq!(picked.iter().filter(|picked| **picked == owner).count(), 13, "a tenth of 100, and a quarter");
    for picked in picked {
        balancer.report(&candidates[picked].id, Outcome::Success, 1, 3);
    }
    assert_eq!(balancer.pick(Policy::ConsistentHash, "alice", 4), Some(owner));
}

proptest! {
    /// Neither the order of the candidates nor what was there before counts.
    #[test]
    fn every_sidecar_sends_a_key_to_the_same_instance(
        weights in proptest::collection::vec(0u16..=1_000, 1..12),
        history in proptest::collection::vec(proptest::collection::vec(0u16..=1_000, 0..12), 0..4),
        order in any::<u64>(),
        keys in proptest::collection::vec(".{0,12}", 10),
    ) {
        let here = with_weights(&weights);
        let mut there = here.clone();
        there.sort_by_key(|candidate| mix(fingerprint(&candidate.id) ^ order));
        let (mut one, mut other) = (balancer(1, &here), Balancer::new(2));
        for weights in history {
            other.set_candidates(&with_weights(&weights), None);
            other.pick(Policy::ConsistentHash, "old", 0);
        }
        other.set_candidates(&there, None);
        for key in keys {
            let one = one.pick(Policy::ConsistentHash, &key, 0).map(|number| &here[number]);
            prop_assert_eq!(one, other.pick(Policy::ConsistentHash, &key, 0).map(|number| &there[number]));
        }
    }

    /// Few keys, so that some are in great demand; picks of other policies are among them.
    #[test]
    fn no_hash_pick_exceeds_the_bound(
        weights in proptest::collection::vec(1u16..=1_000, 1..10),
        steps in proptest::collection::vec((0usize..3, 0u8..3), 1..300),
    ) {
        let candidates = with_weights(&weights);
        let mut balancer = balancer(1, &candidates);
        balancer.report(&candidates[0].id, Outcome::Success, 1, 0);
        let total_weight: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut open = vec![];
        for (nth, (step, key)) in steps.into_iter().enumerate() {
            match step {
                0 if !open.is_empty() => {
                    let picked: usize = open.swap_remove(nth % open.len());
                    balancer.report(&candidates[picked].id, Outcome::Success, 1, 0);
                }
                _ => {
                    let policy = if step == 1 && key == 0 { Policy::Random } else { Policy::ConsistentHash };
                    let due = 5 * (open.len() as u64 + 1);
                    let picked = balancer.pick(policy, &key.to_string(), 0).unwrap();
                    open.push(picked);
                    let load = open.iter().filter(|other| **other == picked).count() as u64;
                    let bound = (due * u64::from(weights[picked])).div_ceil(4 * total_weight);
                    prop_assert!(policy == Policy::Random || load <= bound, "{} of {}", load, bound);
                }
            }
        }
    }
}
