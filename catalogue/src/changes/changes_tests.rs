use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{ring::BYTES_MAX, ring::DELTAS_MAX, *};
use crate::{
    ContentHash, Instance, Profile, Service, ServiceKey, Snapshot, Update,
    testing::{SERVICES, after, any_history, contents, instance, key, play, upsert, whole},
};

type Held = BTreeMap<ServiceKey, Arc<Service>>;

/// What a holder of `held` has after this delta; out of step is a failure of the test.
fn applied(held: &Held, delta: &Delta) -> Held {
    let mut next = held.clone();
    match delta.apply(held.get(&delta.key).map(AsRef::as_ref)).expect("in step") {
        Some(service) => next.insert(delta.key.clone(), Arc::new(service)),
        None => next.remove(&delta.key),
    };
    next
}

fn ids(service: Option<&Arc<Service>>) -> BTreeSet<InstanceIdText> {
    service.iter().flat_map(|service| service.instances.iter()).map(|one| one.id.to_string()).collect()
}

type InstanceIdText = String;

fn any_services() -> impl Strategy<Value = BTreeSet<ServiceKey>> {
    proptest::collection::btree_set(proptest::sample::select(SERVICES.map(key).to_vec()), 0..4)
}

/// One delta of as many instances as are wanted.
fn delta_of(instances: usize) -> Arc<Delta> {
    let head = Head { revision: 1, hash: ContentHash(1), settings: Default::default(), truncated: false };
    let one = Arc::new(instance(1));
    let upserts = vec![one; instances];
    Arc::new(Delta { key: key("orders"), from: Some(1), to: Some(head), upserts, removes: vec![] })
}

fn service_of(numbers: &[u8], now_ms: u64) -> Service {
    let all: Vec<Instance> = numbers.iter().map(|number| instance(*number)).collect();
    Service::clone(
        after(Snapshot::default().next([whole("orders", all)], now_ms)).get(&key("orders")).unwrap(),
    )
}

fn position(kinds: &[(&str, u64)]) -> Position {
    let mut position = Position::default();
    kinds.iter().for_each(|(kind, revision)| position.saw(kind, *revision));
    position
}

#[test]
fn a_delta_follows_the_state_it_starts_from_and_no_other() {
    let (one, two) = (service_of(&[1], 5), service_of(&[1, 2], 6));
    let delta = Delta::between(&key("orders"), Some(&one), Some(&two)).unwrap();
    assert_eq!(delta.apply(Some(&two)), Err(OutOfStep { expected: Some(5), held: Some(6) }));
    assert_eq!(delta.apply(None), Err(OutOfStep { expected: Some(5), held: None }));
    assert_eq!(delta.then(&delta).unwrap_err(), OutOfStep { expected: Some(5), held: Some(6) });
    assert_eq!(Delta::between(&key("orders"), Some(&one), Some(&one)), None);
    assert_eq!(Delta::between(&key("orders"), None, None), None);
}

#[test]
fn forged_foreign_old_and_future_cursors_are_refused() {
    let epoch: Arc<str> = "a".into();
    let mut ring = Ring::new(epoch.clone());
    let start = ring.cursor();
    for _ in 0..DELTAS_MAX + 10 {
        ring.push(vec![delta_of(1)]);
    }
    let at = |epoch: &Arc<str>, number| Cursor { epoch: epoch.clone(), number };
    let newest = ring.cursor().number;
    assert_eq!(newest, DELTAS_MAX as u64 + 10);
    let known = |cursor: Cursor| ring.since(&cursor).map(Iterator::count);
    assert_eq!(known(start), None, "too old");
    assert_eq!(known(at(&epoch, 9)), None, "the oldest that is forgotten");
    assert_eq!(known(at(&epoch, 10)), Some(DELTAS_MAX), "the oldest that is remembered");
    assert_eq!(known(at(&epoch, newest)), Some(0), "in step");
    assert_eq!(known(at(&epoch, newest + 1)), None, "ahead of us");
    assert_eq!(known(at(&epoch, u64::MAX)), None, "forged");
    assert_eq!(known(at(&"b".into(), newest)), None, "of another process");
    assert_eq!(known(at(&"".into(), 0)), None);
}

