//! The server that the API server asks: one path, and how much there can be of everything.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
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
    review::{Answer, Known, answered},
};
use crate::operate::Metrics;

/// Where the webhook's configuration leads to.
const PATH: &str = "/inject";
/// Connections in all: four addresses that take all they can get do not keep the API server out.
const CONNECTIONS_MAX: usize = 1_024;
/// Connections of one address. An API server has 200 changes under way at most by default, and 25 idle connections; all of
/// several may come through one agent's address, but never all at once.
const CONNECTIONS_OF_ONE_MAX: usize = 256;
/// Bytes of a question. What is made has 3 MiB at most when it comes to the API server, which adds defaults and who asks.
const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most pods are smaller; of questions that are, each connection may hold one.
const SMALL_BYTES_MAX: u64 = 32 * 1024;
/// Larger questions at a time: as much memory as all small ones.
const LARGE_MAX: usize = 8;
/// From a question's head to its answer. The API server waits 2 s, and asks nobody twice.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Holds what all answers come from, and whose turn it is.
pub(super) struct Server {
    installation: Installation,
    service: String,
    way: watch::Receiver<Option<Arc<Way>>>,
    metrics: Metrics,
    large: Semaphore,
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
        let (large, turns) = (Semaphore::new(LARGE_MAX), Semaphore::new(1));
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
                (stream, _, place) = places.accept(&listener) => {
                    let _ = stream.set_nodelay(true);
                    let served = connection::serve(self.clone(), tls.clone(), stream, ear.clone());
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

    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
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
        let response = match timeout(ANSWER_MAX, self.inject(request.into_body())).await {
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

    async fn inject<B>(&self, body: B) -> Result<Answer, (StatusCode, String)>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let too_large = || {
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {BODY_BYTES_MAX} bytes; send less"),
            )
        };
        let size = body.size_hint();
        if size.lower() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        let small = size.upper().is_some_and(|bytes| bytes <= SMALL_BYTES_MAX);
        let _large = if small { None } else { self.large.acquire().await.ok() };
        let limit = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => {
                return Err((StatusCode::BAD_REQUEST, format!("the body broke off: {error}; send it anew")));
            }
        };
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
