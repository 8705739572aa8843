//! The gRPC probe: `grpc.health.v1.Health/Check` over HTTP/2 that both sides know of beforehand.
//!
//! HTTP/2 is driven here without hyper's client: that hands the connection to a task of its own, which a peer that
//! does not close could keep alive long after the deadline, once for each attempt.

use std::{future::Future, io, net::SocketAddr, pin::pin};

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::{HeaderMap, Request, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::probe::{
    Fault, GrpcStatus, HEAD_BYTES_MAX, Health, Outcome, USER_AGENT,
    health_message::{REPLY_BYTES_MAX, request, status},
};

/// Bytes of a stream on their way to us: a few hundred times what a reply takes.
const STREAM_WINDOW: u32 = 16 * 1024;
/// The same for the connection; HTTP/2 knows no smaller one.
const CONNECTION_WINDOW: u32 = 65_535;
/// The smallest frame that HTTP/2 lets us insist on.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

const STATUS: &str = "grpc-status";

pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: SocketAddr,
    service: &str,
) -> Result<(), Outcome> {
    let (requests, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .enable_push(false)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(outcome)?;
    let health = match select(pin!(exchange(requests, target, service)), pin!(connection)).await {
        Either::Left((health, _)) => health?,
        Either::Right((ended, exchange)) => after_the_end(ended, exchange).await?,
    };
    if health == Health::Serving { Ok(()) } else { Err(Fault::Health(health).into()) }
}

/// The connection may end in the turn that brought the answer. Where it broke, its own word counts: that of the
/// stream only says that something was wrong.
async fn after_the_end(
    ended: Result<(), h2::Error>,
    exchange: impl Future<Output = Result<Health, Outcome>>,
) -> Result<Health, Outcome> {
    ended.map_err(outcome)?;
    exchange.await
}

async fn exchange(
    requests: SendRequest<Bytes>,
    target: SocketAddr,
    service: &str,
) -> Result<Health, Outcome> {
    let head = Request::post(format!("http://{target}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(|_| Outcome::Unasked { why: io::ErrorKind::InvalidInput })?;
    let mut requests = requests.ready().await.map_err(outcome)?;
    let (response, mut body) = requests.send_request(head, false).map_err(outcome)?;
    body.send_data(request(service), true).map_err(outcome)?;
    let (head, body) = response.await.map_err(outcome)?.into_parts();

    if head.status != StatusCode::OK {
        return Err(Fault::Status(head.status.as_u16()).into());
    }
    let is_grpc = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if !head.headers.get(header::CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(Fault::Malformed.into());
    }
    // An error that comes without a message has its status among the headers.
    succeeded(&head.headers, Some(GrpcStatus::OK))?;
    let message = message(body).await?;
    status(&message).ok_or(Fault::Malformed.into())
}

/// The whole body, and its trailers checked.
async fn message(mut body: RecvStream) -> Result<Bytes, Outcome> {
    let mut message = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(outcome)?;
        if message.len() + chunk.len() > REPLY_BYTES_MAX {
            return Err(Fault::MessageTooLarge.into());
        }
        message.extend_from_slice(&chunk);
        body.flow_control().release_capacity(chunk.len()).map_err(outcome)?;
    }
    let trailers = body.trailers().await.map_err(outcome)?.unwrap_or_default();
    succeeded(&trailers, None)?;
    Ok(message.freeze())
}

/// Whether these headers say OK, or `absent` does where they say nothing.
fn succeeded(headers: &HeaderMap, absent: Option<GrpcStatus>) -> Result<(), Outcome> {
    match headers.get(STATUS).map(|value| GrpcStatus::parse(value.as_bytes())).or(absent) {
        Some(GrpcStatus::OK) => Ok(()),
        Some(status) => Err(Fault::Grpc(status).into()),
        None => Err(Fault::Malformed.into()),
    }
}

fn outcome(error: h2::Error) -> Outcome {
    match error.into_io() {
        Some(error) => Outcome::of_exchange(&error),
        None => Fault::Malformed.into(),
    }
}
