//! What the kubelet asks: alive, and in step. Nothing of the catalogue is said here, since anyone in the cluster
//! can reach this port.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::store::Store;

/// Connections to the health port: the kubelet's probes, and a person or two.
pub(crate) const CONNECTIONS_MAX: usize = 32;
/// Those of one address, so that one other pod cannot keep the kubelet out, which has two probes under way at most.
pub(crate) const CONNECTIONS_OF_ONE_MAX: usize = 4;

/// `/healthz`: the process answers, whatever the controller does. `/readyz`: everything asked for is current.
pub(crate) async fn answer(request: Request<Incoming>, store: Store) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if store.in_step() => (StatusCode::OK, "ok\n"),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller\n"),
        _ => (StatusCode::NOT_FOUND, "no such path; /healthz and /readyz answer here\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
