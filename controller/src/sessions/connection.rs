//! One connection: its handshake, HTTP/2, and the sessions that come over it, all moved by one task.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_net::Shutdown;
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tracing::debug;

use super::{
    admission::{Admission, Stranger},
    server::{Caller, Sessions},
};
use crate::auth::Reviewer;

/// A handshake over a working network takes milliseconds, and so does its turn; one that drips gives its place back.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may have no session: until its first, whose token may have to be reviewed (5 s) and whose pod
/// may not be known yet (2 s).
const FIRST_SESSION_MAX: Duration = Duration::from_secs(10);
/// The same after its last: the goodbye is on its way.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// One session a connection, and one more so that its successor can come over the same one.
const STREAMS_MAX: u32 = 2;
/// Bytes that hyper may hold for a peer that does not read: about one frame, then it waits.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Bytes that a peer may send before it is heard: heartbeats and names, and rarely a `hello` in several turns.
const RECEIVE_WINDOW: u32 = 64 * 1024;
/// Bytes of request headers: a token is the largest of them.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// Holds a connection that is accepted, and nothing more.
pub(super) struct Connection<R> {
    pub(super) sessions: Arc<Sessions<R>>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) peer: SocketAddr,
    /// Where the peer has reached us.
    pub(super) local: Option<SocketAddr>,
    pub(super) stranger: Stranger,
}

// === impl Connection ===

impl<R: Reviewer> Connection<R> {
    /// Serves what comes over it until it ends.
    pub(super) async fn serve<IO>(self, io: IO, mut shutdown: Shutdown)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // A task is as large as the largest of what it waits for, for as long as it runs: what is over when a session begins has
        // memory of its own, and gives it back.
        let mut handshake =
            Box::pin(timeout(HANDSHAKE_MAX, shake(self.sessions.admission(), self.tls.clone(), io)));
        let shaken = tokio::select! {
            shaken = handshake.as_mut() => shaken,
            () = shutdown.requested() => return,
        };
        drop(handshake);
        match shaken {
            Ok(Ok(tls)) => self.speak(tls, shutdown).await,
            Ok(Err(error)) => debug!(%error, "no TLS"),
            Err(_) => debug!("the TLS handshake took too long"),
        }
    }

    fn speak<IO>(self, tls: TlsStream<IO>, mut shutdown: Shutdown) -> impl Future<Output = ()> + Send
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { sessions, peer, local, stranger, .. } = self;
        let stranger = Arc::new(stranger);
        let (opened, mut openings) = mpsc::channel(STREAMS_MAX as usize);
        let service = service_fn(move |request| {
            let caller = Caller { address: peer.ip(), local, stranger: stranger.clone() };
            let (sessions, opened) = (sessions.clone(), opened.clone());
            // What an answer waits for, a review above all, is given back with it; what is streamed goes on for as long as the
            // session.
            async move { Ok::<_, Infallible>(Box::pin(sessions.answer(request, caller, &opened)).await) }
        });
        // Here, and not in what waits: that would hold what a connection is made from beside it.
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(SEND_BUFFER_MAX)
            .initial_stream_window_size(RECEIVE_WINDOW)
            .initial_connection_window_size(2 * RECEIVE_WINDOW)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .serve_connection(TokioIo::new(tls), service);
        let mut connection = Box::pin(connection);
        async move {
            let mut running = FuturesUnordered::new();
            let mut empty_until = Instant::now() + FIRST_SESSION_MAX;
            let mut leaving = false;
            loop {
                tokio::select! {
                    result = connection.as_mut() => {
                        if let Err(error) = result {
                            debug!(%error, "a connection ended early");
                        }
                        break;
                    }
                    Some(open) = openings.recv() => running.push(open.run(shutdown.clone())),
                    Some(()) = running.next() => empty_until = Instant::now() + LINGER_MAX,
                    () = sleep_until(empty_until), if running.is_empty() => {
                        return debug!("a connection without a living session is cut");
                    }
                    () = shutdown.requested(), if !leaving => {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
            // They see that nobody is there any more, and say so to the owner.
            while let Ok(open) = openings.try_recv() {
                running.push(open.run(shutdown.clone()));
            }
            if timeout(LINGER_MAX, async { while running.next().await.is_some() {} }).await.is_err() {
                debug!("sessions outlived their connection and are cut");
            }
        }
    }
}

/// A handshake whose costly step, the signature, waits for its turn; what only waits for the peer takes no turn.
async fn shake<IO>(admission: &Admission, tls: Arc<ServerConfig>, io: IO) -> std::io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    admission.sign(|| hello.into_stream(tls)).await.await
}
