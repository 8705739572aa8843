//! Any number of replicas whose links break at any frame, on one side first, and begin anew.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::{
    peer::{Record, SessionNote, testing::version},
    testing::cases,
};

/// Holds replicas that tell each other all that they know. Their clocks show different times.
struct World {
    replicas: Vec<Replica>,
    wires: Vec<Wire>,
    now_ms: u64,
    starts: usize,
}

struct Replica {
    /// Of this process; another one after each start.
    name: String,
    ledger: Arc<Ledger>,
    clock_ms: u64,
}

/// Holds two ends and what is under way from each of them.
struct Wire {
    between: [usize; 2],
    ends: [Option<Link>; 2],
    under_way: [VecDeque<Bytes>; 2],
    told: [HashSet<(PodUid, Version, Arc<str>)>; 2],
}

#[derive(Debug, Clone)]
enum Deed {
    /// Something changes at the session of this pod, at this replica.
    Write {
        replica: usize,
        pod: usize,
        incarnation: usize,
        moves: bool,
        ended: bool,
    },
    /// So many frames are taken from this end, and so many arrive at the other one.
    Carry {
        wire: usize,
        end: usize,
        spoken: usize,
        heard: usize,
    },
    /// One end is gone with all that is under way; the other one finds out later.
    Cut {
        wire: usize,
        end: usize,
    },
    Restart {
        replica: usize,
    },
    /// Two replicas that have no link begin one.
    Dial {
        one: usize,
        other: usize,
    },
    Wait {
        ms: u64,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let (some, few) = (0usize..4, 0usize..6);
    prop_oneof![
        6 => (some.clone(), some.clone(), 0usize..2, any::<bool>(), any::<bool>()).prop_map(
            |(replica, pod, incarnation, moves, ended)| Deed::Write { replica, pod, incarnation, moves, ended }
        ),
        12 => (0usize..8, 0usize..2, few.clone(), few).prop_map(|(wire, end, spoken, heard)| Deed::Carry {
            wire, end, spoken, heard
        }),
        2 => (0usize..8, 0usize..2).prop_map(|(wire, end)| Deed::Cut { wire, end }),
        1 => some.clone().prop_map(|replica| Deed::Restart { replica }),
        3 => (some.clone(), some).prop_map(|(one, other)| Deed::Dial { one, other }),
        1 => (0u64..1_000).prop_map(|ms| Deed::Wait { ms }),
    ]
}

// === impl World ===

impl World {
    fn of(count: usize) -> Self {
        let mut world = Self { replicas: vec![], wires: vec![], now_ms: 50_000, starts: 0 };
        for number in 0..count {
            let replica = world.started(number);
            world.replicas.push(replica);
        }
        world
    }

    fn started(&mut self, number: usize) -> Replica {
        self.starts += 1;
        let clock_ms = 1_000_000 * self.starts as u64;
        Replica { name: format!("{number}-{}", self.starts), ledger: Arc::default(), clock_ms }
    }

    fn now_ms(&self, replica: usize) -> u64 {
        self.replicas[replica].clock_ms + self.now_ms
    }

    fn does(&mut self, deed: &Deed) {
        let (count, wires) = (self.replicas.len(), self.wires.len().max(1));
        match *deed {
            Deed::Write { replica, pod, incarnation, moves, ended } => {
                self.write(replica % count, pod, incarnation, moves, ended);
            }
            Deed::Carry { wire, end, spoken, heard } => {
                if wire % wires < self.wires.len() {
                    self.carry(wire % wires, end, spoken, heard);
                }
            }
            Deed::Cut { wire, end } => {
                if let Some(wire) = self.wires.get_mut(wire % wires) {
                    wire.ends[end] = None;
                    wire.under_way = Default::default();
                }
            }
            Deed::Restart { replica } => {
                let replica = replica % count;
                self.replicas[replica] = self.started(replica);
                self.wires.retain(|wire| !wire.between.contains(&replica));
            }
            Deed::Dial { one, other } => self.dial(one % count, other % count),
            Deed::Wait { ms } => self.wait(ms),
        }
        self.stand();
    }

    /// As the replica that has the session counts versions.
    fn write(&mut self, replica: usize, pod: usize, incarnation: usize, moves: bool, ended: bool) {
        let now_ms = self.now_ms(replica);
        let Replica { name, ledger, .. } = &self.replicas[replica];
        let (pod, origin) = (PodUid::from(format!("p{pod}").as_str()), epoch(name));
        let incarnation = ["x", "y"][incarnation];
        let version = match ledger.get(&pod).map(|held| (held.version.clone(), held.origin.clone())) {
            None => version(1, incarnation, 1, 0),
            Some((held, _)) if *held.incarnation != *incarnation => {
                version(held.generation + 1, incarnation, 1, 0)
            }
            Some((held, by)) if moves || by != origin => {
                Version { sequence: held.sequence + 1, count: 0, ..held }
            }
            Some((held, _)) => Version { count: held.count + 1, ..held },
        };
        let session = match ended {
            true => SessionNote::Ended { at_ms: now_ms, heard_ms: now_ms - 1_000, by_peer: moves },
            false => SessionNote::Open { unheard_since_ms: moves.then(|| now_ms - 4_000) },
        };
        ledger.put(Note { pod, version, origin, session, said: Arc::default() });
    }

    fn dial(&mut self, one: usize, other: usize) {
        let between = [one.min(other), one.max(other)];
        let is_open = |wire: &Wire| wire.between == between && wire.ends.iter().all(Option::is_some);
        if one == other || self.wires.iter().any(is_open) {
            return;
        }
        let end = |replica: usize| {
            let Replica { name, ledger, .. } = &self.replicas[replica];
            Some(Link::new(who(name), beat(&[]), ledger.clone(), self.now_ms(replica)))
        };
        let ends = between.map(end);
        self.wires.push(Wire { between, ends, under_way: Default::default(), told: Default::default() });
    }

