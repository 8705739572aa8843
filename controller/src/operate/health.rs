//! What the kubelet and Prometheus ask: alive, ready to serve sessions, and the measurements.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use rollcall_net::{Callers, Http1, Places, Shutdown, check_local};
use tokio::{net::TcpListener, sync::watch};

use super::{Format, Metrics};
use crate::{
    owner::{IndexHandle, View},
    peers::Fleet,
};

/// Connections to the health port: for the kubelet's probes, Prometheus, and a person or two a few would do. So many
/// that no few addresses can take them all: each goes with its answer, and after 5 s at the latest.
const CONNECTIONS_MAX: usize = 256;
/// Those of one address. The kubelet has two probes under way at most, each for a second, and speaks from its node's
/// address; what runs in the node's own network shares that with it.
const CONNECTIONS_OF_ONE_MAX: usize = 8;

const TEXT: &str = "text/plain; charset=utf-8";

/// Holds what the answers depend on.
#[derive(Debug, Clone)]
pub struct Health {
    pub index: IndexHandle,
    /// The certificate is made and the session server runs.
    pub serving: Arc<AtomicBool>,
    /// The API server can ask us what pods get, or will not.
    pub admitting: Arc<AtomicBool>,
    /// What the other replicas know is known here.
    pub fleet: watch::Receiver<Arc<Fleet>>,
    /// The process is about to end.
    pub leaving: Arc<AtomicBool>,
    pub metrics: Metrics,
    /// What is measured by others in this process, and shown with ours.
    pub beside: Option<Beside>,
}

/// Holds who writes measurements beside ours, in Prometheus' older text.
#[derive(Clone)]
pub struct Beside(Arc<dyn Fn() -> String + Send + Sync>);

// === impl Health ===

impl Health {
    /// Answers until the process ends.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        let places = Places::new(CONNECTIONS_MAX).per_peer(CONNECTIONS_OF_ONE_MAX);
        let http = Http1 { listener, places, callers: Callers::Probes };
        let answer = move |request: Request<_>| {
            let answer = self.answer(&request);
            async move { answer }
        };
        http.serve(answer, shutdown).await;
    }

    /// `/healthz`: the process answers. `/readyz`: every kind is listed, what the other replicas know is known and TLS is
    /// up, so that sessions are served; the API server knows our certificate, as far as that can be waited for; and the
    /// process is not about to end.
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        // Where it is a person's own machine, pages in their browser reach it too.
        if self.beside.is_some() && check_local(request.uri(), request.headers()).is_err() {
            return response(StatusCode::FORBIDDEN, TEXT, "ask for localhost, and from no web page\n");
        }
        let path = request.uri().path();
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            let text = "no such path; /healthz, /readyz and /metrics answer here\n";
            return response(StatusCode::NOT_FOUND, TEXT, text);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let view = self.index.view().borrow().clone();
        match path {
            "/metrics" => {
                let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
                // Two texts make one only in the older form, which has no end.
                let format = self.beside.as_ref().map_or_else(|| Format::accepted(accept), |_| Format::Text);
                let mut text = self.metrics.render(&view, format);
                text.extend(self.beside.iter().map(Beside::text));
                response(StatusCode::OK, format.content_type(), text)
            }
            "/readyz" => match self.awaited(&view) {
                None => response(StatusCode::OK, TEXT, "ok\n"),
                Some(text) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, text),
            },
            _ => response(StatusCode::OK, TEXT, "ok\n"),
        }
    }

    fn awaited(&self, view: &View) -> Option<String> {
        let stands = Stands {
            certificate: self.serving.load(Ordering::Acquire),
            webhook: self.admitting.load(Ordering::Acquire),
            met: self.fleet.borrow().is_met,
            leaving: self.leaving.load(Ordering::Acquire),
        };
        awaited(view, stands)
    }
}

// === impl Beside ===

impl Beside {
    pub fn new(text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(text))
    }

    fn text(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

/// Says what is there beside the lists.
#[derive(Debug, Clone, Copy)]
struct Stands {
    certificate: bool,
    webhook: bool,
    met: bool,
    leaving: bool,
}

/// What is not there yet, a line each; none where nothing is missing.
fn awaited(view: &View, stands: Stands) -> Option<String> {
    let Stands { certificate, webhook, met, leaving } = stands;
    if leaving {
        return Some("about to end: sessions are sent to the other replicas\n".to_owned());
    }
    let mut lines = String::new();
    if !view.complete {
        for kind in &view.awaited {
            lines.extend(["awaiting the first complete list of kind ", kind.as_str(), "\n"]);
        }
        if view.awaited.is_empty() {
            lines.push_str("awaiting the first complete lists from the API server\n");
        }
    }
    if !met {
        lines.push_str("awaiting what the other replicas know\n");
    }
    if !certificate {
        lines.push_str("awaiting the certificate for sessions\n");
    }
    if !webhook {
        lines.push_str("awaiting our Service and the webhook's configuration\n");
    }
    (!lines.is_empty()).then_some(lines)
}

fn response(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Kind;

    #[test]
    fn what_is_awaited_is_said_in_lines() {
        let view =
            |complete, awaited: &[Kind]| View { complete, awaited: awaited.to_vec(), ..View::default() };
        let all = Stands { certificate: true, webhook: true, met: true, leaving: false };
        let table = [
            (view(true, &[]), all, None),
            (
                view(true, &[]),
                Stands { certificate: false, ..all },
                Some("awaiting the certificate for sessions\n"),
            ),
            (
                view(true, &[]),
                Stands { webhook: false, ..all },
                Some("awaiting our Service and the webhook's configuration\n"),
            ),
            (view(true, &[]), Stands { met: false, ..all }, Some("awaiting what the other replicas know\n")),
            (
                view(true, &[]),
                Stands { leaving: true, ..all },
                Some("about to end: sessions are sent to the other replicas\n"),
            ),
            (view(false, &[]), all, Some("awaiting the first complete lists from the API server\n")),
            (
                view(false, &[Kind::Slice, Kind::Node]),
                Stands { certificate: false, ..all },
                Some(
                    "awaiting the first complete list of kind EndpointSlice\nawaiting the first complete list of kind Node\nawaiting the certificate for sessions\n",
                ),
            ),
        ];
        for (view, stands, expected) in table {
            assert_eq!(awaited(&view, stands).as_deref(), expected, "{view:?}");
        }
    }
}
