//! Which apps fail and are restarted by nobody, and what to do about each.

use serde::Serialize;

use crate::index::{FAILING_REMEDY, FailingPod};

/// Holds the answer of `GET /v1/failing`.
#[derive(Debug, Serialize)]
struct Body<'a> {
    pods: Vec<Pod<'a>>,
    /// With those that are not listed.
    total: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    namespace: &'a str,
    pod: &'a str,
    /// Of the pod's namespace, as all that it is in.
    service: &'a str,
    reason: &'a str,
    since_seconds: u64,
    liveness_probe: bool,
    remedy: &'static str,
}

/// At this time of the clock that the index has.
pub(super) fn failing_body(pods: &[FailingPod], total: usize, now_ms: u64) -> Vec<u8> {
    let told = pods.iter().map(|FailingPod { pod, service, reason, since_ms }| Pod {
        namespace: pod.namespace.as_str(),
        pod: &pod.name,
        service: service.service.as_str(),
        reason: reason.as_str(),
        since_seconds: now_ms.saturating_sub(*since_ms) / 1_000,
        // Kubernetes restarts all others.
        liveness_probe: false,
        remedy: FAILING_REMEDY,
    });
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&Body { pods: told.collect(), total }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::Reason;
    use serde_json::json;

    use super::*;
    use crate::index::ObjectKey;

    #[test]
    fn each_is_told_with_since_when_and_what_to_do() {
        let pod = ObjectKey { namespace: "shop".parse().unwrap(), name: "orders-1".into() };
        let service = "orders.shop".parse().unwrap();
        let one = FailingPod { pod, service, reason: Reason::ProbeRefused, since_ms: 1_000 };
        let body = |now_ms| {
            let body = failing_body(std::slice::from_ref(&one), 7, now_ms);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        };
        let told = json!({"namespace": "shop", "pod": "orders-1", "service": "orders", "reason": "ProbeRefused",
            "sinceSeconds": 130, "livenessProbe": false, "remedy": FAILING_REMEDY});
        assert_eq!(body(131_900), json!({"pods": [told], "total": 7}));
        assert_eq!(body(0)["pods"][0]["sinceSeconds"], 0, "by a clock that was set back");
    }
}
