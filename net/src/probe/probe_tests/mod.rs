//! Attempts against real sockets on loopback. Where time matters it is tokio's paused clock, which moves only when
//! nothing else is to be done.

mod over_grpc;
mod over_http;

use std::{future::Future, pin::pin};

use rollcall_catalogue::liveness::Answer;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket},
    sync::mpsc,
};

use super::*;

/// The limit where no test waits for it.
const ENOUGH: Duration = Duration::from_secs(30);

/// Hands each connection to the handler, one after the other; the handler's results can be received.
async fn serve<F, T>(handler: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, mpsc::Receiver<T>)
where
    F: Future<Output = T> + Send,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            sender.send(handler(stream).await).await.unwrap();
        }
    });
    (target, receiver)
}

/// Reads until this is among what came.
async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    while !seen.windows(end.len()).any(|part| part == end) {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed early");
    }
    seen
}

/// Says what reading comes to at the end: 0 where the other side has closed in good order.
async fn read_to_end(stream: &mut TcpStream) -> io::Result<usize> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn http_check(method: HttpMethod) -> Check {
    Check::Http { method, path: "/healthz?deep=1".parse().unwrap() }
}

fn checks() -> [Check; 3] {
    [Check::Tcp, http_check(HttpMethod::Get), Check::Grpc { service: "".into() }]
}

#[tokio::test]
async fn a_connection_is_enough_and_ends_in_good_order() {
    let (target, mut ends) = serve(|mut stream| async move { read_to_end(&mut stream).await.unwrap() }).await;
    assert_eq!(attempt(target, &Check::Tcp, ENOUGH).await, Outcome::Passing);
    assert_eq!(ends.recv().await, Some(0));
}

#[tokio::test]
async fn nobody_listens() {
    // Bound, so that nobody else can take the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    for check in checks() {
        let outcome = attempt(socket.local_addr().unwrap(), &check, ENOUGH).await;
        assert_eq!((outcome, Answer::from(outcome)), (Outcome::Refused, Answer::Refused), "{check:?}");
    }
}

#[tokio::test]
async fn a_reset_is_as_a_refusal() {
    let (target, _ends) = serve(|mut stream| async move {
        let mut seen = [0; 16];
        stream.read_exact(&mut seen).await.unwrap();
        reset(stream);
    })
    .await;
    for check in &checks()[1..] {
        assert_eq!(attempt(target, check, ENOUGH).await, Outcome::Refused, "{check:?}");
    }
}

#[tokio::test]
async fn an_end_without_an_answer_is_no_refusal() {
    let (target, _ends) = serve(|mut stream| async move {
        // All of what was asked, or closing would be a reset.
        let mut seen = vec![0; 4096];
        assert_ne!(stream.read(&mut seen).await.unwrap(), 0);
        stream.shutdown().await.unwrap();
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    for check in &checks()[1..] {
        assert_eq!(attempt(target, check, ENOUGH).await, Fault::Incomplete.into(), "{check:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_limit_and_leaves_nothing_open() {
    let (target, mut ends) = serve(|mut stream| async move { read_to_end(&mut stream).await.is_ok() }).await;
    for check in &checks()[1..] {
        let began = tokio::time::Instant::now();
        let limit = Duration::from_millis(700);
        assert_eq!(attempt(target, check, limit).await, Outcome::TimedOut, "{check:?}");
        let took = began.elapsed();
        assert!((limit..limit + Duration::from_millis(5)).contains(&took), "{check:?}: {took:?}");
        // The other side hears the end: no task of ours keeps the connection.
        assert_eq!(ends.recv().await, Some(true), "{check:?}");
    }
}

#[tokio::test]
async fn whoever_drops_an_attempt_closes_its_connection() {
    for check in &checks()[1..] {
        let (asked, mut is_asked) = mpsc::channel(1);
        let (target, mut ends) = serve(move |mut stream| {
            let asked = asked.clone();
            async move {
                let mut seen = [0; 16];
                stream.read_exact(&mut seen).await.unwrap();
                asked.send(()).await.unwrap();
                read_to_end(&mut stream).await.is_ok()
            }
        })
        .await;
        tokio::select! {
            outcome = attempt(target, check, ENOUGH) => panic!("{outcome}"),
            _ = is_asked.recv() => {}
        }
        assert_eq!(ends.recv().await, Some(true), "{check:?}");
    }
}

#[tokio::test]
async fn our_own_echo_is_nobody() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let own = socket.local_addr().unwrap();
    // Connecting to the port that we are bound to ourselves: both ends are this one.
    let stream = socket.connect(own).await.unwrap();
    assert!(is_mirror(&stream).unwrap());

    let (target, _ends) = serve(|stream| async move { drop(stream) }).await;
    assert!(!is_mirror(&TcpStream::connect(target).await.unwrap()).unwrap());
}
