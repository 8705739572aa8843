//! Any history of a truth that replicas read at their own pace, each kind of it by itself, and a client that moves between
//! them at any frame. Revisions are as Kubernetes has them: one count of all changes, of which a list says the newest, and an
//! event that of its object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use rollcall_catalogue::{
    ContentHash, Service, ServiceKey,
    changes::{Position, Reading},
};

use super::{
    history::{SERVICES, Server, Told, beat},
    key,
};
use crate::{
    Down, Up,
    client::{Client, Event, Violation},
};

const REPLICAS: usize = 3;

/// Instances by number, each with its weight; none where there is no such service.
type State = Option<BTreeMap<u8, u16>>;

#[derive(Debug, Clone)]
enum Op {
    /// The service is this from now on; nobody has read it yet.
    Turn(usize, State),
    /// The replica reads so much more of what this service is made of.
    Read(usize, usize, usize),
    Want(usize),
    Unwant(usize),
    Rise(usize),
    Speak(usize, bool),
    Fall(usize),
    Beat,
    /// The session is lost, and the next is with this replica.
    Move(usize),
    /// The replica's process begins anew, with a list of everything, and a clock that shows this.
    Restart(usize, u64),
    /// The replica's watches could not go on: it lists everything once more.
    List(usize),
    /// The API server says how far it is, to one that watches this.
    Bookmark(usize, usize),
    /// The sidecar's process begins anew, with what its disk has.
    Reborn,
}

/// Holds a service as it is from a revision on, and of each instance the one by which it was made so.
#[derive(Debug, Clone, Default)]
struct Turn {
    revision: u64,
    state: State,
    made: BTreeMap<u8, u64>,
}

/// Holds what a replica has read of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    /// The place in its truth.
    place: usize,
    reach: u64,
    changed: u64,
}

struct World {
    /// Of each service all that it was.
    truth: [Vec<Turn>; SERVICES.len()],
    /// Of the last change of all.
    revision: u64,
    replicas: Vec<Server>,
    processes: u64,
    /// How far each replica has read of each service.
    read: [[Read; SERVICES.len()]; REPLICAS],
    /// The newest change that anybody has said to know of.
    seen: [u64; SERVICES.len()],
    /// A list took something of it away, nobody knows since when.
    took_away: [bool; SERVICES.len()],
    at: usize,
    client: Client,
    now_ms: u64,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    wanted: BTreeSet<usize>,
    shown: BTreeMap<usize, BTreeMap<u8, u16>>,
    revisions: BTreeMap<ServiceKey, BTreeMap<u64, ContentHash>>,
}

fn name(number: usize) -> ServiceKey {
    key(SERVICES[number])
}

fn number(key: &ServiceKey) -> usize {
    SERVICES.iter().position(|name| *name == key.service.as_str()).unwrap()
}

