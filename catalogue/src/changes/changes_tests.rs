use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{ring::BYTES_MAX, ring::DELTAS_MAX, *};
use crate::{
    ContentHash, Instance, Namespace, Profile, Service, ServiceKey, Snapshot, Update, Visibility,
    consolidate::Settings,
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

pub(super) fn shop() -> Namespace {
    "shop".parse().unwrap()
}

fn any_services() -> impl Strategy<Value = BTreeSet<ServiceKey>> {
    proptest::collection::btree_set(proptest::sample::select(SERVICES.map(key).to_vec()), 0..4)
}

/// One delta of as many instances as are wanted.
fn delta_of(instances: usize) -> Arc<Delta> {
    let head = Head { revision: 1, hash: ContentHash(1), policy: Default::default(), truncated: false };
    let of = |number, len| std::iter::repeat_n(Arc::new(instance(number)), len).collect();
    let (added, changed) = (of(1, instances / 2), of(2, instances.div_ceil(2)));
    Arc::new(Delta { key: key("orders"), from: Some(1), to: Some(head), added, changed, removes: vec![] })
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
        let metadata = (0..64).map(|n: u8| (n.to_string(), "x".repeat(1_024))).collect();
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
    let mut ring = Ring::new("a".into());
    let start = ring.push(vec![between(&one, &two)]);
    ring.push(vec![between(&one, &three)]);
    let newest = after(Snapshot::default().next([whole("orders", []), whole("billing", [])], 8));
    let (orders, billing) = ([key("orders")], [key("billing")]);
    let told = |cursor: &Cursor, held: &[ServiceKey]| {
        ring.resume(cursor, held, &newest, &shop()).map(|told| told.len())
    };
    let all = Cursor { number: 0, ..start.clone() };
    assert_eq!(told(&all, &orders), None);
    assert_eq!(told(&start, &orders), Some(1), "after the gap all is well");
    assert_eq!(told(&all, &billing), Some(0), "and others have no gap");
}

/// What came and went while the holder was away is nothing to it.
#[test]
fn what_came_and_went_is_not_told() {
    let known = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
    let mut ring = Ring::new("a".into());
    let away = ring.cursor();
    let came = known.next([upsert("orders", [instance(2)])], 2).unwrap();
    let removes = vec![instance(2).id];
    let update = Update::Part { settings: None, upserts: vec![], removes };
    let went = came.snapshot.next([(key("orders"), update)], 3).unwrap();
    let fleeting = went.snapshot.next([whole("billing", [instance(3)])], 4).unwrap();
    let over = fleeting.snapshot.next([(key("billing"), Update::Gone)], 5).unwrap();
    for step in [&came, &went, &fleeting, &over] {
        ring.push(step.deltas.clone());
    }
    let told = ring.resume(&away, &[key("orders")], &over.snapshot, &shop()).unwrap();
    let [(_, Resumed::Changed(delta))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((delta.from, delta.to.as_ref().map(|head| head.revision)), (Some(1), Some(3)));
    assert_eq!((delta.upserts().count(), &delta.removes), (0, &vec![]));
    let nothing = fleeting.deltas[0].then(&over.deltas[0]).unwrap();
    assert_eq!((nothing.from, &nothing.to, nothing.upserts().count()), (None, &None, 0));
    assert_eq!(nothing.removes, []);
}

/// Coming back by cursor shows no more than coming back by hash.
#[test]
fn who_may_not_see_a_service_any_more_is_told_that_it_is_gone() {
    let seen_by = |names: &[&str]| Settings {
        visibility: Visibility::Namespaces(names.iter().map(|name| name.parse().unwrap()).collect()),
        ..Settings::default()
    };
    let update =
        |settings| Update::Part { settings: Some(settings), upserts: vec![instance(2)], removes: vec![] };
    let friend: Namespace = "friend".parse().unwrap();
    let first = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
    let mut ring = Ring::new("a".into());
    let open = ring.cursor();
    let hidden = first.next([(key("orders"), update(seen_by(&[])))], 2).unwrap();
    let closed = ring.push(hidden.deltas.clone());
    let orders = [key("orders")];
    let told = |ring: &Ring, cursor: &Cursor, snapshot: &Snapshot, caller: &Namespace| -> Vec<Resumed> {
        let told = ring.resume(cursor, &orders, snapshot, caller).unwrap();
        told.into_iter().map(|(_, resumed)| resumed).collect()
    };
    assert_eq!(told(&ring, &open, &hidden.snapshot, &friend), [Resumed::Gone]);
    assert!(matches!(&told(&ring, &open, &hidden.snapshot, &shop())[..], [Resumed::Changed(_)]));
    // It was hidden all the time, and whoever claims to hold it is told so as well.
    assert_eq!(told(&ring, &closed, &hidden.snapshot, &friend), [Resumed::Gone]);

    // Seen again, it is told from where it was left.
    let shown = hidden.snapshot.next([(key("orders"), update(seen_by(&["friend"])))], 3).unwrap();
    ring.push(shown.deltas.clone());
    let told = told(&ring, &open, &shown.snapshot, &friend);
    let [Resumed::Changed(delta)] = &told[..] else { panic!("{told:?}") };
    let held = first.get(&key("orders")).map(AsRef::as_ref);
    assert_eq!(delta.apply(held).unwrap().as_ref(), shown.snapshot.get(&key("orders")).map(AsRef::as_ref));
}

/// A delta from nothing cannot follow what is held, wherever that came from.
#[test]
fn a_service_that_is_new_here_is_told_as_a_whole() {
    let mut ring = Ring::new("a".into());
    let start = ring.cursor();
    let step = Snapshot::default().next([whole("orders", [instance(1)])], 1).unwrap();
    ring.push(step.deltas);
    let told = ring.resume(&start, &[key("orders")], &step.snapshot, &shop()).unwrap();
    let service = step.snapshot.get(&key("orders")).unwrap().clone();
    assert_eq!(told, [(key("orders"), Resumed::Whole(service))]);
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
    let told = |snapshot: &Snapshot, caller: &str| -> Vec<_> {
        let caller = caller.parse().unwrap();
        by_hash(&held, snapshot, &caller).map(|(key, resumed)| (key.service.to_string(), resumed)).collect()
    };
    let said = |name: &str, resumed| (name.to_owned(), resumed);
    let unchanged =
        ["billing", "orders", "stock"].map(|name| said(name, Resumed::Unchanged { revision: 99 }));
    assert_eq!(told(&elsewhere, "else"), unchanged);

    let hidden = Settings { visibility: Visibility::own(), ..Settings::default() };
    let hidden = Update::Part { settings: Some(hidden), upserts: vec![], removes: vec![] };
    let updates = [upsert("orders", [instance(9)]), (key("stock"), Update::Gone), (key("billing"), hidden)];
    let changed = after(elsewhere.next(updates, 100));
    let orders = changed.get(&key("orders")).unwrap().clone();
    let expected = [
        said("billing", Resumed::Gone),
        said("orders", Resumed::Whole(orders)),
        said("stock", Resumed::Gone),
    ];
    assert_eq!(told(&changed, "else"), expected);
    assert_eq!(told(&changed, "shop")[0], said("billing", Resumed::Unchanged { revision: 100 }));
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

    /// From any place in the stream and with any services, whoever comes back holds what it may see of the snapshot,
    /// having been told exactly what is different.
    #[test]
    fn a_holder_who_was_away_is_told_exactly_what_is_missing(
        history in any_history(24), services in any_services(), elsewhere in any::<bool>(),
    ) {
        let caller: Namespace = if elsewhere { "elsewhere".parse().unwrap() } else { shop() };
        let visible = |snapshot: &Snapshot| -> Held {
            let mut seen = contents(snapshot);
            seen.retain(|key, _| services.contains(key) && snapshot.is_visible(key, &caller));
            seen
        };
        let mut ring = Ring::new("here".into());
        let mut states = vec![(ring.cursor(), Snapshot::default())];
        for (_, snapshot, step) in play(history, |said| said) {
            if let Some(step) = step {
                states.push((ring.push(step.deltas), snapshot));
            }
        }
        let newest = &states.last().unwrap().1;
        for (cursor, then) in &states {
            let then = visible(then);
            let told = ring.resume(cursor, then.keys(), newest, &caller).expect("all of it is remembered");
            prop_assert_eq!(told.len(), told.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len());
            let mut held = then.clone();
            for (key, resumed) in told {
                match resumed {
                    Resumed::Gone => drop(held.remove(&key)),
                    Resumed::Changed(delta) => {
                        let (before, after) = (held.get(&key), newest.get(&key));
                        let exact = Delta::between(&key, before.map(AsRef::as_ref), after.map(AsRef::as_ref));
                        prop_assert_eq!(Some(&delta), exact.as_ref());
                        held = applied(&held, &delta);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            // What it did not hold is told to it as to anyone who asks for the first time.
            for (key, service) in visible(newest) {
                held.entry(key).or_insert(service);
            }
            prop_assert_eq!(held, visible(newest));
        }
    }
}
