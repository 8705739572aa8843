//! One client of the crowd: TLS, HTTP/2, and the wire's own machine.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::stream;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_net::{TLS_NAME, server_name};
use rollcall_wire::{
    Decoder, Up,
    client::{Client, Event},
    encode,
};
use rustls::ClientConfig;
use tokio::{
    net::TcpSocket,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

/// Of a whole storm's handshakes, one may have to wait for all the others.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Says what a session has brought.
pub(crate) enum News {
    /// Of frames that came.
    Bytes(usize),
    /// Of frames that went.
    Said(usize),
    Event(Box<Event>),
}

/// One session, until it ends; `news` is told of everything that comes.
pub(crate) async fn converse(
    (from, address): (Ipv4Addr, SocketAddr),
    tls: Arc<ClientConfig>,
    token: &str,
    client: &mut Client,
    begin: Instant,
    mut news: impl FnMut(News, &Client),
) -> anyhow::Result<()> {
    let now_ms = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let connected = timeout(CONNECT_MAX, async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(TlsConnector::from(tls).connect(server_name()?, stream).await?)
    });
    let stream = connected.await.context("connecting took too long")??;
    let (mut requests, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake::<_, UnsyncBoxBody<Bytes, Infallible>>(TokioIo::new(stream))
        .await?;
    // As many as one turn of the machine says.
    let (up, frames) = mpsc::channel::<Bytes>(64);
    let body = stream::unfold(frames, |mut frames| async move {
        let bytes = frames.recv().await?;
        Some((Ok(Frame::data(bytes)), frames))
    });
    let request = Request::post(format!("https://{TLS_NAME}/v1/session"))
        .header("content-type", "application/x-ndjson")
        .header("authorization", format!("Bearer {token}"))
        .body(BodyExt::boxed_unsync(StreamBody::new(body)))?;
    let response = tokio::select! {
        response = requests.send_request(request) => response?,
        ended = &mut connection => bail!("the connection ended: {ended:?}"),
    };
    ensure!(response.status() == StatusCode::OK, "refused: {}", response.status());
    let mut incoming = response.into_body();
    let mut decoder = Decoder::default();
    let opening = client.open(now_ms());
    news(News::Said(say(&up, &opening)?), client);
    loop {
        let wake = begin + Duration::from_millis(client.wake_at_ms());
        tokio::select! {
            frame = incoming.frame() => {
                let Ok(bytes) = frame.context("the stream ended")??.into_data() else { continue };
                news(News::Bytes(bytes.len()), client);
                decoder.push(&bytes);
                while let Some(frame) = decoder.next_frame()? {
                    for event in client.hear(frame, now_ms())? {
                        news(News::Event(Box::new(event)), client);
                    }
                }
            }
            () = sleep_until(wake) => client.tick(now_ms())?,
            ended = &mut connection => bail!("the connection ended: {ended:?}"),
        }
        let said = client.take_up();
        if !said.is_empty() {
            news(News::Said(say(&up, &said)?), client);
        }
    }
}

/// How many bytes that was.
fn say(up: &mpsc::Sender<Bytes>, frames: &[Up]) -> anyhow::Result<usize> {
    frames.iter().try_fold(0, |said, frame| {
        let bytes: Bytes = encode(frame)?.into();
        let more = bytes.len();
        up.try_send(bytes)?;
        Ok(said + more)
    })
}
