//! Any history of a controller's processes and their services, told by a naive server that lies at times, over links
//! that break anywhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;
use rollcall_catalogue::{ContentHash, Service, ServiceKey, changes::Reading};

use super::{delta, instance, key, service, synced_by, welcome_by, whole};
use crate::{
    Down, Up, Upsert,
    client::{Client, Event, Violation},
};

pub(super) const SERVICES: [&str; 3] = ["orders", "billing", "stock"];

#[derive(Debug, Clone)]
enum Op {
    /// The service has these instances from now on.
    Change(usize, Vec<(u8, u16)>),
    Vanish(usize),
    Want(usize),
    Unwant(usize),
    /// So many frames arrive above.
    Rise(usize),
    /// The server says its next word: in so many parts, and as a change where that is possible.
    Speak(usize, bool),
    /// So many frames arrive below.
    Fall(usize),
    Beat,
    /// Of what is under way, something is not what was said.
    Lie(Lie),
    Break,
    /// Another process, whose clock shows this.
    Restart(u64),
}

#[derive(Debug, Clone, Copy)]
enum Lie {
    Hash,
    Instance,
    Cursor,
}

/// Plays the controller: tells everything as simply as it can be told.
#[derive(Default)]
pub(super) struct Server {
    process: u64,
    clock: u64,
    number: u64,
    pub(super) services: BTreeMap<ServiceKey, Service>,
    /// All content there ever was, for changes from it.
    known: HashMap<ContentHash, Service>,
    /// How far it has read; it says nothing of that where that is nothing.
    pub(super) reading: Reading,
    pub(super) session: Option<Told>,
}

#[derive(Default)]
pub(super) struct Told {
    greeted: bool,
    offered: BTreeMap<ServiceKey, ContentHash>,
    subscribed: BTreeSet<ServiceKey>,
    told: BTreeMap<ServiceKey, ContentHash>,
    pending: BTreeSet<ServiceKey>,
    asked: Vec<ServiceKey>,
    unsynced: bool,
    /// The sums were not the same: what is not there is told as well.
    doubts: bool,
    /// The cursors of what was synced and is not acknowledged.
    unacked: VecDeque<u64>,
}

struct World {
    server: Server,
    client: Client,
    now_ms: u64,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    /// Something under way is a lie.
    lied: bool,
    wanted: BTreeSet<ServiceKey>,
    /// What the app was shown of each name, by revision.
    shown: BTreeMap<ServiceKey, BTreeMap<u64, ContentHash>>,
}

// === impl Server ===

impl Server {
    pub(super) fn change(&mut self, key: &ServiceKey, instances: &[(u8, u16)]) {
        let all = instances.iter().map(|(number, weight)| instance(*number, *weight)).collect();
        self.clock += 1;
        let next = service(key, self.clock, all);
        self.known.insert(next.hash, next.clone());
        self.services.insert(key.clone(), next);
        self.turned(key);
    }

    pub(super) fn vanish(&mut self, key: &ServiceKey) {
        self.clock += 1;
        self.services.remove(key);
        self.turned(key);
    }

    fn turned(&mut self, key: &ServiceKey) {
        self.number += 1;
        if let Some(session) = self.session.as_mut().filter(|session| session.subscribed.contains(key)) {
            session.pending.insert(key.clone());
        }
    }

    pub(super) fn restart(&mut self, process: u64, clock: u64) {
        (self.process, self.clock, self.number, self.session) = (process, clock, 0, None);
        for service in self.services.values_mut() {
            self.clock += 1;
            service.revision = self.clock;
        }
    }

    pub(super) fn hear(&mut self, frame: Up) {
        let keys = |services: Vec<rollcall_catalogue::ServiceRef>| {
            services.into_iter().map(|name| name.resolve(&"other".parse().unwrap()))
        };
        if let Up::Hello { held, .. } = frame {
            self.session = Some(Told { offered: held, ..Told::default() });
            return;
        }
        let session = self.session.as_mut().expect("hello comes first");
        match frame {
            Up::Subscribe { services, .. } => {
                for key in keys(services) {
                    let again = !session.subscribed.insert(key.clone());
                    // Of who is behind, it is asked how far it is; of others nothing is asked for twice.
                    assert!(!again || !self.reading.reach.is_empty(), "nothing is asked for twice");
                    if let Some(hash) = session.offered.remove(&key) {
                        session.told.insert(key.clone(), hash);
                    }
                    session.pending.insert(key.clone());
                    session.asked.push(key);
                }
            }
            Up::Unsubscribe { services, .. } => {
                for key in keys(services) {
                    assert!(session.subscribed.remove(&key), "nothing is left twice");
                    assert!(!session.asked.contains(&key), "nothing is left before it was answered");
                    session.pending.remove(&key);
                    session.told.remove(&key);
                }
            }
            Up::Ack { cursor } => {
                let place = session.unacked.iter().position(|told| *told == cursor);
                let place = place.expect("what is acknowledged was told, and is not yet");
                session.unacked.drain(..=place);
            }
            Up::Heartbeat { digest, .. } => {
                let quiet = session.unacked.is_empty() && !session.unsynced && session.pending.is_empty();
                let sum = session.told.values().fold(0u64, |sum, hash| sum.wrapping_add(hash.0));
                if quiet && session.greeted && digest.0 != sum {
                    (session.unsynced, session.doubts) = (true, true);
                    session.told.clear();
                    session.pending = session.subscribed.clone();
                }
            }
            _ => panic!("{frame:?}"),
        }
    }

