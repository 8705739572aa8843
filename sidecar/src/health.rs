//! What the kubelet and Prometheus ask: alive, in step, when an app may end, and how it goes. Nothing of the catalogue is
//! said here, since anyone in the cluster can reach this port.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::{
    dns::Counts,
    metrics,
    prestop::{PreStop, QUESTIONS_MAX},
    store::Store,
};

/// Connections to the health port: the kubelet's, and as many again for three other addresses.
pub(crate) const CONNECTIONS_MAX: usize = 4 * CONNECTIONS_OF_ONE_MAX;
/// Those of one address, so that one other pod cannot keep the kubelet out. The kubelet has two probes under way at most,
/// and one hook for each container that ends.
pub(crate) const CONNECTIONS_OF_ONE_MAX: usize = QUESTIONS_MAX + 4;

/// `/healthz`: the process answers, whatever the controller does. `/readyz`: everything asked for is current. `/prestop`
/// and `/metrics`: see there.
pub(crate) async fn answer(
    request: Request<Incoming>,
    store: Store,
    dns: Counts,
    prestop: PreStop,
) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/prestop" if *request.method() == Method::GET => return prestop.answer(request.uri().query()).await,
        "/metrics" if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut response = Response::new(Full::from(metrics::render(&store, &dns)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            return response;
        }
        "/prestop" | "/metrics" => (StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if store.in_step() => (StatusCode::OK, "ok\n"),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller\n"),
        _ => (StatusCode::NOT_FOUND, "no such path; /healthz, /readyz, /metrics and /prestop answer here\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
