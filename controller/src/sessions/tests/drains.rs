use std::sync::Arc;

use rollcall_catalogue::{Reason, liveness::PodLife};
use rollcall_wire::{
    Down, Drain, Up,
    peer::{Note, SessionNote},
};
use tokio::time::{Duration, Instant, sleep};

use super::house::{House, Peer, beat, key, pod, seen, subscribe};
use crate::{
    owner::View,
    sessions::{
        Ending,
        board::{BACK_AFTER, Leave},
    },
};

/// A house in which pod 1 is of `orders`, and pods 2 to 4 call it.
async fn callers() -> (House, Peer, Vec<Peer>) {
    let mut pods = vec![pod(1, Some("orders")), pod(9, Some("billing"))];
    pods.extend((2..5).map(|number| pod(number, None)));
    let house = House::with(pods).await;
    let drained = house.session("u1").await;
    // What comes of the session itself is no part of the test.
    let is_ready = |view: &Arc<View>| {
        let orders = view.catalogue.get(&key("orders"));
        orders.is_some_and(|orders| orders.instances.iter().all(|one| one.reason == Reason::Ready))
    };
    house.shows(is_ready).await;
    let mut callers = Vec::new();
    for number in 2..5 {
        let mut caller = house.session(&format!("u{number}")).await;
        caller.say(&subscribe(&["orders"])).await;
        assert_eq!(caller.sync().await, [key("orders")]);
        callers.push(caller);
    }
    // Until then, others could be about to come back.
    live(&[&[&drained], &callers.iter().collect::<Vec<_>>()[..]].concat(), BACK_AFTER).await;
    (house, drained, callers)
}

fn drain(drain: Drain, deadline_ms: u64) -> Up {
    Up::Drain { drain, deadline_ms, ask: Some(deadline_ms) }
}

/// All of them go on living for a while.
async fn live(peers: &[&Peer], time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for peer in peers {
            peer.say(&beat()).await;
        }
        sleep(Duration::from_secs(1).min(until - Instant::now())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_over_when_every_caller_knows() {
    let (_house, mut drained, mut callers) = callers().await;
    let begin = Instant::now();
    drained.say(&drain(Drain::Start, 5_000)).await;
    for caller in &mut callers {
        assert_eq!(caller.sync().await, [key("orders")]);
    }
    let Some(Down::Drained { ask, complete, terminating, acked, subscribers, late, elapsed_ms }) =
        drained.hear().await
    else {
        panic!()
    };
    assert!(complete && !terminating && late.is_empty(), "{late:?}");
    assert_eq!((ask, acked, subscribers), (Some(5_000), 3, 3));
    assert!(u128::from(elapsed_ms) <= begin.elapsed().as_millis() && elapsed_ms < 1_000);

    drained.say(&drain(Drain::Stop, 0)).await;
    let stopped = drained.hear().await;
    assert!(
        matches!(stopped, Some(Down::Drained { ask: Some(0), complete: true, subscribers: 0, .. })),
        "{stopped:?}"
    );
    assert_eq!(callers[0].sync().await, [key("orders")], "it serves again");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_acknowledge_is_named() {
    let (_house, mut drained, mut callers) = callers().await;
    let begin = Instant::now();
    drained.say(&drain(Drain::Start, 5_000)).await;
    callers[0].sync().await;
    callers[2].sync().await;
    let (told, _) = callers[1].synced().await;
    assert_eq!(told, [key("orders")]);
    live(&[&drained, &callers[0], &callers[1], &callers[2]], Duration::from_secs(6)).await;
    let Some(Down::Drained { complete, acked, subscribers, late, elapsed_ms, .. }) = drained.hear().await
    else {
        panic!()
    };
    assert_eq!((complete, acked, subscribers, late), (false, 2, 3, vec!["shop/pod-3".to_owned()]));
    assert!((5_000..5_100).contains(&elapsed_ms), "{elapsed_ms}");
    assert!(begin.elapsed() >= Duration::from_secs(5));
}

/// After a restart of the controller a pod may be back before those who call it.
#[tokio::test(start_paused = true)]
async fn while_callers_come_back_nobody_is_told_that_there_are_none() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, None)]).await;
    let mut drained = house.session("u1").await;
    drained.say(&drain(Drain::Start, 4_000)).await;
    live(&[&drained], Duration::from_secs(5)).await;
    let answer = drained.hear().await;
    assert!(matches!(answer, Some(Down::Drained { complete: false, subscribers: 0, .. })), "{answer:?}");

    drained.say(&drain(Drain::Start, 20_000)).await;
    let mut caller = house.session("u2").await;
    caller.say(&subscribe(&["orders"])).await;
    let (told, cursor) = caller.synced().await;
    assert_eq!(told, [key("orders")]);
    live(&[&drained, &caller], Duration::from_secs(8)).await;
    caller.say(&Up::Ack { cursor }).await;
    let answer = drained.hear().await;
    let complete = matches!(answer, Some(Down::Drained { complete: true, acked: 1, subscribers: 1, .. }));
    assert!(complete, "{answer:?}");
}