    /// This cursor comes to the other end as the one below it.
    fn lie(&mut self, cursor: u64) {
        let session = self.session.as_mut().expect("what is under way was said");
        let told =
            session.unacked.iter_mut().find(|told| **told == cursor).expect("it is not acknowledged yet");
        *told -= 1;
    }

    pub(super) fn speak(&mut self, parts: usize, as_delta: bool) -> Vec<Down> {
        let Some(session) = &mut self.session else { return vec![] };
        if !session.greeted {
            session.greeted = true;
            return vec![welcome_by(&self.process.to_string(), &self.reading)];
        }
        let Some(key) = session.pending.pop_first() else {
            if !session.unsynced && session.asked.is_empty() {
                return vec![];
            }
            (session.unsynced, session.doubts) = (false, false);
            session.unacked.push_back(self.number);
            let asked = std::mem::take(&mut session.asked);
            return vec![synced_by(self.number, &asked.iter().collect::<Vec<_>>(), &self.reading)];
        };
        session.unsynced = true;
        let before = session.told.get(&key).copied();
        let Some(now) = self.services.get(&key) else {
            let known = session.told.remove(&key).is_some() || session.doubts;
            return known.then(|| Down::Remove { service: key, ids: vec![] }).into_iter().collect();
        };
        if before == Some(now.hash) {
            return vec![];
        }
        session.told.insert(key.clone(), now.hash);
        match before.and_then(|hash| self.known.get(&hash)).filter(|_| as_delta) {
            Some(before) => delta(&key, before, now, parts),
            None => whole(&key, now, parts),
        }
    }
}

// === impl Told ===

impl Told {
    pub(super) fn is_said(&self) -> bool {
        self.greeted && self.pending.is_empty() && self.asked.is_empty() && !self.unsynced
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self {
            server: Server::default(),
            client: Client::new("i".into(), usize::MAX),
            now_ms: 0,
            up: VecDeque::new(),
            down: VecDeque::new(),
            lied: false,
            wanted: BTreeSet::new(),
            shown: BTreeMap::new(),
        };
        world.server.restart(1, 100);
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.client.closed();
        self.down.clear();
        self.lied = false;
        self.up = self.client.open(self.now_ms).into();
        self.server.session = None;
    }

    fn step(&mut self, op: Op) {
        let name = |number: usize| key(SERVICES[number]);
        match op {
            Op::Change(number, instances) => self.server.change(&name(number), &instances),
            Op::Vanish(number) => self.server.vanish(&name(number)),
            Op::Want(number) => {
                self.wanted.insert(name(number));
                let said = self.client.subscribe([name(number)]);
                self.say(said);
            }
            Op::Unwant(number) => {
                self.wanted.remove(&name(number));
                let said = self.client.unsubscribe([&name(number)]);
                self.say(said);
            }
            Op::Rise(count) => {
                let frames: Vec<_> = self.up.drain(..count.min(self.up.len())).collect();
                frames.into_iter().for_each(|frame| self.server.hear(frame));
            }
            Op::Speak(parts, as_delta) => self.down.extend(self.server.speak(parts, as_delta)),
            Op::Fall(count) => self.fall(count),
            Op::Beat => match beat(&mut self.client, &mut self.now_ms) {
                Some(said) => self.up.extend(said),
                None => self.connect(),
            },
            Op::Lie(lie) => self.lie(lie),
            Op::Break => self.connect(),
            Op::Restart(clock) => {
                self.server.restart(self.server.process + 1, clock);
                self.connect();
            }
        }
    }

    fn say(&mut self, said: Option<Up>) {
        self.up.extend(said);
        self.up.extend(self.client.take_up());
    }

