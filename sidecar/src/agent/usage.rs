//! What the controller is told of how the app uses services: who calls whom, for people.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{ServiceUsage, limits::USAGE_EVERY};
use tokio::time::{Duration, Instant, sleep_until};

use crate::store::{Names, Used};

/// Holds what was noticed of each name that was ever used, as long as it is subscribed to.
#[derive(Debug)]
pub(super) struct Usage {
    noticed: BTreeMap<ServiceKey, Noticed>,
    /// When it is looked at next, session or not: that a lookup was, says nobody but how much has changed since the last look.
    looks_at: Instant,
}

#[derive(Debug)]
struct Noticed {
    used: Used,
    /// When lookups had become more last.
    looked_up_at: Option<Instant>,
    /// The session that is open was told.
    told: bool,
}

// === impl Usage ===

impl Usage {
    pub(super) fn new(now: Instant) -> Self {
        Self { noticed: BTreeMap::new(), looks_at: now + USAGE_EVERY }
    }

    /// Returns when it is time to look. Safe to drop and call again.
    pub(super) async fn due(&self) {
        sleep_until(self.looks_at).await;
    }

    /// Another session begins, which was told nothing.
    pub(super) fn begin(&mut self) {
        self.noticed.values_mut().for_each(|noticed| noticed.told = false);
    }

    /// Notices what has been used since the last look.
    pub(super) fn look(&mut self, names: &Names, now: Instant) {
        self.looks_at = now + USAGE_EVERY;
        let mut before = std::mem::take(&mut self.noticed);
        for slot in names.iter() {
            let used = slot.used();
            if used == Used::default() {
                continue;
            }
            let held = before.remove(&slot.key);
            let same = held.as_ref().is_some_and(|held| held.used == used);
            let quiet = held.as_ref().map_or(used.lookups == 0, |held| held.used.lookups == used.lookups);
            let looked_up_at = match quiet {
                true => held.as_ref().and_then(|held| held.looked_up_at),
                false => Some(now),
            };
            let told = same && held.is_some_and(|held| held.told);
            self.noticed.insert(slot.key.clone(), Noticed { used, looked_up_at, told });
        }
    }

    /// What the session was not told, which counts as told from now on.
    pub(super) fn take_news(&mut self, now: Instant) -> Vec<ServiceUsage> {
        let untold = self.noticed.iter_mut().filter(|(_, noticed)| !noticed.told);
        let news = untold.map(|(key, noticed)| {
            noticed.told = true;
            let ago = noticed.looked_up_at.map(|at| now.saturating_duration_since(at));
            ServiceUsage {
                service: key.clone(),
                lookups: noticed.used.lookups,
                last_lookup_ago_ms: ago.map(milliseconds),
                reports: noticed.used.reports,
            }
        });
        news.collect()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::balance::Outcome;
    use rollcall_wire::Reports;
    use tokio::time::advance;

    use super::*;
    use crate::store::{Dialect, Store, Writer, store};

    struct Bench {
        usage: Usage,
        writer: Writer,
        store: Store,
    }

    impl Bench {
        fn new() -> Self {
            let (writer, store) = store();
            writer.add(["orders.shop", "mail.shop", "audit.shop"].map(|name| name.parse().unwrap()));
            Self { usage: Usage::new(Instant::now()), writer, store }
        }

        fn looks_up(&self, name: &str) {
            let slot = self.store.names().find(name).cloned().unwrap();
            self.store.looked_up(&slot, Dialect::Dns);
        }

        /// What is said at the next look: each name, its lookups, and how long ago the last was.
        async fn said(&mut self) -> Vec<(String, u64, Option<u64>)> {
            self.usage.due().await;
            let now = Instant::now();
            self.usage.look(&self.writer.names(), now);
            let news = self.usage.take_news(now).into_iter();
            news.map(|one| (one.service.to_string(), one.lookups, one.last_lookup_ago_ms)).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_new_is_said_and_every_ten_seconds_at_most() {
        let begin = Instant::now();
        let mut bench = Bench::new();
        assert_eq!(bench.said().await, [], "nothing was used");
        bench.looks_up("orders.shop");
        bench.looks_up("mail.shop");
        bench.looks_up("mail.shop");
        let news = [("mail.shop".to_owned(), 2, Some(0)), ("orders.shop".to_owned(), 1, Some(0))];
        assert_eq!(bench.said().await, news);
        assert_eq!(bench.said().await, []);
        bench.looks_up("orders.shop");
        assert_eq!(bench.said().await, [("orders.shop".to_owned(), 2, Some(0))]);
        assert_eq!(begin.elapsed(), 4 * USAGE_EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn another_session_hears_all_of_it_and_when_it_was() {
        let mut bench = Bench::new();
        bench.looks_up("orders.shop");
        bench.said().await;
        advance(Duration::from_secs(60)).await;
        bench.usage.begin();
        assert_eq!(bench.said().await, [("orders.shop".to_owned(), 1, Some(60_000))]);
        // A lookup without a session is noticed at its time.
        bench.looks_up("mail.shop");
        bench.usage.due().await;
        bench.usage.look(&bench.writer.names(), Instant::now());
        advance(Duration::from_secs(600)).await;
        bench.usage.begin();
        let news = [("mail.shop".to_owned(), 1, Some(600_000)), ("orders.shop".to_owned(), 1, Some(670_000))];
        assert_eq!(bench.said().await, news);
    }

    #[tokio::test(start_paused = true)]
    async fn reports_are_news_and_no_lookups_and_names_that_are_left_are_forgotten() {
        let mut bench = Bench::new();
        let slot = bench.store.names().find("audit.shop").cloned().unwrap();
        bench.store.reported(&slot, Outcome::Failure, 12);
        bench.usage.look(&bench.writer.names(), Instant::now());
        let news = bench.usage.take_news(Instant::now());
        let reports = Reports { success: 0, failure: 1, latency_ms: 12 };
        assert!(
            matches!(&news[..], [one] if one.reports == reports && one.last_lookup_ago_ms.is_none()),
            "{news:?}"
        );
        bench.writer.leave(std::slice::from_ref(&slot.key));
        assert_eq!((bench.said().await, bench.usage.noticed.len()), (vec![], 0));
    }
}
