//! Replicas that start, die, are cut off and have clocks of their own, over one Secret that somebody spoils: whatever the
//! order, nobody shows what those who were told in time do not believe, and in the end all go by one state.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use proptest::prelude::*;

use super::{
    super::{
        plan::{Due, Held, Situation, Source, Why, plan},
        secret::{Seen, read, written},
    },
    *,
};

/// A look of each replica takes one tick.
const TICK: u64 = 6;
const REPLICAS: usize = 3;
/// Ticks after which a replica that was cut off is back: well before a rotation is over.
const AWAY_TICKS: u64 = 5;
/// Seconds by which clocks differ.
const SKEW: u64 = 8;
/// Sidecars that are asked.
const SIDECARS: usize = 6;
/// What is told no more is believed by sidecars for an hour; here for some looks.
const LINGERS: u64 = 3 * TICK;

#[derive(Debug, Clone)]
enum Step {
    Pass(u8),
    Start(usize),
    Kill(usize),
    /// The next write of this one is its last, before it is made or after.
    Crash(usize, bool),
    Cut(usize),
    Clock(usize, u64),
    Delete,
    Spoil(usize),
    Swap,
    Restore(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || 0..REPLICAS;
    let step = prop_oneof![
        6 => (1..40_u8).prop_map(Step::Pass),
        3 => one().prop_map(Step::Start),
        2 => one().prop_map(Step::Kill),
        2 => (one(), proptest::bool::ANY).prop_map(|(one, after)| Step::Crash(one, after)),
        1 => one().prop_map(Step::Cut),
        1 => (one(), 0..2 * SKEW).prop_map(|(one, skew)| Step::Clock(one, skew)),
        2 => Just(Step::Delete),
        2 => (0..5_usize).prop_map(Step::Spoil),
        2 => Just(Step::Swap),
        1 => (0..1_000_usize).prop_map(Step::Restore),
    ];
    prop::collection::vec(step, 1..30)
}

/// Holds at which replica a sidecar is, and what it was told, each with when that was told last.
#[derive(Debug)]
struct Sidecar {
    at: usize,
    told: Vec<(u64, String)>,
}

/// Holds a process.
#[derive(Debug)]
struct Process {
    begun: u64,
    state: Option<State>,
    told_at: u64,
    seen_at: u64,
    /// How much its clock is ahead of ours.
    ahead: u64,
    back_at: u64,
    crashes: Option<bool>,
}

struct World {
    begin: SystemTime,
    at: u64,
    secret: Option<Secret>,
    kept: Vec<Secret>,
    version: u64,
    replicas: [Option<Process>; REPLICAS],
    sidecars: Vec<Sidecar>,
    writes: usize,
    /// Somebody had his hand in the Secret, and nobody has put it right yet.
    is_spoilt: bool,
    /// An old copy of it was put there.
    restored_at: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            begin: begin(),
            at: 0,
            secret: None,
            kept: Vec::new(),
            version: 0,
            replicas: [const { None }; REPLICAS],
            sidecars: Vec::new(),
            writes: 0,
            is_spoilt: false,
            restored_at: None,
        }
    }

    fn now(&self, ahead: u64) -> SystemTime {
        self.begin + seconds(self.at + ahead)
    }

    fn holders(&self) -> impl Iterator<Item = (usize, &Process, &State)> {
        let alive = self.replicas.iter().enumerate();
        alive.filter_map(|(number, process)| {
            let process = process.as_ref()?;
            Some((number, process, process.state.as_ref()?))
        })
    }

    fn some_are_cut(&self) -> bool {
        self.replicas.iter().flatten().any(|process| process.back_at > self.at)
    }

    /// Near the turn of a rotation, two that take over another authority may do so from different ones.
    fn turns_now(&self) -> bool {
        self.holders().any(|(_, _, state)| {
            state.outgoing.as_ref().is_some_and(|outgoing| {
                let turn = outgoing.signs_until.duration_since(self.begin).unwrap_or_default().as_secs();
                (turn.saturating_sub(3 * TICK + 2 * SKEW)..=turn + 3 * TICK).contains(&self.at)
            })
        })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pass(ticks) => (0..*ticks).for_each(|_| self.tick()),
            Step::Start(one) => {
                let at = self.at;
                let place = &mut self.replicas[*one];
                place.get_or_insert(Process {
                    begun: at,
                    state: None,
                    told_at: at,
                    seen_at: at,
                    ahead: SKEW,
                    back_at: 0,
                    crashes: None,
                });
            }
            Step::Kill(one) => self.kill(*one),
            Step::Crash(one, after) => {
                if let Some(process) = &mut self.replicas[*one] {
                    process.crashes = Some(*after);
                }
            }
            // One thing at a time: whoever is cut off and alone with what it knows cannot put it right.
            Step::Cut(one) if !self.is_spoilt => {
                let back_at = self.at + AWAY_TICKS * TICK;
                if let Some(process) = &mut self.replicas[*one] {
                    process.back_at = back_at;
                }
            }
            Step::Clock(one, ahead) => {
                if let Some(process) = &mut self.replicas[*one] {
                    process.ahead = *ahead;
                }
            }
            _ if self.some_are_cut() || self.secret.is_none() || self.turns_now() => {}
            Step::Cut(_) => {}
            Step::Delete => {
                self.secret = None;
                self.spoilt();
            }
            Step::Spoil(which) => {
                let entries = ["tls.crt", "tls.key", "previous.crt", "previous.key", "ca.crt"];
                let secret = self.secret.as_mut().unwrap();
                let entry = entries[*which].to_owned();
                secret.data.as_mut().unwrap().insert(entry, ByteString(b"garbage".to_vec()));
                self.spoilt();
            }
            Step::Swap => {
                let new = State::steady(authority(SHORT.authority, self.now(0)));
                let mut secret = written(&new, "rollcall-ca", None);
                secret.data.as_mut().unwrap().remove("ca.crt");
                self.secret = Some(secret);
                self.spoilt();
            }
            Step::Restore(which) => {
                if !self.kept.is_empty() {
                    self.secret = Some(self.kept[which % self.kept.len()].clone());
                    self.restored_at = Some(self.at);
                    self.spoilt();
                }
            }
        }
    }

    fn spoilt(&mut self) {
        self.version += 1;
        self.is_spoilt = true;
        // Nobody remembers what those were told who are left.
        if self.holders().next().is_none() {
            self.sidecars.clear();
        }
    }

    fn kill(&mut self, number: usize) {
        self.replicas[number] = None;
        if self.holders().next().is_none() && self.is_spoilt {
            self.sidecars.clear();
        }
    }

    fn tick(&mut self) {
        self.at += TICK;
        for number in 0..REPLICAS {
            self.look(number);
        }
        self.tell();
        self.check();
    }

    fn look(&mut self, number: usize) {
        let is_alone = self.replicas.iter().flatten().count() == 1;
        let Some(mut process) = self.replicas[number].take() else { return };
        let now = self.now(process.ahead);
        let version = self.version;
        let seen = match &self.secret {
            _ if process.back_at > self.at => Seen::Unknown,
            None => Seen::Absent,
            Some(secret) => Seen::There(read(secret, "test", now, SHORT)),
        };
        let held = process.state.clone().map(|state| Held {
            state,
            told_for: seconds(self.at - process.told_at),
            unseen_for: seconds(self.at - process.seen_at),
        });
        if !matches!(seen, Seen::Unknown) {
            process.seen_at = self.at;
        }
        let is_alone = is_alone || self.at - process.begun >= SHORT.heard_within().as_secs();
        let held = held.as_ref();
        let made = plan(&Situation { seen: &seen, held, source: &Source::None, now, terms: SHORT, is_alone });
        if let Some(state) = made.state.clone() {
            process.take(state, self.at);
        }
        let next = match made.due {
            Due::Write(next, _) => Some(next),
            Due::Make(Why::Made) => Some(State::steady(authority(SHORT.authority, now))),
            Due::Make(_) => made.state.map(|state| {
                state.announcing(authority(SHORT.authority, now), now, state.run_up(now, SHORT))
            }),
            Due::Nothing | Due::Wait(_) => None,
        };
        if let Some(next) = next {
            let crashes = process.crashes.take();
            if crashes != Some(false) {
                assert_eq!(version, self.version);
                let secret = written(&next, "rollcall-ca", self.secret.take());
                self.kept.push(secret.clone());
                self.secret = Some(secret);
                self.version += 1;
                self.writes += 1;
            }
            if crashes.is_some() {
                self.kill(number);
                return;
            }
            process.take(next, self.at);
        }
        if matches!(&seen, Seen::There(reading) if reading.is_settled && reading.damage.is_none())
            && self.version == version
        {
            self.is_spoilt = false;
        }
        self.replicas[number] = Some(process);
    }

    /// Those in session hear at once; those whose replica is gone come to another one; and pods are made.
    fn tell(&mut self) {
        let told: Vec<_> = self.holders().map(|(number, _, state)| (number, state.bundle())).collect();
        let Some(first) = told.first() else { return };
        let new = &told[usize::try_from(self.at / TICK).unwrap() % told.len()];
        self.sidecars.push(Sidecar { at: new.0, told: Vec::new() });
        for sidecar in &mut self.sidecars {
            let (number, news) = told.iter().find(|(number, _)| *number == sidecar.at).unwrap_or(first);
            sidecar.at = *number;
            sidecar.told.retain(|(at, bundle)| bundle != news && at + LINGERS > self.at);
            sidecar.told.push((self.at, news.clone()));
        }
        if self.sidecars.len() > SIDECARS {
            self.sidecars.remove(0);
        }
    }

    /// Whoever was told before the last look believes what everyone shows.
    fn check(&self) {
        // Whoever begins with an old copy that nobody has put right yet knows no better, for a look.
        let is_recent = |at: u64| at + 2 * TICK >= self.at;
        if self.restored_at.is_some_and(is_recent) && self.holders().any(|(_, one, _)| is_recent(one.begun)) {
            return;
        }
        for (number, process, state) in self.holders() {
            let signer = state.signer(self.now(process.ahead));
            for sidecar in &self.sidecars {
                assert!(
                    sidecar.told.iter().any(|(_, bundle)| bundle.contains(&signer.certificate_pem)),
                    "at {} s, {number} shows what this one does not believe: {state:#?}\n{sidecar:#?}",
                    self.at
                );
            }
        }
    }
}

