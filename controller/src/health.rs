//! What the kubelet asks: alive, and ready to serve sessions.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::owner::IndexHandle;

/// Holds what readiness depends on.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    pub(crate) index: IndexHandle,
    /// The certificate is made and the session server runs.
    pub(crate) serving: Arc<AtomicBool>,
}

/// Connections to the health port: the kubelet's probes, and a person or two.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// `/healthz`: the process answers. `/readyz`: every kind is listed and TLS is up, so that sessions are served.
pub(crate) async fn answer(request: Request<Incoming>, readiness: Readiness) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if readiness.complete() => (StatusCode::OK, "ok\n"),
        "/readyz" => {
            (StatusCode::SERVICE_UNAVAILABLE, "awaiting the first complete lists and the certificate\n")
        }
        _ => (StatusCode::NOT_FOUND, "no such path; /healthz and /readyz answer here\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

// === impl Readiness ===

impl Readiness {
    fn complete(&self) -> bool {
        self.serving.load(Ordering::Acquire) && self.index.view().borrow().complete
    }
}
