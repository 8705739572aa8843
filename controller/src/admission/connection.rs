//! One connection: its handshake, and the questions that come over it one after the other.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rollcall_net::Shutdown;
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tracing::debug;

use super::{server::Server, stall::Stall};

/// A handshake over a working network takes milliseconds, and so does its turn; one that drips gives its place back.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// An API server connects because it has something to ask, and waits 2 s for the answer: who has asked nothing that can be
/// answered by then is none.
pub(super) const FIRST_MAX: Duration = Duration::from_secs(5);
/// Between two questions. An API server lets go of an idle connection after 90 s; were we the first to do so, it might just
/// then have asked something over it, which it would not ask again: that pod would go without.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(150);
/// Bytes that are read ahead: any head, and most pods at once.
const READ_BUFFER_MAX: usize = 32 * 1024;
/// What an answer under way gets when the process ends; it comes from memory.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Serves what comes over a connection until it ends.
pub(super) async fn serve<IO>(
    server: Arc<Server>,
    tls: Arc<ServerConfig>,
    io: IO,
    peer: IpAddr,
    mut ear: Shutdown,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = timeout(HANDSHAKE_MAX, shake(&server, tls, Stall::new(io)));
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        () = ear.requested() => return,
    };
    match handshake {
        Ok(Ok(tls)) => speak(server, tls, peer, ear).await,
        Ok(Err(error)) => debug!(%error, "no TLS"),
        Err(_) => debug!("the TLS handshake took too long"),
    }
}

async fn speak<IO>(server: Arc<Server>, tls: TlsStream<IO>, peer: IpAddr, mut ear: Shutdown)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::default());
    let seen = asked.clone();
    let service = service_fn(move |request| {
        let (server, asked) = (server.clone(), asked.clone());
        async move {
            let response = server.answer(peer, request).await;
            asked.fetch_or(response.status().is_success(), Ordering::Relaxed);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(READ_BUFFER_MAX)
        .serve_connection(TokioIo::new(tls), service);
    let mut connection = pin!(connection);
    let mut first = pin!(async {
        sleep(FIRST_MAX).await;
        if seen.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    });
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = first.as_mut() => return debug!("a connection without a question is cut"),
        () = ear.requested() => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN_MAX, connection).await {
                Ok(ended) => ended,
                Err(_) => return debug!("an answer was cut at shutdown"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// A handshake whose costly step, the signature, waits for its turn; what only waits for the peer takes no turn.
async fn shake<IO>(server: &Server, tls: Arc<ServerConfig>, io: IO) -> std::io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    server.in_turn(|| hello.into_stream(tls)).await.await
}
