//! One kept connection over HTTP/1.1 whose answers are parsed. Where they are only counted, [`crate::local::Caller`] costs less.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// More than any registry answers here.
const BODY_MAX: usize = 64 << 20;

/// Holds a connection.
pub(super) struct Http {
    at: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// Holds a whole answer, of whatever status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) heads: HeaderMap,
    pub(super) body: Bytes,
}

/// A connection that comes from this address.
pub(super) async fn stream_from(from: Ipv4Addr, at: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(at).await.with_context(|| format!("connecting to {at}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

// === impl Http ===

impl Http {
    pub(super) async fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, at).await
    }

    pub(super) async fn connect_from(from: Ipv4Addr, at: SocketAddr) -> anyhow::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream_from(from, at).await?)).await?;
        // It ends with the sender, who hears of whatever breaks it.
        tokio::spawn(connection);
        Ok(Self { at, sender })
    }

    /// Whether nothing is known that broke it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// What comes of a request within that time.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> anyhow::Result<Answer> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, self.at.to_string());
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body.into()))?;
        let answered = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await.map_err(|error| anyhow!(error))?;
            anyhow::Ok(Answer { status: head.status, heads: head.headers, body: body.to_bytes() })
        };
        timeout(within, answered).await.with_context(|| format!("{path}: no answer in time"))?
    }
}

// === impl Answer ===

impl Answer {
    /// The body of an answer that says that all is well.
    pub(super) fn good(self) -> anyhow::Result<Bytes> {
        ensure!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self.body)
    }
}
