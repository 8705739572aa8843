//! An API server that answers by a script, for tests: requests are seen and answered in the process, so that paused
//! time stays exact.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Requests that one test may make: one that never stops must fail, and not eat the machine.
const REQUESTS_MAX: usize = 10_000;

/// Holds one request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    /// Null where there is none.
    pub(crate) body: Value,
}

/// Says how a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    /// Never.
    Hang,
}

/// Holds what was asked so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Asked>>>);

/// A client of an API server that answers so.
pub(crate) fn scripted(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Client, Log) {
    let (log, answer) = (Log::default(), Arc::new(answer));
    let kept = log.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answer) = (kept.clone(), answer.clone());
        async move {
            let asked = Asked::read(request).await;
            log.push(asked.clone());
            match answer(&asked) {
                Reply::Json(status, body) => {
                    let mut response = Response::new(Full::from(body.to_string()));
                    *response.status_mut() = status.try_into().unwrap();
                    Ok::<_, Infallible>(response)
                }
                Reply::Hang => std::future::pending().await,
            }
        }
    });
    (Client::new(service, "default"), log)
}

/// What the API server says where something went wrong.
pub(crate) fn problem(code: u16) -> Reply {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": "no",
    });
    Reply::Json(code, body)
}

// === impl Asked ===

impl Asked {
    async fn read(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        Self {
            at: Instant::now(),
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }
}

// === impl Log ===

impl Log {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn of(&self, method: &Method) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| asked.method == *method).collect()
    }

    fn push(&self, asked: Asked) {
        let mut asks = self.0.lock().unwrap();
        assert!(asks.len() < REQUESTS_MAX, "it never stops asking");
        asks.push(asked);
    }
}
