//! UDP and TCP as they should not be used: what comes of it, and that the others go on.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rollcall_controller::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, UdpSocket},
    time::timeout,
};

use crate::{
    bench::{Pod, Volumes, eventually, request},
    client::{
        A, FORMERR, NOERROR, SERVFAIL, ask, ask_tcp, connect, exchange, framed, local, next, query, received,
    },
    service::{controller, in_step},
};

/// So long without a byte, and nothing comes.
const QUIET: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_query_is_not_answered_and_what_is_a_bad_one_is_refused() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let good = query(1, "orders.rollcall", A);
    let mut reply = good.clone();
    reply[2] |= 0x80;
    let mut long = good.clone();
    long.resize(4_097, 0);
    let socket = local(process.dns).await;
    for silent in [&b""[..], b"short", &good[..11], &reply, &long] {
        socket.send_to(silent, process.dns).await.unwrap();
    }
    assert!(timeout(QUIET, socket.recv(&mut [0; 1_500])).await.is_err(), "nobody is told anything");
    let mut behind = good.clone();
    behind.push(0);
    let mut two = good.clone();
    two[5] = 2;
    for bad in [behind, two, good[..20].to_vec()] {
        assert_eq!(exchange(process.dns, &bad).await.code, FORMERR);
    }
    assert_eq!(exchange(process.dns, &good).await.code, NOERROR);
    let metrics = request(process.health, "GET /metrics HTTP/1.1\r\nHost: a\r\n").await.body;
    for sample in ["result=\"dropped\"} 5", "result=\"FORMERR\"} 3"] {
        assert!(metrics.contains(sample), "{sample} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_all_answered() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let socket = local(process.dns).await;
    for round in 0..20 {
        let ids = round * 200..(round + 1) * 200;
        for id in ids.clone() {
            socket.send_to(&query(id, "orders.rollcall", A), process.dns).await.unwrap();
        }
        let mut seen = BTreeSet::new();
        while seen.len() < 200 {
            let reply = received(&socket).await;
            assert_eq!((reply.code, reply.answers.len()), (NOERROR, 2));
            seen.insert(reply.id);
        }
        assert_eq!(seen, ids.collect());
    }
    // Over one connection, without a pause.
    let mut stream = connect(process.dns).await;
    let queries: Vec<_> = (0..10_000).flat_map(|id| framed(&query(id, "orders.rollcall", A))).collect();
    let (mut read, mut write) = stream.split();
    let hear = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 10_000 {
            let reply = next(&mut read).await.unwrap();
            assert_eq!((reply.code, reply.answers.len()), (NOERROR, 2));
            seen.insert(reply.id);
        }
    };
    let (said, ()) = tokio::join!(write.write_all(&queries), hear);
    said.unwrap();
    // Who has said all that he has to say is answered all the same.
    stream.write_all(&framed(&query(1, "orders.rollcall", A))).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().id, 1);
    assert!(next(&mut stream).await.is_none(), "and then it is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_over_a_connection_does_not_hold_up_the_next() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let mut stream = connect(process.dns).await;
    let slow = framed(&query(1, "mute.rollcall", A));
    let quick = framed(&query(2, "orders.rollcall", A));
    stream.write_all(&[slow, quick].concat()).await.unwrap();
    let begin = Instant::now();
    let first = next(&mut stream).await.unwrap();
    assert_eq!((first.id, first.code), (2, NOERROR));
    let second = next(&mut stream).await.unwrap();
    assert_eq!((second.id, second.code), (1, SERVFAIL));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());

    // More than may wait: the others have their turn, over the same connection.
    let mut many: Vec<_> = (0..20).flat_map(|id| framed(&query(id, "mute.rollcall", A))).collect();
    many.extend(framed(&query(20, "orders.rollcall", A)));
    stream.write_all(&many).await.unwrap();
    let mut codes = [99; 21];
    for _ in 0..21 {
        let reply = next(&mut stream).await.unwrap();
        codes[usize::from(reply.id)] = reply.code;
    }
    assert!(codes[..20].iter().all(|code| *code == SERVFAIL) && codes[20] == NOERROR, "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drips_and_who_says_too_much_is_cut() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    // A length that no query has, and what is no query.
    let mut reply = query(1, "orders.rollcall", A);
    reply[2] |= 0x80;
    for bytes in [vec![0xFF, 0xFF], vec![0x10, 0x01], framed(&reply), framed(b"")] {
        let mut stream = connect(process.dns).await;
        stream.write_all(&bytes).await.unwrap();
        assert!(next(&mut stream).await.is_none(), "{bytes:?}");
    }
    // What was answered before is told.
    let mut stream = connect(process.dns).await;
    let good: Vec<_> = (1..=3).flat_map(|id| framed(&query(id, "orders.rollcall", A))).collect();
    stream.write_all(&[good, framed(&reply)].concat()).await.unwrap();
    for id in 1..=3 {
        assert_eq!(next(&mut stream).await.map(|told| told.id), Some(id));
    }
    assert!(next(&mut stream).await.is_none());
    // A byte now and then: whole in 30 s, and the place is another's after 2.
    let mut stream = connect(process.dns).await;
    let begin = Instant::now();
    let (mut read, mut write) = stream.split();
    let drip = async {
        for byte in framed(&query(1, "orders.rollcall", A)) {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    };
    let cut = async { read.read(&mut [0; 1]).await.unwrap_or_default() };
    tokio::select! {
        () = drip => panic!("it took all of it"),
        length = cut => assert_eq!(length, 0),
    }
    let took = begin.elapsed();
    assert!((Duration::from_millis(1_900)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_and_idle_connections_give_their_places_back() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let begin = Instant::now();
    let idle = connect(process.dns).await;
    // Asks for what is large, again and again, and reads none of it.
    let deaf = TcpSocket::new_v4().unwrap();
    deaf.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = deaf.connect(process.dns).await.unwrap();
    let queries: Vec<_> = (0..2_000).flat_map(|id| framed(&query(id, "many.rollcall", A))).collect();
    let ask = async { while deaf.write_all(&queries).await.is_ok() {} };
    timeout(Duration::from_secs(20), ask).await.unwrap();
    // All places but that of the idle one, and then that one too.
    let mut others = Vec::new();
    for _ in 0..63 {
        others.push(connect(process.dns).await);
    }
    let last = ask_tcp(process.dns, "orders.rollcall", A);
    let reply = timeout(Duration::from_secs(20), last).await.unwrap();
    assert_eq!(reply.code, NOERROR);
    assert!(begin.elapsed() >= Duration::from_secs(8), "{:?}", begin.elapsed());
    drop((idle, others));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_from_elsewhere_are_dropped() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let good = query(1, "orders.rollcall", A);
    // This machine under another address than loopback's, if it has one.
    let elsewhere = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    if elsewhere.connect("198.51.100.1:9").await.is_ok() {
        let address = elsewhere.local_addr().unwrap().ip();
        let elsewhere = UdpSocket::bind((address, 0)).await.unwrap();
        elsewhere.send_to(&good, process.dns).await.unwrap();
        assert!(timeout(QUIET, elsewhere.recv(&mut [0; 1_500])).await.is_err());
    }
    // Any loopback address is this machine.
    let here = UdpSocket::bind("127.0.0.77:0").await.unwrap();
    here.send_to(&good, process.dns).await.unwrap();
    assert_eq!(received(&here).await.answers.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_is_answered_like_ipv4_and_a_machine_without_an_address_goes_without() {
    let authority = Authority::generate("test").unwrap();
    let played = controller(&authority).await;
    let Ok(free) = TcpListener::bind("[::1]:0").await else { return };
    let v6 = free.local_addr().unwrap();
    drop(free);
    let flag = format!("--dns-listen={v6}");
    let pod = Pod::with_flags(&authority, played.address, "token-of-u9", &[flag]).await;
    eventually("the first answer", async || ask(v6, "orders.rollcall", A).await.code == NOERROR).await;
    for at in [pod.dns, v6] {
        assert_eq!(ask(at, "orders.rollcall", A).await.sorted(), ["10.0.0.1", "10.0.0.2"], "{at}");
        assert_eq!(ask_tcp(at, "orders.rollcall", A).await.sorted(), ["10.0.0.1", "10.0.0.2"], "{at}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_fails_the_start_and_says_which() {
    let authority = Authority::generate("test").unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let volumes = Volumes::new(&authority);
    let at = volumes.at(7353);
    let udp = UdpSocket::bind(at).await.unwrap();
    let log = volumes.fail(nobody);
    assert!(log.contains(&format!("--dns-listen {at}: cannot listen over UDP")), "{log}");
    drop(udp);
    let _tcp = TcpListener::bind(at).await.unwrap();
    let log = volumes.fail(nobody);
    assert!(log.contains(&format!("--dns-listen {at}: cannot listen over TCP")), "{log}");
}
