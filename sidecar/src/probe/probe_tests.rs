//! With real sockets.

use std::time::Duration as Time;

use rollcall_catalogue::liveness::ProbeWitness;
use rollcall_wire::{DutyCheck, DutyProbe, HealthOf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::own::Say;

const ENOUGH: Time = Time::from_secs(10);

fn duty(at: SocketAddr, check: DutyCheck) -> Duty {
    Duty {
        service: "orders".parse().unwrap(),
        id: format!("u1-{}", at.port()).as_str().into(),
        addresses: vec![at.ip()],
        port: at.port(),
        declared: true,
        probe: Some(DutyProbe {
            check,
            port: at.port(),
            interval_ms: 500,
            timeout_ms: 1_000,
            failure_threshold: 3,
            success_threshold: 1,
        }),
        ttl_seconds: None,
    }
}

/// An address of this machine that is not its loopback; none on one without.
fn outward() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only says which way it would go.
    socket.connect("198.51.100.1:9").ok()?;
    socket.local_addr().ok().map(|at| at.ip())
}

/// A prober that has this duty, and what it is to say.
fn probing(duty: Duty) -> (Own, JoinSet<()>) {
    let own = Own::default();
    own.set_duties(&[duty]);
    let mut parts = JoinSet::new();
    let prober = own.clone();
    parts.spawn(async move { run(&prober).await });
    (own, parts)
}

async fn next_word(own: &Own) -> ProbeWitness {
    timeout(ENOUGH, own.due()).await.expect("nothing is said");
    match own.take().as_slice() {
        [Say::Health { of: Some(HealthOf { .. }), probe }] => *probe,
        other => panic!("{other:?}"),
    }
}

/// Takes connections and keeps them, as an app does.
fn serve(listener: TcpListener) -> JoinSet<()> {
    let mut app = JoinSet::new();
    app.spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    app
}

#[tokio::test]
async fn an_app_that_dies_is_dead_long_before_its_next_probe() {
    let at: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (own, _prober) = probing(duty(at, DutyCheck::Tcp));
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut app = serve(listener);
        assert_eq!(next_word(&own).await, ProbeWitness::Passing);
        let begin = Instant::now();
        app.shutdown().await;
        assert_eq!(next_word(&own).await, ProbeWitness::Dead);
        times.push(begin.elapsed());
        listener = TcpListener::bind(at).await.unwrap();
    }
    times.sort();
    assert!(times[times.len() / 2] < Time::from_millis(200), "{times:?}");
}

#[tokio::test]
async fn an_app_that_hangs_is_unwell_and_one_that_is_back_is_well() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (hang, hangs) = tokio::sync::watch::channel(false);
    let mut app = JoinSet::new();
    app.spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !*hangs.borrow() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
            kept.push(stream);
        }
    });
    let (own, _prober) = probing(duty(at, DutyCheck::Http("/healthz".into())));
    assert_eq!(next_word(&own).await, ProbeWitness::Passing);
    let begin = Instant::now();
    hang.send_replace(true);
    assert_eq!(next_word(&own).await, ProbeWitness::Unwell);
    let took = begin.elapsed();
    assert!(took < Time::from_secs(4), "{took:?}");
    hang.send_replace(false);
    assert_eq!(next_word(&own).await, ProbeWitness::Passing);
}

#[tokio::test]
async fn what_listens_on_loopback_alone_is_told_apart() {
    let Some(outward) = outward() else { return };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (own, _prober) = probing(duty(SocketAddr::new(outward, port), DutyCheck::Tcp));
    assert_eq!(next_word(&own).await, ProbeWitness::LoopbackOnly);
    let _app = serve(TcpListener::bind((outward, port)).await.unwrap());
    assert_eq!(next_word(&own).await, ProbeWitness::Passing);
}

#[tokio::test]
async fn nobody_is_connected_with_but_for_a_question() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (own, _prober) = probing(duty(at, DutyCheck::Tcp));
    let mut accepted = 0;
    let watched = timeout(Time::from_secs(3), async {
        while let Ok((mut stream, _)) = listener.accept().await {
            accepted += 1;
            // Who serves one at a time is kept from nobody else: a question ends at once.
            let read = timeout(Time::from_millis(250), stream.read(&mut [0; 1])).await;
            assert!(matches!(read, Ok(Ok(0))), "{read:?}");
        }
    });
    assert!(watched.await.is_err());
    assert!((5..=8).contains(&accepted), "{accepted} in three seconds, at one in half of one");
    assert_eq!(next_word(&own).await, ProbeWitness::Passing);
    assert!(own.take().is_empty());
}

#[tokio::test]
async fn addresses_of_others_are_not_asked() {
    let foreign = Ask {
        spot: crate::own::Spot { service: "orders".parse().unwrap(), port: 80 },
        epoch: 1,
        target: "198.51.100.7:80".parse().unwrap(),
        check: Check::Tcp,
        limit: ENOUGH,
        began_ms: 0,
    };
    let begin = Instant::now();
    assert_eq!(put(&foreign).await, Ended { answer: Answer::Unasked, on_loopback: false });
    assert!(begin.elapsed() < Time::from_secs(1), "it was dialled");
}
