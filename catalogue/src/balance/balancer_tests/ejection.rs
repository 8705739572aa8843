//! Ejection of those that fail again and again.

use super::*;

#[test]
fn no_policy_picks_an_ejected_instance_until_its_time_is_over() {
    let candidates = equal(6);
    for policy in Policy::ALL {
        let mut balancer = balancer(1, &candidates);
        fail(&mut balancer, "orders-2", 4, 1_000);
        assert!(!balancer.members[2].is_ejected(), "four are not enough");
        fail(&mut balancer, "orders-2", 1, 1_000);
        balancer.advance(10_999);
        assert_eq!(counts(&mut balancer, &candidates, policy, 1_000)[2], 0, "{policy}");
        balancer.advance(11_000);
        assert!(counts(&mut balancer, &candidates, policy, 1_000)[2] > 0, "{policy}: it is back");
    }
}

#[test]
fn a_third_is_ejected_at_most_and_the_next_when_there_is_room() {
    let candidates = equal(7);
    let mut balancer = balancer(1, &candidates);
    for candidate in &candidates {
        fail(&mut balancer, &candidate.id, 5, 0);
        check(&balancer, &candidates);
    }
    let ejected = |balancer: &Balancer| -> Vec<usize> {
        (0..balancer.members.len()).filter(|number| balancer.members[*number].is_ejected()).collect()
    };
    assert_eq!(ejected(&balancer), [0, 1]);
    balancer.advance(10_000);
    assert_eq!(ejected(&balancer), [0; 0]);
    fail(&mut balancer, "orders-5", 1, 10_000);
    assert_eq!(ejected(&balancer), [5], "its sixth failure in a row");

    fail(&mut balancer, "orders-0", 5, 10_001);
    assert_eq!(ejected(&balancer), [0, 5]);
    let few = [candidates[0].clone(), candidates[5].clone(), candidates[6].clone()];
    balancer.set_candidates(&few, None);
    assert_eq!(ejected(&balancer), [0], "one of three: the one that would have returned first is back");
    balancer.set_candidates(&few[..2], None);
    assert_eq!(ejected(&balancer), [0; 0], "none of two");
}
