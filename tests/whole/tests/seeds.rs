//! Whatever goes wrong, in whatever order: each seed is another story.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rollcall_whole::world::{Size, World};

/// Seeds that are played where nobody says how many: a minute of one core.
const SEEDS: u64 = 5;
/// Of several controllers.
const SEEDS_OF_THREE: u64 = 3;

const ALONE: Size = Size { nodes: 3, controllers: 1, services: 3, pods: 3 };
const THREE: Size = Size { nodes: 3, controllers: 3, services: 2, pods: 3 };

fn said(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    assert!(number.is_ok(), "{name}: `{text}` is no number");
    number.ok()
}

/// Plays the seed that is asked for, or so many.
fn play(story: &str, size: Size, count: u64) {
    let seeds = match said("ROLLCALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + said("ROLLCALL_SEEDS").unwrap_or(count),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(seed, size);
            world.play_chances(2);
            world.end(story);
        }));
        if played.is_err() {
            failed.push(seed);
        }
    }
    assert_eq!(failed, [0; 0], "these seeds fail; each is told above");
}

#[test]
fn after_any_story_every_promise_was_kept() {
    play("after_any_story_every_promise_was_kept", ALONE, SEEDS);
}

#[test]
fn after_any_story_of_three_controllers_every_promise_was_kept() {
    play("after_any_story_of_three_controllers_every_promise_was_kept", THREE, SEEDS_OF_THREE);
}
