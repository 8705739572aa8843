//! The preference for the caller's zone.

use super::*;

/// `near` serving candidates in zone a, out of 10 that are listed there; 20 in zone b and 10 in zone c.
fn zoned(near: usize) -> (Vec<Candidate>, Home) {
    let zone = |number| ["b", "b", "c"][number % 3];
    let near = (0..near).map(|number| candidate(number, 100, Some("a")));
    let far = (10..40).map(|number| candidate(number, 100, Some(zone(number))));
    (near.chain(far).collect(), Home { zone: "a".into(), listed: 10 })
}

#[test]
fn the_home_zone_keeps_what_it_can_serve_and_the_rest_spills_over_evenly() {
    for policy in Policy::ALL {
        for (near, expected) in [(10, 1.0), (8, 1.0), (7, 0.98), (5, 0.7), (1, 0.14), (0, 0.0)] {
            let (candidates, home) = zoned(near);
            let mut balancer = Balancer::new(near as u64);
            balancer.set_candidates(&candidates, Some(&home));
            let counts = counts(&mut balancer, &candidates, policy, 20_000);
            let share_of = |zone: &str| {
                let of_zone =
                    candidates.iter().zip(&counts).filter(|(one, _)| one.zone.as_deref() == Some(zone));
                of_zone.map(|(_, count)| *count).sum::<usize>() as f64 / 20_000.0
            };
            // Exact where it is all or nothing, else within 4 standard deviations.
            let slack = 4.0 * (expected * (1.0 - expected) / 20_000.0_f64).sqrt();
            assert!((share_of("a") - expected).abs() <= slack, "{policy}, {near} left: {}", share_of("a"));
            let (b, c) = (share_of("b"), share_of("c"));
            assert!(b <= 2.4 * c && c <= 0.6 * b, "{policy}, {near} left: {b} and {c} of what spills");
        }
    }
}

#[test]
fn without_a_known_home_or_another_zone_there_is_no_preference() {
    let (candidates, home) = zoned(5);
    for (candidates, home) in [(&candidates[..], None), (&candidates[..5], Some(&home))] {
        let mut balancer = Balancer::new(1);
        balancer.set_candidates(candidates, home);
        let counts = counts(&mut balancer, candidates, Policy::RoundRobin, 10 * candidates.len());
        assert!(counts.iter().all(|count| *count == 10), "{counts:?}");
    }
}

#[test]
fn keys_that_spill_over_leave_the_others_where_they_are() {
    let owners = |near: usize| -> Vec<Arc<str>> {
        let (candidates, home) = zoned(near);
        let mut balancer = Balancer::new(1);
        balancer.set_candidates(&candidates, Some(&home));
        let pick = |nth| balancer.pick(Policy::ConsistentHash, &format!("key-{nth}"), 0).unwrap();
        (0..10_000).map(pick).map(|number| Arc::clone(&candidates[number].id)).collect()
    };
    let (six, five) = (owners(6), owners(5));
    let moved = six.iter().zip(&five).filter(|(before, after)| before != after);
    // A sixth of the 84 % that were near, and the 14 % that spill over, of which a sixth is the same keys.
    let share = moved.count() as f64 / 10_000.0;
    assert!((0.22..0.29).contains(&share), "{share}");
}

#[test]
fn ejections_count_against_the_home_zone() {
    let (candidates, home) = zoned(10);
    let mut balancer = Balancer::new(1);
    balancer.set_candidates(&candidates, Some(&home));
    (0..5).for_each(|number| fail(&mut balancer, &format!("orders-{number}"), 5, 0));
    let counts = counts(&mut balancer, &candidates, Policy::Random, 20_000);
    assert_eq!(counts[..5], [0; 5]);
    let near = counts[5..10].iter().sum::<usize>();
    assert!((13_700..14_300).contains(&near), "{near} of 20,000");
}
