use std::thread;

use rollcall_catalogue::Visibility;

use super::*;
use crate::{
    frame::{Down, Upsert},
    testing::{Registry, instance_with, key},
};

fn names(keys: Option<BTreeSet<ServiceKey>>) -> Option<Vec<String>> {
    keys.map(|keys| keys.iter().map(ToString::to_string).collect())
}

/// Which instances are told, which are removed, and whether it is all of the service.
fn content(frames: &[Bytes]) -> (Vec<String>, Vec<String>, bool) {
    let (mut told, mut gone, mut whole) = (Vec::new(), Vec::new(), true);
    for bytes in frames {
        let Down::Upsert(Upsert { base, instances, removed, .. }) = serde_json::from_slice(bytes).unwrap()
        else {
            panic!("no upsert");
        };
        whole = base.is_none();
        told.extend(instances.iter().map(|one| one.id.to_string()));
        gone.extend(removed.iter().map(ToString::to_string));
    }
    (told, gone, whole)
}

#[test]
fn what_changed_is_known_by_number() {
    let mut registry = Registry::of(&[("a.shop", &[1]), ("b.shop", &[1])]);
    registry.set("a.shop", &[2]);
    let feed = &registry.feed;
    let table = [
        (0, Some(vec!["a.shop", "b.shop"])),
        (1, Some(vec!["a.shop", "b.shop"])),
        (2, Some(vec!["a.shop"])),
        (3, Some(vec![])),
        (4, None),
        (u64::MAX, None),
    ];
    for (number, expected) in table {
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
        assert_eq!(names(feed.changed_since(number)), expected, "{number}");
        assert_eq!(feed.knows(number), expected.is_some());
    }
    let three = ["a.shop", "c.shop", "d.shop"].map(|name| (key(name), ())).into();
    assert_eq!(names(feed.changed_among(0, &three)), Some(vec!["a.shop".to_owned()]));
    let two = ["a.shop", "c.shop"].map(|name| (key(name), ())).into();
    assert_eq!(feed.changed_among(0, &two), None, "to look at both is less");
    assert_eq!(names(feed.changed_among(1, &two)), Some(vec!["a.shop".to_owned()]));
    assert_eq!(feed.changed_among(9, &two), None);
}

#[test]
fn what_is_told_is_the_difference_where_it_is_known_and_smaller() {
    let mut registry = Registry::of(&[("orders.shop", &[1, 2, 3, 4])]);
    let first = registry.hash("orders.shop");
    registry.set("orders.shop", &[1, 2, 3, 4, 5]);
    let second = registry.hash("orders.shop");
    registry.set("orders.shop", &[2, 3, 4, 5, 6]);
    let told =
        |held| content(&registry.feed.frames(&key("orders.shop"), held, registry.service("orders.shop")));
    let text = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    assert_eq!(told(Some(second)), (text(&["u6"]), text(&["u1"]), false));
    assert_eq!(told(Some(first)), (text(&["u5", "u6"]), text(&["u1"]), false), "both steps in one");
    let whole = (text(&["u2", "u3", "u4", "u5", "u6"]), vec![], true);
    assert_eq!(told(None), whole);
    assert_eq!(told(Some(ContentHash(1))), whole, "a content that nobody knows");

    let held = registry.hash("orders.shop");
    registry.set("orders.shop", &[9]);
    let told =
        |held| content(&registry.feed.frames(&key("orders.shop"), held, registry.service("orders.shop")));
    assert_eq!(
        told(Some(held)),
        (text(&["u9"]), vec![], true),
        "five that go are more than one that is there"
    );

    let mut registry = Registry::new();
    registry.put("orders.shop", (0..9).map(|n| instance_with(n, 1, 100)).collect(), Visibility::Cluster);
    let held = registry.hash("orders.shop");
    registry.put("orders.shop", vec![instance_with(0, 1, 100)], Visibility::Cluster);
    let frames = registry.feed.frames(&key("orders.shop"), Some(held), registry.service("orders.shop"));
    assert_eq!(content(&frames).1.len(), 8, "eight ids are less than one that is large");
}

/// Two thousand sessions ask for the same at once.
#[test]
fn each_is_encoded_once_for_all() {
    let mut registry = Registry::of(&[("orders.shop", &[1, 2])]);
    let held = registry.hash("orders.shop");
    registry.set("orders.shop", &[1, 2, 3]);
    let (feed, service) = (&registry.feed, registry.service("orders.shop"));
    for held in [Some(held), None] {
        let all: Vec<_> = thread::scope(|scope| {
            let ask = || scope.spawn(|| feed.frames(&key("orders.shop"), held, service));
            let threads: Vec<_> = (0..16).map(|_| ask()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|frames| Arc::ptr_eq(frames, &all[0])));
        assert!(Arc::ptr_eq(&feed.frames(&key("orders.shop"), held, service), &all[0]));
    }
}

/// What leads to a state that is not the newest any more is told to nobody else.
#[test]
fn frames_to_an_older_state_are_forgotten() {
    let mut registry = Registry::of(&[("orders.shop", &[1])]);
    let old = registry.service("orders.shop").clone();
    let before = registry.feed.frames(&key("orders.shop"), None, &old);
    let weak = Arc::downgrade(&before);
    drop(before);
    assert!(weak.upgrade().is_some());
    registry.set("orders.shop", &[2]);
    assert!(weak.upgrade().is_none());
    let again = registry.feed.frames(&key("orders.shop"), None, &old);
    assert_eq!(content(&again).0, ["u1"], "and made again for who has the older snapshot still");
}
