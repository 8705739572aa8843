use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::hash::{fingerprint, mix},
    *,
};

/// Members by number, each with its weight; the number makes the id.
fn ring(seed: u64, members: &[(u32, u16)]) -> Ring {
    let holder = |(number, weight): &(u32, u16)| Holder {
        number: *number,
        fingerprint: fingerprint(&format!("{seed}-{number}")),
        weight: *weight,
    };
    Ring::new(members.iter().map(holder).collect())
}

fn equal(count: u32) -> Vec<(u32, u16)> {
    (0..count).map(|member| (member, 100)).collect()
}

fn owners(ring: &Ring, keys: u64) -> Vec<u32> {
    (0..keys).map(|key| ring.owner(mix(key), |_| true).unwrap()).collect()
}

fn counts(owners: &[u32]) -> BTreeMap<u32, f64> {
    let mut counts = BTreeMap::new();
    for owner in owners {
        *counts.entry(*owner).or_default() += 1.0;
    }
    counts
}

/// Ten per cent above the due, and what chance adds to a count of so many keys: 4 standard deviations.
fn most(due: f64) -> f64 {
    1.1 * due + 4.0 * due.sqrt()
}

/// Equal weights at each end of what is allowed, and what of a way may be left out so that no product overflows.
#[test]
fn the_heaviest_weight_fits() {
    let ring = ring(1, &[(0, WEIGHT_MAX), (1, WEIGHT_MAX), (2, 1)]);
    let last = Point { position: u64::MAX, member: 0, weight: WEIGHT_MAX };
    assert!(Way::new(0, &last).length.checked_mul(WEIGHT_MAX.into()).is_some());
    let counts = counts(&owners(&ring, 20_000));
    assert!(counts.len() >= 2 && (counts[&0] - counts[&1]).abs() < 4_000.0, "{counts:?}");
}

#[test]
fn only_the_keys_of_the_leaving_move_and_they_are_at_most_a_tenth_above_its_due() {
    for (count, keys, seeds) in [(10, 20_000, 8), (100, 100_000, 3)] {
        for seed in 0..seeds {
            let before = owners(&ring(seed, &equal(count)), keys);
            let due = keys as f64 / f64::from(count);
            for (member, held) in counts(&before) {
                assert!(held <= most(due), "{member} of {count} holds {held} of {due}, seed {seed}");
            }
            let leaving = seed as u32 % count;
            let mut rest = equal(count);
            rest.swap_remove(leaving as usize);
            let after = owners(&ring(seed, &rest), keys);
            for (before, after) in before.iter().zip(&after) {
                assert!(before == after || *before == leaving, "a key moved from {before} to {after}");
            }
            assert!(!after.contains(&leaving));
        }
    }
}

/// One member of 1,000 holds too few of the keys that a test can count; a hundred of them do.
#[test]
fn a_tenth_of_a_thousand_leaves() {
    let keys = 50_000;
    for seed in 0..2 {
        let before = owners(&ring(seed, &equal(1_000)), keys);
        let after = owners(&ring(seed, &equal(900)), keys);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(before, _)| *before >= 900));
        assert!(moved.count() as f64 <= most(keys as f64 / 10.0));
    }
}

#[test]
fn shares_go_by_weight() {
    let weights = [1, 10, 50, 99, 100, 101, 150, 200, 500, 1_000];
    let members: Vec<_> = (0..40).map(|member| (member, weights[member as usize % 10])).collect();
    let total: f64 = members.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let keys = 200_000;
    let counts = counts(&owners(&ring(3, &members), keys));
    for (nth, weight) in weights.into_iter().enumerate() {
        let held: f64 = (0..4).map(|n| counts.get(&(n * 10 + nth as u32)).copied().unwrap_or_default()).sum();
        let due = 4.0 * keys as f64 * f64::from(weight) / total;
        assert!((held - due).abs() <= 0.1 * due + 4.0 * due.sqrt(), "weight {weight}: {held} of {due}");
    }
}

