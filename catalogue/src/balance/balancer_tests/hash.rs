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
        ("alice", 3),
        ("bob", 1),
        ("carol", 3),
        ("dave", 3),
        ("erin", 3),
        ("customer-4711", 3),
        ("müller", 2),
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

/// How many of so many keys have another owner among the second candidates, by id.
fn moved(before: &[Candidate], after: &[Candidate], keys: usize) -> usize {
    let owners = |candidates: &[Candidate]| -> Vec<Arc<str>> {
        let mut balancer = balancer(1, candidates);
        let mut pick = |nth| balancer.pick(Policy::ConsistentHash, &format!("customer-{nth}"), 0).unwrap();
        (0..keys).map(|nth| Arc::clone(&candidates[pick(nth)].id)).collect()
    };
    owners(before).iter().zip(owners(after)).filter(|(before, after)| *before != after).count()
}

/// Light weights are weights like any other: shares and moves are as even as with the default one.
#[test]
fn equally_light_instances_share_the_keys_evenly() {
    const KEYS: usize = 20_000;
    for weight in [1, 10, 25, 100] {
        for seed in 0..6 {
            let id = |number| format!("{seed}-orders-{number}").into();
            let candidates: Vec<_> =
                (0..10).map(|number| Candidate { id: id(number), weight, zone: None }).collect();
            let mut balancer = balancer(1, &candidates);
            let counts = counts(&mut balancer, &candidates, Policy::ConsistentHash, KEYS);
            // A tenth above the due, and 4 standard deviations of the count.
            let due = KEYS as f64 / 10.0;
            let (least, most) = (0.85 * due - 4.0 * due.sqrt(), 1.1 * due + 4.0 * due.sqrt());
            assert!(
                counts.iter().all(|count| (least..=most).contains(&(*count as f64))),
                "weight {weight}, seed {seed}: {counts:?}"
            );
            let moved = moved(&candidates, &candidates[1..], KEYS) as f64;
            assert!(moved <= most, "weight {weight}, seed {seed}: {moved} keys moved, {due} are ideal");
        }
    }
}

#[test]
fn weights_that_all_change_alike_move_no_key() {
    for (before, after) in [(100, 50), (100, 10), (100, 1), (100, 1_000), (7, 993)] {
        let (before, after) = (with_weights(&[before; 10]), with_weights(&[after; 10]));
        assert_eq!(moved(&before, &after, 20_000), 0);
    }
}

#[test]
fn the_ring_stays_while_ids_and_weights_stay() {
    let zone = |number| if number < 5 { "a" } else { "b" };
    let mut candidates: Vec<_> = (0..10).map(|number| candidate(number, 100, Some(zone(number)))).collect();
    let home = |listed_weight| Home { zone: "a".into(), listed_weight };
    let mut balancer = Balancer::new(1);
    balancer.set_candidates(&candidates, Some(&home(1_000)));
    (0..100).for_each(|nth| assert!(balancer.pick(Policy::ConsistentHash, &nth.to_string(), 0).is_some()));
    assert!(balancer.near.ring.is_some() && balancer.far.ring.is_some());

    let place = |balancer: &Balancer| (balancer.members.as_ptr(), balancer.near.seats.as_ptr());
    let before = place(&balancer);
    balancer.set_candidates(&candidates, Some(&home(1_000)));
    assert_eq!(place(&balancer), before, "the same candidates change nothing at all");
    balancer.set_candidates(&candidates, Some(&home(900)));
    assert!(
        balancer.near.ring.is_some() && balancer.far.ring.is_some(),
        "only the listed weight has changed"
    );

    candidates[7].weight = 99;
    balancer.set_candidates(&candidates, Some(&home(900)));
    assert!(
        balancer.near.ring.is_some() && balancer.far.ring.is_none(),
        "a weight of the far ones has changed"
    );
    candidates.swap(0, 1);
    balancer.set_candidates(&candidates, Some(&home(900)));
    assert!(balancer.near.ring.is_none(), "numbers have changed");
    balancer.pick(Policy::ConsistentHash, "0", 0);
    candidates[0].id = "another".into();
    balancer.set_candidates(&candidates, Some(&home(900)));
    assert!(balancer.near.ring.is_none(), "an id has changed");
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
