//! One try to reach another replica: TCP, TLS under our own authority, HTTP/2 and one request that stays open.

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, stream};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_net::{Network, TLS_NAME, TlsError, server_name};
use rollcall_wire::{Token, limits::FRAME_BYTES_MAX};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::link::Way;

/// A replica that lives takes a connection within milliseconds; this is two tries of the kernel's, which are a second apart.
/// Longer than any pause between two tries, so that a try is worth one.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);
/// An answer may wait for a review of our token, 5 s at most; an API server that is away is told to us sooner.
const ANSWER_MAX: Duration = Duration::from_secs(6);
/// Bytes that may be under way to us: one frame, and the next while it is decoded.
const RECEIVE_WINDOW: u32 = 2 * FRAME_BYTES_MAX as u32;
/// Bytes that hyper may hold for a peer that does not read.
const SEND_BUFFER_MAX: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Holds what a link is dialled with.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub(super) network: Arc<dyn Network>,
    /// Believes our own authorities alone, as they are at each try: so our token is shown to nobody but replicas.
    pub(super) tls: watch::Receiver<Arc<ClientConfig>>,
    pub(super) token_file: PathBuf,
}

/// Says why there is no link.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("--replica-token-file {0}: cannot be read; mount a token of audience `rollcall-replica` there")]
    File(PathBuf, #[source] io::Error),
    #[error(
        "--replica-token-file {0}: holds no usable token; mount a token of audience `rollcall-replica` there"
    )]
    Token(PathBuf),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot be reached: {0}; check network policies for port 7310 between replicas")]
    Unreachable(io::Error),
    #[error("did not answer in time; check network policies for port 7310 between replicas")]
    TimedOut,
    #[error("is no replica under our authority: {0}; all replicas need the same --ca-secret")]
    Untrusted(io::Error),
    #[error("refused the link with {0}; all replicas need the same --service-account and --namespace")]
    Refused(StatusCode),
    #[error("broke off: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be built; this is a bug")]
    Request(#[from] http::Error),
}

// === impl Dialer ===

impl Dialer {
    pub(super) async fn dial(&self, address: SocketAddr) -> Result<Way, DialError> {
        let authorization = self.bearer()?;
        let connected = timeout(CONNECT_MAX, async {
            let stream = self.network.dial(address).await.map_err(DialError::Unreachable)?;
            let believes = self.tls.borrow().clone();
            let tls = TlsConnector::from(believes).connect(server_name()?, stream).await;
            let tls = tls.map_err(DialError::Untrusted)?;
            let handshake = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(RECEIVE_WINDOW)
                .initial_connection_window_size(RECEIVE_WINDOW)
                .max_send_buf_size(SEND_BUFFER_MAX)
                .handshake::<_, Body>(TokioIo::new(tls));
            Ok::<_, DialError>(handshake.await?)
        });
        let (mut requests, connection) = connected.await.map_err(|_| DialError::TimedOut)??;
        // However it ends, who reads from it sees that.
        let mut connection = connection.map(drop).boxed();
        let (outgoing, frames) = mpsc::channel(1);
        let mut request = Request::post(format!("https://{TLS_NAME}/v1/peer"))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(BodyExt::boxed_unsync(StreamBody::new(outward(frames))))?;
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
        let answered = timeout(ANSWER_MAX, async {
            tokio::select! {
                response = requests.send_request(request) => Ok(response?),
                () = &mut connection => Err(DialError::Unreachable(io::ErrorKind::ConnectionReset.into())),
            }
        });
        let response = answered.await.map_err(|_| DialError::TimedOut)??;
        if response.status() != StatusCode::OK {
            return Err(DialError::Refused(response.status()));
        }
        let moving = async move {
            connection.await;
            // HTTP/2 closes the connection once nobody can send a request any more.
            drop(requests);
        };
        Ok(Way { incoming: response.into_body(), outgoing, connection: Some(moving.boxed()) })
    }

    /// The token as it is now. A small file of a memory-backed volume, once a try or a look: not worth a thread.
    pub(super) fn token(&self) -> Result<Token, DialError> {
        let path = || self.token_file.clone();
        let bytes = std::fs::read(&self.token_file).map_err(|error| DialError::File(path(), error))?;
        Token::read(&bytes).ok_or_else(|| DialError::Token(path()))
    }

    /// The header is marked sensitive, so that no log ever shows it.
    fn bearer(&self) -> Result<HeaderValue, DialError> {
        let value = HeaderValue::from_str(&format!("Bearer {}", self.token()?.secret()));
        let mut value = value.map_err(|_| DialError::Token(self.token_file.clone()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn outward(
    frames: mpsc::Receiver<Bytes>,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(frames, |mut frames| async move {
        let bytes = frames.recv().await?;
        Some((Ok(Frame::data(bytes)), frames))
    })
}
