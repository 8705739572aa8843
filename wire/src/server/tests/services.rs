//! What is told of services, and when.

use rollcall_catalogue::Visibility;

use super::*;
use crate::{
    limits::{FRAME_BYTES_MAX, SYNCS_MAX},
    testing::{instance, instance_with},
};

#[test]
fn a_session() {
    let mut registry = Registry::of(&[("orders.shop", &[1]), ("billing.other", &[2])]);
    let mut s = Session::silent(&registry);
    assert!(s.said(&registry).is_empty(), "nothing before hello");
    let heard = s.hear(hello());
    let expected = Heard::Hello { incarnation: "i".to_owned(), sequence: 1, registrations: vec![] };
    assert_eq!(heard, [expected]);
    assert_eq!(s.said(&registry), ["welcome storefront-1 epoch-0"]);
    let heard = s.hear(subscribe(&["orders", "billing.other", "nobody"]));
    assert_eq!(heard, [Heard::Subscribed(["orders.shop", "billing.other", "nobody.shop"].map(key).into())]);
    assert_eq!(
        s.acked(&registry),
        ["whole billing.other u2", "whole orders.shop u1", "synced 2 billing.other,nobody.shop,orders.shop"],
        "an unknown name is synced without an upsert"
    );
    assert!(s.acked(&registry).is_empty());
    registry.set("orders.shop", &[1, 3]);
    registry.set("foreign.shop", &[4]);
    assert_eq!(s.acked(&registry), ["delta orders.shop u3", "synced 4 "], "only what was asked for is named");
    registry.set("foreign.shop", &[5]);
    assert!(s.acked(&registry).is_empty(), "what is not subscribed to is not heard of");
    assert!(s.hear(subscribe(&["orders"])).is_empty(), "it is subscribed to already");
    assert_eq!(s.acked(&registry), ["synced 5 orders.shop"], "and answered once more");
    registry.remove("orders.shop");
    assert_eq!(s.acked(&registry), ["remove orders.shop u1,u3", "synced 6 "]);
    let left = s.hear(unsubscribe(&["billing.other", "foreign"]));
    assert_eq!(left, [Heard::Unsubscribed(vec![key("billing.other")])]);
    registry.remove("billing.other");
    assert!(s.acked(&registry).is_empty());
    s.server.go_away("bye");
    s.server.go_away("once more");
    assert_eq!(s.said(&registry), ["goaway bye"]);
    assert!(s.server.closed() && s.server.farewell() == Some("bye"));
    assert!(s.hear(subscribe(&["orders"])).is_empty(), "nobody listens any more");
}

#[test]
fn nothing_is_told_before_a_snapshot_was_looked_at() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::silent(&registry);
    s.hear(hello());
    s.hear(subscribe(&["orders"]));
    assert_eq!(s.one(&registry).unwrap(), "welcome storefront-1 epoch-0");
    assert_eq!(s.one(&registry), None);
    assert_eq!(s.said(&registry), ["whole orders.shop u1", "synced 1 orders.shop"]);
}

/// Who comes back is told what differs from what it holds, wherever that came from.
#[test]
fn a_peer_that_comes_back_is_told_what_it_missed_and_nothing_else() {
    let names = ["same", "changed", "gone", "hidden", "forgotten"].map(|name| format!("{name}.shop"));
    let mut registry = Registry::new();
    names.iter().for_each(|name| registry.set(name, &[1, 2]));
    let held: Vec<_> = names.iter().map(|name| (name.as_str(), registry.hash(name))).collect();
    registry.set("changed.shop", &[1, 2, 3]);
    registry.set("same.shop", &[1]);
    registry.set("same.shop", &[1, 2]);
    registry.remove("gone.shop");
    let mut held = held.clone();
    held[4].1 = ContentHash(5);
    let all = subscribe(&["same", "changed", "gone", "forgotten"]);
    let unasked = "synced 9 changed.shop,forgotten.shop,gone.shop,same.shop";
    let told = |registry: &Registry, epoch: &str, cursor: u64| {
        let mut s = Session::silent(registry);
        let resynced = s.hear(hello_with(&held, Some(epoch), cursor)).len() == 2;
        s.hear(all.clone());
        (s.said(registry).split_off(1), resynced)
    };
    let text = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let changes =
        text(&["delta changed.shop u3", "whole forgotten.shop u1,u2", "remove gone.shop ", unasked]);
    for (epoch, cursor, resynced) in
        [("epoch-0", 5, false), ("epoch-0", 9, false), ("epoch-0", 10, true), ("elsewhere", 9, true)]
    {
        assert_eq!(told(&registry, epoch, cursor), (changes.clone(), resynced), "{epoch} {cursor}");
    }
    registry.restart("epoch-0");
    let wholes = text(&[
        "whole changed.shop u1,u2,u3",
        "whole forgotten.shop u1,u2",
        "remove gone.shop ",
        "synced 0 changed.shop,forgotten.shop,gone.shop,same.shop",
    ]);
    assert_eq!(told(&registry, "epoch-0", 9), (wholes, true), "a process that knows nothing of the past");

    let mut s = Session::silent(&registry);
    assert_eq!(
        s.hear(hello_with(&[], Some("elsewhere"), 7)).len(),
        1,
        "it holds nothing, and misses nothing"
    );
}