fn contents(service: &Service) -> BTreeMap<u8, u16> {
    let of = |id: String| id.trim_start_matches('i').parse().unwrap();
    service.instances.iter().map(|one| (of(one.id.to_string()), one.profile.weight)).collect()
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self {
            truth: [const { Vec::new() }; SERVICES.len()],
            replicas: (0..REPLICAS).map(|_| Server::default()).collect(),
            processes: 0,
            revision: 0,
            read: [[Read::default(); SERVICES.len()]; REPLICAS],
            seen: [0; SERVICES.len()],
            took_away: [false; SERVICES.len()],
            at: 0,
            client: Client::new("i".into(), usize::MAX),
            now_ms: 0,
            up: VecDeque::new(),
            down: VecDeque::new(),
            wanted: BTreeSet::new(),
            shown: BTreeMap::new(),
            revisions: BTreeMap::new(),
        };
        world.truth.iter_mut().for_each(|states| states.push(Turn::default()));
        (0..REPLICAS).for_each(|replica| world.restart(replica, 100));
        world.connect();
        world
    }

    fn turn(&mut self, service: usize, state: &State) {
        self.revision += 1;
        let Some(last) = self.truth[service].last() else { return };
        let before = last.state.clone().unwrap_or_default();
        let made = state.iter().flatten().map(|(id, weight)| {
            let is_same = before.get(id) == Some(weight);
            (*id, if is_same { last.made[id] } else { self.revision })
        });
        let turn = Turn { revision: self.revision, made: made.collect(), state: state.clone() };
        self.truth[service].push(turn);
    }

    fn restart(&mut self, replica: usize, clock: u64) {
        self.processes += 1;
        self.replicas[replica].restart(self.processes, clock);
        self.read[replica].iter_mut().for_each(|read| read.changed = 0);
        self.list(replica, false);
    }

    /// Nobody tells it what happened before; of what it `had`, that some is gone.
    fn list(&mut self, replica: usize, had: bool) {
        for service in 0..SERVICES.len() {
            let before = self.read[replica][service];
            let newest = self.truth[service].len() - 1;
            let turn = self.truth[service][newest].clone();
            let had = self.truth[service][before.place].made.keys().filter(|_| had);
            let took_away = had.into_iter().any(|id| !turn.made.contains_key(id));
            let found = turn.made.values().copied().max().unwrap_or_default();
            self.took_away[service] |= took_away;
            let changed = if took_away { self.revision } else { found.max(before.changed) };
            self.read[replica][service] = Read { place: newest, reach: self.revision, changed };
            if newest != before.place {
                self.show(replica, service, &turn.state);
            }
        }
        self.say_reading(replica);
    }

    fn say_reading(&mut self, replica: usize) {
        let (mut reach, mut changed) = (Position::default(), Position::default());
        for (number, read) in self.read[replica].iter().enumerate() {
            reach.saw(SERVICES[number], read.reach);
            if read.changed > 0 {
                changed.saw(SERVICES[number], read.changed);
            }
        }
        self.replicas[replica].reading = Reading { reach, changed };
    }

    fn show(&mut self, replica: usize, service: usize, state: &State) {
        match state {
            Some(all) => {
                let all: Vec<_> = all.iter().map(|(id, weight)| (*id, *weight)).collect();
                self.replicas[replica].change(&name(service), &all);
            }
            None => self.replicas[replica].vanish(&name(service)),
        }
    }

    fn read(&mut self, replica: usize, service: usize, count: usize) {
        for _ in 0..count {
            let read = &mut self.read[replica][service];
            let Some(turn) = self.truth[service].get(read.place + 1).cloned() else { return };
            let reach = turn.revision.max(read.reach);
            *read = Read { place: read.place + 1, reach, changed: turn.revision };
            self.show(replica, service, &turn.state);
            self.say_reading(replica);
        }
    }

    fn connect(&mut self) {
        self.client.closed();
        self.down.clear();
        self.replicas.iter_mut().for_each(|replica| replica.session = None);
        self.up = self.client.open(self.now_ms).into();
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Turn(service, state) => self.turn(service, &state),
            Op::Read(replica, service, count) => self.read(replica, service, count),
            Op::Want(service) => {
                self.wanted.insert(service);
                let said = self.client.subscribe([name(service)]);
                self.say(said);
            }
            Op::Unwant(service) => {
                self.wanted.remove(&service);
                self.shown.remove(&service);
                let said = self.client.unsubscribe([&name(service)]);
                self.say(said);
            }
            Op::Rise(count) => {
                let frames: Vec<_> = self.up.drain(..count.min(self.up.len())).collect();
                frames.into_iter().for_each(|frame| self.replicas[self.at].hear(frame));
            }
            Op::Speak(parts, as_delta) => self.down.extend(self.replicas[self.at].speak(parts, as_delta)),
            Op::Fall(count) => self.fall(count),
            Op::Beat => match beat(&mut self.client, &mut self.now_ms) {
                Some(said) => self.up.extend(said),
                None => self.connect(),
            },
            Op::Move(replica) => {
                self.at = replica;
                self.connect();
            }
            Op::Restart(replica, clock) => {
                self.restart(replica, clock);
                self.connect();
            }
            Op::List(replica) => self.list(replica, true),
            Op::Bookmark(replica, service) => {
                let read = &mut self.read[replica][service];
                if read.place + 1 == self.truth[service].len() {
                    read.reach = self.revision;
                    self.say_reading(replica);
                }
            }
            Op::Reborn => {
                let mut next = Client::new("j".into(), usize::MAX);
                next.restore(self.client.held().map(|(key, held)| (key.clone(), Service::clone(held))));
                next.restore_position(self.client.position().clone());
                next.subscribe(self.wanted.iter().map(|service| name(*service)));
                self.client = next;
                // What was of names that are not held now is forgotten with the process.
                let held: BTreeSet<_> = self.client.held().map(|(key, _)| key).collect();
                self.revisions.retain(|key, _| held.contains(key));
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
            if let Down::Synced { position, changed, .. } = &frame {
                let told = Reading::of_told(position.clone(), changed).changed;
                let told = serde_json::to_value(told).unwrap();
                for (number, seen) in self.seen.iter_mut().enumerate() {
                    *seen = told[SERVICES[number]].as_u64().unwrap_or_default().max(*seen);
                }
            }
            match self.client.hear(frame, self.now_ms) {
                Ok(events) => events.into_iter().for_each(|event| self.see(event)),
                Err(violation) => {
                    assert!(matches!(violation, Violation::OutOfStep(_)), "{violation}");
                    return self.connect();
                }
            }
            self.say(None);
        }
    }

    fn see(&mut self, event: Event) {
        let (key, now) = match event {
            Event::Changed { key, service } => {
                assert_eq!(service.hash, service.content_hash(&key));
                let shown = self.revisions.entry(key.clone()).or_default();
                let newest = shown.last_key_value().map_or(0, |(revision, _)| *revision);
                let same = shown.insert(service.revision, service.hash);
                assert!(service.revision > newest || same == Some(service.hash), "{}", service.revision);
                (key, contents(&service))
            }
            Event::Gone { key } => {
                assert!(!self.client.held().any(|(held, _)| *held == key));
                (key, BTreeMap::new())
            }
            _ => return,
        };
        let number = number(&key);
        assert!(self.wanted.contains(&number));
        // All that was so at the newest change that anybody knew of, or is since.
        let at = self.truth[number].partition_point(|turn| turn.revision <= self.seen[number]);
        let since = || self.truth[number][at.saturating_sub(1)..].iter().map(|turn| turn.state.as_ref());
        let before = self.shown.get(&number).cloned().unwrap_or_default();
        for (id, weight) in before {
            let is = now.get(&id).copied();
            if is != Some(weight) {
                let was_so = since().any(|state| state.and_then(|all| all.get(&id).copied()) == is);
                assert!(was_so, "{key}: {id} turns from {weight} to {is:?}, which was so long ago");
            }
        }
        self.shown.insert(number, now);
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 100, "it never ends");
            self.step(Op::Rise(usize::MAX));
            self.step(Op::Speak(2, true));
            let session = self.replicas[self.at].session.as_ref();
            let speechless = self.down.is_empty() && session.is_some_and(Told::is_said);
            self.step(Op::Fall(usize::MAX));
            if speechless && self.up.is_empty() {
                return;
            }
        }
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let service = || 0..SERVICES.len();
    let replica = || 0..REPLICAS;
    let state = proptest::option::weighted(0.85, proptest::collection::btree_map(0u8..5, 1u16..3, 0..5));
    prop_oneof![
        5 => (service(), state).prop_map(|(service, state)| Op::Turn(service, state)),
        8 => (replica(), service(), 1usize..4).prop_map(|(at, service, count)| Op::Read(at, service, count)),
        3 => service().prop_map(Op::Want),
        1 => service().prop_map(Op::Unwant),
        6 => (1usize..5).prop_map(Op::Rise),
        9 => (1usize..4, any::<bool>()).prop_map(|(parts, as_delta)| Op::Speak(parts, as_delta)),
        7 => (1usize..6).prop_map(Op::Fall),
        1 => Just(Op::Beat),
        2 => replica().prop_map(Op::Move),
        1 => (replica(), 0u64..200).prop_map(|(at, clock)| Op::Restart(at, clock)),
        1 => replica().prop_map(Op::List),
        1 => (replica(), service()).prop_map(|(at, service)| Op::Bookmark(at, service)),
        1 => Just(Op::Reborn),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_by_replicas_that_lag_and_all_is_right_by_one_that_does_not(
        ops in proptest::collection::vec(any_op(), 0..150), last in 0..REPLICAS,
    ) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.step(op));
        // Behind for good: what it takes away is not believed.
        world.settle();
        world.step(Op::Move(last));
        world.settle();
        for service in 0..SERVICES.len() {
            world.read(last, service, usize::MAX);
            if world.took_away[service] {
                world.step(Op::Bookmark(last, service));
            }
        }
        world.settle();
        // Where nothing was to be told, it is asked how far it is.
        (0..3).for_each(|_| world.step(Op::Beat));
        world.settle();
        prop_assert!(world.client.in_step());
        prop_assert!(world.client.shows_what_was_told());
        let held: BTreeMap<_, _> =
            world.client.held().map(|(key, held)| (key.clone(), (held.hash, contents(held)))).collect();
        let told = world.replicas[last].services.iter().filter(|(key, _)| world.wanted.contains(&number(key)));
        let told: BTreeMap<_, _> =
            told.map(|(key, service)| (key.clone(), (service.hash, contents(service)))).collect();
        prop_assert_eq!(held, told);
    }
}
