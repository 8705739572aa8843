use std::{net::IpAddr, sync::Arc};

use futures::FutureExt;
use rollcall_catalogue::{Reason, State, liveness::ProbeWitness};
use rollcall_wire::{
    Down, DutyCheck, HealthOf, Question, RegistrationKey, SelfRegistration, Unknown, Up, Upsert, encode,
    limits::FRAME_BYTES_MAX,
};
use tokio::{
    task::unconstrained,
    time::{Duration, Instant, sleep, timeout},
};

use super::house::{EVENTUALLY, House, beat, hello, key, pod, seen, subscribe};
use crate::owner::View;

#[tokio::test(start_paused = true)]
async fn a_session_is_told_what_it_asks_for_and_what_changes_of_it() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, Some("billing")), pod(9, None)]).await;
    let mut peer = house.open("u9").await;
    peer.say(&hello("i", 1)).await;
    let Some(Down::Welcome { replica, epoch, replicas, pod: who, .. }) = peer.hear().await else { panic!() };
    assert_eq!((replica.as_str(), who.name.as_str()), ("test", "pod-9"));
    assert_eq!((epoch.len(), replicas), (16, vec![([10, 0, 9, 9], 7310).into()]));
    peer.say(&subscribe(&["orders", "nobody"])).await;
    assert_eq!(peer.sync().await, [key("orders")]);
    house.apply(seen(pod(3, Some("billing")))).await;
    house.apply(seen(pod(4, Some("orders")))).await;
    assert_eq!(peer.sync().await, [key("orders")]);
    house.apply(seen(pod(5, Some("nobody")))).await;
    assert_eq!(peer.sync().await, [key("nobody")], "what is not there may come");
    let mut served = peer.close().served;
    timeout(EVENTUALLY, &mut served).await.unwrap().unwrap();
    assert!(house.metric("rollcall_sessions_ended_total{reason=\"closed\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn the_owner_hears_which_end_closed_the_stream() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, Some("orders"))]).await;
    let (closing, _silent) = (house.session("u1").await, house.session("u2").await);
    let reasons = |view: &Arc<View>| {
        let orders = view.catalogue.get(&key("orders")).unwrap();
        orders.instances.iter().map(|one| one.reason.clone()).collect::<Vec<_>>()
    };
    house.shows(|view| reasons(view) == [Reason::Ready, Reason::Ready]).await;
    drop(closing.close());
    house.shows(|view| reasons(view) == [Reason::SidecarLost, Reason::Ready]).await;
    house.eventually("rollcall_sessions_ended_total{reason=\"silent\"} 1").await;
    assert_ne!(reasons(&house.index.view().borrow())[1], Reason::SidecarLost, "it was ours to hang up");
}

/// It finds no way back, perhaps for our own reasons: it is no more dead than one that has hung up itself.
#[tokio::test(start_paused = true)]
async fn who_is_sent_away_though_it_is_heard_was_not_silent() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, Some("orders"))]).await;
    let (mut at_fault, other) = (house.session("u1").await, house.session("u2").await);
    at_fault.bytes(b"what?\n".to_vec()).await;
    assert!(at_fault.goodbye().await.contains("JSON"));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(12) {
        other.say(&beat()).await;
        sleep(Duration::from_secs(2)).await;
    }
    let view = house.index.view().borrow().clone();
    let orders = view.catalogue.get(&key("orders")).unwrap();
    let reasons: Vec<_> = orders.instances.iter().map(|one| one.reason.clone()).collect();
    assert_eq!(reasons, [Reason::SidecarLost, Reason::Ready]);
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_session_has_its_word() {
    let house = House::with(vec![pod(1, None)]).await;
    let begin = Instant::now();
    let mut peer = house.open("u1").await;
    assert_eq!(peer.goodbye().await, "no-hello");
    assert!(begin.elapsed() < Duration::from_secs(6), "costs its bounded time");

    let mut peer = house.session("u1").await;
    assert_eq!(peer.goodbye().await, "silent");

    let mut peer = house.session("u1").await;
    house.apply(crate::index::Change::Gone(crate::index::Key::Pod("u1".into()))).await;
    assert_eq!(peer.goodbye().await, "pod-gone");
    for reason in ["no-hello", "silent", "pod-gone"] {
        let line = format!("rollcall_sessions_ended_total{{reason=\"{reason}\"}} 1");
        house.eventually(&line).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_ends_the_session_with_its_reason() {
    let house = House::with(vec![pod(1, None)]).await;
    let long = vec![b'a'; FRAME_BYTES_MAX + 2];
    for (bytes, expected) in
        [(b"what?\n".to_vec(), "JSON"), (long, "longer"), (b"\xff\xfe\n".to_vec(), "JSON")]
    {
        let mut peer = house.session("u1").await;
        peer.bytes(bytes).await;
        let reason = peer.goodbye().await;
        assert!(reason.contains(expected), "{reason}");
    }
    let mut peer = house.open("u1").await;
    peer.say(&subscribe(&["orders"])).await;
    assert!(peer.goodbye().await.contains("hello must be the first frame"));
    house.eventually("rollcall_sessions_ended_total{reason=\"violation\"} 4").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_sessions_of_a_pod_the_newer_one_stays() {
    let house = House::with(vec![pod(1, None)]).await;
    let mut first = house.open("u1").await;
    first.say(&hello("a", 1)).await;
    assert!(first.hear().await.is_some());
    let mut third = house.open("u1").await;
    third.say(&hello("a", 3)).await;
    assert_eq!(first.goodbye().await, "superseded");
    assert!(matches!(third.hear().await, Some(Down::Welcome { .. })));
    let mut second = house.open("u1").await;
    second.say(&hello("a", 2)).await;
    assert_eq!(second.goodbye().await, "superseded", "it comes later, and is older");
    third.say(&subscribe(&["orders"])).await;
    third.sync().await;
    let mut restarted = house.open("u1").await;
    restarted.say(&hello("b", 1)).await;
    assert_eq!(third.goodbye().await, "superseded");
    assert!(matches!(restarted.hear().await, Some(Down::Welcome { .. })));
}

#[tokio::test(start_paused = true)]
async fn shutdown_says_goodbye_to_everyone() {
    let house = House::with(vec![pod(1, None), pod(2, None)]).await;
    let mut peers = [house.session("u1").await, house.session("u2").await];
    let mut silent = house.open("u1").await;
    house.trigger.pull();
    for peer in &mut peers {
        assert_eq!(peer.goodbye().await, "shutdown");
        timeout(EVENTUALLY, &mut peer.connection().served).await.unwrap().unwrap();
    }
    assert_eq!(silent.goodbye().await, "shutdown", "also to who has not said hello");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_is_slow_and_not_silent() {
    let mut pods: Vec<_> = (10..250).map(|number| pod(number, Some("orders"))).collect();
    pods.push(pod(1, Some("billing")));
    let house = House::with(pods).await;
    let mut peer = house.dial(1).await.open("u1").await;
    peer.say(&hello("i", 1)).await;
    peer.say(&subscribe(&["orders"])).await;
    let begin = Instant::now();
    let mut serving = 0;
    while !peer.connection().served.is_finished() && begin.elapsed() < EVENTUALLY {
        let view = house.index.view().borrow().clone();
        let billing = view.catalogue.get(&key("billing")).unwrap();
        serving += usize::from(billing.instances.iter().any(|one| one.state == State::Serving));
        // Nobody takes it any more when the session has ended.
        let _ = timeout(Duration::from_secs(3), peer.say(&beat())).await;
        sleep(Duration::from_secs(3)).await;
    }
    assert!(serving >= 9, "whoever is heard is not suspected: {serving}");
    assert!((30..45).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(house.metric("rollcall_sessions_ended_total{reason=\"slow\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_says_is_answered_in_order_while_its_stream_goes_on() {
    let house = House::with(vec![pod(1, None), pod(2, Some("billing"))]).await;
    let mut peer = house.session("u1").await;
    let begin = Instant::now();
    let key_of = |service: &str| RegistrationKey { service: service.parse().unwrap(), port: None };
    for _ in 0..100 {
        peer.say(&Up::Deregister { key: key_of("nothing") }).await;
    }
    let registration = |service: &str, port: u16| -> SelfRegistration {
        serde_json::from_value(serde_json::json!({"service": service, "ports": [{"port": port}]})).unwrap()
    };
    peer.say(&Up::Register { registration: registration("orders", 8080) }).await;
    peer.say(&Up::Register { registration: registration("broken", 0) }).await;
    peer.say(&subscribe(&["orders", "billing"])).await;
    let mut said = Vec::new();
    let mut told = Vec::new();
    while said.len() < 2 || told.len() < 2 {
        match peer.hear().await.unwrap() {
            Down::Registered { key } => said.push(format!("{} registered", key.service)),
            Down::Rejected { key, field, .. } => {
                said.push(format!("{} rejected: {}", key.service, field.unwrap()));
            }
            Down::Upsert(Upsert { service, .. }) => told.push(service),
            Down::Synced { cursor, .. } => peer.say(&Up::Ack { cursor }).await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said, ["orders registered", "broken rejected: ports"]);
    // 32 of the 102 at once, and then ten in a second.
    let took = begin.elapsed();
    assert!((6_900..8_000).contains(&took.as_millis()), "{took:?}");
    peer.say(&Up::Deregister { key: key_of("orders") }).await;
    loop {
        match peer.hear().await.unwrap() {
            Down::Remove { service, .. } => break assert_eq!(service, key("orders")),
            Down::Upsert(_) => {}
            Down::Synced { cursor, .. } => peer.say(&Up::Ack { cursor }).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_app_waits_for_nothing_else_that_its_sidecar_has_to_say() {
    let house = House::with(vec![pod(1, Some("orders"))]).await;
    let peer = house.session("u1").await;
    let said = serde_json::json!({"service": "orders", "ports": [{"port": 81}], "beside": true});
    let registration: SelfRegistration = serde_json::from_value(said).unwrap();
    let beside = registration.key();
    peer.say(&Up::Register { registration: registration.clone() }).await;
    let of = |port| Some(HealthOf { service: beside.service.clone(), port: Some(port) });
    let reasons = |view: &View| -> Vec<String> {
        let instances = view.catalogue.get(&key("orders")).map(|service| service.instances.iter());
        instances.into_iter().flatten().map(|one| one.reason.to_string()).collect()
    };
    house.shows(|view| reasons(view) == ["Ready", "Ready"]).await;
    let begin = Instant::now();
    let nothing = RegistrationKey { service: "nothing".parse().unwrap(), port: None };
    for _ in 0..60 {
        peer.say(&Up::Deregister { key: nothing.clone() }).await;
    }
    peer.say(&Up::Deregister { key: beside.clone() }).await;
    peer.say(&Up::Register { registration }).await;
    // What was said of an address goes with it, but not what is said of the next one.
    peer.say(&Up::Health { of: of(81), probe: ProbeWitness::Dead }).await;
    for number in 0..100 {
        let probe = if number % 2 == 0 { ProbeWitness::Passing } else { ProbeWitness::Dead };
        peer.say(&Up::Health { of: of(8080), probe }).await;
    }
    house.shows(|view| reasons(view).contains(&"ProbeRefused".to_owned())).await;
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    house.shows(|view| reasons(view) == ["ProbeRefused", "ProbeRefused"]).await;
    assert!((2_500..4_000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_change_and_that_it_is_all_come_in_one_piece() {
    let house = House::with(vec![pod(1, None), pod(2, Some("orders"))]).await;
    let mut peer = house.session("u1").await;
    peer.say(&subscribe(&["orders"])).await;
    peer.sync().await;
    let before = peer.pieces;
    house.apply(seen(pod(3, Some("orders")))).await;
    assert_eq!(peer.sync().await.len(), 1);
    assert_eq!(peer.pieces - before, 1);
}

/// Ten thousand of them wait for most of the time, each for as long as its pod lives.
#[tokio::test(start_paused = true)]
async fn what_moves_a_connection_is_small() {
    const BYTES_MAX: usize = 4 * 1024;
    let house = House::with(vec![]).await;
    let (_theirs, served) = house.served([127, 0, 0, 1].into()).unwrap();
    assert!(size_of_val(&served) <= BYTES_MAX, "{} bytes", size_of_val(&served));
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_is_told_what_its_pod_is_after_welcome_and_when_that_changes() {
    let house = House::with(vec![pod(1, Some("orders")), pod(2, None)]).await;
    let (mut peer, mut nobody) = (house.session("u1").await, house.session("u2").await);
    assert_eq!(nobody.hear_any().await, Some(Down::Heartbeat));
    assert_eq!(nobody.duties, Some(vec![]), "that it is nothing is told as well");
    peer.say(&subscribe(&["orders"])).await;
    peer.sync().await;
    let [duty] = &peer.duties().await[..] else { panic!() };
    let probe = duty.probe.as_ref().unwrap();
    assert_eq!((duty.service.as_str(), duty.port, duty.declared), ("orders", 8080, true));
    assert_eq!((&probe.check, probe.port, probe.failure_threshold), (&DutyCheck::Tcp, 8080, 3));
    assert_eq!(duty.addresses, [IpAddr::from([10, 0, 0, 1])]);
    // A change of its state is none of its duties.
    peer.say(&Up::Health { of: None, probe: ProbeWitness::Dead }).await;
    peer.sync().await;
    assert_eq!(peer.duties, None);
    let said =
        serde_json::json!({"service": "orders", "ports": [{"port": 81}], "beside": true, "ttlSeconds": 5});
    peer.say(&Up::Register { registration: serde_json::from_value(said).unwrap() }).await;
    // The word's answer and what came of it are not told in any order.
    let (mut registered, mut synced) = (false, false);
    while !(registered && synced) {
        match peer.hear().await {
            Some(Down::Registered { .. }) => registered = true,
            Some(Down::Synced { .. }) => synced = true,
            Some(Down::Upsert(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let duties = peer.duties().await;
    let told = duties.iter().map(|one| (one.port, one.declared, one.probe.is_some(), one.ttl_seconds));
    assert_eq!(told.collect::<Vec<_>>(), [(8080, true, true, None), (81, false, false, Some(5))]);
}

#[tokio::test(start_paused = true)]
async fn people_are_answered_as_far_as_their_pod_may_see() {
    let house = House::with(vec![pod(1, None), pod(2, Some("orders")), pod(3, Some("orders"))]).await;
    let mut peer = house.session("u1").await;
    let explain = |service: &str, id: Option<&str>| Question::Explain {
        service: service.parse().unwrap(),
        id: id.map(Into::into),
    };
    let mut asked = 0;
    let mut answer = async |question: Question| {
        asked += 1;
        peer.say(&Up::Ask { ask: asked, question }).await;
        match peer.hear().await {
            Some(Down::Told { ask, unknown, explained, found, more: false }) if ask == asked => {
                let ids = explained.iter().map(|one| format!("{} {}", one.id, one.witnesses.session));
                let found = found.iter().map(|one| format!("{} {}", one.service, one.instance.id));
                (unknown, ids.chain(found).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        }
    };
    let one = "u2-8080 never-came".to_owned();
    let both = vec![one.clone(), "u3-8080 never-came".to_owned()];
    assert_eq!(answer(explain("orders.shop", None)).await, (None, both));
    assert_eq!(answer(explain("orders.shop", Some("u2-8080"))).await, (None, vec![one]));
    assert_eq!(answer(explain("orders.shop", Some("u9-1"))).await, (Some(Unknown::Instance), vec![]));
    for hidden in ["nobody.shop", "orders.elsewhere"] {
        assert_eq!(answer(explain(hidden, None)).await, (Some(Unknown::Service), vec![]));
    }
    let found = vec!["orders.shop u3-8080".to_owned()];
    assert_eq!(answer(Question::Address([10, 0, 0, 3].into())).await, (None, found));
    assert_eq!(answer(Question::Address([10, 0, 0, 9].into())).await, (None, vec![]));
    // Who asks faster than he is answered is sent away.
    let all = (0..17).map(|ask| Up::Ask { ask, question: explain("orders.shop", None) });
    peer.bytes(all.flat_map(|frame| encode(&frame).unwrap()).collect()).await;
    assert!(peer.goodbye().await.contains("questions"));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_turn_hears_heartbeats_and_nothing_else() {
    let house = House::with(vec![pod(1, None), pod(2, Some("orders"))]).await;
    let mut turns = Vec::new();
    // Also where the task has had its share of time.
    let turn = || unconstrained(house.sessions.admission().first_sync()).now_or_never();
    while let Some(turn) = turn() {
        turns.push(turn);
    }
    let mut peer = house.session("u1").await;
    peer.say(&subscribe(&["orders"])).await;
    for _ in 0..5 {
        assert_eq!(peer.hear_any().await, Some(Down::Heartbeat));
        peer.say(&beat()).await;
    }
    drop(turns);
    assert_eq!(peer.sync().await, [key("orders")]);
}

#[tokio::test(start_paused = true)]
async fn the_list_of_services_comes_when_it_changes() {
    let house = House::with(vec![pod(1, None), pod(2, Some("orders"))]).await;
    let mut peer = house.session("u1").await;
    peer.say(&Up::Subscribe { services: vec![], summary: true }).await;
    let mut names = Vec::new();
    house.apply(seen(pod(3, Some("billing")))).await;
    while names.len() < 2 {
        match peer.hear().await.unwrap() {
            Down::Summary { services, .. } => names.extend(services.into_iter().map(|one| one.service)),
            Down::Synced { cursor, .. } => peer.say(&Up::Ack { cursor }).await,
            other => panic!("{other:?}"),
        }
        names.sort();
        names.dedup();
    }
    assert_eq!(names, [key("billing"), key("orders")]);
}
