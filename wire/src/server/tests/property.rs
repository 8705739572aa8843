//! Whatever happens, in whatever order: a client that does no more than the protocol says ends with what is true.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use proptest::{prelude::*, sample::select};
use rollcall_catalogue::{Instance, Namespace, Service, Visibility, changes::Head};

use super::*;
use crate::testing::{cases, instance_with};

/// Two of the caller's namespace, and two of another.
const NAMES: [&str; 4] = ["orders.shop", "billing.shop", "stock.other", "audit.other"];

#[derive(Debug, Clone)]
enum Event {
    /// The service has these instances (number, weight, whether it is large), and is seen by all or by its own.
    Set(&'static str, Vec<(u8, u16, bool)>, bool),
    Gone(&'static str),
    Look,
    /// The socket takes so many frames.
    Take(u8),
    /// The client reads so many.
    Read(u8),
    Subscribe(&'static str),
    Unsubscribe(&'static str),
    /// The session breaks off, and the client comes back: to the same process, or another one that knows nothing of
    /// what was before.
    Reconnect {
        elsewhere: bool,
    },
}

/// Holds what a client knows that follows the protocol and nothing else.
#[derive(Debug, Default)]
struct Client {
    wanted: BTreeSet<ServiceKey>,
    /// Those of them that a `synced` of this session has named.
    answered: BTreeSet<ServiceKey>,
    held: BTreeMap<ServiceKey, Held>,
    begun: Option<Begun>,
    epoch: Option<String>,
    cursor: u64,
    /// The highest revision told of each service in this epoch.
    revisions: BTreeMap<ServiceKey, u64>,
}

#[derive(Debug)]
struct Held {
    hash: ContentHash,
    instances: BTreeMap<String, Arc<Instance>>,
}

/// Holds the parts of a service of which more follow.
#[derive(Debug)]
struct Begun {
    key: ServiceKey,
    instances: Vec<Arc<Instance>>,
    removed: Vec<String>,
    /// It was left meanwhile.
    unwanted: bool,
}

/// Holds all of it: the registry, the session, what is on its way, and the client.
struct World {
    registry: Registry,
    session: Session,
    pipe: VecDeque<Bytes>,
    client: Client,
    epochs: u32,
    /// Every snapshot of this epoch, by its number.
    history: Vec<Snapshot>,
}

fn home() -> Namespace {
    opening().pod.namespace
}

fn any_event() -> impl Strategy<Value = Event> {
    let name = || select(NAMES.to_vec());
    let instance = (0u8..5, select(vec![1u16, 100]), prop_oneof![19 => Just(false), 1 => Just(true)]);
    prop_oneof![
        6 => (name(), proptest::collection::vec(instance, 0..5), prop_oneof![4 => Just(true), 1 => Just(false)])
            .prop_map(|(name, all, open)| Event::Set(name, all, open)),
        1 => name().prop_map(Event::Gone),
        6 => Just(Event::Look),
        4 => (1u8..5).prop_map(Event::Take),
        4 => (1u8..5).prop_map(Event::Read),
        4 => name().prop_map(Event::Subscribe),
        1 => name().prop_map(Event::Unsubscribe),
        1 => any::<bool>().prop_map(|elsewhere| Event::Reconnect { elsewhere }),
    ]
}

// === impl Client ===

impl Client {
    /// What it says to this frame.
    fn apply(&mut self, bytes: &[u8]) -> Option<Up> {
        match serde_json::from_slice(bytes).unwrap() {
            Down::Welcome { epoch, .. } => {
                if self.epoch.as_ref() != Some(&epoch) {
                    (self.cursor, self.revisions) = (0, BTreeMap::new());
                }
                self.epoch = Some(epoch);
            }
            Down::Upsert(Upsert {
                service: key,
                revision,
                hash,
                base,
                policy,
                truncated,
                instances,
                removed,
                more,
            }) => {
                let known = self.revisions.entry(key.clone()).or_default();
                assert!(revision >= *known, "{key}: {revision} after {known}");
                *known = revision;
                let mut begun = self.begun.take().unwrap_or_else(|| Begun {
                    key: key.clone(),
                    instances: vec![],
                    removed: vec![],
                    unwanted: !self.wanted.contains(&key),
                });
                assert_eq!(begun.key, key, "another service amid the parts");
                begun.instances.extend(instances);
                begun.removed.extend(removed.iter().map(ToString::to_string));
                if more {
                    self.begun = Some(begun);
                } else if !begun.unwanted {
                    let held = self.held.remove(&key);
                    assert_ne!(held.as_ref().map(|held| held.hash), Some(hash), "{key} is told twice");
                    let mut next = match (base, held) {
                        (None, _) => BTreeMap::new(),
                        (Some(base), Some(held)) if held.hash == base => held.instances,
                        (base, held) => panic!("{key}: based on {base:?}, held is {held:?}"),
                    };
                    begun
                        .removed
                        .iter()
                        .for_each(|id| assert!(next.remove(id).is_some(), "{key} has no {id}"));
                    next.extend(begun.instances.into_iter().map(|one| (one.id.to_string(), one)));
                    let head = Head { revision, hash, policy, truncated };
                    let service = Service::of(head, next.values().cloned().collect());
                    assert_eq!(service.content_hash(&key), hash, "{key}");
                    self.held.insert(key, Held { hash, instances: next });
                }
            }
            Down::Remove { service: key, .. } => {
                if self.wanted.contains(&key) {
                    assert!(self.held.remove(&key).is_some(), "{key} is removed twice");
                }
            }
            Down::Synced { cursor, services, .. } => {
                self.answered.extend(services.into_iter().filter(|key| self.wanted.contains(key)));
                assert!(cursor >= self.cursor, "{cursor} after {}", self.cursor);
                self.cursor = cursor;
                return Some(Up::Ack { cursor });
            }
            other => panic!("{other:?}"),
        }
        None
    }

    fn leave(&mut self, key: &ServiceKey) {
        self.wanted.remove(key);
        self.answered.remove(key);
        self.held.remove(key);
        self.begun.iter_mut().for_each(|begun| begun.unwanted |= begun.key == *key);
    }

    fn digest(&self) -> ContentHash {
        ContentHash(self.held.values().fold(0, |sum, held| sum.wrapping_add(held.hash.0)))
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let registry = Registry::new();
        let session = Session::silent(&registry);
        let (pipe, client, history) = (VecDeque::new(), Client::default(), vec![Snapshot::default()]);
        let mut world = Self { registry, session, pipe, client, epochs: 0, history };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.pipe.clear();
        self.client.begun = None;
        self.client.answered.clear();
        self.session = Session::silent(&self.registry);
        let held: Vec<_> = self.client.held.iter().map(|(key, held)| (key.to_string(), held.hash)).collect();
        let held: Vec<_> = held.iter().map(|(key, hash)| (key.as_str(), *hash)).collect();
        self.session.hear(hello_with(&held, self.client.epoch.as_deref(), self.client.cursor));
        let wanted: Vec<_> = self.client.wanted.iter().map(ToString::to_string).collect();
        self.session.hear(subscribe(&wanted.iter().map(String::as_str).collect::<Vec<_>>()));
    }

    fn look(&mut self) {
        self.session.server.look(&self.registry.snapshot, self.registry.number, &Arc::default());
    }

    fn take(&mut self, most: usize) -> usize {
        let (server, snapshot) = (&mut self.session.server, &self.registry.snapshot);
        let frames: Vec<_> = std::iter::from_fn(|| server.speak(snapshot, 0)).take(most).collect();
        let count = frames.len();
        self.pipe.extend(frames);
        count
    }

    fn read(&mut self, most: usize) {
        for bytes in self.pipe.drain(..most.min(self.pipe.len())) {
            if let Some(ack) = self.client.apply(&bytes) {
                let heard = self.session.server.hear(ack, 0).unwrap();
                let Client { cursor, answered, held, .. } = &self.client;
                assert_eq!(heard, [Heard::Acked(*cursor)]);
                // It is as new as its cursor says: somebody may wait for that.
                let since = &self.history[usize::try_from(*cursor).unwrap()..];
                for key in answered {
                    let held = held.get(key).map(|held| held.hash);
                    let seen = |then: &Snapshot| then.seen_from(&home(), key).map(|service| service.hash);
                    assert!(since.iter().any(|then| seen(then) == held), "{key} is older than {cursor}");
                }
            }
        }
    }

    fn play(&mut self, event: Event) {
        self.change(event);
        if self.registry.number == 0 {
            self.history.clear();
        }
        if self.history.len() as u64 <= self.registry.number {
            self.history.push(self.registry.snapshot.clone());
        }
    }

    fn change(&mut self, event: Event) {
        match event {
            Event::Set(name, all, is_open) => {
                let mut all: Vec<_> = all
                    .into_iter()
                    .map(|(number, weight, large)| instance_with(number, weight, if large { 100 } else { 0 }))
                    .collect();
                all.sort_by(|a, b| a.id.cmp(&b.id));
                all.dedup_by(|a, b| a.id == b.id);
                let visibility = if is_open { Visibility::Cluster } else { Visibility::own() };
                self.registry.put(name, all, visibility);
            }
            Event::Gone(name) => self.registry.remove(name),
            Event::Look => self.look(),
            Event::Take(count) => drop(self.take(count.into())),
            Event::Read(count) => self.read(count.into()),
            Event::Subscribe(name) => {
                // What is on its way may be of the time before it was left.
                self.read(usize::MAX);
                self.client.wanted.insert(key(name));
                self.session.hear(subscribe(&[name]));
            }
            Event::Unsubscribe(name) => {
                self.client.leave(&key(name));
                self.session.hear(unsubscribe(&[name]));
            }
            Event::Reconnect { elsewhere } => {
                if elsewhere {
                    self.epochs += 1;
                    self.registry.restart(&format!("epoch-{}", self.epochs));
                }
                self.connect();
            }
        }
    }

    /// Until nothing more is to be said.
    fn settle(&mut self) {
        self.look();
        while self.take(usize::MAX) > 0 {
            self.read(usize::MAX);
        }
        self.read(usize::MAX);
        assert!(!self.session.server.has_more());
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whoever_follows_the_protocol_ends_with_what_it_may_see(
        events in proptest::collection::vec(any_event(), 1..60),
    ) {
        let mut world = World::new();
        for event in events {
            world.play(event);
        }
        world.settle();
        let (client, snapshot) = (&world.client, &world.registry.snapshot);
        let seen = client.wanted.iter().filter_map(|key| Some((key, snapshot.seen_from(&home(), key)?.hash)));
        prop_assert!(client.held.iter().map(|(key, held)| (key, held.hash)).eq(seen));
        let (cursor, digest) = (client.cursor, client.digest());
        prop_assert!(client.wanted.is_empty() || cursor <= world.registry.number);
        let heard = world.session.hear(Up::Heartbeat { cursor, digest });
        prop_assert_eq!(heard, vec![], "both ends agree on what is held");
        prop_assert!(!world.session.server.has_more());
        if !world.client.wanted.is_empty() {
            let heard = world.session.hear(Up::Heartbeat { cursor, digest: ContentHash(digest.0 ^ 1) });
            prop_assert_eq!(heard, vec![Heard::Resynced(Resync::Digest)]);
        }
    }
}
