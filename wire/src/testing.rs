//! Builders for the tests of sessions: a registry of small services, each change of which is a step of its feed.

use std::{net::IpAddr, sync::Arc};

use proptest::prelude::ProptestConfig;
use rollcall_catalogue::{
    ContentHash, Instance, Port, Profile, Reason, Service, ServiceKey, Snapshot, State, Update, Visibility,
    consolidate::Settings,
};

use crate::feed::Feed;

/// Holds a catalogue and its feed, in step with each other.
pub(crate) struct Registry {
    pub(crate) feed: Arc<Feed>,
    pub(crate) snapshot: Snapshot,
    pub(crate) number: u64,
    now_ms: u64,
}

// === impl Registry ===

impl Registry {
    pub(crate) fn new() -> Self {
        let feed = Arc::new(Feed::new("epoch-0".into()));
        Self { feed, snapshot: Snapshot::default(), number: 0, now_ms: 1_000 }
    }

    pub(crate) fn of(services: &[(&str, &[u8])]) -> Self {
        let mut registry = Self::new();
        services.iter().for_each(|(name, numbers)| registry.set(name, numbers));
        registry
    }

    /// The service has these instances, and everyone may see it.
    pub(crate) fn set(&mut self, name: &str, numbers: &[u8]) {
        self.set_seen(name, numbers, Visibility::Cluster);
    }

    pub(crate) fn set_seen(&mut self, name: &str, numbers: &[u8], visibility: Visibility) {
        self.put(name, numbers.iter().copied().map(instance).collect(), visibility);
    }

    pub(crate) fn put(&mut self, name: &str, instances: Vec<Instance>, visibility: Visibility) {
        let settings = Settings { visibility, ..Settings::default() };
        self.update(name, Update::Whole { settings, instances });
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.update(name, Update::Gone);
    }

    pub(crate) fn update(&mut self, name: &str, update: Update) {
        self.now_ms += 1;
        if let Some(step) = self.snapshot.next([(key(name), update)], self.now_ms) {
            self.snapshot = step.snapshot;
            self.number = self.feed.push(step.deltas);
        }
    }

    /// Another process holds the same, and knows nothing of what was before.
    pub(crate) fn restart(&mut self, epoch: &str) {
        self.feed = Arc::new(Feed::new(epoch.into()));
        self.number = 0;
    }

    pub(crate) fn service(&self, name: &str) -> &Arc<Service> {
        self.snapshot.get(&key(name)).unwrap()
    }

    pub(crate) fn hash(&self, name: &str) -> ContentHash {
        self.service(name).hash
    }
}

pub(crate) fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

pub(crate) fn instance(number: u8) -> Instance {
    instance_with(number, 100, 0)
}

/// One with so much metadata, in KiB.
pub(crate) fn instance_with(number: u8, weight: u16, metadata_kib: usize) -> Instance {
    let text = "m".repeat(1_023);
    let metadata = (0..metadata_kib).map(|n| (n.to_string(), text.as_str())).collect();
    let ports = [Port::tcp(None, 80)].into();
    let profile = Profile { port: 80, ports, version: None, weight, tags: Default::default(), metadata };
    Instance {
        id: format!("u{number}").as_str().into(),
        addresses: IpAddr::from([10, 0, 0, number]).into(),
        zone: None,
        node: None,
        pod: None,
        profile: profile.into(),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 0,
    }
}

/// A property of so many cases; more, or fewer, where PROPTEST_CASES asks for more, or fewer, than the usual 256.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = u64::from(usual) * u64::from(asked.cases) / 256;
    ProptestConfig { cases: u32::try_from(cases.max(1)).unwrap_or(u32::MAX), ..asked }
}
