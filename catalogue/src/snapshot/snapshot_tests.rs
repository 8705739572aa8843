use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::{
    Instance, InstanceId, Policy, Profile, Reason, State, Visibility,
    consolidate::Settings,
    testing::{
        Batch, Facts, SERVICES, after, any_content, any_history, any_settings, contents, instance, key, play,
        profile, upsert, whole, without_revision,
    },
};

fn in_state(number: u8, state: State, reason: Reason) -> Instance {
    Instance { state, reason, ..instance(number) }
}

fn silent(number: u8) -> Instance {
    in_state(number, State::Failing, Reason::SessionSilent)
}

fn remove(service: &str, numbers: &[u8]) -> (ServiceKey, Update) {
    let removes = numbers.iter().map(|number| instance(*number).id).collect();
    (key(service), Update::Part { settings: None, upserts: Vec::new(), removes })
}

fn states(snapshot: &Snapshot) -> Vec<State> {
    snapshot.get(&key("orders")).unwrap().instances.iter().map(|instance| instance.state).collect()
}

/// What a snapshot holds of a service's settings.
fn seen(snapshot: &Snapshot, service: &str) -> Option<Settings> {
    let key = key(service);
    Some(Settings { policy: snapshot.get(&key)?.policy, visibility: snapshot.visibility(&key)?.clone() })
}

#[test]
fn only_what_changed_gets_a_new_revision() {
    let starting = in_state(2, State::Starting, Reason::NotReady);
    for retell in [whole, upsert] {
        let first =
            after(Snapshot::default().next([whole("orders", [instance(1), starting.clone()])], 1_000));
        let held = first.get(&key("orders")).unwrap();
        assert_eq!((held.revision, held.serving()), (1_000, 1));
        assert!(
            first.next([retell("orders", vec![instance(1), starting.clone()])], 2_000).is_none(),
            "as it was"
        );

        let step = first.next([retell("orders", vec![instance(1), instance(2)])], 500).unwrap();
        let service = step.snapshot.get(&key("orders")).unwrap();
        assert_eq!(service.revision, 1_001, "the clock went back, the revision does not");
        assert_eq!(service.instances.iter().map(|one| one.revision).collect::<Vec<_>>(), [1_000, 1_001]);
        assert!(
            Arc::ptr_eq(service.instances.get(0).unwrap(), held.instances.get(0).unwrap()),
            "what is the same is shared"
        );
        assert_ne!(service.hash, held.hash);
        let told: Vec<_> = step.deltas[0].upserts().map(|one| one.id.as_str()).collect();
        assert_eq!(told, ["uid-2-80"], "and nobody is told of it again");
    }
}

#[test]
fn the_versions_of_a_service_are_distinct_and_in_the_order_of_numbers() {
    let of = |number, version: Option<&str>| Instance {
        profile: Arc::new(Profile { version: version.map(|text| text.parse().unwrap()), ..profile() }),
        ..instance(number)
    };
    let all = [of(1, Some("1.10.0")), of(2, Some("1.9.0")), of(3, None), of(4, Some("1.10.0"))];
    let snapshot = after(Snapshot::default().next([whole("orders", all)], 1));
    let versions: Vec<_> =
        snapshot.get(&key("orders")).unwrap().versions().iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["1.9.0", "1.10.0"]);
}

#[test]
fn a_service_without_instances_is_known_and_one_without_registrations_is_not() {
    let known = after(Snapshot::default().next([whole("orders", [])], 1));
    assert!(known.get(&key("orders")).unwrap().instances.is_empty());
    assert_eq!((known.len(), known.is_empty()), (1, false));
    let unknown = after(known.next([(key("orders"), Update::Gone)], 2));
    assert!(unknown.is_empty() && unknown.get(&key("orders")).is_none());
    assert!(unknown.next([(key("orders"), Update::Gone)], 3).is_none(), "it was gone already");
}

#[test]
fn settings_alone_are_a_change_and_what_a_part_does_not_say_stays() {
    let hidden = Settings { policy: Policy::Random, visibility: Visibility::own() };
    let first = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
    let update = Update::Part { settings: Some(hidden.clone()), upserts: vec![], removes: vec![] };
    let step = first.next([(key("orders"), update)], 2).unwrap();
    assert_eq!((step.deltas[0].upserts().count(), step.deltas[0].removes.len()), (0, 0));
    let next = after(step.snapshot.next([upsert("orders", [instance(2)])], 3));
    assert_eq!(seen(&next, "orders"), Some(hidden));
}

