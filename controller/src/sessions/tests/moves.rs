//! Sessions that go to other replicas, and what their pods' callers see of it: nothing.

use std::{net::SocketAddr, sync::Arc};

use http::{Method, header};
use rollcall_catalogue::{ContentHash, Reason, changes::Position};
use rollcall_wire::{Down, Drain, PROTOCOL, SERVING, Up, peer::Standing};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Duration, Instant, interval, sleep, timeout},
};

use super::house::{EVENTUALLY, House, Peer, hello, key, pod, seen, subscribe};
use crate::{
    index::{Change, Kind},
    owner::View,
    peers::{Fleet, testing::other},
    sessions::{
        admission::SESSIONS_MAX,
        board::BACK_AFTER,
        roster::Outcome,
        spread::{STABLE_AFTER, gone_within},
        steward::with_room,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// How a session ended, and when.
pub(super) type End = (String, Option<SocketAddr>, Instant);

pub(super) fn at(last: u8) -> SocketAddr {
    ([10, 0, 9, last], 7310).into()
}

/// A house of so many pods, of which the first is of `orders`.
pub(super) async fn house(pods: u8) -> House {
    House::with((1..=pods).map(|number| pod(number, (number == 1).then_some("orders"))).collect()).await
}

/// Does what a sidecar does: beats, and acknowledges; until its session ends.
pub(super) fn lives(mut peer: Peer) -> JoinHandle<End> {
    tokio::spawn(async move {
        let mut beats = interval(SECOND);
        loop {
            let frame = tokio::select! {
                frame = peer.hear_any() => frame,
                _ = beats.tick() => {
                    let beat = Up::Heartbeat { cursor: u64::MAX, digest: ContentHash(0) };
                    peer.say(&beat).await;
                    continue;
                }
            };
            match frame {
                Some(Down::Synced { cursor, .. }) => peer.say(&Up::Ack { cursor }).await,
                Some(Down::Goaway { reason, dial }) => return (reason, dial, Instant::now()),
                Some(_) => {}
                None => panic!("no goodbye"),
            }
        }
    })
}

/// The sessions of these pods.
async fn sessions(house: &House, numbers: impl IntoIterator<Item = u8>) -> Vec<JoinHandle<End>> {
    let mut all = Vec::new();
    for number in numbers {
        let peer = house.session(&format!("u{number}")).await;
        peer.say(&subscribe(&["orders"])).await;
        all.push(lives(peer));
    }
    all
}

async fn ends(sessions: impl IntoIterator<Item = JoinHandle<End>>) -> Vec<End> {
    let mut ends = Vec::new();
    for session in sessions {
        ends.push(timeout(EVENTUALLY, session).await.expect("it ends").unwrap());
    }
    ends
}

fn is_ready(view: &Arc<View>) -> bool {
    let orders = view.catalogue.get(&key("orders"));
    orders.is_some_and(|orders| orders.instances.iter().all(|one| one.reason == Reason::Ready))
}

async fn told(house: &House, own: (u32, Standing)) {
    let waited = timeout(EVENTUALLY, async {
        while house.peers.own() != own {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{:?}", house.peers.own());
}

#[tokio::test(start_paused = true)]
async fn some_are_moved_to_a_replica_that_has_fewer_and_nobody_sees_it() {
    let house = house(20).await;
    let all = sessions(&house, 1..=20).await;
    house.shows(is_ready).await;
    told(&house, (20, Standing::Serving)).await;
    let began = Instant::now();
    house.peers.are(vec![other("b", at(2), 0), other("c", at(3), 10)]);
    // The mean is 10: 15 may stay.
    while began.elapsed() < 3 * STABLE_AFTER {
        // Who was sent there tells so when it is there.
        let moved = 20 - house.peers.own().0;
        sleep(SECOND).await;
        house.peers.are(vec![other("b", at(2), moved), other("c", at(3), 10)]);
    }
    let (gone, stays): (Vec<_>, Vec<_>) = all.into_iter().partition(JoinHandle::is_finished);
    assert_eq!((gone.len(), stays.len(), house.peers.own()), (5, 15, (15, Standing::Serving)));
    let mut last = began + STABLE_AFTER - SECOND;
    for (reason, dial, when) in ends(gone).await {
        assert_eq!((reason.as_str(), dial), ("moved", Some(at(2))));
        assert!(when - last >= SECOND - Duration::from_millis(100), "one a second: {:?}", when - last);
        last = when;
    }
    house.eventually("rollcall_sessions_ended_total{reason=\"moved\"} 5").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_moved_serves_on_without_a_change() {
    let house = house(20).await;
    // The oldest goes first: it is the pod of `orders`.
    let mut all = sessions(&house, 1..=20).await;
    house.shows(is_ready).await;
    house.peers.are(vec![other("b", at(2), 0)]);
    let moved = ends([all.remove(0)]).await;
    assert_eq!(moved[0].0, "moved");
    let revision =
        |house: &House| house.index.view().borrow().catalogue.get(&key("orders")).unwrap().revision;
    let before = revision(&house);
    // By then it is in session there.
    sleep(Duration::from_secs(4)).await;
    assert_eq!(revision(&house), before);
    assert!(is_ready(&house.index.view().borrow()));
}

#[tokio::test(start_paused = true)]
async fn a_replica_where_nobody_arrives_is_left_alone_for_a_minute() {
    let house = house(40).await;
    let _all = sessions(&house, 1..=40).await;
    house.shows(is_ready).await;
    told(&house, (40, Standing::Serving)).await;
    // Its mean of 20 is never there.
    house.peers.are(vec![other("b", at(2), 0)]);
    sleep(STABLE_AFTER + 20 * SECOND).await;
    let stays = house.peers.own().0;
    assert!((34..40).contains(&stays), "one a second for five: {stays}");
    sleep(30 * SECOND).await;
    assert_eq!(house.peers.own().0, stays);
    sleep(30 * SECOND).await;
    assert!(house.peers.own().0 < stays, "it is tried again");
}

#[test]
fn who_finds_all_places_taken_is_led_where_there_are_some() {
    let most = u32::try_from(SESSIONS_MAX).unwrap();
    let mut ending = other("d", at(4), 0);
    ending.serves = false;
    let others = vec![other("c", at(3), most - 1), other("b", at(2), most), ending];
    assert_eq!(with_room(&Fleet { others, ..Fleet::default() }), [at(3)]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_moved_while_replicas_come_and_go_or_before_it_is_in_step() {
    let house = house(20).await;
    let mut peers = Vec::new();
    for number in 1..=20 {
        peers.push(house.session(&format!("u{number}")).await);
    }
    for turn in 0..10 {
        house.peers.are(if turn % 2 == 0 { vec![other("b", at(2), 0)] } else { Vec::new() });
        for peer in &peers {
            peer.say(&super::house::beat()).await;
        }
        sleep(STABLE_AFTER / 2).await;
    }
    assert!(house.metric("rollcall_sessions_ended_total{reason=\"moved\"} 0"));
    // It holds something that it was not told of yet.
    house.peers.are(vec![other("b", at(2), 0)]);
    for peer in &peers {
        peer.say(&subscribe(&["orders"])).await;
    }
    for _ in 0..10 {
        for peer in &peers {
            peer.say(&super::house::beat()).await;
        }
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(house.peers.own(), (20, Standing::Serving));
}

/// A drain that is under way would begin anew elsewhere.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_is_moved_with_it() {
    let house = house(20).await;
    let mut drained = house.session("u1").await;
    let late = house.session("u2").await;
    late.say(&subscribe(&["orders"])).await;
    let others = sessions(&house, 3..=20).await;
    drained.say(&Up::Drain { drain: Drain::Start, deadline_ms: 20_000, ask: Some(1) }).await;
    house.peers.are(vec![other("b", at(2), 0)]);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(19) {
        for peer in [&drained, &late] {
            peer.say(&super::house::beat()).await;
        }
        sleep(SECOND).await;
    }
    assert!(others.iter().any(JoinHandle::is_finished), "others are moved");
    let mut frames = Vec::new();
    while let Some(frame) = drained.hear().await {
        frames.push(frame);
    }
    let [Down::Replicas { .. }, Down::Drained { ask, elapsed_ms, .. }, Down::Goaway { reason, .. }] =
        &frames[..]
    else {
        panic!("{frames:?}")
    };
    assert_eq!((*ask, reason.as_str()), (Some(1), "moved"));
    assert!(*elapsed_ms >= 20_000, "its order came long before: {elapsed_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_ends_lets_nobody_in_and_sends_all_to_the_others_evenly() {
    let house = house(42).await;
    let all = sessions(&house, 1..=40).await;
    house.shows(is_ready).await;
    house.peers.are(vec![other("b", at(2), 20), other("c", at(3), 0), other("d", at(4), 0)]);
    house.peers.tell(Fleet {
        is_met: true,
        others: vec![
            other("b", at(2), 20),
            other("c", at(3), 0),
            crate::peers::Other { serves: false, ..other("d", at(4), 0) },
        ],
        ..Fleet::default()
    });
    let begin = Instant::now();
    house.sessions.leave();
    tokio::task::yield_now().await;
    let mut dialled = house.dial(1 << 20).await;
    let (_up, response) = dialled.request(Method::POST, "/v1/session", "token-of-u41").await;
    assert_eq!(response.status(), 503);
    let serving = response.headers().get(SERVING).unwrap().to_str().unwrap();
    assert!([at(2), at(3)].contains(&serving.parse().unwrap()), "{serving}");
    assert_eq!(house.peers.own().1, Standing::Leaving);
    let ends = ends(all).await;
    assert!(ends.iter().all(|(reason, ..)| reason == "shutdown"));
    let to = |address| ends.iter().filter(|(_, dial, _)| *dial == Some(address)).count();
    assert_eq!((to(at(2)), to(at(3))), (10, 30), "so that they have as many");
    let mut after: Vec<_> = ends.iter().map(|(.., when)| *when - begin).collect();
    after.sort_unstable();
    let within = gone_within(40);
    assert!(after[39] <= within + SECOND / 2 && after[39] >= within / 2, "{after:?}");
    assert!(after.windows(2).all(|two| two[1] - two[0] <= SECOND / 5), "one by one: {after:?}");
    told(&house, (0, Standing::Leaving)).await;
    house.eventually("rollcall_serving 0").await;
    assert!(is_ready(&house.index.view().borrow()), "and their pods serve on");
}

#[tokio::test(start_paused = true)]
async fn the_server_of_one_that_ends_is_done_when_all_are_gone() {
    let house = house(3).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = tokio::spawn(house.serve(listener));
    house.peers.are(vec![other("b", at(2), 0)]);
    let all = sessions(&house, 1..=3).await;
    sleep(SECOND).await;
    assert!(!served.is_finished());
    house.sessions.leave();
    assert_eq!(ends(all).await.len(), 3);
    timeout(Duration::from_secs(2), served).await.expect("it is done").unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_is_served_before_the_others_are_met() {
    let house = house(1).await;
    house.peers.tell(Fleet::default());
    let mut dialled = house.dial(1 << 20).await;
    told(&house, (0, Standing::Starting)).await;
    // More than may be under review or no good: none of them is looked at.
    for number in 0..40 {
        let token = ["token-of-u1".to_owned(), format!("bad{number}")][number % 2].clone();
        let (_up, response) = dialled.request(Method::POST, "/v1/session", &token).await;
        assert_eq!(response.status(), 503, "{token}");
        let after = response.headers().get(header::RETRY_AFTER).unwrap().to_str().unwrap();
        assert!((1..=2).contains(&after.parse::<u64>().unwrap()), "{after}");
        assert_eq!(response.headers().get(SERVING), None);
    }
    let (_up, response) = dialled.request(Method::POST, "/v1/other", "").await;
    assert_eq!(response.status(), 404);
    house.peers.tell(Fleet { others: vec![other("b", at(2), 0)], ..Fleet::default() });
    let (_up, response) = dialled.request(Method::POST, "/v1/session", "token-of-u1").await;
    assert_eq!(
        (response.status().as_u16(), response.headers().get(SERVING).unwrap().to_str().unwrap()),
        (503, "10.0.9.2:7310")
    );
    house.peers.are(Vec::new());
    told(&house, (0, Standing::Serving)).await;
    house.eventually("rollcall_serving 1").await;
    let mut peer = dialled.open("u1").await;
    peer.say(&hello("i", 1)).await;
    assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })), "the same connection will do");
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_sends_everybody_away_once_and_keeps_who_comes_back() {
    let house = house(10).await;
    house.peers.are(vec![other("b", at(2), 5)]);
    let all = sessions(&house, 1..=10).await;
    let cut = || Fleet { is_met: true, cut_from: vec![at(2), at(3)], ..Fleet::default() };
    house.peers.tell(cut());
    let ends = ends(all).await;
    assert!(ends.iter().all(|(reason, ..)| reason == "cut"));
    let to = |address| ends.iter().filter(|(_, dial, _)| *dial == Some(address)).count();
    assert_eq!((to(at(2)), to(at(3))), (5, 5));
    house.eventually("rollcall_sessions_ended_total{reason=\"cut\"} 10").await;
    // They have found nobody there.
    let mut back = Vec::new();
    for number in 1..=10 {
        let mut peer = house.open(&format!("u{number}")).await;
        peer.say(&hello("i", 2)).await;
        assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })));
        back.push(lives(peer));
    }
    house.peers.tell(cut());
    sleep(EVENTUALLY).await;
    assert!(!back.iter().any(JoinHandle::is_finished));
    assert_eq!(house.peers.own(), (10, Standing::Serving));
}

/// After an API server's return each reads on in another kind first: all are behind, and serve as well as any.
#[tokio::test(start_paused = true)]
async fn nobody_is_moved_while_all_replicas_are_behind() {
    let house = house(20).await;
    let all = sessions(&house, 1..=20).await;
    let fleet = |is_behind| Fleet {
        is_met: true,
        is_behind,
        others: vec![other("b", at(2), 0), other("c", at(3), 0)],
        ..Fleet::default()
    };
    house.peers.tell(fleet(true));
    told(&house, (20, Standing::Behind)).await;
    house.eventually("rollcall_serving 1").await;
    sleep(3 * STABLE_AFTER).await;
    assert!(!all.iter().any(JoinHandle::is_finished));
    house.peers.tell(fleet(false));
    house.eventually("rollcall_sessions_ended_total{reason=\"moved\"} 1").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_behind_sends_everybody_away_once_and_lets_in_who_finds_nobody_else() {
    let house = house(12).await;
    let others = || vec![other("b", at(2), 5), other("c", at(3), 5)];
    house.peers.are(others());
    let all = sessions(&house, 1..=10).await;
    let behind = |gives_way| Fleet {
        is_met: true,
        is_behind: true,
        gives_way,
        others: if gives_way { others() } else { vec![] },
        ..Fleet::default()
    };
    house.peers.tell(behind(false));
    told(&house, (10, Standing::Behind)).await;
    house.eventually("rollcall_serving 1").await;
    sleep(SECOND).await;
    assert!(!all.iter().any(JoinHandle::is_finished), "nobody else serves");
    house.peers.tell(behind(true));
    let ends = ends(all).await;
    assert!(ends.iter().all(|(reason, ..)| reason == "behind"));
    let to = |address| ends.iter().filter(|(_, dial, _)| *dial == Some(address)).count();
    assert_eq!((to(at(2)), to(at(3))), (5, 5));
    house.eventually("rollcall_sessions_ended_total{reason=\"behind\"} 10").await;
    house.eventually("rollcall_serving 0").await;
    let mut dialled = house.dial(1 << 20).await;
    let (_up, response) = dialled.request(Method::POST, "/v1/session", "token-of-u11").await;
    assert_eq!(response.status(), 503);
    let serving = response.headers().get(SERVING).unwrap().to_str().unwrap();
    assert!(["10.0.9.2:7310", "10.0.9.3:7310"].contains(&serving));
    // It has found nobody there.
    let mut peer = house.open("u11").await;
    peer.say(&hello("i", 1)).await;
    assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })));
    let back = lives(peer);
    house.peers.tell(behind(true));
    sleep(EVENTUALLY).await;
    assert!(!back.is_finished());
    assert_eq!(house.peers.own(), (1, Standing::Behind));
    house.peers.are(others());
    told(&house, (1, Standing::Serving)).await;
    let mut peer = house.open("u12").await;
    peer.say(&hello("i", 1)).await;
    assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })), "others read on no further");
}

