//! Which changes one member of the crowd has not seen yet.

use std::collections::HashMap;

use rollcall_catalogue::{Instance, Service, ServiceKey};

/// What a change carries: the moment at which it was made.
pub(crate) const MADE: &str = "made";

/// Holds, of each service, the newest moment of a change that one member has seen.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<ServiceKey, u64>);

/// Says that a change has come, and how long its instance is as JSON.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) made_ns: u64,
    pub(super) ideal_bytes: usize,
}

// === impl Seen ===

impl Seen {
    /// The changes in this service that have not come before: each instance carries its own moment, so that those that
    /// come together are told apart. Changes come in the order in which they were made.
    pub(super) fn news(&mut self, key: &ServiceKey, service: &Service) -> Vec<Change> {
        let before_ns = self.0.get(key).copied().unwrap_or_default();
        let news: Vec<_> = service.instances.iter().filter_map(|one| Change::of(one, before_ns)).collect();
        if let Some(newest_ns) = news.iter().map(|change| change.made_ns).max() {
            self.0.insert(key.clone(), newest_ns);
        }
        news
    }
}

// === impl Change ===

impl Change {
    /// What has changed this instance since then.
    fn of(one: &Instance, before_ns: u64) -> Option<Self> {
        let made_ns = one.profile.metadata.get(MADE)?.parse().ok()?;
        (made_ns > before_ns)
            .then(|| Self { made_ns, ideal_bytes: serde_json::to_vec(one).map_or(0, |json| json.len()) })
    }
}
