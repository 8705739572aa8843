use std::{collections::BTreeMap, sync::Arc};

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

/// One delta of as many instances as are wanted.
fn delta_of(instances: usize) -> Arc<Delta> {
    let head = Head { revision: 1, hash: ContentHash(1), policy: Default::default(), truncated: false };
    let of = |number, len| std::iter::repeat_n(Arc::new(instance(number)), len).collect();
    let (added, changed) = (of(1, instances / 2), of(2, instances.div_ceil(2)));
    Arc::new(Delta { key: key("orders"), from: Some(head), to: Some(head), added, changed, removes: vec![] })
}

pub(super) fn service_of(numbers: &[u8], now_ms: u64) -> Service {
    let all: Vec<Instance> = numbers.iter().map(|number| instance(*number)).collect();
    Service::clone(
        after(Snapshot::default().next([whole("orders", all)], now_ms)).get(&key("orders")).unwrap(),
    )
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
fn forged_old_and_future_numbers_are_refused() {
    let mut ring = Ring::default();
    for _ in 0..DELTAS_MAX + 10 {
        ring.push(vec![delta_of(1)]);
    }
    let newest = ring.number();
    assert_eq!(newest, DELTAS_MAX as u64 + 10);
    let known = |number| ring.since(number).map(Iterator::count);
    assert_eq!(known(0), None, "too old");
    assert_eq!(known(9), None, "the oldest that is forgotten");
    assert_eq!(known(10), Some(DELTAS_MAX), "the oldest that is remembered");
    assert_eq!(known(newest), Some(0), "in step");
    assert_eq!(known(newest + 1), None, "ahead of us");
    assert_eq!(known(u64::MAX), None, "forged");
}

#[test]
fn a_ring_is_bounded_whatever_is_pushed() {
    let mut ring = Ring::default();
    for _ in 0..3 * DELTAS_MAX {
        ring.push(Vec::new());
    }
    assert_eq!((ring.number(), ring.batches.len()), (0, 0), "no change is no step");

    let too_many = vec![delta_of(1); DELTAS_MAX + 1];
    ring.push(too_many);
    assert_eq!(ring.since(0).map(Iterator::count), Some(1), "the newest stays");
    let fat = |instances| {
        let mut delta = Delta::clone(&delta_of(instances));
        let metadata = (0..64).map(|n: u8| (format!("{n}").into(), "x".repeat(1_024).into())).collect();
        let profile = Arc::new(Profile { metadata, ..Profile::clone(&instance(1).profile) });
        delta.added = vec![];
        delta.changed =
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
    let mut ring = Ring::default();
    ring.push(vec![between(&one, &two)]);
    ring.push(vec![between(&one, &three)]);
    let path = |held: &Service, to: &Service| ring.path(&key("orders"), held.hash, &to.head());
    assert_eq!(path(&two, &three), None, "nothing leads from there");
    assert_eq!(path(&three, &three), None, "nor from what is newer");
    assert_eq!(path(&one, &three).unwrap().len(), 1, "after the gap all is well");
    let across = [between(&one, &two), between(&one, &three)];
    let error = across[0].and_all([&*across[1]]).unwrap_err();
    assert_eq!(error, OutOfStep { expected: Some(5), held: Some(6) });
}

/// What came and went while the holder was away is nothing to it.
#[test]
fn what_came_and_went_is_not_told() {
    let known = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
    let mut ring = Ring::default();
    let came = known.next([upsert("orders", [instance(2)])], 2).unwrap();
    let removes = vec![instance(2).id];
    let update = Update::Part { settings: None, upserts: vec![], removes };
    let went = came.snapshot.next([(key("orders"), update)], 3).unwrap();
    let fleeting = went.snapshot.next([whole("billing", [instance(3)])], 4).unwrap();
    let over = fleeting.snapshot.next([(key("billing"), Update::Gone)], 5).unwrap();
    for step in [&came, &went, &fleeting, &over] {
        ring.push(step.deltas.clone());
    }
    let orders = |snapshot: &Snapshot| snapshot.get(&key("orders")).unwrap().clone();
    let (held, newest) = (orders(&known), orders(&over.snapshot));
    assert_eq!(held.hash, newest.hash);
    let path = ring.path(&key("orders"), orders(&came.snapshot).hash, &newest.head()).unwrap();
    assert_eq!((path.len(), &path[0].removes), (1, &vec![instance(2).id]));
    let path = ring.path(&key("orders"), held.hash, &newest.head()).unwrap();
    let delta = path[0].and_all(path[1..].iter().map(AsRef::as_ref)).unwrap();
    assert_eq!((delta.from, delta.to), (Some(held.head()), Some(newest.head())));
    assert_eq!((delta.upserts().count(), &delta.removes), (0, &vec![]));
    let nothing = fleeting.deltas[0].then(&over.deltas[0]).unwrap();
    assert_eq!((nothing.from, &nothing.to, nothing.upserts().count()), (None, &None, 0));
    assert_eq!(nothing.removes, []);
}

/// A content that was there twice is left the second time.
#[test]
fn the_path_from_a_content_is_the_shortest() {
    let mut ring = Ring::default();
    let mut snapshot = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
    let held = snapshot.get(&key("orders")).unwrap().hash;
    for numbers in [&[1, 2][..], &[1], &[1, 3]] {
        let all: Vec<_> = numbers.iter().map(|number| instance(*number)).collect();
        let step = snapshot.next([whole("orders", all)], 2).unwrap();
        snapshot = step.snapshot;
        ring.push(step.deltas);
    }
    let head = snapshot.get(&key("orders")).unwrap().head();
    let path = ring.path(&key("orders"), held, &head).unwrap();
    let added: Vec<_> = path.iter().flat_map(|delta| &delta.added).map(|one| one.id.clone()).collect();
    assert_eq!((path.len(), added), (1, vec![instance(3).id]));
    assert_eq!(ring.path(&key("orders"), ContentHash(1), &head), None, "a content that nobody knows");
    assert_eq!(ring.path(&key("billing"), held, &head), None, "nor a service");
    assert_eq!(ring.path(&key("orders"), held, &Head { revision: 1, ..head }), None, "nor a state");
}

/// What is forgotten is forgotten in both orders.
#[test]
fn a_service_is_forgotten_with_its_deltas() {
    let mut ring = Ring::default();
    let step = Snapshot::default().next([whole("billing", [instance(1)])], 1).unwrap();
    let changed = step.snapshot.next([upsert("billing", [instance(2)])], 2).unwrap();
    let (held, head) = (
        step.snapshot.get(&key("billing")).unwrap().hash,
        changed.snapshot.get(&key("billing")).unwrap().head(),
    );
    ring.push(changed.deltas);
    for _ in 0..DELTAS_MAX {
        assert!(ring.path(&key("billing"), held, &head).is_some());
        ring.push(vec![delta_of(0)]);
    }
    assert_eq!(ring.path(&key("billing"), held, &head), None);
    assert_eq!(ring.services.len(), 1, "and its name with them");
}

proptest! {
    #![proptest_config(crate::testing::cases(384))]

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
                prop_assert_eq!(&**delta, &least.expect("a delta is a difference"));
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
                prop_assert_eq!(left.apply(held.as_ref()).unwrap(), one_by_one.clone());
                if let Some(exact) = Delta::between(&a.key, held.as_ref(), one_by_one.as_ref()) {
                    prop_assert_eq!(left, exact);
                }
                held = a.apply(held.as_ref()).unwrap();
            }
        }
    }

    /// From any content that there was, whoever holds it is told exactly what is different.
    #[test]
    fn a_holder_who_was_away_is_told_exactly_what_is_missing(history in any_history(24)) {
        let mut ring = Ring::default();
        let mut states = vec![Held::new()];
        for step in play(history, |said| said).into_iter().filter_map(|(.., step)| step) {
            ring.push(step.deltas.clone());
            for delta in &step.deltas {
                states.push(applied(states.last().unwrap(), delta));
            }
        }
        for (key, to) in states.last().unwrap() {
            let known: Vec<_> = states.iter().filter_map(|state| state.get(key)).collect();
            for held in known.iter().filter(|held| held.hash != to.hash) {
                let path = ring.path(key, held.hash, &to.head()).expect("all of it is remembered");
                let delta = path[0].and_all(path[1..].iter().map(AsRef::as_ref)).unwrap();
                // The same content may have been there under several numbers.
                let from = known.iter().rfind(|from| from.hash == held.hash).expect("at least the held one");
                let exact = Delta::between(key, Some(from), Some(to));
                prop_assert_eq!(Some(&delta), exact.as_ref());
                prop_assert_eq!(delta.apply(Some(from)).unwrap(), Some(Service::clone(to)));
            }
        }
    }
}