#[test]
fn old_snapshots_and_untouched_services_are_left_alone() {
    let old =
        after(Snapshot::default().next([whole("orders", [instance(1)]), whole("billing", [instance(2)])], 1));
    let before = contents(&old);
    let new = after(old.next([upsert("orders", [silent(1)])], 2));
    let newer = after(new.next([(key("orders"), Update::Gone)], 3));
    assert_eq!(contents(&old), before, "who holds the old one sees no difference");
    for later in [&new, &newer] {
        let (held, kept) = (old.get(&key("billing")).unwrap(), later.get(&key("billing")).unwrap());
        assert!(Arc::ptr_eq(held, kept), "and shares what did not change");
    }
    let copied = old.shards.iter().zip(new.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
    assert_eq!(copied, 1, "a change copies its own part of the snapshot and no other");
}

#[test]
fn silence_is_settled_anew_with_every_change_around_it() {
    use State::*;
    let ready = instance(1);
    let first = after(Snapshot::default().next([whole("orders", [ready.clone(), silent(2)])], 1));
    assert_eq!(states(&first), [Serving, Failing]);
    let steps: [((ServiceKey, Update), &[State]); 5] = [
        (upsert("orders", [in_state(1, Failing, Reason::ProbeRefused)]), &[Failing, Suspect]),
        (upsert("orders", [ready.clone()]), &[Serving, Failing]),
        (remove("orders", &[1]), &[Suspect]),
        (upsert("orders", [silent(3)]), &[Suspect, Suspect]),
        (upsert("orders", [in_state(1, Suspect, Reason::SessionQuiet)]), &[Suspect, Failing, Failing]),
    ];
    let mut snapshot = first;
    for ((key, update), expected) in steps {
        let step = snapshot.next([(key, update)], 1).unwrap();
        assert_eq!(states(&step.snapshot), expected);
        snapshot = step.snapshot;
    }
    // Said again as the sessions have it, a spared one is no change.
    let spared = after(Snapshot::default().next([whole("orders", [silent(1)])], 1));
    assert_eq!(states(&spared), [Suspect]);
    assert!(spared.next([upsert("orders", [silent(1)])], 2).is_none());
}

/// Nobody knows who may see it: told to everyone, it could not be taken back.
#[test]
fn a_part_of_an_unknown_service_is_nothing_without_its_settings() {
    let hidden = Settings { visibility: Visibility::own(), ..Settings::default() };
    let removal = remove("orders", &[1]);
    for early in [upsert("orders", [instance(1)]), removal.clone()] {
        assert!(Snapshot::default().next([early], 1).is_none());
    }
    let told = (key("orders"), Update::Whole { settings: hidden.clone(), instances: vec![instance(1)] });
    let known = after(Snapshot::default().next([told], 1));
    let gone = after(known.next([(key("orders"), Update::Gone), upsert("orders", [instance(1)])], 2));
    assert!(gone.is_empty(), "a late part brings nothing back");
    assert!(gone.next([removal], 3).is_none());

    let update = Update::Part { settings: Some(hidden.clone()), upserts: vec![instance(1)], removes: vec![] };
    let first = after(gone.next([(key("orders"), update)], 3));
    assert_eq!(seen(&first, "orders"), Some(hidden));
    assert_eq!(first.get(&key("orders")).unwrap().instances.len(), 1);
}

/// A holder can find out that what it holds is not what it was told of.
#[test]
fn the_hash_of_a_service_can_be_taken_anew() {
    let orders = key("orders");
    let one = after(Snapshot::default().next([whole("orders", [instance(1)])], 100));
    let other = after(Snapshot::default().next([whole("orders", [instance(2)])], 100));
    let step = other.next([upsert("orders", [instance(3)])], 101).unwrap();
    let truth = step.snapshot.get(&orders).unwrap();
    assert_eq!(truth.content_hash(&orders), truth.hash);
    // The delta of another process starts, by chance, at the same revision.
    let mixed = step.deltas[0].apply(one.get(&orders).map(AsRef::as_ref)).unwrap().unwrap();
    assert_eq!(mixed.hash, truth.hash, "it says so itself");
    assert_ne!(mixed.content_hash(&orders), mixed.hash);
    assert_ne!(truth.content_hash(&key("billing")), truth.hash);
}

#[test]
fn a_service_holds_an_id_once() {
    let snapshot = after(Snapshot::default().next([whole("orders", [instance(1), silent(1)])], 1));
    assert_eq!(states(&snapshot), [State::Suspect], "the last word counts");
    let head = snapshot.get(&key("orders")).unwrap().head();
    let service = Service::of(head, [silent(1), instance(2), instance(1)].map(Arc::new).into());
    let held: Vec<_> = service.instances.iter().map(|one| (one.id.as_str(), one.state)).collect();
    assert_eq!(held, [("uid-1-80", State::Serving), ("uid-2-80", State::Serving)]);
}

#[test]
fn a_hash_is_written_as_sixteen_digits_and_never_0_for_what_is_there() {
    let empty = after(Snapshot::default().next([whole("orders", [])], 1)).get(&key("orders")).unwrap().hash;
    assert_ne!(empty, ContentHash(0), "0 stands for nothing");
    assert_eq!(ContentHash(0xab).to_string(), "00000000000000ab");
    for hash in [empty, ContentHash(0), ContentHash(u64::MAX)] {
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
    }
    assert!(serde_json::from_str::<ContentHash>("\"12345678123456781\"").is_err());
}

/// Of a part that says the same thing twice, the last word counts, found by search or by map.
#[test]
fn the_last_word_of_an_update_counts() {
    for others in [0u8, 20] {
        let mut upserts: Vec<_> = (100..100 + others).map(instance).collect();
        upserts.extend([silent(1), in_state(1, State::Starting, Reason::NotReady)]);
        let held = after(Snapshot::default().next([whole("orders", [instance(1)])], 1));
        let empty = after(Snapshot::default().next([whole("orders", [])], 1));
        for snapshot in [&held, &empty] {
            let next = after(snapshot.next([upsert("orders", upserts.clone())], 2));
            assert_eq!(states(&next)[0], State::Starting, "{others}");
            assert_eq!(next.get(&key("orders")).unwrap().instances.len(), usize::from(others) + 1);
        }
    }
}

/// The same final facts in another order: each instance and setting on its own, shuffled, with detours.
fn another_way(facts: &Facts, order: &[(usize, u64)], as_whole: bool) -> Snapshot {
    let mut events = Vec::new();
    for (number, name) in (0u8..).zip(SERVICES) {
        use crate::testing::Event::*;
        let Some((settings, instances)) = facts.0.get(&key(name)) else { continue };
        events.push(Settings(number, settings.clone()));
        events.extend(instances.values().map(|one| Put(number, one.clone())));
    }
    let mut sorted: Vec<_> = events.into_iter().zip(order.iter().cycle()).collect();
    sorted.sort_by_key(|(_, order)| *order);
    // First everything is otherwise, and some of it is there that will not stay.
    let detours = (0u8..3).flat_map(|service| {
        use crate::testing::Event::*;
        (0..5).map(move |number| Put(service, silent(number))).chain([Gone(service)])
    });
    let now = |event, (_, now_ms): (usize, u64)| (now_ms, vec![(event, as_whole)]);
    let history: Vec<Batch> = detours
        .map(|event| now(event, (0, 7)))
        .chain(sorted.into_iter().map(|(event, order)| now(event, *order)))
        .collect();
    play(history, |said| said).pop().unwrap().1
}

proptest! {
    #![proptest_config(crate::testing::cases(384))]

    #[test]
    fn a_snapshot_is_what_the_facts_come_to_and_part_or_whole_is_the_same(history in any_history(24)) {
        let mixed = play(history.clone(), |said| said);
        let parts = play(history.clone(), |_| false);
        let wholes = play(history, |_| true);
        for ((mixed, parts), wholes) in mixed.iter().zip(&parts).zip(&wholes) {
            let (facts, snapshot, _) = mixed;
            prop_assert_eq!(contents(&parts.1), contents(&wholes.1));
            prop_assert_eq!(contents(snapshot), contents(&wholes.1));
            prop_assert_eq!(snapshot.len(), facts.0.len());
            prop_assert_eq!(snapshot.iter().count(), facts.0.len());
            for name in SERVICES {
                let told = snapshot.get(&key(name)).map(|service| {
                    prop_assert_eq!(service.content_hash(&key(name)), service.hash);
                    let instances = service.instances.iter().map(|one| without_revision(one)).collect();
                    Ok((seen(snapshot, name).unwrap(), instances))
                }).transpose()?;
                prop_assert_eq!(told, facts.expected(&key(name)));
            }
        }
    }

    /// Whatever happens, and however the clock jumps.
    #[test]
    fn a_revision_never_stands_for_two_contents(history in any_history(40)) {
        let mut contents: HashMap<(ServiceKey, u64), Service> = HashMap::new();
        let mut instances: HashMap<(ServiceKey, InstanceId, u64), Instance> = HashMap::new();
        let mut last: HashMap<ServiceKey, u64> = HashMap::new();
        for (_, snapshot, step) in play(history, |said| said) {
            for (key, service) in snapshot.iter() {
                let revision = service.revision;
                prop_assert!(revision > 0 && revision < 1 << 53);
                prop_assert!(last.insert(key.clone(), revision).is_none_or(|before| before <= revision));
                let seen = contents.entry((key.clone(), revision)).or_insert_with(|| Service::clone(service));
                prop_assert_eq!(&*seen, &**service);
                for one in service.instances.iter() {
                    prop_assert!(one.revision > 0 && one.revision <= revision);
                    let id = (key.clone(), one.id.clone(), one.revision);
                    let seen = instances.entry(id).or_insert_with(|| Instance::clone(one));
                    prop_assert_eq!(&*seen, &**one);
                }
            }
            // What two updates of one step pass through in between counts as well.
            for delta in step.iter().flat_map(|step| &step.deltas) {
                let Some(head) = &delta.to else { continue };
                prop_assert!(delta.from.is_none_or(|from| from.revision < head.revision));
            }
        }
    }

    #[test]
    fn a_step_is_given_exactly_where_something_can_be_seen(history in any_history(24)) {
        let mut before = BTreeMap::new();
        for (_, snapshot, step) in play(history, |said| said) {
            let now = contents(&snapshot);
            let Some(step) = step else {
                prop_assert_eq!(now, before.clone());
                continue;
            };
            prop_assert!(!step.deltas.is_empty());
            let touched: BTreeSet<_> = step.deltas.iter().map(|delta| &delta.key).collect();
            for key in now.keys().chain(before.keys()) {
                prop_assert!(touched.contains(key) || now.get(key) == before.get(key));
            }
            before = now;
        }
    }

    /// Two replicas hear the same in another order: the same hashes, and the same instances but for revisions.
    #[test]
    fn the_order_of_events_does_not_matter(
        history in any_history(24),
        order in proptest::collection::vec((0usize..100, 0u64..100), 8),
        as_whole in any::<bool>(),
    ) {
        let (facts, one, _) = play(history, |said| said).pop().unwrap();
        let other = another_way(&facts, &order, as_whole);
        prop_assert_eq!(one.len(), other.len());
        for (key, service) in one.iter() {
            let twin = other.get(key).unwrap();
            prop_assert_eq!(service.hash, twin.hash);
            prop_assert_eq!(seen(&one, key.service.as_str()), seen(&other, key.service.as_str()));
            prop_assert!(service.instances.len() == twin.instances.len());
            prop_assert!(service.instances.iter().zip(twin.instances.iter()).all(|(a, b)| a.same_content(b)));
        }
    }

    /// To the letter: but for the revisions, all of a service is in its hash, and nothing else is.
    #[test]
    fn hashes_are_equal_exactly_where_services_are(
        services in proptest::collection::vec((any_settings(), proptest::collection::vec(any_content(), 0..4)), 2..6),
    ) {
        let told: Vec<_> = services.into_iter().map(|(settings, instances)| {
            let update = Update::Whole { settings, instances };
            let snapshot = after(Snapshot::default().next([(key("orders"), update)], 1));
            snapshot.get(&key("orders")).unwrap().clone()
        }).collect();
        for a in &told {
            for b in &told {
                prop_assert_eq!(a.hash == b.hash, a == b, "{:?} {:?}", a, b);
            }
        }
    }
}

/// A sidecar's heartbeat carries the sum of the hashes of what it holds.
#[test]
fn what_moves_from_one_service_to_another_is_seen_in_the_sum_of_their_hashes() {
    let sum = |one: &[u8], other: &[u8]| {
        let all = |numbers: &[u8]| numbers.iter().map(|number| instance(*number)).collect::<Vec<_>>();
        let updates = [whole("orders", all(one)), whole("billing", all(other))];
        let snapshot = after(Snapshot::default().next(updates, 1));
        snapshot.iter().fold(0u64, |sum, (_, service)| sum.wrapping_add(service.hash.0))
    };
    assert_ne!(sum(&[1, 2], &[3]), sum(&[1], &[2, 3]));
    assert_ne!(sum(&[1], &[2]), sum(&[2], &[1]));
}
