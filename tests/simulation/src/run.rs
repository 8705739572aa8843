//! A run: a world of one seed, its story in chapters, and what came of it.

use std::collections::BTreeMap;

use crate::{
    chance::Chance,
    world::{Event, World},
};

/// How long after healing everything must be in step: 9 s until a silence is noticed, 5 s until a dial is given up, up to
/// 30 s of back-off, and once more where that attempt comes too early.
const HEALED_WITHIN_MS: u64 = 90_000;

/// Until then a connection that is lost may look like one on which nothing has to be said.
const UNNOTICED_FOR_MS: u64 = 10_000;

/// How long it must stay so.
const STAYS_FOR_MS: u64 = 8_000;

/// Connections of a hundred that are over a bad way.
const BAD_WAYS: u64 = 8;

/// What a session's end changes is told to all within this.
const TOLD_WITHIN_MS: u64 = 2_000;

/// How a line ends that says so of a sidecar.
pub(crate) const NOT_IN_STEP: &str = "is not in step";

/// Says how long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Times that things go wrong and are healed.
    pub chapters: u32,
    /// How long things go wrong each time, at most.
    pub chapter_ms: u64,
}

/// Holds what came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What went wrong that may not, and the last that happened before it.
    pub failure: Option<String>,
    /// Over all that happened: two runs of one seed have the same.
    pub sum: u64,
    /// How often which check had something to look at.
    pub looks: BTreeMap<&'static str, u64>,
}

/// Plays the world of this seed.
pub fn run(seed: u64, plan: Plan) -> Outcome {
    let mut chance = Chance::new(seed).fork();
    let (nodes, services) = (chance.within(2..=5), chance.within(3..=6));
    let replicas = usize::try_from(chance.within(1..=3)).unwrap();
    let (nodes, services) = (usize::try_from(nodes).unwrap(), usize::try_from(services).unwrap());
    let mut world = World::new(seed, nodes, services, replicas);
    world.ether.network.bad_ways = BAD_WAYS;
    (0..replicas).for_each(|replica| world.start_controller(replica));
    (0..chance.within(4..=10)).for_each(|_| world.create_pod());
    world.ether.agenda.after(0, Event::Check);
    for _ in 0..plan.chapters {
        world.story.healed = false;
        world.story.ends_ms = world.now_ms() + chance.within(5_000..=plan.chapter_ms);
        world.ether.agenda.after(0, Event::Story);
        let ends_ms = world.story.ends_ms;
        world.play(ends_ms);
        if !world.checks.failures.is_empty() {
            break;
        }
        world.heal_everything();
        world.settle();
        world.move_some();
    }
    outcome(seed, world)
}

/// What is to be said of a run that is over.
pub(crate) fn outcome(seed: u64, world: World) -> Outcome {
    let World { ether, checks, .. } = world;
    let failures: String = checks.failures.iter().map(|line| format!("\nwrong: {line}")).collect();
    let failure = (!failures.is_empty())
        .then(|| format!("{}{failures}\n\nROLLCALL_SEED={seed} runs it again", ether.chronicle));
    Outcome { failure, sum: ether.chronicle.sum(), looks: checks.looks }
}

impl World {
    /// Waits until all is in step, and sees that it stays so.
    pub(crate) fn settle(&mut self) {
        let last_ms = self.now_ms() + HEALED_WITHIN_MS;
        self.play(self.now_ms() + UNNOTICED_FOR_MS);
        if !self.checks.failures.is_empty() {
            return;
        }
        let mut found = self.differences();
        while !found.is_empty() && self.checks.failures.is_empty() && self.now_ms() < last_ms {
            self.play(self.now_ms() + 500);
            found = self.differences();
        }
        if found.is_empty() {
            self.play(self.now_ms() + STAYS_FOR_MS);
            found = self.differences();
            // A session whose time was just over is a change like any other, and under way for a moment.
            while !found.is_empty() && self.has_just_expired() && self.now_ms() < last_ms {
                self.play(self.now_ms() + 100);
                found = self.differences();
            }
            // Sessions do not live for ever, and who is between two of them holds what it held.
            found.retain(|line| !line.ends_with(NOT_IN_STEP));
        }
        if self.checks.failures.is_empty() {
            self.checks.failures.append(&mut found);
        }
    }

    /// The time of somebody's session was over a moment ago.
    fn has_just_expired(&self) -> bool {
        let since_ms = self.now_ms().saturating_sub(TOLD_WITHIN_MS);
        self.controllers.values().any(|one| one.expired_ms >= Some(since_ms))
    }
}
