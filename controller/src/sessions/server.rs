//! The session server: TLS, HTTP/2, one path, and who may come in.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_catalogue::PodFacts;
use rollcall_net::Shutdown;
use rollcall_wire::PodIdentity;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument, debug, info, info_span, warn};

use super::{
    conversation::Conversation,
    stream::{Pulse, SessionStream},
};
use crate::{
    auth::{AuthError, Authenticator, Reviewer},
    operate::Metrics,
    owner::{IndexHandle, Opened},
};

/// Sessions of one replica: twice the 2,000 that it is measured with, for the time when its peer is gone.
const SESSIONS_MAX: usize = 4_096;
/// Connections: some room above the sessions, so that one more is told so instead of left waiting.
const CONNECTIONS_MAX: usize = SESSIONS_MAX + 256;
/// A handshake over a working network takes milliseconds; one that drips gives its place back.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// One session a connection, and one more so that its successor can come over the same one.
const STREAMS_MAX: u32 = 2;
/// Bytes that the kernel and hyper may hold for a peer that does not read: about one frame, then it waits.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Bytes that a peer may send before it is heard: heartbeats and names, and rarely a `hello` in several turns.
const RECEIVE_WINDOW: u32 = 64 * 1024;
/// Bytes of request headers: a token is the largest of them.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// How often a connection's pulse is felt.
const PULSE_EVERY: Duration = Duration::from_secs(1);
/// What a `goaway` gets to reach its peer when the process ends.
const FAREWELL_MAX: Duration = Duration::from_millis(1_500);
/// The pause after an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Holds what every session needs.
pub struct Sessions<R> {
    replica: String,
    index: IndexHandle,
    authenticator: Authenticator<R>,
    places: Arc<Semaphore>,
    metrics: Metrics,
}

/// Says why the session server ended before its time.
#[derive(Debug, Error)]
pub enum SessionsError {
    #[error("sessions: the listener's address cannot be read")]
    Address(#[from] std::io::Error),
}

/// Says why a request opens no session.
#[derive(Debug, Error)]
enum Refusal {
    #[error("no such path; use POST /v1/session")]
    NotFound,
    #[error("method not allowed; use POST")]
    Method,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("the catalogue is not complete yet; try again shortly")]
    Incomplete,
    #[error("all {SESSIONS_MAX} sessions of this replica are taken; try another one, or later")]
    Full,
}

// === impl Sessions ===

impl<R: Reviewer> Sessions<R> {
    pub fn new(replica: String, index: IndexHandle, reviewer: R, metrics: Metrics) -> Arc<Self> {
        let authenticator = Authenticator::new(reviewer, index.clone());
        let places = Arc::new(Semaphore::new(SESSIONS_MAX));
        Arc::new(Self { replica, index, authenticator, places, metrics })
    }

    /// Serves sessions until the process ends, then says goodbye to each.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Arc<ServerConfig>,
        mut shutdown: Shutdown,
    ) -> Result<(), SessionsError> {
        info!(address = %listener.local_addr()?, "serving sessions");
        let acceptor = TlsAcceptor::from(tls);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task died");
                    }
                }
                (stream, peer, place) = accept(&listener, &places) => {
                    let connection = self.clone().connection(acceptor.clone(), stream, shutdown.clone());
                    let span = info_span!("session", %peer);
                    connections.spawn(async move {
                        connection.instrument(span).await;
                        drop(place);
                    });
                }
            }
        }
        let farewell = async { while connections.join_next().await.is_some() {} };
        if timeout(FAREWELL_MAX, farewell).await.is_err() {
            info!(cut = connections.len(), "sessions were cut at shutdown");
        }
        Ok(())
    }

    async fn connection(self: Arc<Self>, acceptor: TlsAcceptor, stream: TcpStream, mut shutdown: Shutdown) {
        // A frame is a whole word: waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let handshake = tokio::select! {
            handshake = timeout(HANDSHAKE_MAX, acceptor.accept(stream)) => handshake,
            () = shutdown.requested() => return,
        };
        let tls = match handshake {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return debug!(%error, "no TLS"),
            Err(_) => return debug!("the TLS handshake took too long"),
        };
        let pulse = Pulse::new();
        let ear = shutdown.clone();
        let service = service_fn(|request| {
            let answer = self.clone().answer(request, pulse.clone(), ear.clone());
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(SEND_BUFFER_MAX)
            .initial_stream_window_size(RECEIVE_WINDOW)
            .initial_connection_window_size(2 * RECEIVE_WINDOW)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .serve_connection(TokioIo::new(tls), service);
        let mut connection = std::pin::pin!(connection);
        let mut pulses = interval(PULSE_EVERY);
        let mut leaving = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = shutdown.requested(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = pulses.tick() => {
                    if pulse.stopped() {
                        return info!("a connection without a living session is cut");
                    }
                }
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        pulse: Pulse,
        shutdown: Shutdown,
    ) -> Response<Body> {
        match self.open(request, pulse, shutdown).await {
            Ok(response) => response,
            Err(refusal) => {
                info!(%refusal, "a session is refused");
                refusal.response()
            }
        }
    }

    async fn open(
        &self,
        request: Request<Incoming>,
        pulse: Pulse,
        shutdown: Shutdown,
    ) -> Result<Response<Body>, Refusal> {
        if request.uri().path() != "/v1/session" {
            return Err(Refusal::NotFound);
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let mut view = self.index.view();
        if !view.borrow_and_update().complete {
            return Err(Refusal::Incomplete);
        }
        let facts = self.authenticator.authenticate(request.headers(), [127,0,0,1].into()).await?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| Refusal::Full)?;
        // Of two sessions of a pod the one that comes later counts.
        let opened = self.index.open_session(facts.uid.clone(), String::new(), 0, Vec::new()).await;
        let Opened::Open(presence) = opened.map_err(AuthError::from)? else {
            return Err(AuthError::UnknownPod.into());
        };
        info!(namespace = %facts.namespace, pod = %facts.name, "a session is open");
        let session = SessionStream {
            conversation: Conversation::new(self.replica.clone(), identity(facts)),
            incoming: request.into_body(),
            view,
            presence,
            shutdown,
            pulse,
            metrics: self.metrics.clone(),
            _place: place,
        };
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(session.frames())));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-ndjson"));
        Ok(response)
    }
}

fn identity(facts: PodFacts) -> PodIdentity {
    let PodFacts { namespace, name, uid, node, .. } = facts;
    PodIdentity {
        namespace,
        name: name.to_string(),
        uid: uid.to_string(),
        node: node.as_deref().map(str::to_owned),
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

// === impl Refusal ===

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Auth(error) => error.status(),
            Self::Incomplete => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Full::from(format!("{self}\n")).boxed_unsync());
        let status = self.status();
        *response.status_mut() = status;
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
