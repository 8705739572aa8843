//! Pods whose tokens the kubelet renews while they are in session, and an API server that is away when they have to come
//! back.

use std::sync::atomic::Ordering;

use http::Method;
use rollcall_catalogue::Reason;
use rollcall_wire::{Down, Token, Up, peer::Frame};
use tokio::{
    task::JoinHandle,
    time::{Duration, Instant, sleep},
};

use super::{
    house::{EVENTUALLY, House, Peer, beat, key, subscribe},
    moves::{at, house, lives},
};
use crate::{
    index::Kind,
    peers::{Fleet, testing::other},
    sessions::renewal::PUT_OFF_BY,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn token(text: &str) -> Up {
    Up::Token { token: Token::read(text.as_bytes()).unwrap() }
}

/// How many tokens this house would tell others of.
fn known(house: &House) -> usize {
    house.handle.tokens().told_after(0).len()
}

async fn knows(house: &House, tokens: usize) {
    let began = Instant::now();
    while known(house) != tokens {
        assert!(began.elapsed() < EVENTUALLY, "{} are known", known(house));
        sleep(Duration::from_millis(10)).await;
    }
}

/// What one replica had reviewed the other one hears.
fn tell(from: &House, to: &House) {
    for (_, frame) in from.handle.tokens().told_after(0) {
        let Frame::Token { digest, pod, good_for_seconds } = frame else { panic!("{frame:?}") };
        to.handle.tokens().hear(&digest, &pod, good_for_seconds);
    }
}

/// What the door says to this token.
async fn knock(house: &House, token: &str) -> u16 {
    house.dial(1 << 20).await.request(Method::POST, "/v1/session", token).await.1.status().as_u16()
}

/// Beats as seldom as it may for so long; says how it was sent away, if it was.
async fn stays(peer: &mut Peer, long: Duration) -> Option<(String, bool)> {
    let end = Instant::now() + long;
    let mut due = Instant::now();
    while Instant::now() < end {
        tokio::select! {
            frame = peer.hear_any() => match frame {
                Some(Down::Goaway { reason, dial }) => return Some((reason, dial.is_some())),
                Some(Down::Synced { cursor, .. }) => peer.say(&Up::Ack { cursor }).await,
                Some(_) => {}
                None => panic!("no goodbye"),
            },
            () = tokio::time::sleep_until(due) => {
                peer.say(&beat()).await;
                due = Instant::now() + Duration::from_secs(8);
            }
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_its_renewed_token_comes_back_anywhere_while_the_api_server_is_away() {
    let (here, there) = (house(3).await, house(3).await);
    let mut peer = here.session("u1").await;
    peer.say(&token("token-of-u1.new")).await;
    knows(&here, 2).await;
    tell(&here, &there);
    there.is_away.store(true, Ordering::SeqCst);
    assert_eq!(knock(&there, "token-of-u1.new").await, 200);
    assert_eq!(knock(&there, "token-of-u2.new").await, 503, "nobody had this one reviewed");
    assert_eq!(stays(&mut peer, Duration::from_secs(20)).await, None, "it was not answered, and stays");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_pod_and_a_bad_one_say_nothing() {
    let house = house(3).await;
    for (uid, bad) in [("u1", "token-of-u2.new"), ("u3", "forged")] {
        let mut peer = house.session(uid).await;
        let before = known(&house);
        peer.say(&token(bad)).await;
        assert_eq!(stays(&mut peer, Duration::from_secs(20)).await, None, "the session goes on");
        assert_eq!(known(&house), before, "{bad}");
    }
    house.is_away.store(true, Ordering::SeqCst);
    assert_eq!(knock(&house, "token-of-u2.new").await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_could_judge_is_reviewed_when_somebody_can() {
    let house = house(1).await;
    let mut peer = house.session("u1").await;
    house.is_away.store(true, Ordering::SeqCst);
    peer.say(&token("token-of-u1.new")).await;
    stays(&mut peer, Duration::from_secs(300)).await;
    assert_eq!(known(&house), 1);
    house.is_away.store(false, Ordering::SeqCst);
    stays(&mut peer, Duration::from_secs(61)).await;
    assert_eq!(known(&house), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_expires_while_the_api_server_is_away_and_who_does_is_heard_to_the_end() {
    let house = house(1).await;
    let mut peer = house.session("u1").await;
    peer.say(&subscribe(&["orders"])).await;
    // No watch speaks.
    assert_eq!(stays(&mut peer, 2 * HOUR + PUT_OFF_BY).await, None);
    Kind::ALL.into_iter().for_each(|kind| house.metrics.watch_ages().proven(kind));
    let mut left = PUT_OFF_BY + Duration::from_secs(60);
    let ended = loop {
        assert!(!left.is_zero(), "it stays");
        left = left.saturating_sub(Duration::from_secs(60));
        if let Some(ended) = stays(&mut peer, Duration::from_secs(60)).await {
            break ended;
        }
        Kind::ALL.into_iter().for_each(|kind| house.metrics.watch_ages().proven(kind));
    };
    assert_eq!(ended, ("expired".to_owned(), true));
    house
        .shows(|view| {
            let orders = view.catalogue.get(&key("orders"));
            orders.is_some_and(|orders| orders.instances.iter().all(|one| one.reason == Reason::SidecarLost))
        })
        .await;
}

/// Twenty sessions, of which the first ten have a token that nobody could review.
async fn half_known(house: &House) -> Vec<JoinHandle<super::moves::End>> {
    let mut all = Vec::new();
    for number in 1..=20 {
        let peer = house.session(&format!("u{number}")).await;
        peer.say(&subscribe(&["orders"])).await;
        all.push(peer);
    }
    house.is_away.store(true, Ordering::SeqCst);
    for (number, peer) in (1..=10).zip(&all) {
        peer.say(&token(&format!("token-of-u{number}.new"))).await;
    }
    all.into_iter().map(lives).collect()
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_only_those_are_moved_whose_tokens_are_known() {
    let house = house(20).await;
    let all = half_known(&house).await;
    house.peers.are(vec![other("b", at(2), 0)]);
    sleep(Duration::from_secs(20)).await;
    let gone: Vec<_> = all.iter().map(JoinHandle::is_finished).collect();
    assert!(!gone[..10].contains(&true), "{gone:?}");
    assert!(gone[10..].contains(&true), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_keeps_those_who_would_be_let_in_by_nobody() {
    let house = house(20).await;
    house.peers.are(vec![other("b", at(2), 20)]);
    let all = half_known(&house).await;
    sleep(Duration::from_secs(2)).await;
    house.peers.tell(Fleet { is_met: true, cut_from: vec![at(2)], ..Fleet::default() });
    sleep(Duration::from_secs(20)).await;
    let gone: Vec<_> = all.iter().map(JoinHandle::is_finished).collect();
    assert_eq!(gone, [[false; 10], [true; 10]].concat());
}
