//! What is decided for a service as a whole.

use super::*;
use crate::{
    Attributes, Policy, Visibility,
    testing::{object, own_word, selector, targets, whole_word},
};

fn seen(name: &str, policy: Option<Policy>, visibility: Option<Visibility>) -> Registration {
    Registration { policy, visibility, ..object(selector(), 1, name, Attributes::default()) }
}

fn namespaces(names: &[&str]) -> Visibility {
    Visibility::Namespaces(names.iter().map(|name| name.parse().unwrap()).collect())
}

#[test]
fn the_policy_is_that_of_the_closest_registration_that_has_one() {
    let policies = [Policy::Random, Policy::Weighted, Policy::LeastLoaded, Policy::ConsistentHash];
    let objects = targets().into_iter().zip(policies).zip(1i64..);
    // The closer, the younger.
    let all: Vec<_> = objects
        .map(|((target, policy), n)| Registration {
            policy: Some(policy),
            ..object(target, -n, "a", Attributes::default())
        })
        .collect();
    let silent = own_word(whole_word(), Attributes::default());
    for closest in 0..all.len() {
        let (settings, findings) = settings(all[closest..].iter().rev().chain([&silent]));
        assert_eq!((settings.policy, findings), (policies[closest], vec![]));
    }
    let word =
        |policy| Registration { policy: Some(policy), ..own_word(Source::Annotation, Attributes::default()) };
    let (one, other) = (word(Policy::Random), word(Policy::Weighted));
    assert_eq!(settings([&one, &other]), settings([&other, &one]), "pods stand in no order");
    assert_eq!(settings([&silent]).0, Settings::default());
    assert_eq!(settings([]).0, Settings { policy: Policy::RoundRobin, visibility: Visibility::Cluster });
}

#[test]
fn visibility_is_the_narrowest_and_each_wider_one_is_told() {
    let (cluster, ab, bc, own) =
        (Visibility::Cluster, namespaces(&["a", "b"]), namespaces(&["b", "c"]), Visibility::own());
    let table: [(&[&Visibility], Visibility, &[usize]); 7] = [
        (&[&cluster], cluster.clone(), &[]),
        (&[&cluster, &ab], ab.clone(), &[0]),
        (&[&ab, &ab], ab.clone(), &[]),
        (&[&ab, &bc], namespaces(&["b"]), &[0, 1]),
        (&[&own, &ab, &cluster], own.clone(), &[1, 2]),
        (&[&own, &namespaces(&["shop"])], own.clone(), &[]),
        (&[&namespaces(&["a"]), &namespaces(&["c"])], own.clone(), &[0, 1]),
    ];
    for (wanted, expected, told) in table {
        let all: Vec<_> = wanted
            .iter()
            .enumerate()
            .map(|(n, one)| seen(&n.to_string(), None, Some((*one).clone())))
            .collect();
        let quiet = seen("quiet", None, None);
        let (settings, findings) = settings(all.iter().chain([&quiet]));
        assert_eq!(settings.visibility, expected);
        let expected: Vec<_> = told
            .iter()
            .map(|n| Finding::VisibilityNarrowed { loser: all[*n].source.clone(), to: expected.clone() })
            .collect();
        assert_eq!(findings, expected, "{wanted:?}");
    }
}
