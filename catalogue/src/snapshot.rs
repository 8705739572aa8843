//! The catalogue at one moment: immutable, shared, and cheap to follow with the next one.

use std::{collections::HashMap, fmt, num::ParseIntError, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{instance::Instance, names::ServiceKey};

/// Holds the fingerprint of a service's content, the same on every replica that holds the same: revisions are
/// left out, and the JSON form is hashed, which no build or platform writes differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(pub u64);

/// Holds one service as everyone is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Never 0, below 2^53 (JavaScript reads it exactly), and larger with each change of this service, over
    /// restarts of the controller too.
    pub revision: u64,
    pub hash: ContentHash,
    /// The distinct versions of the instances, in semver's order.
    pub versions: Vec<String>,
    /// In their stable order.
    pub instances: Vec<Instance>,
}

/// Holds all services of the cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    services: HashMap<ServiceKey, Arc<Service>>,
    /// The highest revision of any service that is gone. One that comes back begins above it, so that a revision
    /// never stands for two contents, without remembering every name there ever was.
    floor: u64,
}

// === impl Snapshot ===

impl Snapshot {
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.services.iter()
    }

    pub fn len(&self) -> usize {
        self.services.len()
    }

    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The snapshot after these changes: the consolidated instances of each touched service, or `None` where no
    /// registration names it any more. No snapshot at all where nothing that anyone can see has changed.
    pub fn next(
        &self,
        changes: impl IntoIterator<Item = (ServiceKey, Option<Vec<Instance>>)>,
        now_ms: u64,
    ) -> Option<Self> {
        let mut next: Option<Self> = None;
        for (key, instances) in changes {
            let held = next.as_ref().unwrap_or(self).services.get(&key);
            match (held, instances) {
                (None, None) => {}
                (Some(held), None) => {
                    let gone = held.revision;
                    let next = next.get_or_insert_with(|| self.clone());
                    next.floor = next.floor.max(gone);
                    next.services.remove(&key);
                }
                (held, Some(instances)) => {
                    let floor = next.as_ref().unwrap_or(self).floor;
                    if let Some(service) = Service::succeed(held.map(AsRef::as_ref), instances, floor, now_ms)
                    {
                        next.get_or_insert_with(|| self.clone()).services.insert(key, Arc::new(service));
                    }
                }
            }
        }
        next
    }
}

// === impl Service ===

impl Service {
    /// The service that follows `held`; none where its content is the same.
    fn succeed(held: Option<&Self>, mut instances: Vec<Instance>, floor: u64, now_ms: u64) -> Option<Self> {
        for instance in &mut instances {
            instance.revision = 0;
        }
        let hash = ContentHash::of(&instances);
        let previous = held.map_or(floor, |service| service.revision);
        if held.is_some_and(|service| service.hash == hash) {
            return None;
        }
        let revision = now_ms.max(previous + 1);
        let before: HashMap<&str, &Instance> =
            held.iter().flat_map(|service| &service.instances).map(|i| (i.id.as_str(), i)).collect();
        for instance in &mut instances {
            let same = before.get(instance.id.as_str()).filter(|held| held.same_content(instance));
            instance.revision = same.map_or(revision, |held| held.revision);
        }
        Some(Self { revision, hash, versions: Self::versions_of(&instances), instances })
    }

    /// The distinct versions of these instances, in semver's order.
    pub fn versions_of(instances: &[Instance]) -> Vec<String> {
        let mut versions: Vec<_> = instances.iter().filter_map(|instance| instance.version.clone()).collect();
        versions.sort_by(|a, b| match (semver::Version::parse(a), semver::Version::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        });
        versions.dedup();
        versions
    }
}

// === impl ContentHash ===

