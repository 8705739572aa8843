//! gRPC without encryption: calls that have one answer, and streams of messages both ways.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::protobuf::Message;
use crate::peers::http::stream_from;

/// More than etcd answers here; its own limit on what it is asked is 1.5 MiB.
const BODY_MAX: usize = 64 << 20;
/// What is not answered by then never is.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A flag for compression, which nobody here uses, and a length.
const PREFIX: usize = 5;

type Streamed = StreamBody<UnboundedReceiver<Result<Frame<Bytes>, Infallible>>>;

/// Holds a connection; clones share it.
#[derive(Clone)]
pub(super) struct Grpc {
    at: SocketAddr,
    sender: SendRequest<Either<Full<Bytes>, Streamed>>,
}

/// Holds a call on which both sides may speak again and again.
pub(super) struct Stream {
    say: UnboundedSender<Result<Frame<Bytes>, Infallible>>,
    hear: Incoming,
    read: BytesMut,
}

// === impl Grpc ===

impl Grpc {
    pub(super) async fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, at).await
    }

    pub(super) async fn connect_from(from: Ipv4Addr, at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TokioIo::new(stream_from(from, at).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
        // It ends with the last sender, who hears of whatever breaks it.
        tokio::spawn(connection);
        Ok(Self { at, sender })
    }

    /// Whether nothing is known that broke it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// The message that a call answers with.
    pub(super) async fn call(&mut self, method: &str, message: &Message) -> anyhow::Result<Bytes> {
        let mut body = BytesMut::from(self.whole(method, message).await?);
        let answer = message_of(&mut body)?.with_context(|| format!("{method}: no whole message"))?;
        ensure!(body.is_empty(), "{method}: more than one message");
        Ok(answer)
    }

    /// All that a call answers, with its prefix, unread.
    pub(super) async fn whole(&mut self, method: &str, message: &Message) -> anyhow::Result<Bytes> {
        let body = Either::Left(Full::new(framed(message)));
        let answered = async {
            let response = self.begin(method, body).await?;
            let status_in_head = status(response.headers())?;
            let body = Limited::new(response.into_body(), BODY_MAX);
            let all = body.collect().await.map_err(|error| anyhow!(error))?;
            let status = all.trailers().map_or(Ok(None), status)?;
            status.or(status_in_head).context("an answer without a status")?;
            anyhow::Ok(all.to_bytes())
        };
        let answered = timeout(ANSWER_MAX, answered).await.context("no answer in time").flatten();
        answered.with_context(|| method.to_owned())
    }

    /// Begins a stream with this message.
    pub(super) async fn stream(&mut self, method: &str, message: &Message) -> anyhow::Result<Stream> {
        let (say, said) = unbounded();
        let (body, begin) = (Either::Right(StreamBody::new(said)), framed(message));
        say.unbounded_send(Ok(Frame::data(begin))).context("the stream is closed")?;
        let response = timeout(ANSWER_MAX, self.begin(method, body)).await;
        let response = response.with_context(|| format!("{method}: no answer in time"))??;
        status(response.headers()).with_context(|| method.to_owned())?;
        Ok(Stream { say, hear: response.into_body(), read: BytesMut::new() })
    }

    async fn begin(
        &mut self,
        method: &str,
        body: Either<Full<Bytes>, Streamed>,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = Request::post(format!("http://{}/etcdserverpb.{method}", self.at))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .header(header::TE, HeaderValue::from_static("trailers"))
            .body(body)?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status().is_success(), "{}", response.status());
        Ok(response)
    }
}

// === impl Stream ===

impl Stream {
    pub(super) fn say(&self, message: &Message) -> anyhow::Result<()> {
        self.say.unbounded_send(Ok(Frame::data(framed(message)))).context("the stream is closed")
    }

    /// The next message, whenever it comes.
    pub(super) async fn hear(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(message) = message_of(&mut self.read)? {
                return Ok(message);
            }
            let frame = self.hear.frame().await.context("the stream ended")??;
            if let Some(trailers) = frame.trailers_ref() {
                status(trailers)?;
                bail!("the stream ended");
            }
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

fn framed(message: &Message) -> Bytes {
    let message = message.as_bytes();
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // What we send is ours, and never comes near to four gibibytes.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// The first message of what was read, once it is whole.
fn message_of(read: &mut BytesMut) -> anyhow::Result<Option<Bytes>> {
    let Some(mut prefix) = read.get(..PREFIX) else { return Ok(None) };
    ensure!(prefix.get_u8() == 0, "a compressed message, which nobody asked for");
    let length = usize::try_from(prefix.get_u32())?;
    ensure!(length <= BODY_MAX, "a message of {length} bytes");
    if read.len() < PREFIX + length {
        return Ok(None);
    }
    read.advance(PREFIX);
    Ok(Some(read.split_to(length).freeze()))
}

/// Whether heads or trailers say that all is well; none where they say nothing.
fn status(heads: &HeaderMap) -> anyhow::Result<Option<()>> {
    let Some(status) = heads.get("grpc-status") else { return Ok(None) };
    let why =
        heads.get("grpc-message").map(|why| String::from_utf8_lossy(why.as_bytes())).unwrap_or_default();
    ensure!(status == "0", "gRPC status {status:?}: {why}");
    Ok(Some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole_and_in_turn() {
        let (one, two) = (Message::default().number(1, 1), Message::default().bytes(2, &[9; 300]));
        let both = [framed(&one), framed(&two)].concat();
        // In whatever pieces they come.
        for piece in [1, 4, 5, 7, both.len()] {
            let (mut read, mut heard) = (BytesMut::new(), Vec::new());
            for part in both.chunks(piece) {
                read.extend_from_slice(part);
                while let Some(message) = message_of(&mut read).unwrap() {
                    heard.push(message);
                }
            }
            assert_eq!(heard, [one.as_bytes(), two.as_bytes()], "{piece}");
            assert!(read.is_empty());
        }
    }

    #[test]
    fn what_is_compressed_or_too_long_is_refused() {
        for wrong in [&b"\x01\0\0\0\0"[..], b"\0\xff\xff\xff\xff"] {
            assert!(message_of(&mut BytesMut::from(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_status_other_than_zero_is_an_error() {
        let mut heads = HeaderMap::new();
        assert_eq!(status(&heads).unwrap(), None);
        heads.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(status(&heads).unwrap(), Some(()));
        heads.insert("grpc-status", HeaderValue::from_static("14"));
        heads.insert("grpc-message", HeaderValue::from_static("no leader"));
        assert!(status(&heads).unwrap_err().to_string().contains("no leader"));
    }
}
