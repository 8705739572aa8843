//! Who calls whom, as far as sidecars in session with this replica say: for people.

use std::{sync::Arc, time::Duration};

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{Reports, ServiceUsage};
use tokio::time::Instant;

use super::board::Board;

/// Holds the way to who calls whom, for whoever shows it. What others hear is theirs to show.
#[derive(Debug, Clone, Default)]
pub struct Consumers(Arc<Board>);

/// Holds one pod that subscribes to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consumer {
    /// As `namespace/name`.
    pub(crate) pod: Arc<str>,
    /// None where its sidecar has said nothing of it: it was not used, or by an app whose sidecar does not count.
    pub(crate) used: Option<Use>,
}

/// Holds how a pod uses a service, as its sidecar said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) lookups: u64,
    pub(crate) last_lookup_at: Option<Instant>,
    pub(crate) reports: Reports,
}

// === impl Consumers ===

impl Consumers {
    /// Those of sidecars that are in our own process, and end with it.
    pub(crate) fn of_one_process() -> Self {
        Self(Arc::new(Board::of_one_process()))
    }

    /// The first so many that subscribe to this service, by their names; and how many there are.
    pub(crate) fn of(&self, key: &ServiceKey, max: usize) -> (Vec<Consumer>, usize) {
        let mut consumers = self.0.consumers(key);
        // Sessions go on meanwhile: they wait for the list alone, and not for its order.
        consumers.sort_unstable_by(|one, other| one.place().cmp(&other.place()));
        // A pod that has made a new session may have its old one for a moment: what that said counts until it says more.
        consumers.dedup_by(|later, first| later.pod == first.pod);
        let total = consumers.len();
        consumers.truncate(max);
        (consumers, total)
    }

    /// How many subscribe to each of these, in their order.
    pub(crate) fn counts<'a>(&self, keys: impl Iterator<Item = &'a ServiceKey>) -> Vec<usize> {
        self.0.consumer_counts(keys)
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.0
    }
}

// === impl Consumer ===

impl Consumer {
    /// Where it stands among others.
    fn place(&self) -> ((&str, &str), bool) {
        (self.names(), self.used.is_none())
    }

    /// Its namespace, and its name there.
    pub(crate) fn names(&self) -> (&str, &str) {
        self.pod.split_once('/').unwrap_or(("", &self.pod))
    }
}

// === impl Use ===

impl Use {
    pub(super) fn of(said: &ServiceUsage, now: Instant) -> Self {
        let ago = said.last_lookup_ago_ms.map(Duration::from_millis);
        Self {
            lookups: said.lookups,
            last_lookup_at: ago.and_then(|ago| now.checked_sub(ago)),
            reports: said.reports,
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_wire::PodIdentity;

    use super::*;

    fn pod(namespace: &str, name: &str) -> PodIdentity {
        serde_json::from_value(serde_json::json!({"namespace": namespace, "name": name, "uid": name}))
            .unwrap()
    }

    fn key(text: &str) -> ServiceKey {
        text.parse().unwrap()
    }

    fn said(lookups: u64, ago_ms: Option<u64>) -> Vec<ServiceUsage> {
        let reports = Reports::default();
        vec![ServiceUsage { service: key("orders.shop"), lookups, last_lookup_ago_ms: ago_ms, reports }]
    }

    #[tokio::test]
    async fn they_come_in_the_order_of_their_names_each_once_and_not_when_they_are_elsewhere() {
        let consumers = Consumers::default();
        let orders = key("orders.shop");
        let names = [("shop-a", "a"), ("shop", "b"), ("shop", "a"), ("shop", "a")];
        let places = names.map(|(namespace, name)| consumers.board().join(&pod(namespace, name)));
        for place in &places {
            place.subscribed(vec![orders.clone(), key("mail.shop")]);
        }
        places[2].used(said(3, None));
        let listed = |max| {
            let (listed, total) = consumers.of(&orders, max);
            let line = |one: &Consumer| (one.pod.to_string(), one.used.map(|used| used.lookups));
            (listed.iter().map(line).collect::<Vec<_>>(), total)
        };
        let first = ("shop/a".to_owned(), Some(3));
        let all = vec![first.clone(), ("shop/b".to_owned(), None), ("shop-a/a".to_owned(), None)];
        assert_eq!(
            listed(9),
            (all, 3),
            "the two sessions of one pod are one, and what is known of it counts"
        );
        assert_eq!(listed(1), (vec![first], 3));
        let of_each = [orders.clone(), key("none.shop"), key("mail.shop")];
        assert_eq!((consumers.counts(of_each.iter()), consumers.board().subscriptions()), (vec![4, 0, 4], 8));
        places[0].departs();
        assert_eq!(listed(9).1, 2, "it is another replica's");
        drop(places);
        assert_eq!((listed(9), consumers.board().subscriptions()), ((vec![], 0), 0));
    }

    #[tokio::test]
    async fn a_lookup_was_when_its_sidecar_noticed_it_whatever_that_says() {
        let now = Instant::now();
        let of = |ago_ms| Use::of(&said(1, ago_ms)[0], now).last_lookup_at;
        assert_eq!(of(None), None);
        assert_eq!(of(Some(0)), Some(now));
        assert_eq!(of(Some(1_500)), now.checked_sub(Duration::from_millis(1_500)));
        assert!(of(Some(u64::MAX)).is_none_or(|at| at < now));
    }
}
