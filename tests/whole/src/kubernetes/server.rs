//! The API server's end: one replica of it behind a port of the simulated network.

use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::client::Body;
use rollcall_net::Accept;

use crate::network::Listener;

/// Answers whoever connects as this client is answered, with all that goes wrong for it, until the process ends.
pub async fn serve(listener: Listener, answering: kube::Client) -> anyhow::Result<()> {
    loop {
        let stream = listener.accept().await?.stream;
        let answering = answering.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let answering = answering.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let answered = answering.send(Request::from_parts(head, Body::from(body))).await;
                answered.map_err(anyhow::Error::from)
            }
        });
        tokio::spawn(async move {
            let mut served = http1::Builder::new();
            // One that breaks off is the client's affair.
            let _ = served.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