#[tokio::test(start_paused = true)]
async fn each_session_is_told_where_replicas_are_and_of_the_newest_within_a_second() {
    let house = house(2).await;
    house.peers.are(vec![other("c", at(3), 0), other("b", at(2), 0)]);
    sleep(SECOND).await;
    let own = SocketAddr::from(([10, 0, 9, 9], 7310));
    let mut newer = house.open("u1").await;
    newer.say(&hello("i", 1)).await;
    let Some(Down::Welcome { protocol, replicas, .. }) = newer.hear().await else { panic!() };
    assert_eq!((protocol.as_str(), replicas), (PROTOCOL, vec![own, at(2), at(3)]));
    let mut older = house.open("u2").await;
    let Up::Hello { incarnation, sequence, epoch, cursor, held, registrations, .. } = hello("i", 1) else {
        panic!()
    };
    let protocol = "1.0".to_owned();
    older.say(&Up::Hello { protocol, incarnation, sequence, epoch, cursor, held, registrations }).await;
    let Some(Down::Welcome { protocol, .. }) = older.hear().await else { panic!() };
    assert_eq!(protocol, "1.0");

    // Faster than anybody is to hear it.
    let begin = Instant::now();
    for last in [4, 5, 6] {
        house.peers.are(vec![other("b", at(last), 0)]);
        sleep(Duration::from_millis(50)).await;
    }
    let told = newer.hear().await;
    assert_eq!(told, Some(Down::Replicas { replicas: vec![own, at(6)] }));
    assert!(begin.elapsed() <= SECOND + Duration::from_millis(100), "{:?}", begin.elapsed());
    house.sessions.leave();
    assert_eq!(newer.goodbye_to().await, ("shutdown".to_owned(), Some(at(6))));
    assert_eq!(older.goodbye_to().await, ("shutdown".to_owned(), None), "it knows of no other place");
}

