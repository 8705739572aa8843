//! Which changes one member of the crowd has not seen yet.

use std::collections::HashMap;

use rollcall_catalogue::{Instance, InstanceId, Service, ServiceKey};

/// What a change carries: the moment at which it was made.
pub(crate) const MADE: &str = "made";

/// Holds, of each instance of each service, the newest moment of a change that one member has seen. Changes of two instances
/// need not come in the order in which somebody began to make them.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<ServiceKey, HashMap<InstanceId, u64>>);

/// Says that a change has come, and of whom.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) made_ns: u64,
    one: &'a Instance,
}

// === impl Seen ===

impl Seen {
    /// The changes in this service that have not come before: each instance carries its own moment, so that those that
    /// come together are told apart.
    pub(super) fn news<'a>(&mut self, key: &ServiceKey, service: &'a Service) -> Vec<Change<'a>> {
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

impl<'a> Change<'a> {
    /// What has changed this instance since then.
    fn of(one: &'a Instance, before_ns: u64) -> Option<Self> {
        let made_ns = one.profile.metadata.get(MADE)?.parse().ok()?;
        (made_ns > before_ns).then_some(Self { made_ns, one })
    }

    /// How long its instance is as JSON.
    pub(super) fn ideal_bytes(&self) -> usize {
        serde_json::to_vec(self.one).map_or(0, |json| json.len())
    }
}
