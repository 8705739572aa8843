//! Where a case happens: one client, one namespace of its own, and calls as bytes, so that nothing is hidden by types.

use std::time::Duration;

use bytes::BytesMut;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// What takes longer does not happen, on a loaded machine either.
const EVENTUALLY: Duration = Duration::from_secs(60);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const OPERATIONS: &str = "application/json-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Holds the way to an API server, and the namespace of one case.
pub(crate) struct Place {
    client: Client,
    pub(crate) namespace: String,
}

/// Holds what was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

/// Holds a watch call that is under way.
pub(crate) struct Watch {
    body: Body,
    read: BytesMut,
}

// === impl Place ===

impl Place {
    /// A namespace with the account that tokens and pods need.
    pub(crate) async fn new(client: Client, namespace: &str) -> Self {
        let place = Self { client, namespace: namespace.to_owned() };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        place.post("/api/v1/namespaces", object).await.done(201);
        let account = place.path("v1", "serviceaccounts/default");
        place
            .eventually("the namespace has its account", async || place.get(&account).await.code == 200)
            .await;
        place
    }

    /// Where objects of the case's own namespace are.
    pub(crate) fn path(&self, version: &str, rest: &str) -> String {
        let root = if version.contains('/') { "/apis" } else { "/api" };
        format!("{root}/{version}/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) fn maps(&self, rest: &str) -> String {
        self.path("v1", &format!("configmaps{rest}"))
    }

    pub(crate) fn registrations(&self, rest: &str) -> String {
        self.path("rollcall.dev/v1alpha1", &format!("serviceregistrations{rest}"))
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&text).unwrap_or_else(|_| json!(String::from_utf8_lossy(&text)));
        Answer { code, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &[("content-type", "application/json")], &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, &[("content-type", kind)], &body).await
    }

    /// Deletes with these options.
    pub(crate) async fn delete(&self, path: &str, options: Value) -> Answer {
        self.call(Method::DELETE, path, &[("content-type", "application/json")], &options).await
    }

    /// Applies as this manager.
    pub(crate) async fn apply(&self, path: &str, manager: &str, force: bool, body: Value) -> Answer {
        self.patch(&format!("{path}?fieldManager={manager}&force={force}"), APPLY, body).await
    }

    /// A watch call that has begun.
    pub(crate) async fn watch(&self, path: &str, parameters: &str, accept: &str) -> Watch {
        let request = Request::get(format!("{path}?watch=true&{parameters}"))
            .header(header::ACCEPT, accept)
            .header(header::ACCEPT_ENCODING, "identity");
        let response = self.client.send(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Watch { body: response.into_body(), read: BytesMut::new() }
    }

    /// Waits until this holds.
    pub(crate) async fn eventually(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let begin = Instant::now();
        while !holds().await {
            assert!(begin.elapsed() < EVENTUALLY, "never happened: {what}");
            sleep(LOOK_EVERY).await;
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The object of an answer with this code.
    #[track_caller]
    pub(crate) fn done(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }

    /// That it was refused, with this code and for this reason.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str) -> Value {
        let body = self.done(code);
        assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Failure")), "{body}");
        assert_eq!((&body["code"], &body["reason"]), (&json!(code), &json!(reason)), "{body}");
        body
    }
}

// === impl Watch ===

impl Watch {
    /// The next event; none when the call has ended as it should.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        timeout(EVENTUALLY, self.line()).await.expect("an event, or the end of the call")
    }

    async fn line(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                let mut event: Value = serde_json::from_slice(&line).unwrap();
                return Some((event["type"].as_str().unwrap().to_owned(), event["object"].take()));
            }
            let frame = self.body.frame().await?.unwrap();
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}

pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// A config map that says one thing.
pub(crate) fn map(name: &str, says: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"says": says}})
}

/// A registration of the pods with this label, of this version.
pub(crate) fn registration(name: &str, version: &str) -> Value {
    json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": name},
        "spec": {"version": version, "ports": [{"name": "http", "port": 8080}],
            "target": {"selector": {"matchLabels": {"app": name}}}}})
}
