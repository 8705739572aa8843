//! Who calls a service, and how.

use rollcall_catalogue::ServiceKey;
use serde::Serialize;
use tokio::time::Instant;

use crate::sessions::{Consumer, Use};

/// Holds the answer of `GET /v1/services/{service}/consumers`. Those of several replicas go together: each pod is in session
/// with one of them.
#[derive(Debug, Serialize)]
struct Body<'a> {
    service: &'a str,
    namespace: &'a str,
    /// Who says so.
    replica: &'a str,
    /// There are other replicas, which have consumers of their own.
    partial: bool,
    /// Those replicas, by the names of their pods.
    others: Vec<&'a str>,
    consumers: Vec<Row<'a>>,
    /// With those that are not listed.
    total: usize,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    namespace: &'a str,
    pod: &'a str,
    subscribed: bool,
    lookups: u64,
    last_lookup_seconds_ago: Option<u64>,
    reports: Told,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    success: u64,
    failure: u64,
    /// On average.
    latency_ms: Option<f64>,
}

/// Holds whose answer it is.
pub(super) struct Asked<'a> {
    pub(super) replica: &'a str,
    pub(super) others: Vec<&'a str>,
    pub(super) now: Instant,
}

pub(super) fn consumers_body(
    key: &ServiceKey,
    consumers: &[Consumer],
    total: usize,
    asked: Asked<'_>,
) -> Vec<u8> {
    let Asked { replica, others, now } = asked;
    let body = Body {
        service: key.service.as_str(),
        namespace: key.namespace.as_str(),
        replica,
        partial: !others.is_empty(),
        others,
        consumers: consumers.iter().map(|consumer| row(consumer, now)).collect(),
        total,
        truncated: total > consumers.len(),
    };
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn row(consumer: &Consumer, now: Instant) -> Row<'_> {
    let (namespace, pod) = consumer.names();
    let ago = |at: Instant| now.saturating_duration_since(at).as_secs();
    let (lookups, last_lookup_seconds_ago, reports) = match consumer.used {
        Some(Use { lookups, last_lookup_at, reports }) => {
            let latency_ms = reports.mean_latency_ms();
            let told = Told { success: reports.success, failure: reports.failure, latency_ms };
            (lookups, last_lookup_at.map(ago), told)
        }
        None => (0, None, Told::default()),
    };
    // Only who subscribes can look anything up.
    Row { namespace, pod, subscribed: true, lookups, last_lookup_seconds_ago, reports }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rollcall_wire::Reports;
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_consumer_is_told_with_what_its_sidecar_said() {
        let now = Instant::now() + Duration::from_secs(100);
        let reports = Reports { success: 3, failure: 1, latency_ms: 50 };
        let used = Use { lookups: 9, last_lookup_at: Some(now - Duration::from_secs(7)), reports };
        let consumers = [
            Consumer { pod: "bank/teller-1".into(), used: None },
            Consumer { pod: "shop/web-1".into(), used: Some(used) },
        ];
        let told = |others: Vec<&str>, total| {
            let asked = Asked { replica: "r1", others, now };
            let body = consumers_body(&"orders.shop".parse().unwrap(), &consumers, total, asked);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        };
        let none = json!({"success": 0, "failure": 0, "latencyMs": null});
        let expected = json!({
            "service": "orders", "namespace": "shop", "replica": "r1", "partial": false, "others": [],
            "consumers": [
                {"namespace": "bank", "pod": "teller-1", "subscribed": true, "lookups": 0,
                    "lastLookupSecondsAgo": null, "reports": none},
                {"namespace": "shop", "pod": "web-1", "subscribed": true, "lookups": 9, "lastLookupSecondsAgo": 7,
                    "reports": {"success": 3, "failure": 1, "latencyMs": 12.5}},
            ],
            "total": 2, "truncated": false,
        });
        assert_eq!(told(vec![], 2), expected);
        let cut = told(vec!["r2"], 501);
        assert_eq!((&cut["partial"], &cut["others"]), (&json!(true), &json!(["r2"])));
        assert_eq!((&cut["total"], &cut["truncated"]), (&json!(501), &json!(true)));
    }
}
