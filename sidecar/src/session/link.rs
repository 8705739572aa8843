//! The link: TLS, HTTP/2 and one request that stays open, made of flags and files at each connect.

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rollcall_net::{Network, Proof, Stream, TLS_NAME, TlsError, server_name};
use rollcall_wire::{
    CodecError, Decoder, Down, SERVING, Token, Up,
    client::Violation,
    encode,
    limits::{FRAME_BYTES_MAX, LATENESS_MAX},
};
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::trust::{Trust, remedy};
use crate::args::Args;

/// A controller that is there answers in milliseconds; asking the API server about a token may take it 5 s.
const CONNECT_MAX: Duration = Duration::from_secs(8);
/// A replica that another one has named takes connections within milliseconds, and shakes hands, which its kernel does not
/// do for a process that stands still. Where that is no longer so, there are others to ask. Two tries of the kernel's, which
/// are a second apart.
const NAMED_CONNECT_MAX: Duration = Duration::from_secs(2);
/// And the whole of it, with the session: whoever was sent away counts as heard for 6 s from then, in which there must be
/// time for another one. A replica that knows our token asks nobody about it.
const NAMED_MAX: Duration = Duration::from_secs(3);
/// The longest that a refusal can send us away: as long as the last pauses of the back-off, doubled.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Frames on their way up: they are small and few, and a controller that takes none is about to be silent.
const UP_MAX: usize = 16;
/// Bytes that may be under way to us: one frame, and the next while it is decoded.
const RECEIVE_WINDOW: u32 = 2 * FRAME_BYTES_MAX as u32;

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Connection = http2::Connection<TokioIo<TlsStream<Box<dyn Stream>>>, Body, TokioExecutor>;

/// Holds an open session's two directions.
pub(crate) struct Link {
    up: mpsc::Sender<Bytes>,
    incoming: Incoming,
    /// HTTP/2's own work; nothing moves unless it is polled.
    connection: Connection,
    /// HTTP/2 closes the connection once nobody can send a request any more.
    _requests: http2::SendRequest<Body>,
    decoder: Decoder<Down>,
    /// With which it was opened.
    token: Token,
    /// What the controller has shown of itself.
    proof: Option<Proof>,
    /// When the controller last said something; opening the session counts.
    last_heard: Instant,
}

/// Says whom to call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) address: SocketAddr,
    /// Any replica may answer there: one that does not at once may lead to one that does.
    pub(crate) is_door: bool,
    pub(crate) now_ms: u64,
}

