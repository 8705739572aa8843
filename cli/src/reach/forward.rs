//! HTTP to a port on a pod's loopback, over the API server: as `kubectl port-forward` does, without a port of this machine. And
//! to one on this machine's own loopback.

use std::{io, net::SocketAddr, time::Duration};

use http::{Method, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::seen::{cause, refused_upgrade};

/// Of one answer: some 200,000 instances of a dump.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Holds what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Says why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ForwardError {
    #[error("forbidden: you need pods/portforward in {0}")]
    Forbidden(String),
    #[error("pod {0} is gone")]
    NoPod(String),
    #[error("nobody answers on {whom}: {why}")]
    Refused { whom: String, why: String },
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the API server does not lead there: {0}")]
    NoWay(String),
}

/// Holds a connection to a port on a pod's loopback, or on this machine's.
pub(crate) struct Line {
    sender: SendRequest<Empty<Bytes>>,
    /// As people are told of it.
    whom: String,
    /// As it knows itself: those on loopback answer to no other name.
    host: String,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

// === impl Line ===

impl Line {
    pub(crate) async fn open(
        client: &Client,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Self, ForwardError> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| {
            match refused_upgrade(&error).and_then(|status| StatusCode::from_u16(status).ok()) {
                Some(StatusCode::FORBIDDEN) => ForwardError::Forbidden(namespace.to_owned()),
                Some(StatusCode::NOT_FOUND) => ForwardError::NoPod(pod.to_owned()),
                _ => ForwardError::NoWay(cause(&error)),
            }
        })?;
        let whom = format!("port {port} of {pod}");
        let not_forwarded =
            || ForwardError::Refused { whom: whom.clone(), why: "the port was not forwarded".to_owned() };
        let stream = forwarder.take_stream(port).ok_or_else(not_forwarded)?;
        Self::over(stream, whom, format!("127.0.0.1:{port}")).await
    }

    /// To a port of this machine.
    pub(crate) async fn local(address: SocketAddr) -> Result<Self, ForwardError> {
        let whom = address.to_string();
        let refused = |error: io::Error| ForwardError::Refused { whom: whom.clone(), why: error.to_string() };
        let stream = TcpStream::connect(address).await.map_err(refused)?;
        Self::over(stream, whom.clone(), whom).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        whom: String,
        host: String,
    ) -> Result<Self, ForwardError> {
        let refused = |error: hyper::Error| ForwardError::Refused { whom: whom.clone(), why: cause(&error) };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(refused)?;
        // It ends with the sender; why it failed, whoever asks is told.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, whom, host })
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str) -> Result<Answer, ForwardError> {
        let refused = |why: String| ForwardError::Refused { whom: self.whom.clone(), why };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .body(Empty::new())
            .map_err(|error| refused(error.to_string()))?;
        let answer = self.sender.send_request(request).await.map_err(|error| refused(cause(&error)))?;
        let status = answer.status().as_u16();
        let whole = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        let body = whole.map_err(|error| refused(error.to_string()))?.to_bytes().to_vec();
        Ok(Answer { status, body })
    }
}
