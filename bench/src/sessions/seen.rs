//! Which changes one member of the crowd has not seen yet.

use std::collections::HashMap;

use rollcall_catalogue::{Instance, InstanceId, Service, ServiceKey};

/// What a change carries: the moment at which it was made.
pub(crate) const MADE: &str = "made";

/// Holds, of each instance of each service, the newest moment of a change that one member has seen. Changes of two instances
/// need not come in the order in which somebody began to make them.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<ServiceKey, HashMap<InstanceId, u64>>);

/// Says that a change has come, and how long its instance is as JSON.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) made_ns: u64,
    pub(super) ideal_bytes: usize,
}

// === impl Seen ===

impl Seen {
    /// The changes in this service that have not come before: each instance carries its own moment, so that those that
    /// come together are told apart.
    pub(super) fn news(&mut self, key: &ServiceKey, service: &Service) -> Vec<Change> {
        let before = self.0.entry(key.clone()).or_default();
        let mut news = Vec::new();
        for one in service.instances.iter() {
            let before_ns = before.get(&one.id).copied().unwrap_or_default();
            if let Some(change) = Change::of(one, before_ns) {
                before.insert(one.id.clone(), change.made_ns);
                news.push(change);
            }
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