/// Says why there is no session.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error("{path}: cannot be read; mount it, or set its flag")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: holds no usable token; mount a projected service-account token")]
    Token { path: PathBuf },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("controller {0}: cannot be reached; check ROLLCALL_CONTROLLER and network policies")]
    Unreachable(SocketAddr, #[source] io::Error),
    #[error("controller {0}: did not answer in time")]
    TimedOut(SocketAddr),
    #[error("controller {controller}: {remedy} (believed: {})", believed.join(", "))]
    Untrusted {
        controller: SocketAddr,
        remedy: &'static str,
        /// The fingerprints of all authorities that would do.
        believed: Vec<String>,
        source: io::Error,
    },
    #[error("controller: refused the session with {status}")]
    Refused {
        status: StatusCode,
        retry_after: Option<Duration>,
        /// Another one serves, says the one that was asked.
        serving: Option<SocketAddr>,
    },
    #[error("session: the controller was silent for too long")]
    Silent,
    #[error("session: broke off")]
    Http(#[from] hyper::Error),
    #[error("session: ended by the controller")]
    Ended,
    #[error("session: the controller said goodbye")]
    Dismissed {
        /// Where it is to go on.
        dial: Option<SocketAddr>,
    },
    #[error("session: another process speaks for this pod; check who else has its token")]
    Superseded,
    #[error("session: this process stood still, and begins anew")]
    StoodStill,
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("session: {0}")]
    Violation(#[from] Violation),
    #[error("session: the request cannot be built; this is a bug")]
    Request(#[source] http::Error),
}

/// Opens a session with the controller at this address, in bounded time. Wherever that came from: our token goes to
/// nobody without the certificate.
pub(crate) async fn connect(
    network: &dyn Network,
    args: &Args,
    call: Call,
    trust: &mut Trust,
) -> Result<Link, LinkError> {
    let most = if call.is_door { CONNECT_MAX } else { NAMED_MAX };
    let opened = timeout(most, open(network, args, call, trust)).await;
    opened.map_err(|_| LinkError::TimedOut(call.address))?
}

async fn open(network: &dyn Network, args: &Args, call: Call, trust: &mut Trust) -> Result<Link, LinkError> {
    let Call { address: controller, is_door, now_ms } = call;
    let tls = trust.config(|| read(&args.ca_file), now_ms)?;
    let believed = || trust.believed();
    let unusable = || LinkError::Token { path: args.token_file.clone() };
    let token = Token::read(&read(&args.token_file)?).ok_or_else(unusable)?;
    let authorization = bearer(args, &token)?;
    let unreachable = |source| LinkError::Unreachable(controller, source);
    let connect_max = if is_door { CONNECT_MAX } else { NAMED_CONNECT_MAX };
    let untrusted = |source: io::Error| {
        let (remedy, believed) = (remedy(&source), believed());
        LinkError::Untrusted { controller, remedy, believed, source }
    };
    let secured = async {
        let stream = network.dial(controller).await.map_err(unreachable)?;
        TlsConnector::from(tls).connect(server_name()?, stream).await.map_err(untrusted)
    };
    let stream = timeout(connect_max, secured).await.map_err(|_| LinkError::TimedOut(controller))??;
    let proof = Proof::of(stream.get_ref().1);

    let (mut sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(RECEIVE_WINDOW)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await?;
    let (up, frames) = mpsc::channel(UP_MAX);
    let mut request = Request::post(format!("https://{TLS_NAME}/v1/session"))
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(BodyExt::boxed_unsync(StreamBody::new(upward(frames))))
        .map_err(LinkError::Request)?;
    request.headers_mut().insert(header::AUTHORIZATION, authorization);
    let response = tokio::select! {
        response = sender.send_request(request) => response?,
        ended = &mut connection => return Err(ended.err().map_or(LinkError::Ended, LinkError::Http)),
    };
    if response.status() != StatusCode::OK {
        return Err(LinkError::refused(response.status(), response.headers()));
    }
    Ok(Link {
        up,
        incoming: response.into_body(),
        connection,
        _requests: sender,
        decoder: Decoder::default(),
        token,
        proof,
        last_heard: Instant::now(),
    })
}

/// Small files of a memory-backed volume, once a connect: not worth a thread.
fn read(path: &std::path::Path) -> Result<Vec<u8>, LinkError> {
    std::fs::read(path).map_err(|source| LinkError::File { path: path.to_owned(), source })
}

/// The header is marked sensitive, so that no log ever shows it.
fn bearer(args: &Args, token: &Token) -> Result<HeaderValue, LinkError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.secret()));
    let mut value = value.map_err(|_| LinkError::Token { path: args.token_file.clone() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long the controller asks us to stay away. It says so in seconds; a date is no word of ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn upward(
    frames: mpsc::Receiver<Bytes>,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(frames, |mut frames| async move {
        let bytes = frames.recv().await?;
        Some((Ok(Frame::data(bytes)), frames))
    })
}

// === impl LinkError ===

impl LinkError {
    fn refused(status: StatusCode, headers: &HeaderMap) -> Self {
        let serving = || headers.get(SERVING)?.to_str().ok()?.trim().parse().ok();
        let is_for_now = status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS;
        Self::Refused { status, retry_after: retry_after(headers), serving: serving().filter(|_| is_for_now) }
    }

    /// Where a session is to be had, by the word of whoever was asked, or ended the last one.
    pub(crate) fn named(&self) -> Option<SocketAddr> {
        match self {
            Self::Refused { serving, .. } => *serving,
            Self::Dismissed { dial } => *dial,
            _ => None,
        }
    }

    /// Whether somebody has answered whom we believe to be the controller.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether it is for what this pod was given, so that it is the same with every replica.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Token { .. } | Self::Tls(_) | Self::Request(_))
    }

    /// How long to stay away, where the controller asked for it.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

// === impl Link ===

impl Link {
    /// With which token the session was opened.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// What the controller has shown of itself when the session was opened.
    pub(crate) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Sends this as soon as there is room, while the connection moves on. Nothing is heard meanwhile, so that a
    /// controller that takes nothing must not be waited for longer than one that says nothing, which is so long. Who comes
    /// here late, having stood still itself, gives it a moment all the same.
    pub(crate) async fn say(&mut self, frame: &Up, silence_max: Duration) -> Result<(), LinkError> {
        let bytes = encode(frame)?;
        let deadline = (self.last_heard + silence_max).max(Instant::now() + LATENESS_MAX);
        let sent = async {
            tokio::select! {
                sent = self.up.send(bytes.into()) => sent.map_err(|_| LinkError::Ended),
                ended = &mut self.connection => Err(ended.err().map_or(LinkError::Ended, LinkError::Http)),
            }
        };
        timeout_at(deadline, sent).await.unwrap_or(Err(LinkError::Silent))
    }

    /// The next frame. Safe to drop and call again: nothing is lost in between.
    pub(crate) async fn hear(&mut self) -> Result<Down, LinkError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                self.last_heard = Instant::now();
                return Ok(frame);
            }
            let chunk = tokio::select! {
                // What has arrived counts, even if the connection ended behind it.
                biased;
                chunk = self.incoming.frame() => chunk.ok_or(LinkError::Ended)??,
                ended = &mut self.connection => return Err(ended.err().map_or(LinkError::Ended, LinkError::Http)),
            };
            if let Ok(bytes) = chunk.into_data() {
                self.decoder.push(&bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_can_send_us_away_for_a_while_and_not_for_good() {
        let table = [
            ("5", Some(5)),
            (" 7 ", Some(7)),
            ("99999999", Some(60)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ];
        for (text, seconds) in table {
            let headers = [(header::RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            let refused = LinkError::refused(StatusCode::TOO_MANY_REQUESTS, &headers);
            assert_eq!(refused.retry_after(), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(LinkError::Ended.retry_after(), None);
    }

    #[test]
    fn only_who_refuses_for_now_names_another_one_and_only_by_its_address() {
        let named = "10.0.0.2:7310";
        let table = [
            (503, named, true),
            (503, "[fd00::2]:7310", true),
            (429, named, true),
            (503, "rollcall-controller:7310", false),
            (503, "10.0.0.2", false),
            (503, "", false),
            (401, named, false),
            (302, named, false),
        ];
        for (status, text, follows) in table {
            let headers = [(SERVING.parse().unwrap(), text.parse().unwrap())].into_iter().collect();
            let refused = LinkError::refused(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(refused.named(), text.parse().ok().filter(|_| follows), "{status} {text}");
        }
        assert_eq!(LinkError::refused(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()).named(), None);
        assert_eq!(LinkError::Ended.named(), None);
    }
}