/// An object that is in no service changes nothing that anybody is told, and moves the place.
#[tokio::test(start_paused = true)]
async fn a_session_is_told_how_far_this_replica_has_read_kubernetes() {
    let house = house(2).await;
    house.index.apply_at(Change::ListBegins(Kind::Pod), None).await.unwrap();
    for number in 1..=2 {
        house.apply(seen(pod(number, (number == 1).then_some("orders")))).await;
    }
    house.index.apply_at(Change::ListEnds(Kind::Pod), Some(7)).await.unwrap();
    let at = |revision| {
        let mut position = Position::default();
        position.saw(Kind::Pod.as_str(), revision);
        position
    };
    while house.index.view().borrow().reading.reach != at(7) {
        sleep(Duration::from_millis(10)).await;
    }
    let mut peer = house.open("u2").await;
    peer.say(&hello("i", 1)).await;
    let Some(Down::Welcome { position, .. }) = peer.hear().await else { panic!() };
    assert_eq!(position, at(7));
    peer.say(&subscribe(&["orders"])).await;
    let mut synced = async || {
        loop {
            match peer.hear().await {
                Some(Down::Synced { position, cursor, .. }) => {
                    peer.say(&Up::Ack { cursor }).await;
                    return position;
                }
                Some(Down::Upsert(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(synced().await, Position::default(), "it knows");
    house.index.advanced(Kind::Pod, 8).await.unwrap();
    assert_eq!(synced().await, at(8), "though nothing has changed");
    house.index.apply_at(seen(pod(3, Some("orders"))), Some(9)).await.unwrap();
    assert_eq!(synced().await, at(9));
}

#[tokio::test(start_paused = true)]
async fn a_drain_counts_those_who_are_in_session_elsewhere() {
    for (elsewhere, complete, expected) in [
        (Outcome { acked: 2, subscribers: 2, late: vec![] }, true, (3, 3)),
        (Outcome { acked: 1, subscribers: 2, late: vec!["shop/pod-9".to_owned()] }, false, (2, 3)),
    ] {
        let mut house = house(2).await;
        let mut drained = house.session("u1").await;
        house.shows(is_ready).await;
        let _caller = sessions(&house, [2]).await;
        let begin = Instant::now();
        while begin.elapsed() < BACK_AFTER {
            drained.say(&super::house::beat()).await;
            sleep(SECOND).await;
        }
        let asked_at = Instant::now();
        house.peers.will_answer(elsewhere.clone());
        drained.say(&Up::Drain { drain: Drain::Start, deadline_ms: 5_000, ask: Some(7) }).await;
        let asked = house.peers.asked().await;
        assert_eq!((asked.pod, asked.services), ("u1".into(), vec![key("orders")]));
        let note = house.index.ledger().get(&"u1".into()).unwrap();
        assert!(note.said.drains && asked.version.as_ref() == Some(&note.version), "{note:?}");
        assert!(
            asked.deadline >= asked_at && asked.deadline <= asked_at + Duration::from_secs(5) + SECOND / 10
        );
        let Some(Down::Drained { complete: told, acked, subscribers, late, .. }) = drained.hear().await
        else {
            panic!()
        };
        assert_eq!((told, (acked, subscribers), late), (complete, expected, elsewhere.late));
    }
}

#[tokio::test(start_paused = true)]
async fn another_replica_that_asks_hears_of_those_in_session_here_once_they_are_known() {
    let house = house(3).await;
    told(&house, (0, Standing::Serving)).await;
    let ask = |number, within| house.peers.ask(vec![key("orders")], number, Instant::now() + within);
    let early = ask(1, SECOND).await;
    assert_ne!(early.acked, early.subscribers, "who calls is not known yet");
    let mut caller = house.session("u2").await;
    caller.say(&subscribe(&["orders"])).await;
    let (_, cursor) = caller.synced().await;
    let beats = async {
        loop {
            caller.say(&super::house::beat()).await;
            sleep(SECOND).await;
        }
    };
    let late = tokio::select! {
        late = ask(cursor, BACK_AFTER + SECOND) => late,
        () = beats => panic!(),
    };
    assert_eq!(late, Outcome { acked: 0, subscribers: 1, late: vec!["shop/pod-2".to_owned()] });
    caller.say(&Up::Ack { cursor }).await;
    assert_eq!(ask(cursor, SECOND).await, Outcome { acked: 1, subscribers: 1, late: vec![] });
    assert_eq!(house.peers.ask(vec![key("billing")], cursor, Instant::now()).await, Outcome::default());
}
