//! Each end says something in time, and where sessions go on when the other one says nothing.

use std::net::SocketAddr;

use rollcall_catalogue::{ContentHash, liveness::QUIET_AFTER_MS};

use super::{rules::client, welcome};
use crate::{
    Down, Up,
    client::{Client, Event, Violation},
    limits::{ANSWERED_WITHIN, REPLICAS_MAX, SILENCE_WITH_OTHERS_MAX, milliseconds},
};

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 7310).into()
}

/// Welcome by one of these.
fn welcome_of(replicas: &[u8]) -> Down {
    match welcome("e") {
        Down::Welcome { protocol, replica, epoch, ca, controller, pod, position, changed, .. } => {
            let replicas = replicas.iter().copied().map(address).collect();
            Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_end_beats_and_silence_ends_the_session() {
    let mut client = client(&[]);
    assert!(client.in_step(), "nothing was asked for");
    assert_eq!(client.wake_at_ms(), 3_000);
    client.tick(2_999).unwrap();
    assert!(client.take_up().is_empty());
    client.tick(3_000).unwrap();
    assert_eq!(client.take_up(), [Up::Heartbeat { cursor: 0, digest: ContentHash(0) }]);
    client.hear(Down::Heartbeat, 3_500).unwrap();
    assert_eq!(
        client.take_up(),
        [Up::Heartbeat { cursor: 0, digest: ContentHash(0) }],
        "the same of both ends"
    );
    client.tick(6_000).unwrap();
    assert!(client.take_up().is_empty());
    for now_ms in [6_500, 9_500, 12_000] {
        client.tick(now_ms).unwrap();
    }
    assert_eq!(client.wake_at_ms(), 12_500, "silent since the last frame");
    assert_eq!(client.tick(12_500), Err(Violation::Silent));
    assert_eq!((client.wake_at_ms(), client.tick(99_999)), (u64::MAX, Ok(())), "there is no session");

    client.open(100_000);
    client.tick(115_000).unwrap();
    assert_eq!(client.wake_at_ms(), 118_000, "it was us who stood still");
}

#[test]
fn where_there_is_another_one_silence_is_shorter() {
    let table: [(&[u8], u64); 4] = [(&[], 9_000), (&[1], 9_000), (&[1, 1], 9_000), (&[1, 2], 4_500)];
    for (replicas, silence_ms) in table {
        let mut client = Client::new("i".into(), usize::MAX);
        client.open(0);
        client.hear(welcome_of(replicas), 0).unwrap();
        for now_ms in (3_000..silence_ms).step_by(3_000) {
            client.tick(now_ms).unwrap();
        }
        assert_eq!(client.wake_at_ms(), silence_ms, "{replicas:?}");
        client.tick(silence_ms - 1).unwrap();
        assert_eq!(client.tick(silence_ms), Err(Violation::Silent));
        assert_eq!(milliseconds(client.silence_max()), silence_ms, "and so it is in the next session");
        // Who stood still itself says nothing of another's silence.
        client.open(100_000);
        client.tick(100_000 + silence_ms + 1_000).unwrap();
        client.tick(100_000 + silence_ms + 3_000).unwrap();
    }
}

#[test]
fn a_heartbeat_is_answered_by_one_so_that_a_silence_is_the_same_for_both_ends() {
    let mut client = Client::new("i".into(), usize::MAX);
    client.open(0);
    client.hear(welcome_of(&[1, 2]), 0).unwrap();
    client.take_up();
    let beats = |client: &mut Client| {
        client.take_up().iter().filter(|frame| matches!(frame, Up::Heartbeat { .. })).count()
    };
    client.hear(Down::Heartbeat, 2_900).unwrap();
    assert_eq!(beats(&mut client), 1);
    client.tick(3_000).unwrap();
    assert_eq!(beats(&mut client), 0, "its own time begins anew");
    client.tick(5_900).unwrap();
    assert_eq!(beats(&mut client), 1);
    // Both were due at once.
    client.hear(Down::Heartbeat, 6_100).unwrap();
    assert_eq!(beats(&mut client), 0);
    // Whatever else is heard is answered too, in measure.
    for (now_ms, expected) in [(6_800, 0), (6_900, 1), (7_000, 0), (7_890, 0), (7_900, 1)] {
        client.hear(Down::Replicas { replicas: vec![address(1), address(2)] }, now_ms).unwrap();
        assert_eq!(beats(&mut client), expected, "{now_ms}");
    }
    // Who goes elsewhere pauses for a second at most, and is let in soon: the replica that hears it no longer does not doubt
    // it before that.
    let there_ms = milliseconds(SILENCE_WITH_OTHERS_MAX + ANSWERED_WITHIN) + 1_000 + 250;
    assert!(there_ms <= QUIET_AFTER_MS, "{there_ms}");
}

#[test]
fn replicas_are_those_that_were_told_last_each_once_and_not_too_many() {
    let mut client = Client::new("i".into(), usize::MAX);
    client.open(0);
    client.hear(welcome_of(&[2, 1, 2]), 0).unwrap();
    assert_eq!(client.replicas(), [2, 1].map(address), "the one that tells it first");
    let replicas = (0..200).map(address).collect();
    client.hear(Down::Replicas { replicas }, 0).unwrap();
    assert_eq!(client.replicas().len(), REPLICAS_MAX);
    client.hear(Down::Replicas { replicas: vec![address(3)] }, 0).unwrap();
    client.closed();
    assert_eq!(client.replicas(), [address(3)], "over sessions");
    client.open(0);
    client.hear(welcome("e"), 0).unwrap();
    let goaway = Down::Goaway { reason: "moved".into(), dial: Some(address(4)) };
    let events = client.hear(goaway, 0).unwrap();
    assert_eq!(events, [Event::Dismissed { reason: "moved".into(), dial: Some(address(4)) }]);
}
