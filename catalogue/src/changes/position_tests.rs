use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    Instance, Snapshot,
    changes::tests::service_of,
    testing::{after, any_history, instance, key, play, upsert, whole},
};

fn position(kinds: &[(&str, u64)]) -> Position {
    let mut position = Position::default();
    kinds.iter().for_each(|(kind, revision)| position.saw(kind, *revision));
    position
}

#[test]
fn a_position_never_goes_back_and_kinds_do_not_compare() {
    let mut here = position(&[("pods", 5)]);
    here.saw("pods", 3);
    assert_eq!(here, position(&[("pods", 5)]));
    let table: [(&[(&str, u64)], bool); 5] = [
        (&[], true),
        (&[("pods", 5)], true),
        (&[("pods", 6)], false),
        (&[("slices", 1)], false),
        (&[("pods", 4), ("slices", 1)], false),
    ];
    for (other, covered) in table {
        assert_eq!(here.covers(&position(other)), covered, "{other:?}");
    }
}

#[test]
fn who_has_read_less_of_a_kind_that_both_know_lags() {
    let here = position(&[("pods", 5), ("slices", 3)]);
    let table: [(&[(&str, u64)], bool); 6] = [
        (&[], false),
        (&[("pods", 5)], false),
        (&[("pods", 6)], true),
        (&[("pods", 4), ("slices", 4)], true),
        // Of a newer build.
        (&[("gateways", 9)], false),
        (&[("gateways", 9), ("pods", 6)], true),
    ];
    for (other, lags) in table {
        assert_eq!(here.lags(&position(other)), lags, "{other:?}");
    }
    assert!(!Position::default().lags(&here), "it does not say how far it is");
}

#[test]
fn a_reading_is_told_by_where_it_is_and_where_its_changes_are_not() {
    type Kinds = &'static [(&'static str, u64)];
    let table: [(Kinds, Kinds, Kinds); 5] = [
        (&[], &[], &[]),
        (&[("pods", 5), ("nodes", 5)], &[("pods", 5), ("nodes", 5)], &[]),
        (&[("pods", 5), ("nodes", 5)], &[("pods", 3), ("nodes", 5)], &[("pods", 3)]),
        (&[("pods", 5), ("nodes", 5)], &[("pods", 5)], &[("nodes", 0)]),
        (&[("pods", 5)], &[("pods", 6), ("nodes", 2)], &[("pods", 6), ("nodes", 2)]),
    ];
    for (reach, changed, told) in
        table.map(|(reach, changed, told)| (position(reach), position(changed), told))
    {
        let reading = Reading { reach: reach.clone(), changed };
        assert_eq!(reading.changed_otherwise(), position(told));
        assert_eq!(Reading::of_told(reach, &position(told)), reading);
    }
    let reach = position(&[("pods", 5)]);
    let of_before = Reading::of_told(reach.clone(), &Position::default());
    assert_eq!(
        of_before,
        Reading { reach: reach.clone(), changed: reach },
        "who says nothing else knows of all that"
    );
}

#[test]
fn what_is_told_is_believed_unless_the_teller_is_behind() {
    let (shown, told, same) = (service_of(&[1, 2], 5), service_of(&[3], 9), service_of(&[1, 2], 7));
    let table = [
        (None, Some(&told), true, Some(&told)),
        (None, Some(&told), false, Some(&told)),
        (Some(&shown), Some(&told), false, Some(&told)),
        (Some(&shown), Some(&same), false, Some(&shown)),
        (Some(&shown), Some(&same), true, Some(&shown)),
        (Some(&shown), None, false, None),
        (Some(&shown), None, true, Some(&shown)),
        (None, None, true, None),
    ];
    for (shown, told, behind, expected) in table {
        assert_eq!(receive(&key("orders"), shown, told, behind).as_ref(), expected);
    }
}

