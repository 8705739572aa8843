//! What happens at which time.

use super::*;

/// A peer that does what it must, at each heartbeat of ours.
fn beats(s: &mut Session, registry: &Registry, ms: u64) -> Vec<String> {
    let (end, mut said) = (s.now_ms + ms, Vec::new());
    while s.now_ms < end && s.server.farewell().is_none() {
        s.wait(end - s.now_ms);
        said.extend(s.acked(registry));
        if s.server.farewell().is_none() {
            s.hear(Up::Heartbeat { cursor: 0, digest: ContentHash(0) });
        }
    }
    said
}

#[test]
fn who_says_nothing_is_sent_away() {
    let registry = Registry::new();
    let mut s = Session::silent(&registry);
    s.hear(Up::Unknown);
    s.wait(60_000);
    assert_eq!((s.said(&registry), s.now_ms), (vec!["goaway no-hello".to_owned()], 5_000));

    let mut s = Session::open(&registry, hello());
    let mut said = Vec::new();
    while !s.server.closed() {
        s.wait(60_000);
        said.extend(s.said(&registry).into_iter().map(|line| (s.now_ms, line)));
    }
    let expected = [(3_000, "heartbeat"), (6_000, "heartbeat"), (9_000, "goaway silent")];
    assert_eq!(said, expected.map(|(ms, line)| (ms, line.to_owned())));
}

#[test]
fn a_heartbeat_comes_where_nothing_else_does() {
    let mut registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.acked(&registry);
    assert_eq!(beats(&mut s, &registry, 6_500), ["heartbeat", "heartbeat"]);
    assert_eq!(s.now_ms, 6_500);
    registry.set("orders.shop", &[2]);
    assert_eq!(s.acked(&registry).len(), 2);
    assert_eq!(s.server.wake_at_ms(), 9_500, "anything that is said is a heartbeat");
    s.now_ms = 9_500;
    s.server.tick(s.now_ms);
    registry.set("orders.shop", &[3]);
    assert_eq!(s.acked(&registry).len(), 2, "what is due is said by what else there is");
}

#[test]
fn a_session_ends_with_its_life() {
    let registry = Registry::new();
    let opening = Opening { life_ms: 20_000, ..opening() };
    let mut s = Session { server: Server::new(opening, registry.feed.clone(), 1_000), now_ms: 1_000 };
    s.hear(hello());
    let said = beats(&mut s, &registry, 60_000);
    assert_eq!((said.last().unwrap().as_str(), s.now_ms), ("goaway expired", 21_000));
}

#[test]
fn the_end_of_a_life_is_put_off() {
    let registry = Registry::new();
    let mut s = Session {
        server: Server::new(Opening { life_ms: 20_000, ..opening() }, registry.feed.clone(), 0),
        now_ms: 0,
    };
    s.hear(hello());
    beats(&mut s, &registry, 19_000);
    assert!(!s.server.has_expired(19_999) && s.server.has_expired(20_000));
    s.server.put_off(10_000, 20_000);
    let said = beats(&mut s, &registry, 9_000);
    assert!(said.iter().all(|line| line == "heartbeat"), "{said:?}");
    assert!(!s.server.has_expired(29_999) && s.server.has_expired(30_000));
    let said = beats(&mut s, &registry, 6_000);
    assert_eq!(said.last().unwrap(), "goaway expired");
}

#[test]
fn who_does_not_acknowledge_is_slow() {
    let mut registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    s.said(&registry);
    s.now_ms = 2_000;
    registry.set("orders.shop", &[2]);
    s.said(&registry);
    s.hear(Up::Ack { cursor: 1 });
    let mut said = Vec::new();
    while !s.server.closed() {
        s.wait(60_000);
        said = s.said(&registry);
        if !s.server.closed() {
            s.hear(Up::Heartbeat { cursor: 1, digest: ContentHash(0) });
        }
    }
    assert_eq!((said, s.now_ms), (vec!["goaway slow".to_owned()], 32_000), "since the second one");
}

/// It speaks, and reads nothing: what is said to it stays where it is.
#[test]
fn who_takes_nothing_is_slow_and_hears_no_farewell() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    while s.server.farewell().is_none() {
        s.now_ms = s.server.wake_at_ms().min(s.now_ms + 3_000);
        s.server.tick(s.now_ms);
        s.hear(Up::Heartbeat { cursor: 0, digest: ContentHash(0) });
    }
    assert_eq!((s.server.farewell(), s.now_ms), (Some("slow"), 33_000));
    while !s.server.closed() {
        s.now_ms = s.server.wake_at_ms().max(s.now_ms);
        s.server.tick(s.now_ms);
    }
    assert_eq!(s.now_ms, 35_000);
    assert_eq!(s.one(&registry), None);
}

/// The controller itself stood still: nobody could say, take or acknowledge anything meanwhile.
#[test]
fn who_slept_does_not_call_others_slow_or_late() {
    let registry = Registry::of(&[("orders.shop", &[1])]);
    let mut s = Session::subscribed(&registry, &["orders"]);
    assert_eq!(s.said(&registry).len(), 2, "its `synced` is not acknowledged");
    s.now_ms = 60_000;
    s.server.tick(s.now_ms);
    assert_eq!(s.server.farewell(), None);
    s.hear(Up::Ack { cursor: 1 });
    assert_eq!(s.said(&registry), ["heartbeat"]);

    let mut s = Session::silent(&registry);
    s.now_ms = 60_000;
    s.server.tick(s.now_ms);
    assert_eq!(s.server.farewell(), None, "its hello may be there already");
}

/// The controller itself stood still, and what the peer said meanwhile waits in the socket.
#[test]
fn who_slept_does_not_call_others_silent() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    s.now_ms = 20_000;
    s.server.tick(s.now_ms);
    assert_eq!(s.said(&registry), ["heartbeat"]);
    s.wait(60_000);
    s.said(&registry);
    s.wait(60_000);
    assert_eq!((s.said(&registry), s.now_ms), (vec!["goaway silent".to_owned()], 26_000));
}
