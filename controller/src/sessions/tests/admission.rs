use std::net::{IpAddr, Ipv4Addr};

use http::{Method, header};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant, timeout},
};

use super::house::{EVENTUALLY, House, hello, pod};

const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

#[tokio::test(start_paused = true)]
async fn handshakes_that_never_come_or_are_none_give_their_places_back() {
    let house = House::with(vec![pod(1, None)]).await;
    let mut held = Vec::new();
    while let Some(connection) = house.accept(STRANGER) {
        held.push(connection);
    }
    assert!((8..=64).contains(&held.len()), "{}", held.len());
    let _another_address = house.session("u1").await;
    // One of them says something that is no TLS, one drips, and all the others say nothing.
    let begin = Instant::now();
    let (mut io, served) = held.remove(0);
    io.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    timeout(Duration::from_secs(1), served).await.expect("is cut at once").unwrap();
    assert!(house.accept(STRANGER).is_some(), "its place is free");
    while !held[0].1.is_finished() {
        // A handshake record that never ends.
        let _ =
            held[0].0.write_all(if begin.elapsed().is_zero() { b"\x16\x03\x01\x10\x00" } else { b"a" }).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
    for (_, served) in held {
        timeout(Duration::from_secs(1), served).await.expect("none is kept").unwrap();
    }
    assert!(house.accept(STRANGER).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_opens_no_session_is_cut() {
    let house = House::with(vec![pod(1, None)]).await;
    let begin = Instant::now();
    let idle = house.dial(1 << 20).await;
    timeout(EVENTUALLY, idle.served).await.unwrap().unwrap();
    assert!(begin.elapsed() <= Duration::from_secs(11), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_in_session_is_no_stranger() {
    let house = House::with((1..100).map(|number| pod(number, None)).collect()).await;
    let mut peers = Vec::new();
    for number in 1..100 {
        let mut peer = house.open(&format!("u{number}")).await;
        peer.say(&hello("i", 1)).await;
        assert!(peer.hear().await.is_some(), "pods behind one address");
        peers.push(peer);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_refused_with_its_status() {
    let house = House::with(vec![pod(1, None)]).await;
    let mut dialled = house.dial(1 << 20).await;
    for (method, path, token, status) in [
        (Method::POST, "/", "token-of-u1", 404),
        (Method::GET, "/v1/session", "token-of-u1", 405),
        (Method::POST, "/v1/session", "", 401),
        (Method::POST, "/v1/session", "another", 401),
        (Method::POST, "/v1/session", "token-of-u7", 403),
        (Method::POST, "/v1/session", &"a".repeat(9_000), 401),
    ] {
        let (_up, response) = dialled.request(method, path, token).await;
        assert_eq!(response.status(), status, "{path} {}", token.len());
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"\n") && text.len() > 20, "it says what to do");
    }
    let mut statuses = Vec::new();
    for number in 0..20 {
        let (_up, response) = dialled.request(Method::POST, "/v1/session", &format!("bad{number}")).await;
        let after =
            response.headers().get(header::RETRY_AFTER).map(|after| after.to_str().unwrap().parse::<u64>());
        statuses.push((response.status().as_u16(), after));
    }
    let (last, after) = statuses.pop().unwrap();
    assert_eq!(last, 429);
    assert!((10..=20).contains(&after.unwrap().unwrap()));
    assert_eq!(statuses[0], (401, None));
}

#[tokio::test(start_paused = true)]
async fn whoever_was_refused_is_a_stranger_still() {
    let house = House::with(vec![pod(1, None)]).await;
    let places = |address: IpAddr| {
        let held: Vec<_> = std::iter::from_fn(|| house.accept(address)).collect();
        held.len()
    };
    let all = places(STRANGER);
    let mut refused = house.dial(1 << 20).await;
    let (_up, response) = refused.request(Method::POST, "/v1/session", "bad").await;
    assert_eq!(response.status(), 401);
    assert_eq!(places(Ipv4Addr::LOCALHOST.into()), all - 1);
}

/// By real sockets, since it is the listener that closes them.
#[tokio::test]
async fn one_address_does_not_take_the_places_of_others() {
    let house = House::with(vec![pod(1, None)]).await;
    let listener = rollcall_net::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(house.serve(listener));
    let mut held = Vec::new();
    let closed = loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        // What is let in is left waiting for its handshake.
        match timeout(Duration::from_millis(100), stream.read(&mut byte)).await {
            Err(_) => held.push(stream),
            Ok(read) => break read,
        }
        assert!(held.len() <= 64);
    };
    assert!(!closed.is_ok_and(|bytes| bytes > 0), "it is told nothing");
    house.trigger.pull();
    timeout(EVENTUALLY, server).await.unwrap().unwrap();
}
