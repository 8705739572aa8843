//! Whatever goes wrong, in whatever order: each seed is another story.

use std::collections::BTreeMap;

use rollcall_simulation::{Outcome, Plan, run, run_a_node_that_dies, run_a_replica_that_reads_nothing};

/// Seeds that are run where nobody says how many: a minute of one core.
const SEEDS: u64 = 400;
const DYING_SEEDS: u64 = 40;
const LATE_SEEDS: u64 = 40;

/// What is there to be looked at in every story.
const EVERYWHERE: [&str; 4] =
    ["live pods in the catalogue", "live pods in the lookups", "services held", "sidecars after healing"];

const PLAN: Plan = Plan { chapters: 2, chapter_ms: 45_000 };

fn said(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    assert!(number.is_ok(), "{name}: `{text}` is no number");
    number.ok()
}

/// Runs the seed that is asked for, or all; the first that fails is told in full. These checks must find something to look
/// at.
fn play(count: u64, checks: &[&str], run: impl Fn(u64) -> Outcome) {
    let seeds = match said("ROLLCALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + said("ROLLCALL_SEEDS").unwrap_or(count),
    };
    let many = seeds.end - seeds.start >= 40;
    let mut looks = BTreeMap::<_, u64>::new();
    let mut failed = Vec::new();
    for seed in seeds {
        let outcome = run(seed);
        if let Some(failure) = outcome.failure {
            match failed.is_empty() {
                true => println!("{failure}"),
                false => failure
                    .lines()
                    .filter(|line| line.starts_with("wrong"))
                    .for_each(|line| println!("seed {seed}: {line}")),
            }
            failed.push(seed);
        }
        outcome.looks.into_iter().for_each(|(name, count)| *looks.entry(name).or_default() += count);
    }
    println!("looked at: {looks:?}");
    assert_eq!(failed, [0; 0], "these seeds fail; the first is told above");
    let idle: Vec<_> =
        checks.iter().filter(|name| looks.get(*name).is_none_or(|count| *count <= 50)).collect();
    assert!(!many || idle.is_empty(), "these checks had hardly anything to look at: {idle:?}");
}

#[test]
fn after_any_story_everyone_holds_what_all_replicas_know() {
    let others = [
        "lists of all services",
        "subscribers of a drained pod",
        "instances looked after",
        "replicas compared",
        "sessions moved",
    ];
    play(SEEDS, &[&EVERYWHERE[..], &others].concat(), |seed| run(seed, PLAN));
}

#[test]
fn a_dead_node_is_out_of_the_lookups_in_time_and_nobody_else() {
    play(DYING_SEEDS, &EVERYWHERE, run_a_node_that_dies);
}

#[test]
fn what_a_replica_has_not_read_stays_in_the_lookups() {
    let checks = [&EVERYWHERE[..], &["sessions with one that reads nothing"]].concat();
    play(LATE_SEEDS, &checks, run_a_replica_that_reads_nothing);
}

#[test]
fn a_seed_is_the_same_story_each_time() {
    let plan = Plan { chapters: 1, ..PLAN };
    for seed in 1..4 {
        assert_eq!(run(seed, plan).sum, run(seed, plan).sum, "seed {seed}");
    }
    assert_ne!(run(1, plan).sum, run(2, plan).sum);
}