/// Two replicas count on their own, and what is merged from both is of neither.
#[test]
fn a_number_that_is_shown_never_stands_for_two_contents() {
    let orders = key("orders");
    let shown = service_of(&[1], 100);
    let behind = after(Snapshot::default().next([whole("orders", [instance(2)])], 100));
    let merged = receive(&orders, Some(&shown), behind.get(&orders).map(AsRef::as_ref), true).unwrap();
    assert_eq!((merged.revision, merged.instances.len()), (101, 2));
    assert_eq!(merged.content_hash(&orders), merged.hash, "of what is shown");
    let caught_up = after(behind.next([upsert("orders", [instance(3)])], 100));
    let told = caught_up.get(&orders).unwrap();
    assert_eq!(told.revision, 101, "by chance, the number of what was merged");
    let next = receive(&orders, Some(&merged), Some(told), false).unwrap();
    assert_eq!((next.revision, next.hash, &next.instances), (102, told.hash, &told.instances));

    for (shown, told, expected) in [(5, 9, 9), (9, 5, 10), (5, 5, 6), (0, 0, 1), (5, u64::MAX, u64::MAX)] {
        assert_eq!(next_local(shown, told), expected);
    }
    let far = Service { revision: u64::MAX, ..service_of(&[2], 1) };
    assert!(receive(&orders, Some(&shown), Some(&far), true).is_some(), "whoever says such a thing");
}

#[test]
fn what_replicas_add_while_they_are_behind_has_an_end() {
    let all = |numbers: std::ops::Range<usize>| -> Vec<_> {
        let of = |n: usize| Instance { id: format!("{n:05}").as_str().into(), ..instance(1) };
        numbers.map(|n| Arc::new(of(n))).collect()
    };
    let head = service_of(&[1], 1).head();
    let (shown, told) = (Service::of(head, all(0..4_999)), Service::of(head, all(4_990..9_000)));
    let merged = receive(&key("orders"), Some(&shown), Some(&told), true).unwrap();
    assert_eq!(merged.instances.len(), INSTANCES_MAX);
}

proptest! {
    #![proptest_config(crate::testing::cases(384))]

    #[test]
    fn positions_are_partly_ordered_and_joining_is_the_least_that_has_both(
        all in proptest::collection::vec(proptest::collection::vec((proptest::sample::select(vec!["a", "b", "c"]), 0u64..3), 0..4), 3),
    ) {
        let [a, b, c] = [0, 1, 2].map(|n| position(&all[n]));
        prop_assert!(a.covers(&a));
        prop_assert!(!(a.covers(&b) && b.covers(&a)) || a == b);
        prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        let both = a.clone().joined(&b);
        prop_assert!(both.covers(&a) && both.covers(&b));
        prop_assert_eq!(&both, &b.clone().joined(&a));
        prop_assert!(!(c.covers(&a) && c.covers(&b)) || c.covers(&both), "nothing less has both");
        let text = serde_json::to_string(&both).unwrap();
        prop_assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), both);
    }

    /// Whoever is behind adds, and takes nothing away; and is found out by its hash once it is not.
    #[test]
    fn one_who_is_behind_adds_and_never_takes_away(history in any_history(24), place in any::<proptest::sample::Index>()) {
        let states = play(history, |said| said);
        let newest = &states.last().unwrap().1;
        let behind = &states[place.index(states.len())].1;
        for (key, held) in newest.iter() {
            let told = behind.get(key).map(AsRef::as_ref);
            let merged = receive(key, Some(held), told, true).expect("it stays known");
            for one in held.instances.iter() {
                prop_assert!(merged.instance(&one.id).is_some_and(|kept| Arc::ptr_eq(kept, one)));
            }
            let added = merged.instances.len() - held.instances.len();
            let new = told.iter().flat_map(|told| told.instances.iter()).filter(|one| held.instance(&one.id).is_none());
            prop_assert_eq!(added, new.count());
            let places: Vec<_> = merged.instances.iter().collect();
            prop_assert!(places.is_sorted_by(|a, b| a.order(b).is_lt()));
            prop_assert_eq!(merged.content_hash(key), merged.hash);
            if added == 0 {
                prop_assert_eq!(&merged, &**held);
            } else {
                prop_assert!(merged.revision > held.revision && merged.hash != held.hash);
            }
            // Afterwards the teller has caught up.
            prop_assert_eq!(merged.hash == held.hash, added == 0);
            let healed = receive(key, Some(&merged), Some(held), false).unwrap();
            prop_assert_eq!((healed.hash, &healed.instances), (held.hash, &held.instances));
            prop_assert_eq!(healed.revision > merged.revision, added > 0);
        }
    }
}
