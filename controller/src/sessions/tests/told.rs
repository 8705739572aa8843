//! What sidecars are told of the installation: whom to believe, and where to call.

use rollcall_wire::{Down, PROTOCOL, Up};

use super::house::{House, Peer, hello, pod};
use crate::told::Told;

/// A peer that speaks this version, and what its welcome says: whom to believe, and where to call.
async fn greeted(
    house: &House,
    uid: &str,
    spoken: &str,
) -> (Peer, Option<String>, Option<std::net::SocketAddr>) {
    let Up::Hello { incarnation, sequence, epoch, cursor, held, registrations, .. } = hello("i", 1) else {
        panic!()
    };
    let protocol = spoken.to_owned();
    let mut peer = house.open(uid).await;
    peer.say(&Up::Hello { protocol, incarnation, sequence, epoch, cursor, held, registrations }).await;
    let Some(Down::Welcome { ca, controller, .. }) = peer.hear().await else { panic!() };
    (peer, ca.map(|ca| ca.to_string()), controller)
}

#[tokio::test(start_paused = true)]
async fn all_sessions_are_told_of_a_change_and_new_ones_are_welcome_with_it() {
    let house = House::with(vec![pod(1, None), pod(2, None), pod(3, None), pod(4, None)]).await;
    let begun = house.telling.borrow().clone();
    let first = Some(begun.ca_pem.to_string());
    let (mut newer, ca, controller) = greeted(&house, "u1", PROTOCOL).await;
    assert_eq!((ca, controller), (first.clone(), None), "the Service's address is not known yet");
    let (mut older, ca, _) = greeted(&house, "u2", "1.1").await;
    assert_eq!(ca, first, "the first minor has a field for that");

    let at = Some(([10, 96, 0, 7], 7310).into());
    house.telling.send_replace(Told { ca_pem: "two of them".into(), controller: at });
    let said = Down::Way { ca: Some("two of them".into()), controller: at };
    assert_eq!(newer.hear().await, Some(said));
    let (_, ca, controller) = greeted(&house, "u3", PROTOCOL).await;
    assert_eq!((ca.as_deref(), controller), (Some("two of them"), at));
    // What comes next comes without a word of that: an older peer would skip it, and count it as unknown.
    house.sessions.leave();
    let goodbye = older.hear().await;
    assert!(matches!(goodbye, Some(Down::Goaway { .. })), "{goodbye:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_says_any_more_stays_as_it_was() {
    let mut house = House::with(vec![pod(1, None), pod(2, None)]).await;
    let (mut peer, first, _) = greeted(&house, "u1", PROTOCOL).await;
    let (ended, _) = tokio::sync::watch::channel(house.telling.borrow().clone());
    drop(std::mem::replace(&mut house.telling, ended));
    let (_, ca, _) = greeted(&house, "u2", PROTOCOL).await;
    assert_eq!(ca, first);
    assert_eq!(peer.hear_any().await, Some(Down::Heartbeat), "the session goes on");
}
