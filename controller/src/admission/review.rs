//! An AdmissionReview and its answer, as functions of the bytes.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use rollcall_injection::{Addition, ClusterDns, Decision, Install, Settings, Way, inject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use thiserror::Error;

use super::Outcome;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// Values of one pod: one of fifty containers with fifty variables each has about two thirds of them, with the record of who
/// wrote which. A small map costs its sender a few bytes of text and us some hundred of memory, so that the text's length
/// alone is no limit.
const VALUES_MAX: usize = 32 * 1024;

/// Says why a body is no question that can be answered.
#[derive(Debug, Error)]
pub(super) enum NoReview {
    #[error("the body is no {KIND}: {0}; send what an API server sends to a webhook")]
    Unreadable(#[from] serde_json::Error),
    #[error("the body is a {0}; send an {KIND} of {API_VERSION}")]
    Other(String),
}

/// Holds what an answer depends on besides the question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) dns: Option<&'a ClusterDns>,
    /// None until the address of our Service is known.
    pub(super) way: Option<&'a Way>,
    /// The name of that Service, for people.
    pub(super) service: &'a str,
}

/// Holds an answer as it goes to the API server.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) body: Bytes,
}

/// The question. What we do not need is not read, so that newer API servers are understood as well.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Asked<'a>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    kind: KindOfObject<'a>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    /// As it came, so that it is counted before it is held.
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct KindOfObject<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Operation<'a> {
    op: &'static str,
    path: &'a str,
    value: &'a Value,
}

/// What becomes of the pod, and what its maker hears.
struct Verdict {
    outcome: Outcome,
    additions: Vec<Addition>,
    warnings: Vec<String>,
}

/// What the API server is told. The pod is always allowed: a registry is no reason to have no pod.
pub(super) fn answered(body: &[u8], known: Known<'_>) -> Result<Answer, NoReview> {
    let review: Review<'_> = serde_json::from_slice(body)?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(NoReview::Other(format!("{} of {}", review.kind, review.api_version)));
    }
    let Some(asked) = review.request else {
        return Err(NoReview::Other(format!("{KIND} without a request")));
    };
    let Verdict { outcome, additions, warnings } = verdict(&asked, known);
    let patch = (!additions.is_empty()).then(|| patch(&additions)).transpose()?;
    let response = Response {
        uid: &asked.uid,
        allowed: true,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: &warnings,
    };
    let body = serde_json::to_vec(&Told { api_version: API_VERSION, kind: KIND, response })?;
    Ok(Answer { outcome, body: body.into() })
}

fn verdict(asked: &Asked<'_>, known: Known<'_>) -> Verdict {
    let KindOfObject { group, version, kind } = &asked.kind;
    if asked.operation != "CREATE" || (&**group, &**version, &**kind) != ("", "v1", "Pod") {
        return Verdict::left(None);
    }
    let Some(object) = asked.object.map(RawValue::get) else {
        return Verdict::failed("the API server has not sent the pod");
    };
    let values = values(object);
    if values > VALUES_MAX {
        return Verdict::failed(&format!("the pod has {values} values, more than {VALUES_MAX}"));
    }
    let pod: Value = match serde_json::from_str(object) {
        Ok(pod) => pod,
        Err(error) => return Verdict::failed(&format!("the pod cannot be read: {error}")),
    };
    // The pod's own word comes from its maker, and may be missing; the API server's is where it is made.
    let own = || pod.pointer("/metadata/namespace").and_then(Value::as_str);
    let Some(namespace) = asked.namespace.as_deref().or_else(own).filter(|name| !name.is_empty()) else {
        return Verdict::failed("the API server has not said in which namespace");
    };
    if !known.settings.namespaces.admits(namespace) {
        return Verdict::left(None);
    }
    let Some(way) = known.way else {
        let why = "the controller does not know the address of its Service";
        return Verdict::failed(&format!("{why} {} yet (its log says why)", known.service));
    };
    match inject(&pod, namespace, &Install { settings: known.settings, way, dns: known.dns }) {
        Ok(Decision::Left(exemption)) => Verdict::left(exemption.map(|exemption| exemption.to_string())),
        Ok(Decision::Injected(injected)) => Verdict {
            outcome: if injected.additions.is_empty() { Outcome::Left } else { Outcome::Injected },
            additions: injected.additions,
            warnings: injected.warnings,
        },
        Err(no_pod) => Verdict::failed(&no_pod.to_string()),
    }
}

fn patch(additions: &[Addition]) -> serde_json::Result<String> {
    let operations = additions.iter().map(|Addition { path, value }| Operation { op: "add", path, value });
    Ok(BASE64_STANDARD.encode(serde_json::to_vec(&operations.collect::<Vec<_>>())?))
}

/// How many values a text of JSON has, or a few more: each but the first of a list or a map stands behind a comma, and what
/// holds it has a bracket. Nothing is held meanwhile.
fn values(json: &str) -> usize {
    let (mut values, mut in_string, mut escaped) = (1, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'{' | b'[' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

// === impl Verdict ===

impl Verdict {
    fn left(warning: Option<String>) -> Self {
        Self { outcome: Outcome::Left, additions: Vec::new(), warnings: warning.into_iter().collect() }
    }

    fn failed(why: &str) -> Self {
        let warning = format!("this pod gets no sidecar of Rollcall: {why}; make it anew to try again");
        Self { outcome: Outcome::Failed, additions: Vec::new(), warnings: vec![warning] }
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