#[test]
fn what_is_held_counts_once_it_is_subscribed_to() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let held = [("orders.shop", registry.hash("orders.shop"))];
    let mut s = Session::open(&registry, hello_with(&held, None, 0));
    assert!(s.said(&registry).is_empty());
    s.hear(subscribe(&["orders"]));
    assert_eq!(s.acked(&registry), ["synced 1 orders.shop"]);
    s.hear(unsubscribe(&["orders"]));
    s.hear(subscribe(&["orders"]));
    let again = ["whole orders.shop u1", "synced 1 orders.shop"];
    assert_eq!(s.acked(&registry), again, "what is left is forgotten");
    let mut s = Session::open(&registry, hello_with(&held, None, 0));
    s.hear(unsubscribe(&["orders"]));
    s.hear(subscribe(&["orders"]));
    assert_eq!(s.acked(&registry), again);
}

#[test]
fn a_service_that_may_not_be_seen_is_as_one_that_nobody_has() {
    let mut registry = Registry::new();
    let friends = || Visibility::Namespaces(["shop".parse().unwrap()].into());
    registry.set_seen("orders.hidden", &[1], Visibility::own());
    let mut s = Session::subscribed(&registry, &["orders.hidden"]);
    assert_eq!(s.acked(&registry), ["synced 1 orders.hidden"], "unknown");
    registry.set_seen("orders.hidden", &[1, 2], Visibility::own());
    registry.remove("orders.hidden");
    registry.set_seen("orders.hidden", &[1], Visibility::own());
    assert!(s.acked(&registry).is_empty(), "nothing is heard of what it does");
    registry.set_seen("orders.hidden", &[1], friends());
    assert_eq!(s.acked(&registry), ["whole orders.hidden u1", "synced 5 "]);
    registry.set_seen("orders.hidden", &[1], Visibility::Cluster);
    assert_eq!(s.acked(&registry), ["synced 6 "], "the same for this peer");
    registry.set_seen("orders.hidden", &[1, 2], Visibility::own());
    assert_eq!(s.acked(&registry), ["remove orders.hidden u1", "synced 7 "], "while it streams");

    registry.set_seen("orders.hidden", &[1], friends());
    s.server.look(&registry.snapshot, registry.number, &Arc::default());
    registry.set_seen("orders.hidden", &[1], Visibility::own());
    assert_eq!(s.one(&registry).unwrap(), "synced 8 ", "asked when it is told, not when it changed");
    let held = [("orders.hidden", registry.hash("orders.hidden"))];
    let mut s = Session::open(&registry, hello_with(&held, None, 0));
    s.hear(subscribe(&["orders.hidden"]));
    assert_eq!(s.acked(&registry), ["remove orders.hidden ", "synced 9 orders.hidden"], "nor by its hash");
}

