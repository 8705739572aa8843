//! An API server for tests: each call is handed to the test, which answers it as it likes. Real HTTP over pipes in
//! memory, so that the paused clock holds for all of it.

use std::{collections::BTreeMap, convert::Infallible, io};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use serde_json::{Value, json};
use tokio::{
    io::duplex,
    sync::{mpsc, oneshot},
};

type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Holds what the API server is asked.
pub(super) struct FakeApi(mpsc::UnboundedReceiver<Call>);

/// Holds one call. While it is held it is not answered; dropped, its connection breaks.
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    parameters: BTreeMap<String, String>,
    reply: oneshot::Sender<Reply>,
}

/// Holds a watch call that was answered. Dropped, it ends in good order.
pub(super) struct WatchReply(mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>);

/// A client, and the server of all its calls.
pub(super) fn fake_api() -> (Client, FakeApi) {
    let (calls, receiver) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let calls = calls.clone();
        async move {
            let (ours, theirs) = duplex(64 * 1024);
            let serve = service_fn(move |request| serve(request, calls.clone()));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), serve),
            );
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    });
    (Client::new(service, "default"), FakeApi(receiver))
}

async fn serve(
    request: Request<hyper::body::Incoming>,
    calls: mpsc::UnboundedSender<Call>,
) -> io::Result<Reply> {
    let (reply, answer) = oneshot::channel();
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let path = request.uri().path().to_owned();
    let _ = calls.send(Call { path, parameters, headers: request.headers().clone(), reply });
    answer.await.map_err(io::Error::other)
}

// === impl FakeApi ===

impl FakeApi {
    pub(super) async fn call(&mut self) -> Call {
        self.0.recv().await.expect("the client is held by the test")
    }

    /// The next call, which is to list.
    pub(super) async fn list(&mut self) -> Call {
        let call = self.call().await;
        assert_eq!(call.parameter("watch"), None, "a list was expected");
        call
    }

    /// The next call, which is to watch from this version.
    pub(super) async fn watch(&mut self, version: &str) -> Call {
        let call = self.call().await;
        assert_eq!(call.parameter("watch"), Some("true"), "a watch was expected");
        assert_eq!(call.parameter("resourceVersion"), Some(version));
        call
    }
}

// === impl Call ===

impl Call {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(super) fn is_watch(&self) -> bool {
        self.parameter("watch").is_some()
    }

    /// Whether somebody still waits for the answer.
    pub(super) fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    /// A page as the API server writes its own kinds: with the objects at the end.
    pub(super) fn page(self, version: &str, further: Option<&str>, objects: &[Value]) {
        let metadata = json!({"resourceVersion": version, "continue": further});
        let items = Value::from(objects);
        self.text(200, format!(r#"{{"kind":"List","metadata":{metadata},"items":{items}}}"#));
    }

    pub(super) fn refuse(self, code: u16) {
        self.text(code, refusal(code).to_string());
    }

    pub(super) fn text(self, code: u16, text: String) {
        let body = Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync();
        let mut reply = Response::new(body);
        *reply.status_mut() = StatusCode::from_u16(code).unwrap();
        let _ = self.reply.send(reply);
    }

    pub(super) fn stream(self) -> WatchReply {
        let (sender, receiver) = mpsc::unbounded_channel();
        let frames = stream::unfold(receiver, async |mut frames| Some((frames.recv().await?, frames)));
        let _ = self.reply.send(Response::new(StreamBody::new(frames).boxed_unsync()));
        WatchReply(sender)
    }
}

// === impl WatchReply ===

impl WatchReply {
    pub(super) fn event(&self, kind: &str, object: &Value) {
        self.bytes(&format!("{}\n", json!({"type": kind, "object": object})));
    }

    pub(super) fn bookmark(&self, version: &str) {
        self.event("BOOKMARK", &json!({"kind": "Pod", "metadata": {"resourceVersion": version}}));
    }

    pub(super) fn refuse(&self, code: u16) {
        self.event("ERROR", &refusal(code));
    }

    pub(super) fn bytes(&self, text: &str) {
        let _ = self.0.send(Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes()))));
    }

    /// The connection breaks.
    pub(super) fn cut(self) {
        let _ = self.0.send(Err(io::ErrorKind::ConnectionReset.into()));
    }
}

fn refusal(code: u16) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": "Scripted", "message": "by the test"})
}