#[test]
fn a_ring_is_bounded_whatever_is_pushed() {
    let mut ring = Ring::new("a".into());
    for _ in 0..3 * DELTAS_MAX {
        ring.push(Vec::new());
    }
    assert_eq!((ring.cursor().number, ring.batches.len()), (0, 0), "no change is no step");

    let too_many = vec![delta_of(1); DELTAS_MAX + 1];
    let cursor = ring.push(too_many);
    assert_eq!(ring.since(&Cursor { number: 0, ..cursor }).map(Iterator::count), Some(1), "the newest stays");
    let fat = |instances| {
        let mut delta = Delta::clone(&delta_of(instances));
        let metadata = (0..64).map(|n: u8| (format!("{n}").into(), "x".repeat(1_024).into())).collect();
        let profile = Arc::new(Profile { metadata, ..Profile::clone(&instance(1).profile) });
        delta.upserts =
            (0..instances).map(|_| Instance { profile: profile.clone(), ..instance(1) }.into()).collect();
        Arc::new(delta)
    };
    // What each must weigh at the least and at the most.
    let cases = [
        (delta_of(0), 0, 1_000),
        (delta_of(1), 300, 2_000),
        (delta_of(5_000), 5_000 * 300, 5_000 * 1_000),
        (fat(1), 64 * 1_024, 70_000),
        (fat(100), 64 * 1_024 + 100 * 300, 64 * 1_024 + 100 * 1_000),
    ];
    for (delta, least, most) in cases {
        for _ in 0..DELTAS_MAX + 2 {
            ring.push(vec![delta.clone()]);
            assert!(ring.batches.len() <= DELTAS_MAX + 1);
        }
        let remembered = ring.batches.len();
        assert!(
            remembered <= DELTAS_MAX && remembered * least <= BYTES_MAX,
            "{remembered} of {least} bytes each"
        );
        assert!(
            remembered == DELTAS_MAX || (remembered + 1) * most > BYTES_MAX,
            "forgotten early: {remembered}"
        );
    }
}

/// What this process published has no gaps; if it ever had one, nobody is to be told half of it.
#[test]
fn a_gap_in_the_ring_is_not_bridged() {
    let [one, two, three] = [(&[1][..], 5), (&[1, 2], 6), (&[2], 7)].map(|(all, now)| service_of(all, now));
    let between = |a, b| Arc::new(Delta::between(&key("orders"), Some(a), Some(b)).unwrap());
    let mut ring = Ring::new("a".into());
    let start = ring.push(vec![between(&one, &two)]);
    ring.push(vec![between(&one, &three)]);
    let (orders, billing) = ([key("orders")].into(), [key("billing")].into());
    let all = Cursor { number: 0, ..start.clone() };
    assert_eq!(ring.resume(&all, &orders), None);
    assert_eq!(ring.resume(&start, &orders).map(|told| told.len()), Some(1), "after the gap all is well");
    assert_eq!(ring.resume(&all, &billing), Some(vec![]), "and others have no gap");
}