/// What a caller has acknowledged before says nothing of a service that it asks for now, and may hold from long ago.
#[tokio::test(start_paused = true)]
async fn who_asks_for_more_is_waited_for_anew() {
    let (_house, mut drained, mut callers) = callers().await;
    drained.say(&drain(Drain::Start, 5_000)).await;
    for caller in &mut callers {
        assert_eq!(caller.sync().await, [key("orders")]);
    }
    assert!(matches!(drained.hear().await, Some(Down::Drained { complete: true, acked: 3, .. })));
    let caller = &mut callers[0];
    caller.say(&subscribe(&["billing"])).await;
    let (told, cursor) = caller.synced().await;
    assert_eq!(told, [key("billing")]);
    drained.say(&drain(Drain::Start, 3_000)).await;
    live(&[&drained, &callers[0], &callers[1], &callers[2]], Duration::from_secs(2)).await;
    callers[0].say(&Up::Ack { cursor }).await;
    let Some(Down::Drained { complete, acked, elapsed_ms, .. }) = drained.hear().await else { panic!() };
    assert!(complete && acked == 3 && elapsed_ms >= 1_000, "{acked} {elapsed_ms}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_not_waited_for() {
    let (_house, mut drained, mut callers) = callers().await;
    drained.say(&drain(Drain::Start, 60_000)).await;
    let gone = callers.pop().unwrap();
    for caller in &mut callers {
        caller.sync().await;
    }
    drop(gone.close());
    let answer = drained.hear().await;
    assert!(
        matches!(answer, Some(Down::Drained { complete: true, acked: 2, subscribers: 2, .. })),
        "{answer:?}"
    );
}

/// A caller is sent to another replica while a pod goes: it calls until it is told there.
#[tokio::test(start_paused = true)]
async fn who_was_sent_away_is_waited_for_until_it_is_heard_elsewhere() {
    for arrives in [true, false] {
        let (house, mut drained, mut callers) = callers().await;
        let mut moved = callers.remove(0);
        let at = ([10, 0, 0, 2], 7310).into();
        // The pod's own is the oldest.
        let of_it = house.sessions.board.all()[1];
        assert!(house.sessions.board.send_away(of_it, Leave { ending: Ending::Moved, dial: Some(at) }));
        assert_eq!(moved.goodbye_to().await, ("moved".to_owned(), Some(at)));
        drop(moved.close());
        drained.say(&drain(Drain::Start, 20_000)).await;
        for caller in &mut callers {
            caller.sync().await;
        }
        let all = [&[&drained], &callers.iter().collect::<Vec<_>>()[..]].concat();
        live(&all, Duration::from_secs(2)).await;
        if arrives {
            let left = house.index.ledger().get(&"u2".into()).unwrap();
            let mut there = Note { origin: "other".into(), ..Note::clone(&left) };
            there.version.sequence += 1;
            there.session = SessionNote::Open { unheard_since_ms: None };
            house.index.hear_notes(vec![there.into()]).await.unwrap();
        }
        live(&all, Duration::from_secs(5)).await;
        let Some(Down::Drained { complete, acked, subscribers, elapsed_ms, .. }) = drained.hear().await
        else {
            panic!()
        };
        assert_eq!((complete, acked, subscribers), (true, 2, 2), "it is told elsewhere, or given up");
        let expected = if arrives { 1_900..3_000 } else { 5_000..6_500 };
        assert!(expected.contains(&elapsed_ms), "{arrives}: {elapsed_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_changes_nothing_and_needs_an_end() {
    let (house, mut drained, mut callers) = callers().await;
    let begin = Instant::now();
    drained.say(&drain(Drain::Wait, 10_000)).await;
    let answer = drained.hear().await;
    assert!(matches!(answer, Some(Down::Drained { complete: true, terminating: false, .. })), "{answer:?}");
    assert!(begin.elapsed() <= Duration::from_secs(2), "{:?}", begin.elapsed());

    let mut ending = pod(1, Some("orders"));
    ending.life = PodLife { deleting: true, ..PodLife::READY };
    house.apply(seen(ending)).await;
    for caller in &mut callers {
        assert_eq!(caller.sync().await, [key("orders")]);
    }
    // What the callers are not told of does not keep the pod waiting for them.
    let before = house.index.view().borrow().number;
    house.apply(seen(pod(8, Some("billing")))).await;
    house.shows(|view| view.number > before).await;
    let begin = Instant::now();
    drained.say(&drain(Drain::Wait, 10_000)).await;
    let answer = drained.hear().await;
    let complete = matches!(
        answer,
        Some(Down::Drained { complete: true, terminating: true, acked: 3, subscribers: 3, .. })
    );
    assert!(complete, "{answer:?}");
    assert!(begin.elapsed() < Duration::from_secs(1), "everyone knew: {:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pod_asks_a_few_times_at_once_and_no_more() {
    let (_house, mut drained, _callers) = callers().await;
    let one = rollcall_wire::encode(&drain(Drain::Start, 60_000)).unwrap();
    drained.bytes(one.repeat(20)).await;
    assert!(drained.goodbye().await.contains("drains at a time"));
}
