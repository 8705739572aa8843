//! What the kubelet and Prometheus ask: alive, in step, when an app may end, and how it goes. Nothing of the catalogue is
//! said here, since anyone in the cluster can reach this port.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Duration;

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

/// A pod whose start waits for `/startz` starts after so long without any controller: it is one that can be had, and not
/// worth a pod. A first session takes a fraction of a second, and one whose token the API server is slow to review up to 5 s.
const START_MAX: Duration = Duration::from_secs(5);

/// `/healthz`: the process answers, whatever the controller does. `/startz`: it was in step, or has been waited for long
/// enough. `/readyz`: everything asked for is current. `/prestop` and `/metrics`: see there.
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
        "/startz" if matches!(*request.method(), Method::GET | Method::HEAD) => started(&store),
        "/prestop" | "/metrics" | "/startz" => (StatusCode::METHOD_NOT_ALLOWED, "use GET\n"),
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if store.in_step() => (StatusCode::OK, "ok\n"),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller\n"),
        _ => (
            StatusCode::NOT_FOUND,
            "no such path; /healthz, /startz, /readyz, /metrics and /prestop answer here\n",
        ),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// Whether the pod's next container may start.
fn started(store: &Store) -> (StatusCode, &'static str) {
    match store.was_in_step() || store.runs_for() >= START_MAX {
        true => (StatusCode::OK, "ok\n"),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, "not in step with the controller yet; waited for 5 s at most\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::store::{Contact, store};

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_the_first_step_and_not_for_long() {
        let (writer, store) = store();
        advance(START_MAX - Duration::from_millis(1)).await;
        assert_eq!(started(&store).0, StatusCode::SERVICE_UNAVAILABLE);
        advance(Duration::from_millis(1)).await;
        assert_eq!(started(&store).0, StatusCode::OK, "whoever is away");

        let (first, store) = crate::store::store();
        assert_eq!(started(&store).0, StatusCode::SERVICE_UNAVAILABLE);
        first.current();
        first.set_contact(Contact::Lost);
        assert_eq!(started(&store).0, StatusCode::OK, "once is enough");
        drop(writer);
    }
}
