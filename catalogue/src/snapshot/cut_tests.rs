//! Services of more instances than may be listed.

use super::*;
use crate::{
    Instance, InstanceId, Reason, State,
    limits::INSTANCES_MAX,
    testing::{address, after, instance, key, upsert, whole},
};

/// More instances than one address byte can name, in the order of their numbers.
fn many(numbers: impl IntoIterator<Item = usize>) -> Vec<Instance> {
    let of = |number: usize| Instance {
        id: format!("{number:05}").as_str().into(),
        addresses: std::net::IpAddr::from(u32::try_from(number + 1).unwrap().to_be_bytes()).into(),
        ..instance(1)
    };
    numbers.into_iter().map(of).collect()
}

#[test]
fn too_many_instances_are_cut_in_their_order_and_the_whole_restores_them() {
    let (max, orders) = (INSTANCES_MAX, key("orders"));
    let held = |snapshot: &Snapshot| {
        let service = snapshot.get(&orders).unwrap();
        let ids: Vec<_> = service.instances.iter().map(|one| one.id.to_string()).collect();
        (service.truncated, ids.len(), ids[0].clone(), ids[ids.len() - 1].clone())
    };
    let said = |truncated, len, first: &str, last: &str| (truncated, len, first.to_owned(), last.to_owned());

    let mut all = many(0..=max);
    all.reverse();
    let told_whole = after(Snapshot::default().next([whole("orders", all)], 1));
    assert_eq!(held(&told_whole), said(true, max, "00000", "04999"), "the first in order are kept");

    let full = after(Snapshot::default().next([whole("orders", many(0..max))], 1));
    assert_eq!(held(&full), said(false, max, "00000", "04999"), "as many as may be are not too many");
    let step = full.next([upsert("orders", many([max]))], 2).unwrap();
    assert_eq!(held(&step.snapshot), said(true, max, "00000", "04999"));
    assert_eq!(
        (step.deltas[0].upserts().count(), step.deltas[0].removes.len()),
        (0, 0),
        "nobody is told of it"
    );
    let (part, whole_one) = (step.snapshot.get(&orders).unwrap(), told_whole.get(&orders).unwrap());
    assert_eq!(part.hash, whole_one.hash);
    assert!(step.snapshot.next([upsert("orders", many([max]))], 3).is_none(), "what was cut stays cut");
    let dead = Instance { state: State::Failing, reason: Reason::ProbeRefused, ..many([7]).remove(0) };
    let step = step.snapshot.next([upsert("orders", [dead])], 3).unwrap();
    assert!(step.snapshot.get(&orders).unwrap().truncated, "a part does not know of what is behind the cut");

    // One that sorts first pushes another one out, and its holders are told.
    let first = Instance { id: "first".into(), addresses: address(0).into(), ..instance(1) };
    let first = Instance { addresses: std::net::IpAddr::from([0, 0, 0, 0]).into(), ..first };
    let step = full.next([upsert("orders", [first])], 2).unwrap();
    assert_eq!(held(&step.snapshot), said(true, max, "first", "04998"));
    assert_eq!(step.deltas[0].removes, [InstanceId::from("04999")]);

    let restored = after(step.snapshot.next([whole("orders", many(1..=max))], 3));
    assert_eq!(held(&restored), said(false, max, "00001", "05000"));
}

#[test]
fn whether_a_service_is_cut_is_part_of_what_it_is() {
    let cut = after(Snapshot::default().next([whole("orders", many(0..=INSTANCES_MAX))], 1));
    let full = after(Snapshot::default().next([whole("orders", many(0..INSTANCES_MAX))], 1));
    let hash = |snapshot: &Snapshot| snapshot.get(&key("orders")).unwrap().hash;
    assert_ne!(hash(&cut), hash(&full), "else who comes back by hash is never told");
}

/// A caller that could be answered is worth more than a place in the order; whoever is behind the cut serves nobody,
/// and settles nobody before it.
#[test]
fn who_serves_is_not_cut_for_those_who_do_not() {
    let all_in = |state: State, reason: Reason, numbers: std::ops::Range<usize>| -> Vec<_> {
        let of = |one| Instance { state, reason: reason.clone(), ..one };
        many(numbers).into_iter().map(of).collect()
    };
    let (max, orders) = (INSTANCES_MAX, key("orders"));
    for (state, reason) in [
        (State::Starting, Reason::NotReady),
        (State::Failing, Reason::SessionSilent),
        (State::Draining, Reason::Terminating),
    ] {
        let ill = all_in(state, reason.clone(), 0..max);
        let well = all_in(State::Serving, Reason::Ready, max..max + 3);
        let full = after(Snapshot::default().next([whole("orders", ill.clone())], 1));
        let part = full.next([upsert("orders", well.clone())], 2).unwrap().snapshot;
        let all: Vec<_> = ill.into_iter().chain(well).collect();
        let told_whole = after(Snapshot::default().next([whole("orders", all)], 1));
        for snapshot in [&part, &told_whole] {
            let service = snapshot.get(&orders).unwrap();
            assert_eq!((service.instances.len(), service.serving(), service.truncated), (max, 3, true));
            let ids: Vec<_> = service.instances.iter().map(|one| one.id.clone()).collect();
            assert!(
                ids.is_sorted() && ids.contains(&"05002".into()) && !ids.contains(&"04999".into()),
                "{reason}"
            );
            let silent = service.instances.iter().find(|one| one.reason == Reason::SessionSilent);
            assert!(silent.is_none_or(|one| one.state == State::Failing), "others serve");
        }
        let hash = |snapshot: &Snapshot| snapshot.get(&orders).unwrap().hash;
        assert_eq!(hash(&part), hash(&told_whole));
    }
    // Silent ones may yet be spared: they come before those that nobody could call at all.
    let starting = all_in(State::Starting, Reason::NotReady, 0..max);
    let silent = all_in(State::Failing, Reason::SessionSilent, max..max + 1);
    let cut = after(Snapshot::default().next([whole("orders", [starting, silent].concat())], 1));
    assert_eq!(
        cut.get(&orders).unwrap().instance(&"05000".into()).map(|one| one.state),
        Some(State::Suspect)
    );
}
