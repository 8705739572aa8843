//! How current answers are: a change is in the next one, and what is not known is not said to be nothing.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use rollcall_controller::Authority;

use crate::{
    bench::{Controller, Pod, Volumes, eventually, gone, pod, seen},
    client::{A, NOERROR, NXDOMAIN, SERVFAIL, SRV, ask, exchange, local, query, received},
    service::in_step,
};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_the_next_answer_and_both_apis_say_the_same() {
    let authority = Authority::generate("test").unwrap();
    let controller = Controller::start(&authority, ANY, vec![pod(1, Some(8080)), pod(9, None)]).await;
    let consumer = Pod::start(&authority, controller.address, "u9").await;
    eventually("the first lookup", async || {
        ask(consumer.dns, "orders.rollcall", A).await.data() == ["10.0.0.1"]
    })
    .await;
    controller.apply(seen(pod(2, Some(8080)))).await;
    let both = ["10.0.0.1", "10.0.0.2"];
    let took = eventually("the second one", async || consumer.orders().await.addresses() == both).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(ask(consumer.dns, "orders.rollcall", A).await.sorted(), both, "at the same time");
    assert_eq!(ask(consumer.dns, "_http._tcp.orders.rollcall", SRV).await.answers.len(), 2);
    controller.apply(gone("u1")).await;
    controller.apply(gone("u2")).await;
    let took =
        eventually("all are gone", async || ask(consumer.dns, "orders.rollcall", A).await.is_nobody()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    controller.apply(seen(pod(3, Some(8080)))).await;
    let took = eventually("it came back", async || {
        ask(consumer.dns, "orders.rollcall", A).await.data() == ["10.0.0.3"]
    })
    .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_session_nothing_is_said_to_be_there_or_not() {
    let authority = Authority::generate("test").unwrap();
    let pod = Pod::start(&authority, ([127, 0, 0, 1], 9).into(), "u9").await;
    let begin = Instant::now();
    for name in [
        "orders.rollcall",
        "orders.shop.rollcall",
        "ip-10-0-0-1.orders.shop.rollcall",
        "_tcp.orders.rollcall",
    ] {
        let reply = ask(pod.dns, name, A).await;
        assert_eq!((reply.code, reply.answers.len()), (SERVFAIL, 0), "{name}");
    }
    assert!(begin.elapsed() >= Duration::from_secs(4), "each waits as a first lookup does");
    // What needs no catalogue is answered all the same.
    assert_eq!(ask(pod.dns, "x.orders.shop.rollcall", A).await.code, NXDOMAIN);
    let address = Instant::now();
    assert_ne!(ask(pod.dns, "1.0.0.10.in-addr.arpa", 12).await.code, NOERROR);
    assert!(address.elapsed() < Duration::from_secs(2), "{:?}", address.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_lookups_do_not_hold_up_known_names_and_too_many_are_turned_away() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let socket = local(process.dns).await;
    let begin = Instant::now();
    // All who are turned away have room in what the kernel keeps for this socket.
    for id in 0..300 {
        socket.send_to(&query(id, "mute.rollcall", A), process.dns).await.unwrap();
        if id.is_multiple_of(100) {
            tokio::task::yield_now().await;
        }
    }
    let known = exchange(process.dns, &query(7, "orders.rollcall", A)).await;
    assert!(known.code == NOERROR && begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    let mut early = 0;
    for _ in 0..300 {
        assert_eq!(received(&socket).await.code, SERVFAIL);
        early += usize::from(begin.elapsed() < Duration::from_millis(900));
    }
    assert!((1..=300 - 128).contains(&early), "{early} of those that may not wait were told at once");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_answered_without_a_controller_and_after_a_restart() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (played, process) = in_step(&authority, &volumes).await;
    eventually("it is kept", async || volumes.keeps("orders.shop")).await;
    assert_eq!(ask(process.dns, "nobody.rollcall", A).await.code, NXDOMAIN);
    let address = played.address;
    drop(played);
    eventually("it is away", async || process.orders().await.header("age") != Some("0")).await;
    assert_eq!(ask(process.dns, "orders.rollcall", A).await.answers.len(), 2);
    assert_eq!(ask(process.dns, "nobody.rollcall", A).await.code, NXDOMAIN, "for a minute");
    process.kill();

    let process = volumes.start(address).await;
    assert_eq!(ask(process.dns, "orders.rollcall", A).await.sorted(), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(
        ask(process.dns, "nobody.rollcall", A).await.code,
        SERVFAIL,
        "that there was none is not kept"
    );
    process.terminate();
}