impl ContentHash {
    /// 64 bits are plenty: the fingerprint tells changes of one service apart, it defends nothing.
    fn of(instances: &[Instance]) -> Self {
        let mut digest = Sha256::new();
        for instance in instances {
            // An instance is text, numbers and maps with text keys, which serde_json cannot fail to write.
            digest.update(serde_json::to_vec(instance).unwrap_or_default());
            digest.update(b"\n");
        }
        Self(digest.finalize().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ContentHash {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Reason, State};

    fn instance(number: u8, version: &str, state: State) -> Instance {
        Instance {
            id: format!("uid-{number}-80"),
            address: [10, 0, 0, number].into(),
            addresses: vec![[10, 0, 0, number].into()],
            port: 80,
            ports: [("http".to_owned(), 80)].into(),
            version: Some(version.to_owned()),
            zone: None,
            node: Some("n1".to_owned()),
            pod: Some(format!("orders-{number}")),
            weight: 100,
            tags: vec![],
            metadata: Arc::default(),
            state,
            reason: Reason::Ready,
            revision: 0,
        }
    }

    fn key() -> ServiceKey {
        "orders.shop".parse().unwrap()
    }

    #[test]
    fn the_json_is_the_contracts_with_its_order() {
        let json = serde_json::to_string(&instance(1, "1.4.2", State::Serving)).unwrap();
        assert_eq!(
            json,
            r#"{"id":"uid-1-80","address":"10.0.0.1","addresses":["10.0.0.1"],"port":80,"ports":{"http":80},"version":"1.4.2","zone":null,"node":"n1","pod":"orders-1","weight":100,"tags":[],"metadata":{},"state":"Serving","reason":"Ready","revision":0}"#
        );
    }

    #[test]
    fn only_what_changed_gets_a_new_revision() {
        let (one, two) = (instance(1, "1.10.0", State::Serving), instance(2, "1.9.0", State::Starting));
        let first = Snapshot::default().next([(key(), Some(vec![one.clone(), two.clone()]))], 1_000).unwrap();
        let held = first.get(&key()).unwrap();
        assert_eq!(
            (held.revision, held.versions.clone()),
            (1_000, vec!["1.9.0".to_owned(), "1.10.0".to_owned()])
        );
        assert!(first.next([(key(), Some(vec![one.clone(), two]))], 2_000).is_none(), "nothing changed");

        let second =
            first.next([(key(), Some(vec![one, instance(2, "1.9.0", State::Serving)]))], 500).unwrap();
        let service = second.get(&key()).unwrap();
        assert_eq!(service.revision, 1_001, "the clock went back, the revision does not");
        assert_eq!([service.instances[0].revision, service.instances[1].revision], [1_000, 1_001]);
        assert_ne!(service.hash, held.hash);
    }

    #[test]
    fn a_service_without_instances_is_known_and_one_without_registrations_is_not() {
        let known = Snapshot::default().next([(key(), Some(vec![]))], 1).unwrap();
        assert!(known.get(&key()).unwrap().instances.is_empty());
        let unknown = known.next([(key(), None)], 2).unwrap();
        assert!(unknown.is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Is(Vec<u8>),
        Gone,
    }

    proptest! {
        /// Whatever happens and however the clock jumps: no revision is 0, none comes back with other content,
        /// and equal content has an equal hash.
        #[test]
        fn a_revision_never_stands_for_two_contents(
            steps in proptest::collection::vec(
                (prop_oneof![proptest::collection::vec(0u8..4, 0..3).prop_map(Step::Is), Just(Step::Gone)], 0u64..20),
                1..40,
            )
        ) {
            let mut snapshot = Snapshot::default();
            let mut last = 0;
            let mut contents: HashMap<u64, Vec<u8>> = HashMap::new();
            let mut hashes: HashMap<Vec<u8>, ContentHash> = HashMap::new();
            for (step, now_ms) in steps {
                let change = match &step {
                    Step::Is(numbers) => {
                        Some(numbers.iter().map(|n| instance(*n, "1.0.0", State::Serving)).collect())
                    }
                    Step::Gone => None,
                };
                if let Some(next) = snapshot.next([(key(), change)], now_ms) {
                    snapshot = next;
                }
                let held = snapshot.get(&key());
                prop_assert_eq!(held.is_some(), matches!(step, Step::Is(_)));
                if let (Some(service), Step::Is(numbers)) = (held, step) {
                    prop_assert!(service.revision > 0 && service.revision >= last);
                    last = service.revision;
                    let seen = contents.entry(service.revision).or_insert_with(|| numbers.clone());
                    prop_assert_eq!(&*seen, &numbers);
                    let hash = hashes.entry(numbers).or_insert(service.hash);
                    prop_assert_eq!(*hash, service.hash);
                }
            }
        }
    }
}
