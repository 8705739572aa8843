//! The floor: what HTTP itself costs. A bare hyper server, of one thread as the sidecar is, that answers every request with
//! the same bytes.

use std::{convert::Infallible, fs, net::Ipv4Addr, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, runtime::Builder};

/// Answers on this port of loopback with the answer that the file has: heads, an empty line, the body.
pub(crate) fn serve(port: u16, answer: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(answer)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let body = Bytes::from(body.to_owned());
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ") {
            // These are hyper's own.
            if !["content-length", "date"].contains(&name) {
                headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
            }
        }
    }
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (headers, body) = (headers.clone(), body.clone());
            let service = service_fn(move |_: http::Request<Incoming>| {
                let mut response = Response::new(Full::new(body.clone()));
                *response.headers_mut() = headers.clone();
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                // Whoever leaves early has nothing to complain of.
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}