    /// Gives back how many records and how many frames were spoken.
    fn carry(&mut self, wire: usize, end: usize, spoken: usize, heard: usize) -> [usize; 2] {
        let clocks = [0, 1].map(|end| self.now_ms(self.wires[wire].between[end]));
        let ledger = self.replicas[self.wires[wire].between[1 - end]].ledger.clone();
        let Wire { ends, under_way, told, .. } = &mut self.wires[wire];
        let mut counts = [0, 0];
        for _ in 0..spoken {
            let Some(bytes) = ends[end].as_mut().and_then(|link| link.speak(clocks[end])) else { break };
            counts[1] += 1;
            if let Frame::Record(record) = frame(&bytes) {
                counts[0] += 1;
                let Record { pod, version, origin, .. } = *record;
                assert!(told[end].insert((pod, version, origin)), "told twice: {bytes:?}");
            }
            under_way[end].push_back(bytes);
        }
        for _ in 0..heard {
            let Some(bytes) = under_way[end].pop_front() else { break };
            let Some(link) = &mut ends[1 - end] else { break };
            for heard in link.hear(frame(&bytes), clocks[1 - end]).unwrap() {
                if let Heard::Note(note) = heard {
                    ledger.put(note);
                }
            }
        }
        counts
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        for wire in 0..self.wires.len() {
            let clocks = [0, 1].map(|end| self.now_ms(self.wires[wire].between[end]));
            for (link, now_ms) in self.wires[wire].ends.iter_mut().zip(clocks) {
                *link = link.take().filter(|link| !link.closed());
                link.iter_mut().for_each(|link| link.tick(now_ms));
            }
        }
        self.wires.retain(|wire| wire.ends.iter().any(Option::is_some));
    }

    /// Everyone tells whom it hears.
    fn stand(&mut self) {
        for replica in 0..self.replicas.len() {
            let mut hears = Vec::new();
            for wire in &self.wires {
                let place = wire.between.iter().position(|one| *one == replica);
                let link = place.and_then(|place| wire.ends[place].as_ref());
                hears.extend(link.and_then(Link::other).map(|other| other.epoch.clone()));
            }
            for wire in &mut self.wires {
                let place = wire.between.iter().position(|one| *one == replica);
                if let Some(link) = place.and_then(|place| wire.ends[place].as_mut()) {
                    link.set_beat(Beat { hears: hears.clone(), ..beat(&[]) });
                }
            }
        }
    }

    /// Until nobody has anything to say. Gives back how many records were told.
    fn settles(&mut self) -> usize {
        let mut records = 0;
        for _ in 0..1_000 {
            let mut frames = 0;
            for wire in 0..self.wires.len() {
                for end in 0..2 {
                    let counts = self.carry(wire, end, usize::MAX, usize::MAX);
                    records += counts[0];
                    frames += counts[1];
                }
            }
            self.stand();
            if frames == 0 {
                return records;
            }
        }
        panic!("they never end");
    }

    /// Whatever is half open ends, and everyone has a link to everyone.
    fn heals(&mut self) {
        for _ in 0..5 {
            self.wait(1_000);
            self.settles();
        }
        assert!(self.wires.iter().all(|wire| wire.ends.iter().all(Option::is_some)), "silent for 5 s");
        for one in 0..self.replicas.len() {
            (one + 1..self.replicas.len()).for_each(|other| self.dial(one, other));
        }
        self.settles();
    }

    fn holds(&self, replica: usize) -> Vec<String> {
        let ledger = &self.replicas[replica].ledger;
        let pods = (0..4).filter_map(|pod| ledger.get(&format!("p{pod}").as_str().into()));
        pods.map(|note| format!("{} {:?} {} {:?}", note.pod, note.version, note.origin, word(&note)))
            .collect()
    }
}

/// The session without its times.
fn word(note: &Note) -> (bool, bool) {
    match note.session {
        SessionNote::Open { unheard_since_ms } => (true, unheard_since_ms.is_some()),
        SessionNote::Ended { by_peer, .. } => (false, by_peer),
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn all_come_to_hold_the_same(count in 2usize..5, deeds in proptest::collection::vec(deed(), 0..120)) {
        let mut world = World::of(count);
        deeds.iter().for_each(|deed| world.does(deed));
        world.heals();
        for replica in 1..count {
            prop_assert_eq!(world.holds(replica), world.holds(0), "{} of {}", replica, count);
        }
        for _ in 0..3 {
            world.wait(1_000);
            prop_assert_eq!(world.settles(), 0, "nothing is told of what is equal");
        }
        world.write(count - 1, 0, 0, true, false);
        prop_assert_eq!(world.settles(), count - 1, "a change is told to each of the others once");
    }
}

/// One that dies in the middle of a word has told it to some.
#[test]
fn what_one_has_heard_of_a_dead_replica_comes_to_all() {
    let mut world = World::of(4);
    world.heals();
    world.write(0, 0, 0, false, false);
    let to_the_first = world.wires.iter().position(|wire| wire.between == [0, 1]).unwrap();
    world.carry(to_the_first, 0, usize::MAX, usize::MAX);
    world.wires.retain(|wire| wire.between[0] != 0);
    world.stand();
    assert_eq!(world.settles(), 3, "over each link that is left");
    assert!((1..4).all(|replica| world.holds(replica).len() == 1));
}
