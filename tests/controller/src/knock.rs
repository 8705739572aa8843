//! One request at the controller's port for sessions, of any method, path and token: what the door says.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_net::{TLS_NAME, client_config, server_name};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longer than any refusal takes: a token's review, and a pod that may not be known yet.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// What a session is opened with.
const HELLO: &[u8] = b"{\"type\":\"hello\",\"protocol\":\"1.0\",\"incarnation\":\"knock\",\"sequence\":1}\n";

/// What the door said.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    /// All of a refusal; of a session its first line.
    pub text: String,
}

/// Knocks, and says hello to whoever opens.
pub fn knock(door: SocketAddr, ca_pem: &str, method: &str, path: &str, token: Option<&str>) -> Result<Said> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let said = timeout(ANSWER_MAX, ask(door, ca_pem, method, path, token)).await;
        said.with_context(|| format!("{method} {path}: no answer"))?
    })
}

async fn ask(door: SocketAddr, ca_pem: &str, method: &str, path: &str, token: Option<&str>) -> Result<Said> {
    let stream = TcpStream::connect(door).await?;
    let tls = TlsConnector::from(client_config(ca_pem.as_bytes())?).connect(server_name()?, stream).await?;
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(tls))
        .await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(format!("https://{TLS_NAME}{path}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    // It goes on listening, as a session does.
    let hello = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(HELLO)))]);
    let body = StreamBody::new(hello.chain(futures::stream::pending()));
    let response = sender.send_request(request.body(BodyExt::boxed_unsync(body))?).await?;
    let (head, mut body) = response.into_parts();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame?.data_ref().context("trailers")?);
        if head.status == StatusCode::OK && text.contains(&b'\n') {
            break;
        }
    }
    let text = String::from_utf8(text)?;
    ensure!(!text.is_empty(), "{method} {path}: {} and nothing more", head.status);
    Ok(Said { status: head.status.as_u16(), text })
}