/// Coming back by hash: what is held and the same is not sent, and what may not be seen any more is gone.
#[test]
fn who_comes_back_by_hash_is_told_what_differs() {
    let all =
        [whole("orders", [instance(1)]), whole("billing", [instance(2)]), whole("stock", [instance(3)])];
    let then = after(Snapshot::default().next(all.clone(), 1));
    let held: BTreeMap<_, _> = then.iter().map(|(key, service)| (key.clone(), service.hash)).collect();
    // Another replica, with a clock of its own.
    let elsewhere = after(Snapshot::default().next(all, 99));
    let told = |snapshot: &Snapshot, hidden: &str| -> Vec<_> {
        let visible = |key: &ServiceKey, _: &Service| key.service.as_str() != hidden;
        by_hash(&held, snapshot, visible).map(|(key, resumed)| (key.service.to_string(), resumed)).collect()
    };
    let said = |name: &str, resumed| (name.to_owned(), resumed);
    let unchanged =
        ["billing", "orders", "stock"].map(|name| said(name, Resumed::Unchanged { revision: 99 }));
    assert_eq!(told(&elsewhere, ""), unchanged);

    let changed = after(elsewhere.next([upsert("orders", [instance(9)]), (key("stock"), Update::Gone)], 100));
    let orders = changed.get(&key("orders")).unwrap().clone();
    let expected = [
        said("billing", Resumed::Gone),
        said("orders", Resumed::Whole(orders)),
        said("stock", Resumed::Gone),
    ];
    assert_eq!(told(&changed, "billing"), expected);
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
fn what_is_told_is_believed_unless_the_teller_is_behind() {
    let (held, told) = (service_of(&[1, 2], 5), service_of(&[3], 9));
    let table = [
        (None, Some(&told), true, Some(&told)),
        (None, Some(&told), false, Some(&told)),
        (Some(&held), Some(&told), false, Some(&told)),
        (Some(&held), None, false, None),
        (Some(&held), None, true, Some(&held)),
        (None, None, true, None),
    ];
    for (held, told, behind, expected) in table {
        assert_eq!(receive(held, told, behind).as_ref(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn the_difference_between_two_states_makes_one_of_the_other(history in any_history(24)) {
        let states: Vec<_> = play(history, |said| said).into_iter().map(|(_, snapshot, _)| snapshot).collect();
        for (a, b) in states.iter().zip(states.iter().skip(1).chain(states.last())) {
            for name in SERVICES {
                let (before, after) = (a.get(&key(name)).map(AsRef::as_ref), b.get(&key(name)).map(AsRef::as_ref));
                match Delta::between(&key(name), before, after) {
                    None => prop_assert_eq!(before, after),
                    Some(delta) => prop_assert_eq!(delta.apply(before).unwrap(), after.cloned()),
                }
            }
        }
    }

    #[test]
    fn the_deltas_of_the_steps_rebuild_every_state_exactly(history in any_history(24)) {
        let mut held = Held::new();
        for (_, snapshot, step) in play(history, |said| said) {
            for delta in step.iter().flat_map(|step| &step.deltas) {
                let before = held.clone();
                held = applied(&held, delta);
                // They say no more than what is different.
                let least = Delta::between(&delta.key, before.get(&delta.key).map(AsRef::as_ref), held.get(&delta.key).map(AsRef::as_ref));
                let least = least.expect("a delta is a difference");
                let told = |delta: &Delta| -> (BTreeSet<_>, BTreeSet<_>) {
                    (delta.upserts.iter().map(|one| one.id.clone()).collect(), delta.removes.iter().cloned().collect())
                };
                prop_assert_eq!(told(delta), told(&least));
            }
            prop_assert_eq!(&held, &contents(&snapshot));
        }
    }

    #[test]
    fn joined_deltas_are_both_and_it_does_not_matter_which_are_joined_first(history in any_history(30)) {
        let mut per_service: BTreeMap<ServiceKey, Vec<Arc<Delta>>> = BTreeMap::new();
        for delta in play(history, |said| said).into_iter().filter_map(|(.., step)| step).flat_map(|step| step.deltas) {
            per_service.entry(delta.key.clone()).or_default().push(delta);
        }
        for deltas in per_service.values() {
            let mut held: Option<Service> = None;
            for window in deltas.windows(3) {
                let [a, b, c] = window else { unreachable!() };
                let left = a.then(b).unwrap().then(c).unwrap();
                let right = a.then(&b.then(c).unwrap()).unwrap();
                prop_assert_eq!(&left, &right);
                let one_by_one = [a, b, c].into_iter().fold(held.clone(), |held, delta| delta.apply(held.as_ref()).unwrap());
                prop_assert_eq!(left.apply(held.as_ref()).unwrap(), one_by_one);
                held = a.apply(held.as_ref()).unwrap();
            }
        }
    }

    /// From any place in the stream and with any services, whoever comes back holds what the snapshot has, having
    /// been told of every instance that went, and of nothing else that is held.
    #[test]
    fn a_holder_who_was_away_is_told_exactly_what_is_missing(history in any_history(24), services in any_services()) {
        let mut ring = Ring::new("here".into());
        let mut states = vec![(ring.cursor(), Held::new())];
        for (_, snapshot, step) in play(history, |said| said) {
            if let Some(step) = step {
                states.push((ring.push(step.deltas), contents(&snapshot)));
            }
        }
        let newest = states.last().unwrap().1.clone();
        for (place, (cursor, then)) in states.iter().enumerate() {
            let told = ring.resume(cursor, &services).expect("all of it is remembered");
            let mut held: Held = then.clone();
            held.retain(|key, _| services.contains(key));
            for delta in &told {
                let since = states[place..].iter().flat_map(|(_, state)| ids(state.get(&delta.key)));
                let present = ids(newest.get(&delta.key));
                let removed: BTreeSet<_> = delta.removes.iter().map(ToString::to_string).collect();
                let gone: BTreeSet<_> = since.filter(|id| !present.contains(id)).collect();
                prop_assert!(removed.is_superset(&gone), "{removed:?} {gone:?}");
                prop_assert!(removed.is_disjoint(&present));
                prop_assert_eq!(removed.len(), delta.removes.len());
                held = applied(&held, delta);
            }
            let mut expected = newest.clone();
            expected.retain(|key, _| services.contains(key));
            prop_assert_eq!(held, expected);
            prop_assert_eq!(told.len(), told.iter().map(|delta| &delta.key).collect::<BTreeSet<_>>().len());
        }
    }

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
            let merged = receive(Some(held), told, true).expect("it stays known");
            for one in held.instances.iter() {
                prop_assert!(merged.instance(one.id.as_str()).is_some_and(|kept| Arc::ptr_eq(kept, one)));
            }
            let added = merged.instances.len() - held.instances.len();
            let new = told.iter().flat_map(|told| told.instances.iter()).filter(|one| held.instance(one.id.as_str()).is_none());
            prop_assert_eq!(added, new.count());
            prop_assert!(merged.instances.is_sorted_by(|a, b| a.order(b).is_lt()));
            if added == 0 {
                prop_assert_eq!(&merged, &**held);
            } else {
                prop_assert!(merged.revision > held.revision);
                prop_assert!(merged.hash != held.hash && told.is_none_or(|told| told.hash != merged.hash));
            }
            // Afterwards the teller has caught up.
            let hashes = [(key.clone(), merged.hash)].into();
            let (_, resumed) = by_hash(&hashes, newest, |_, _| true).next().unwrap();
            let unchanged = Resumed::Unchanged { revision: held.revision };
            let expected = if added == 0 { unchanged } else { Resumed::Whole(held.clone()) };
            prop_assert_eq!(resumed, expected);
        }
    }
}