impl Process {
    fn take(&mut self, state: State, at: u64) {
        if self.state.as_ref().map(State::bundle) != Some(state.bundle()) {
            self.told_at = at;
        }
        self.state = Some(state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_all_believe_who_signs_and_go_by_one_state_in_the_end(steps in steps()) {
        let mut world = World::new();
        world.step(&Step::Start(0));
        world.step(&Step::Pass(4));
        for step in &steps {
            world.step(step);
        }
        // A Secret that nobody can read, and nobody remembers, is a person's to delete.
        if world.holders().next().is_none() {
            world.secret = None;
            world.sidecars.clear();
        }
        world.step(&Step::Start(0));
        world.replicas.iter_mut().flatten().for_each(|process| process.crashes = None);
        world.step(&Step::Pass(60));
        // A step of a rotation may just have been taken.
        let mut written = usize::MAX;
        while written != world.writes {
            written = world.writes;
            world.step(&Step::Pass(2));
        }
        let states: Vec<_> = world.holders().map(|(_, _, state)| state.clone()).collect();
        let alive = world.replicas.iter().flatten().count();
        prop_assert_eq!(states.len(), alive, "all have something to go by");
        let reading = read(world.secret.as_ref().unwrap(), "test", world.now(0), SHORT);
        prop_assert!(reading.is_settled && reading.damage.is_none());
        for state in &states {
            prop_assert_eq!(Some(state), reading.state.as_ref());
        }
        // Nobody fights: a whole life of an authority has its rotation, and nothing else.
        let before = world.writes;
        world.step(&Step::Pass(133));
        prop_assert!((1..=4).contains(&(world.writes - before)), "{} writes", world.writes - before);
    }
}
