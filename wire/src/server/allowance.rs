//! How much is taken note of what a session says of its usage.

use crate::{
    limits::{SUBSCRIPTIONS_MAX, USAGE_EVERY, milliseconds},
    usage::ServiceUsage,
};

/// Holds what a session has said of its usage lately. Nobody waits for it, so that what is too much is nothing, and no fault.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    since_ms: Option<u64>,
    services: usize,
}

// === impl Allowance ===

impl Allowance {
    /// Those of these that are taken note of: of everything that may be subscribed to, once in half the time that lies between
    /// two words of a sidecar, since one of them may be late.
    pub(super) fn take(&mut self, mut said: Vec<ServiceUsage>, now_ms: u64) -> Vec<ServiceUsage> {
        let lasts_ms = milliseconds(USAGE_EVERY / 2);
        if self.since_ms.is_none_or(|since_ms| now_ms >= since_ms.saturating_add(lasts_ms)) {
            *self = Self { since_ms: Some(now_ms), services: 0 };
        }
        said.truncate(SUBSCRIPTIONS_MAX - self.services);
        self.services += said.len();
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Reports;

    #[test]
    fn all_that_may_be_subscribed_to_is_taken_twice_in_the_time_of_two_words() {
        let one = ServiceUsage {
            service: "orders.shop".parse().unwrap(),
            lookups: 1,
            last_lookup_ago_ms: None,
            reports: Reports::default(),
        };
        let mut allowance = Allowance::default();
        let mut takes = |many, now_ms| allowance.take(vec![one.clone(); many], now_ms).len();
        assert_eq!(takes(1_000, 7), 1_000);
        assert_eq!(takes(1_000, 7), SUBSCRIPTIONS_MAX - 1_000);
        assert_eq!((takes(1, 5_006), takes(1, 5_007)), (0, 1));
        assert_eq!(takes(usize::from(u16::MAX), 60_000), SUBSCRIPTIONS_MAX);
    }
}
