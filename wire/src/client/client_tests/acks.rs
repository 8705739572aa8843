//! What is acknowledged at once, and what goes with what is said anyway.

use std::sync::Arc;

use rollcall_catalogue::{Instance, Service, State};

use super::{
    delta, instance, key,
    rules::{client, gone, hear},
    service, synced, whole,
};
use crate::{
    Down, Up,
    client::Client,
    limits::{ACK_AT_ONCE_FOR, ACK_LATER, ANSWERED_OTHERWISE_WITHIN, milliseconds},
};

#[test]
fn what_may_take_somebody_out_of_lookups_is_acknowledged_at_once_and_anything_else_later() {
    let (orders, later_ms) = (key("orders"), milliseconds(ACK_LATER));
    let with = |revision, states: &[State]| {
        let of = |(number, state): (u8, &State)| {
            Arc::new(Instance { state: *state, ..Instance::clone(&instance(number, 1)) })
        };
        service(&orders, revision, (1..).zip(states).map(of).collect())
    };
    let (one, two) = (with(5, &[State::Serving]), with(5, &[State::Serving; 2]));
    let more = with(6, &[State::Serving; 3]);
    for (what, frames, at_once) in [
        ("one more", delta(&orders, &two, &more, 1), false),
        ("one less", delta(&orders, &two, &Service { revision: 6, ..one }, 1), true),
        ("one drains", delta(&orders, &two, &with(6, &[State::Serving, State::Draining]), 1), true),
        ("one fails", delta(&orders, &two, &with(6, &[State::Failing, State::Serving]), 1), true),
        ("nobody can say what was there before", whole(&orders, &more, 1), true),
        ("all are gone", vec![gone("orders")], true),
        ("nothing", vec![], true),
    ] {
        let mut client = client(&["orders"]);
        hear(&mut client, whole(&orders, &two, 1)).unwrap();
        client.hear(synced(1, &[&orders]), 0).unwrap();
        assert_eq!(client.take_up(), [Up::Ack { cursor: 1 }], "an answer");
        client.tick(3_000).unwrap();
        assert!(matches!(client.take_up()[..], [Up::Heartbeat { .. }]));
        for frame in frames.into_iter().chain([synced(2, &[])]) {
            client.hear(frame, 3_100).unwrap();
        }
        let said = client.take_up();
        assert_eq!(said, [Up::Ack { cursor: 2 }][..usize::from(at_once)], "{what}");
        if !at_once {
            assert_eq!(client.wake_at_ms(), 3_100 + later_ms, "{what}");
            client.tick(3_100 + later_ms).unwrap();
            assert_eq!(client.take_up(), [Up::Ack { cursor: 2 }], "{what}");
        }
        assert_eq!(client.wake_at_ms(), 6_000, "{what}: nothing waits");
    }
}

/// A client that was told of a service without instances at 0 ms, and the frames that tell of its first.
fn in_step() -> (Client, Vec<Down>) {
    let orders = key("orders");
    let (none, one) = (service(&orders, 5, vec![]), service(&orders, 6, vec![instance(1, 1)]));
    let mut client = client(&["orders"]);
    hear(&mut client, whole(&orders, &none, 1)).unwrap();
    client.hear(synced(1, &[&orders]), 0).unwrap();
    (client, delta(&orders, &none, &one, 1))
}

#[test]
fn who_hears_all_the_time_acknowledges_in_time() {
    let (mut client, one_more) = in_step();
    client.tick(3_000).unwrap();
    client.take_up();
    for frame in one_more.into_iter().chain([synced(2, &[])]) {
        client.hear(frame, 3_100).unwrap();
    }
    assert_eq!(client.take_up(), []);
    // Nobody has looked at the time between: what is heard then is answered by a heartbeat, which takes it along.
    client.hear(Down::Replicas { replicas: vec![] }, 3_100 + milliseconds(ACK_LATER)).unwrap();
    assert_eq!(client.take_up()[0], Up::Ack { cursor: 2 });
}

/// Its first state has a turn, which ends when nothing is left to be acknowledged.
#[test]
fn who_was_just_answered_acknowledges_all_at_once() {
    let (mut client, one_more) = in_step();
    client.take_up();
    for frame in one_more.into_iter().chain([synced(2, &[])]) {
        client.hear(frame, 10).unwrap();
    }
    assert_eq!(client.take_up(), [Up::Ack { cursor: 2 }]);
}

/// One write does for both.
#[test]
fn what_is_told_to_who_answers_it_by_a_heartbeat_is_acknowledged_with_that() {
    let (mut client, one_more) = in_step();
    client.take_up();
    let now_ms = milliseconds(ANSWERED_OTHERWISE_WITHIN + ACK_AT_ONCE_FOR);
    one_more.into_iter().for_each(|frame| drop(client.hear(frame, now_ms).unwrap()));
    assert!(matches!(client.take_up()[..], [Up::Heartbeat { .. }]), "frame by frame");
    client.hear(synced(2, &[]), now_ms).unwrap();
    assert_eq!(client.take_up(), [Up::Ack { cursor: 2 }]);
}