    fn fall(&mut self, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.down.pop_front() else { return };
            match self.client.hear(frame, self.now_ms) {
                Ok(events) => events.into_iter().for_each(|event| self.see(event)),
                Err(violation) => {
                    // The one that an honest server can meet: see `Asked::Yes`.
                    assert!(self.lied || matches!(violation, Violation::OutOfStep(_)), "{violation}");
                    return self.connect();
                }
            }
            self.say(None);
        }
    }

    fn lie(&mut self, lie: Lie) {
        for frame in &mut self.down {
            match (lie, frame) {
                (Lie::Hash, Down::Upsert(Upsert { hash, .. })) => hash.0 ^= 1,
                (Lie::Instance, Down::Upsert(Upsert { instances, .. })) if !instances.is_empty() => {
                    drop(instances.pop());
                }
                (Lie::Cursor, Down::Synced { cursor, .. }) if *cursor > 0 => {
                    self.server.lie(*cursor);
                    *cursor -= 1;
                }
                _ => continue,
            }
            self.lied = true;
            return;
        }
    }

    fn see(&mut self, event: Event) {
        match event {
            Event::Changed { key, service } => {
                assert!(self.wanted.contains(&key));
                assert_eq!(service.hash, service.content_hash(&key));
                let shown = self.shown.entry(key).or_default();
                let last = shown.last_key_value().map(|(revision, hash)| (*revision, *hash));
                assert!(
                    last.is_none_or(
                        |last| service.revision > last.0 || last == (service.revision, service.hash)
                    ),
                    "{} after {last:?}",
                    service.revision
                );
                shown.insert(service.revision, service.hash);
            }
            Event::Gone { key } => assert!(!self.client.held().any(|(held, _)| *held == key)),
            _ => {}
        }
    }

    /// Everything arrives, until nobody has anything to say.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 100, "it never ends");
            self.step(Op::Rise(usize::MAX));
            self.step(Op::Speak(2, true));
            let speechless = self.down.is_empty() && self.server.session.as_ref().is_some_and(Told::is_said);
            self.step(Op::Fall(usize::MAX));
            if speechless && self.up.is_empty() {
                return;
            }
        }
    }
}

/// What is said when it is time, once that is more than an `ack` that has waited; none where the session is over.
pub(super) fn beat(client: &mut Client, now_ms: &mut u64) -> Option<Vec<Up>> {
    let mut said = Vec::new();
    while said.iter().all(|frame| matches!(frame, Up::Ack { .. })) {
        *now_ms = client.wake_at_ms();
        if let Err(violation) = client.tick(*now_ms) {
            assert_eq!(violation, Violation::Silent);
            return None;
        }
        said.extend(client.take_up());
    }
    Some(said)
}

fn any_op() -> impl Strategy<Value = Op> {
    let which = || 0..SERVICES.len();
    let instances = proptest::collection::vec((0u8..5, 1u16..3), 0..5).prop_map(|mut all| {
        all.sort_unstable();
        all.dedup_by_key(|one| one.0);
        all
    });
    prop_oneof![
        6 => (which(), instances).prop_map(|(number, all)| Op::Change(number, all)),
        2 => which().prop_map(Op::Vanish),
        4 => which().prop_map(Op::Want),
        2 => which().prop_map(Op::Unwant),
        6 => (1usize..5).prop_map(Op::Rise),
        9 => (1usize..4, any::<bool>()).prop_map(|(parts, as_delta)| Op::Speak(parts, as_delta)),
        7 => (1usize..6).prop_map(Op::Fall),
        1 => Just(Op::Beat),
        1 => proptest::sample::select(vec![Lie::Hash, Lie::Instance, Lie::Cursor]).prop_map(Op::Lie),
        1 => Just(Op::Break),
        1 => (0u64..200).prop_map(Op::Restart),
    ]
}

proptest! {
    #[test]
    fn any_history_ends_in_the_state_told_last(ops in proptest::collection::vec(any_op(), 0..120)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.step(op));
        world.settle();
        // What an answer under way made of a name that was left and asked for again is found by its digest.
        world.step(Op::Beat);
        world.settle();
        prop_assert!(world.client.in_step());
        let held: BTreeMap<_, _> = world.client.held().map(|(key, held)| (key.clone(), held.hash)).collect();
        let told = world.server.services.iter().filter(|(key, _)| world.wanted.contains(key));
        let told: BTreeMap<_, _> = told.map(|(key, service)| (key.clone(), service.hash)).collect();
        prop_assert_eq!(held, told);
    }
}