#[test]
fn an_empty_ring_and_a_ring_without_room_have_no_owner() {
    assert_eq!(ring(0, &[]).owner(1, |_| true), None);
    assert_eq!(ring(0, &equal(5)).owner(1, |_| false), None);
}

/// What [`Ring::owner`] promises, without index, order or early end.
fn by_hand(seed: u64, members: &[(u32, u16)], key: u64, admits: impl Fn(u32) -> bool) -> Option<u32> {
    let mut probes = Draws::new(!key);
    let probes: Vec<_> = (0..PROBES).map(|_| probes.next()).collect();
    let mut nearest: Option<(u64, u16, u32)> = None;
    for (member, weight) in members.iter().filter(|(member, _)| admits(*member)) {
        let mut positions = Draws::new(fingerprint(&format!("{seed}-{member}")));
        for position in (0..POINTS).map(|_| positions.next()) {
            for way in probes.iter().map(|probe| position.wrapping_sub(*probe)) {
                let nearer = |(than, its_weight, _): (u64, u16, u32)| {
                    u128::from(way) * u128::from(its_weight) < u128::from(than) * u128::from(*weight)
                };
                if nearest.is_none_or(nearer) {
                    nearest = Some((way, *weight, *member));
                }
            }
        }
    }
    nearest.map(|(.., member)| member)
}

fn weights() -> impl Strategy<Value = Vec<(u32, u16)>> {
    let weight = prop_oneof![1u16..=1_000, Just(1), Just(100), Just(1_000)];
    proptest::collection::btree_map(0u32..50, weight, 1..20).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #![proptest_config(crate::testing::cases(64))]

    #[test]
    fn the_owner_is_the_nearest_of_all(members in weights(), seed in 0u64..5, full in 0u32..4, keys in any::<[u64; 20]>()) {
        let ring = ring(seed, &members);
        let admits = |member: u32| full == 0 || member % 4 != full;
        for key in keys {
            prop_assert_eq!(ring.owner(key, admits), by_hand(seed, &members, key, admits));
        }
    }

    /// Members that leave or come, all at once and in any order: what stays keeps its keys against what stays.
    #[test]
    fn keys_move_only_from_the_leaving_or_to_the_coming(
        before in weights(), leaves in any::<u64>(), comes in weights(), keys in any::<[u64; 40]>(),
    ) {
        let stays = |member: u32| leaves >> member & 1 == 0;
        let mut after: Vec<_> = before.iter().copied().filter(|(member, _)| stays(*member)).collect();
        after.extend(comes.iter().map(|(member, weight)| (member + 50, *weight)));
        after.reverse();
        let (before, after) = (ring(0, &before), ring(0, &after));
        for key in keys {
            let (from, to) = (before.owner(key, |_| true).unwrap(), after.owner(key, |_| true).unwrap());
            prop_assert!(from == to || !stays(from) || to >= 50);
        }
    }

    #[test]
    fn weights_that_all_grow_alike_move_no_key(members in weights(), factor in 2u16..10, keys in any::<[u64; 40]>()) {
        let lighter: Vec<_> = members.iter().map(|(member, weight)| (*member, (weight / factor).max(1))).collect();
        let heavier: Vec<_> = lighter.iter().map(|(member, weight)| (*member, weight * factor)).collect();
        let (before, after) = (ring(0, &lighter), ring(0, &heavier));
        for key in keys {
            prop_assert_eq!(before.owner(key, |_| true), after.owner(key, |_| true));
        }
    }

    #[test]
    fn a_growing_weight_draws_keys_to_its_member_alone(
        members in weights(), grown in any::<prop::sample::Index>(), keys in any::<[u64; 40]>(),
    ) {
        let mut heavier = members.clone();
        let (member, weight) = grown.get(&members);
        heavier[grown.index(members.len())] = (*member, (weight * 2).min(1_000));
        let (before, after) = (ring(0, &members), ring(0, &heavier));
        for key in keys {
            let (from, to) = (before.owner(key, |_| true).unwrap(), after.owner(key, |_| true).unwrap());
            prop_assert!(from == to || to == *member);
        }
    }
}
