//! The HTTP/1.1 probe: one request, and of the answer only its status.

use std::{net::SocketAddr, pin::pin};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, Request, StatusCode, header, uri::PathAndQuery};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::probe::{Fault, HEAD_BYTES_MAX, HttpMethod, Outcome, USER_AGENT};

pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: SocketAddr,
    method: HttpMethod,
    path: &PathAndQuery,
) -> Result<(), Outcome> {
    let status = status(stream, request(target, method, path)?).await.map_err(|error| outcome(&error))?;
    if status.is_success() || status.is_redirection() || is_about_the_method(method, status) {
        Ok(())
    } else {
        Err(Fault::Status(status.as_u16()).into())
    }
}

/// Whether a server only says that it does not know HEAD: it is up, and we do not try whether a GET costs it more.
fn is_about_the_method(method: HttpMethod, status: StatusCode) -> bool {
    method == HttpMethod::Head
        && matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

fn request(
    target: SocketAddr,
    method: HttpMethod,
    path: &PathAndQuery,
) -> Result<Request<Empty<Bytes>>, Outcome> {
    let method = match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    Request::builder()
        .method(method)
        .uri(path.as_str())
        .header(header::HOST, target.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| Outcome::Unasked { why: std::io::ErrorKind::InvalidInput })
}

async fn status(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<StatusCode> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    let response = match select(pin!(sender.send_request(request)), pin!(connection)).await {
        Either::Left((response, _)) => response?,
        // The connection may end in the turn that brought the answer.
        Either::Right((ended, response)) => {
            ended?;
            response.await?
        }
    };
    Ok(response.status())
}

fn outcome(error: &hyper::Error) -> Outcome {
    if error.is_parse_too_large() {
        Fault::HeadTooLarge.into()
    } else if error.is_parse() {
        Fault::Malformed.into()
    } else {
        Outcome::of_source(error).unwrap_or(Fault::Incomplete.into())
    }
}
