//! Which pods asked for a sidecar and have none, and what to do about each.

use serde::Serialize;

use crate::index::Lacking;

/// Holds the answer of `GET /v1/without-sidecar`.
#[derive(Debug, Serialize)]
struct Body<'a> {
    pods: Vec<Pod<'a>>,
    /// With those that are not listed.
    total: usize,
}

#[derive(Debug, Serialize)]
struct Pod<'a> {
    namespace: &'a str,
    pod: &'a str,
    reason: &'static str,
    message: String,
}

pub(super) fn lacking_body(pods: &[Lacking], total: usize) -> Vec<u8> {
    let told = pods.iter().map(|Lacking { pod, missing }| Pod {
        namespace: pod.namespace.as_str(),
        pod: &pod.name,
        reason: missing.as_str(),
        message: missing.to_string(),
    });
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&Body { pods: told.collect(), total }).unwrap_or_default()
}
