//! How a pod uses the services that it subscribes to: what its sidecar counts, for people who ask who calls whom.

use rollcall_catalogue::ServiceKey;
use serde::{Deserialize, Serialize};

/// Holds how often the app of a pod has used one service since its sidecar subscribed to it. All of it each time, so that a
/// replica which hears it for the first time knows as much as the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceUsage {
    /// Written `service.namespace`.
    pub service: ServiceKey,
    /// In whatever language.
    #[serde(default)]
    pub lookups: u64,
    /// How long ago the sidecar noticed the last of them, which it does within
    /// [`USAGE_EVERY`](crate::limits::USAGE_EVERY); none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lookup_ago_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Reports::is_empty")]
    pub reports: Reports,
}

/// Holds what the app reported of its calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reports {
    #[serde(default)]
    pub success: u64,
    #[serde(default)]
    pub failure: u64,
    /// What all of them took together.
    #[serde(default)]
    pub latency_ms: u64,
}

// === impl Reports ===

impl Reports {
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub fn count(&self) -> u64 {
        self.success.saturating_add(self.failure)
    }

    /// What one call took on average, in tenths of a millisecond; none where nothing was reported.
    pub fn mean_latency_ms(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| (self.latency_ms as f64 / count as f64 * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::Up,
        limits::{FRAME_BYTES_MAX, USAGE_SERVICES_MAX},
    };

    fn usage(service: &str, lookups: u64, reports: Reports) -> ServiceUsage {
        let last_lookup_ago_ms = (lookups > 0).then_some(0);
        ServiceUsage { service: service.parse().unwrap(), lookups, last_lookup_ago_ms, reports }
    }

    #[test]
    fn it_is_written_short_and_read_with_what_is_missing() {
        let reports = Reports { success: 2, failure: 1, latency_ms: 40 };
        let services = vec![usage("orders.shop", 7, reports), usage("mail.shop", 0, Reports::default())];
        let written = r#"{"type":"usage","services":[{"service":"orders.shop","lookups":7,"lastLookupAgoMs":0,"reports":{"success":2,"failure":1,"latencyMs":40}},{"service":"mail.shop","lookups":0}]}"#;
        assert_eq!(serde_json::to_string(&Up::Usage { services: services.clone() }).unwrap(), written);
        assert_eq!(serde_json::from_str::<Up>(written).unwrap(), Up::Usage { services });
        let bare =
            r#"{"type":"usage","services":[{"service":"mail.shop","reports":{"success":1},"later":true}]}"#;
        let services = vec![usage("mail.shop", 0, Reports { success: 1, ..Reports::default() })];
        assert_eq!(serde_json::from_str::<Up>(bare).unwrap(), Up::Usage { services });
        for bad in [
            r#"{"type":"usage"}"#,
            r#"{"type":"usage","services":[{"service":"mail"}]}"#,
            r#"{"type":"usage","services":[{"service":"mail.shop","lookups":-1}]}"#,
        ] {
            assert!(serde_json::from_str::<Up>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_largest_frame_fits() {
        let name = format!("{}.{}", "s".repeat(63), "n".repeat(63));
        let reports = Reports { success: u64::MAX, failure: u64::MAX, latency_ms: u64::MAX };
        let one = ServiceUsage { last_lookup_ago_ms: Some(u64::MAX), ..usage(&name, u64::MAX, reports) };
        let frame = crate::encode(&Up::Usage { services: vec![one; USAGE_SERVICES_MAX] }).unwrap();
        assert!(frame.len() <= FRAME_BYTES_MAX, "{}", frame.len());
    }

    #[test]
    fn the_mean_is_of_all_calls_whatever_came_of_them() {
        let of = |success, failure, latency_ms| Reports { success, failure, latency_ms }.mean_latency_ms();
        assert_eq!(of(0, 0, 5), None);
        assert_eq!(of(2, 1, 40), Some(13.3));
        assert_eq!(of(0, 4, 10), Some(2.5));
        assert!(of(u64::MAX, u64::MAX, u64::MAX).is_some());
    }
}