#[test]
fn a_slow_reader_skips_states_and_queues_none() {
    let mut registry = Registry::of(&[("orders.shop", &[0])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.acked(&registry);
    for pods in 2..=101u8 {
        registry.set("orders.shop", &(0..pods).collect::<Vec<_>>());
        s.server.look(&registry.snapshot, registry.number, &Arc::default());
    }
    registry.set("orders.shop", &[0, 1]);
    assert_eq!(s.acked(&registry), ["delta orders.shop u1", "synced 102 "]);
}

/// A service that changes faster than the reader reads keeps nobody from anything.
#[test]
fn each_round_has_an_end() {
    let mut registry = Registry::of(&[("a.shop", &[1]), ("z.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["a", "z"]);
    s.acked(&registry);
    registry.set("z.shop", &[2]);
    let mut said = Vec::new();
    for turn in 3..9 {
        registry.set("a.shop", &[turn]);
        s.server.look(&registry.snapshot, registry.number, &Arc::default());
        said.extend(s.one(&registry));
    }
    let expected = [
        "whole a.shop u3",
        "whole z.shop u2",
        "synced 4 ",
        "whole a.shop u6",
        "synced 7 ",
        "whole a.shop u8",
    ];
    assert_eq!(said, expected);
}

/// Who is ahead of what was looked at is told that it is in step, since somebody may wait for that.
#[test]
fn every_change_of_what_is_seen_is_synced() {
    let mut registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.server.look(&registry.snapshot, registry.number, &Arc::default());
    registry.set("orders.shop", &[2]);
    assert_eq!(s.one(&registry).unwrap(), "whole orders.shop u2");
    assert_eq!(s.one(&registry).unwrap(), "synced 1 orders.shop", "no more than is sure");
    assert_eq!(s.said(&registry), ["synced 2 "]);
    registry.set("orders.shop", &[3]);
    registry.set("orders.shop", &[2]);
    assert_eq!(s.said(&registry), ["synced 4 "], "there and back again");
}

#[test]
fn who_does_not_acknowledge_is_told_no_more() {
    let mut registry = Registry::of(&[("orders.shop", &[0])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    for turn in 1..=SYNCS_MAX {
        assert_eq!(s.said(&registry).len(), 2, "{turn}");
        registry.set("orders.shop", &[turn as u8]);
    }
    assert!(s.said(&registry).is_empty());
    assert_eq!(s.hear(Up::Ack { cursor: 1 }), [Heard::Acked(1)]);
    assert_eq!(s.said(&registry), ["whole orders.shop u64", "synced 65 "]);
    assert_eq!(s.hear(Up::Ack { cursor: 65 }), [Heard::Acked(65)], "and all before it");
    assert_eq!(s.server.hear(Up::Ack { cursor: 64 }, 0), Err(Violation::Ack { told: 64 }));
}

#[test]
fn a_service_that_was_begun_is_finished() {
    let mut registry = Registry::new();
    let large = |numbers: &[u8]| numbers.iter().map(|number| instance_with(*number, 1, 100)).collect();
    registry.put("orders.shop", large(&[1, 2, 3]), Visibility::Cluster);
    let mut s = Session::subscribed(&registry, &["orders", "stock"]);
    s.server.look(&registry.snapshot, registry.number, &Arc::default());
    let frame = s.server.speak(&registry.snapshot, 0).unwrap();
    assert!(frame.len() <= FRAME_BYTES_MAX && short(&frame) == "whole orders.shop u1,u2 ...");
    s.hear(unsubscribe(&["orders"]));
    s.server.say(Down::Registered { key: orders() });
    registry.put("orders.shop", large(&[4]), Visibility::Cluster);
    let expected = ["registered orders", "whole orders.shop u3", "synced 1 stock.shop"];
    assert_eq!(s.acked(&registry), expected);
}

#[test]
fn silent_staleness_is_found_and_healed() {
    let mut registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders", "gone"]);
    let right = registry.hash("orders.shop");
    let beat = |cursor, hash| Up::Heartbeat { cursor, digest: ContentHash(hash) };
    assert!(s.hear(beat(0, 9)).is_empty(), "it was told nothing");
    s.said(&registry);
    assert!(s.hear(beat(1, 9)).is_empty(), "it has not acknowledged");
    s.hear(Up::Ack { cursor: 1 });
    assert!(s.hear(beat(0, 9)).is_empty(), "it has not applied everything yet");
    assert!(s.hear(beat(1, right.0)).is_empty());
    assert!(s.said(&registry).is_empty());
    registry.set("orders.shop", &[1, 2]);
    s.server.look(&registry.snapshot, registry.number, &Arc::default());
    assert!(s.hear(beat(1, 9)).is_empty(), "there is something to be told");
    s.one(&registry);
    assert!(s.hear(beat(1, 9)).is_empty(), "it is half told");
    s.acked(&registry);
    assert_eq!(s.hear(beat(2, right.0)), [Heard::Resynced(Resync::Digest)]);
    let healed = ["remove gone.shop ", "whole orders.shop u1,u2", "synced 2 "];
    assert_eq!(s.acked(&registry), healed);
    assert!(s.hear(beat(2, registry.hash("orders.shop").0)).is_empty());
    assert!(s.hear(beat(2, 9)).is_empty(), "nor at each heartbeat of one who is always out of step");
    s.now_ms += 60_000;
    assert_eq!(s.hear(beat(2, 9)), [Heard::Resynced(Resync::Digest)]);
}

#[test]
fn the_shell_is_told_what_it_must_do() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    let registration: SelfRegistration = serde_json::from_str(r#"{"service":"orders"}"#).unwrap();
    let probe = ProbeWitness::Passing;
    let drain = |deadline_ms| Up::Drain { drain: Drain::Start, deadline_ms, ask: Some(3) };
    let drained = |deadline_ms| Heard::Drain { drain: Drain::Start, deadline_ms, ask: Some(3) };
    let table = [
        (Up::Register { registration: registration.clone() }, Some(Heard::Register(registration))),
        (Up::Deregister { key: orders() }, Some(Heard::Deregister(orders()))),
        (Up::Health { of: None, probe }, Some(Heard::Health { of: None, probe })),
        (drain(0), Some(drained(10_000))),
        (drain(1), Some(drained(1))),
        (drain(u64::MAX), Some(drained(60_000))),
        (Up::Unknown, None),
        (Up::Heartbeat { cursor: 7, digest: ContentHash(7) }, None),
    ];
    for (frame, expected) in table {
        assert_eq!(s.hear(frame.clone()), Vec::from_iter(expected), "{frame:?}");
    }
    assert_eq!(s.server.unknown_frames(), 1);
    assert!(s.said(&registry).is_empty());
}

#[test]
fn what_no_peer_may_do() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let names = |count: usize| Up::Subscribe {
        services: (0..count).map(|n| format!("s{n}").parse().unwrap()).collect(),
        summary: false,
    };
    let hello_of = |change: fn(&mut Up)| {
        let mut hello = hello();
        change(&mut hello);
        hello
    };
    let protocol = hello_of(|hello| {
        if let Up::Hello { protocol, .. } = hello {
            *protocol = "2.0".to_owned();
        }
    });
    let nameless = hello_of(|hello| {
        if let Up::Hello { incarnation, .. } = hello {
            incarnation.clear();
        }
    });
    let long = hello_of(|hello| {
        if let Up::Hello { incarnation, .. } = hello {
            *incarnation = "i".repeat(73);
        }
    });
    let many = hello_of(|hello| {
        if let Up::Hello { registrations, .. } = hello {
            registrations.resize(17, serde_json::from_str(r#"{"service":"orders"}"#).unwrap());
        }
    });
    let holds = hello_of(|hello| {
        if let Up::Hello { held, .. } = hello {
            *held = (0..=SUBSCRIPTIONS_MAX).map(|n| (key(&format!("s{n}.shop")), ContentHash(1))).collect();
        }
    });
    let newer = hello_of(|hello| {
        if let Up::Hello { protocol, .. } = hello {
            *protocol = "1.9".to_owned();
        }
    });
    let table = [
        (vec![subscribe(&["orders"])], Some(Violation::Hello)),
        (vec![hello(), hello()], Some(Violation::Hello)),
        (vec![Up::Unknown, hello(), Up::Unknown], None),
        (vec![newer], None),
        (vec![protocol], Some(Violation::Protocol("2.0".to_owned()))),
        (vec![nameless], Some(Violation::Incarnation)),
        (vec![long], Some(Violation::Incarnation)),
        (vec![many], Some(Violation::Registrations)),
        (vec![holds], Some(Violation::Subscriptions)),
        (vec![hello(), names(SUBSCRIPTIONS_MAX)], None),
        (vec![hello(), names(SUBSCRIPTIONS_MAX), names(SUBSCRIPTIONS_MAX)], None),
        (vec![hello(), names(SUBSCRIPTIONS_MAX + 1)], Some(Violation::Subscriptions)),
        (vec![hello(), Up::Ack { cursor: 0 }], Some(Violation::Ack { told: 0 })),
    ];
    for (frames, expected) in table {
        let mut s = Session::silent(&registry);
        let heard: Vec<_> = frames.into_iter().map(|frame| s.server.hear(frame, 0)).collect();
        let (last, before) = heard.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        assert_eq!(last.as_ref().err(), expected.as_ref());
        assert_eq!(s.server.farewell(), expected.map(|violation| violation.to_string()).as_deref());
    }
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.said(&registry);
    assert_eq!(s.server.hear(Up::Ack { cursor: 2 }, 0), Err(Violation::Ack { told: 2 }), "a lie");
    assert_eq!(s.said(&registry), ["goaway ack of 2: there is no synced of this number to be acknowledged"]);
}

#[test]
fn answers_that_nobody_takes_are_bounded() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    let answer = || Down::Registered { key: orders() };
    (0..ANSWERS_MAX).for_each(|_| s.server.say(answer()));
    assert_eq!(s.said(&registry).len(), ANSWERS_MAX);
    (0..=ANSWERS_MAX).for_each(|_| s.server.say(answer()));
    assert_eq!(s.said(&registry), ["goaway slow"]);
}

/// The goal is 64 KiB for a session in all, most of which TLS and HTTP/2 take.
#[test]
fn an_idle_session_is_small() {
    let mut registry = Registry::new();
    let names: Vec<_> = (0..20).map(|n| format!("order-service-{n}.shop")).collect();
    names.iter().for_each(|name| registry.put(name, vec![instance(1)], Visibility::Cluster));
    let mut s = Session::subscribed(&registry, &names.iter().map(String::as_str).collect::<Vec<_>>());
    s.acked(&registry);
    // A subscription is a name and a pointer in a map whose places are half used at the worst, and two short texts.
    let subscription = 2 * size_of::<(ServiceKey, usize, usize)>() + 2 * (16 + 32);
    assert!(size_of::<Server>() + 20 * subscription < 6 * 1_024, "{}", size_of::<Server>());
}

/// Who waits for its turn holds nothing, and is neither silent nor out of step.
#[test]
fn who_is_held_back_is_told_of_services_later() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::open(&registry, hello());
    s.server.hold_back(true);
    s.hear(subscribe(&["orders"]));
    assert!(s.said(&registry).is_empty());
    s.wait(3_000);
    s.server.say(Down::Registered { key: orders() });
    assert_eq!(s.said(&registry).len(), 1, "answers do not wait");
    s.wait(3_000);
    assert_eq!(s.said(&registry), ["heartbeat"]);
    assert_eq!(s.server.in_step(), None);
    s.server.hold_back(false);
    assert_eq!(s.said(&registry), ["whole orders.shop u1", "synced 1 orders.shop"]);
}

#[test]
fn a_peer_is_in_step_when_it_has_applied_what_concerns_it() {
    let mut registry = Registry::of(&[("orders.shop", &[1]), ("foreign.shop", &[2])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    assert_eq!(s.server.in_step(), None, "what it asked for is to be told");
    s.said(&registry);
    assert_eq!(s.server.in_step(), None, "and to be acknowledged");
    s.hear(Up::Ack { cursor: registry.number });
    let first = registry.number;
    assert_eq!(s.server.in_step(), Some(first));
    registry.set("foreign.shop", &[3]);
    assert_eq!(s.server.in_step(), Some(first), "it has not looked");
    assert!(s.said(&registry).is_empty());
    assert_eq!(s.server.in_step(), Some(registry.number), "nothing of it concerns this one");
    registry.set("orders.shop", &[1, 4]);
    s.said(&registry);
    assert_eq!(s.server.in_step(), None);
    assert!(!s.server.reads_summary());
    s.hear(Up::Subscribe { services: vec![], summary: true });
    assert!(s.server.reads_summary());
}
