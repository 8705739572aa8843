//! The server that the API server asks: one path, and how much there can be of everything.

use std::{error::Error, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use rollcall_injection::Way;
use rollcall_net::{Places, Shutdown};
use rustls::ServerConfig;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, info, warn};

use super::{
    Installation, Outcome, connection,
    large::{Large, Turn},
    review::{Answer, Known, answered},
};
use crate::operate::Metrics;

/// Where the webhook's configuration leads to.
const PATH: &str = "/inject";
/// Connections in all: fewer than four addresses that take all they can get do not keep the API server out.
const CONNECTIONS_MAX: usize = 1_024;
/// Connections of one address. An API server has 200 changes under way at most by default, and 25 idle connections; all of
/// several may come through one agent's address, but never all at once.
const CONNECTIONS_OF_ONE_MAX: usize = 256;
/// Bytes of a question. What is made has 3 MiB at most when it comes to the API server, which adds defaults and who asks.
const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most pods are smaller. Each connection may hold so much of a question; what comes after it waits for its turn, so that
/// who announces a large one and sends nothing takes none.
const SMALL_BYTES_MAX: usize = 32 * 1024;
/// From a question's head to its answer. The API server waits 2 s, and asks nobody twice.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Holds what all answers come from, and whose turn it is.
pub(super) struct Server {
    installation: Installation,
    service: String,
    way: watch::Receiver<Option<Arc<Way>>>,
    metrics: Metrics,
    large: Large,
    /// Signatures and patches, one at a time: each takes a core for a fraction of a millisecond, and sessions need the others.
    turns: Semaphore,
}

// === impl Server ===

impl Server {
    pub(super) fn new(
        installation: Installation,
        way: watch::Receiver<Option<Arc<Way>>>,
        metrics: Metrics,
    ) -> Self {
        let names = &installation.names;
        let service = format!("{}/{}", names.namespace, names.service);
        let (large, turns) = (Large::new(), Semaphore::new(1));
        Self { installation, service, way, metrics, large, turns }
    }

    /// Answers until the process ends, then lets what is under way finish.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Arc<ServerConfig>,
        mut ear: Shutdown,
    ) {
        info!(address = listener.local_addr().ok().map(tracing::field::display), "serving admission");
        let mut places = Places::new(CONNECTIONS_MAX).per_peer(CONNECTIONS_OF_ONE_MAX);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = ear.requested() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task died");
                    }
                }
                (stream, peer, place) = places.accept(&listener) => {
                    let _ = stream.set_nodelay(true);
                    let served = connection::serve(self.clone(), tls.clone(), stream, peer.ip(), ear.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
            }
        }
        // Each knows how long it may take.
        while connections.join_next().await.is_some() {}
    }

    /// Does a costly step when it is its turn.
    pub(super) async fn in_turn<T>(&self, step: impl FnOnce() -> T) -> T {
        let turn = self.turns.acquire().await;
        let done = step();
        drop(turn);
        // The next one's step is behind whatever else waits for this core.
        tokio::task::yield_now().await;
        done
    }

    pub(super) async fn answer<B>(&self, peer: IpAddr, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        if request.uri().path() != PATH {
            return refused(StatusCode::NOT_FOUND, "no such path; an API server asks POST /inject here");
        }
        if request.method() != Method::POST {
            let mut refused = refused(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let response = match timeout(ANSWER_MAX, self.inject(peer, request.into_body())).await {
            Ok(Ok(Answer { outcome, body })) => {
                self.metrics.reviewed(outcome);
                let mut response = Response::new(Full::new(body));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                return response;
            }
            Ok(Err((status, why))) => refused(status, &why),
            Err(_) => {
                let why =
                    format!("the question and its answer took longer than {ANSWER_MAX:?}; send it at once");
                refused(StatusCode::REQUEST_TIMEOUT, &why)
            }
        };
        self.metrics.reviewed(Outcome::Failed);
        response
    }

    async fn inject<B>(&self, peer: IpAddr, body: B) -> Result<Answer, (StatusCode, String)>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let (body, _turn) = self.read(peer, body).await?;
        let way = self.way.borrow().clone();
        let known = Known {
            settings: &self.installation.settings,
            dns: self.installation.dns.as_ref(),
            way: way.as_deref(),
            service: &self.service,
        };
        self.in_turn(|| answered(&body, known)).await.map_err(|error| {
            debug!(%error, "a question that cannot be answered");
            (StatusCode::BAD_REQUEST, error.to_string())
        })
    }

    /// The question, and its turn where it is a large one.
    async fn read<B>(&self, peer: IpAddr, body: B) -> Result<(Bytes, Option<Turn>), (StatusCode, String)>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let too_large = || {
            let why = format!("the body has more than {BODY_BYTES_MAX} bytes; send less");
            (StatusCode::PAYLOAD_TOO_LARGE, why)
        };
        if body.size_hint().lower() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        let limit = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
        let mut body = pin!(Limited::new(body, limit));
        let (mut read, mut turn) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
                Err(error) => {
                    let why = format!("the body broke off: {error}; send it anew");
                    return Err((StatusCode::BAD_REQUEST, why));
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            read.put(data);
            if turn.is_none() && read.len() > SMALL_BYTES_MAX {
                turn = self.large.turn(peer).await;
            }
        }
        Ok((read.freeze(), turn))
    }
}

fn refused(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(format!("{why}\n").into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
