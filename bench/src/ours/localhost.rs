//! Calls to a sidecar, as an app makes them.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// A call that takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Holds the connections to one address of a sidecar that nobody uses now: as many as there were calls at a time.
pub(crate) struct Localhost {
    at: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

// === impl Localhost ===

impl Localhost {
    pub(crate) fn new(at: SocketAddr) -> Self {
        Self { at, idle: Mutex::default() }
    }

    /// The answer's whole body.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut sender = self.connection().await?;
        let answered = async {
            let response = sender.send_request(self.request(method, path, body)?).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = timeout(ANSWER_MAX, answered).await.with_context(|| format!("{path}: no answer"))??;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(answer)
    }

    /// What goes on to come, over a connection of its own.
    pub(crate) async fn stream(&self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let mut sender = self.connect().await?;
        let response = timeout(ANSWER_MAX, sender.send_request(self.request(Method::GET, path, None)?));
        let response = response.await.with_context(|| format!("{path}: no answer"))??;
        ensure!(response.status() == StatusCode::OK, "{path}: {}", response.status());
        Ok(response)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(method).uri(path).header("host", self.at.to_string());
        let request = match body {
            Some(_) => request.header("content-type", "application/json"),
            None => request,
        };
        Ok(request.body(Full::from(body.unwrap_or_default()))?)
    }

    async fn connection(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        loop {
            let held = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match held {
                Some(sender) if sender.is_closed() => {}
                Some(mut sender) => {
                    sender.ready().await?;
                    return Ok(sender);
                }
                None => return self.connect().await,
            }
        }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = timeout(ANSWER_MAX, TcpStream::connect(self.at)).await.context("nobody listens")??;
        handshake(stream).await
    }
}

async fn handshake(stream: TcpStream) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Over with the connection; whoever calls is told by the call.
    tokio::spawn(async { drop::<Result<(), hyper::Error>>(connection.await) });
    Ok(sender)
}
