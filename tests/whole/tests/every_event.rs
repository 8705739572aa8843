//! Each thing that Kubernetes tells, untold once; and a restart beside an API server that knows less than the one before.

use rollcall_whole::{
    Millis,
    world::{Size, World},
};

const TINY: Size = Size { nodes: 2, controllers: 1, services: 1, pods: 2 };

/// What no event has told is found by a list within the hour, and some minutes are for that list and its consequences.
const FOUND_WITHIN_MS: Millis = 65 * 60_000;

/// In such an hour little happens.
const STEP_MS: Millis = 1_000;

/// Each is tried in so many runs of the story; the others are for a person who has the time.
const APART: usize = 6;

fn apart() -> usize {
    if std::env::var_os("ROLLCALL_SEEDS").is_some() { 1 } else { APART }
}

/// A pod comes, one goes, and one is made anew.
fn much_happens(world: &mut World) {
    world.create_pod(0);
    world.play(4_000);
    let leaving = world.some_pod();
    world.delete_pod(&leaving);
    world.play(6_000);
}

/// The revisions of a story in which nothing goes wrong.
fn revisions() -> std::ops::RangeInclusive<u64> {
    let mut world = World::new(1, TINY);
    let first = world.revision();
    much_happens(&mut world);
    first + 1..=world.revision()
}

#[test]
fn what_was_not_told_is_found_within_the_hour() {
    for hidden in revisions().step_by(apart()) {
        let mut world = World::new(1, TINY);
        world.controllers[0].faults.hide(hidden);
        much_happens(&mut world);
        world.set_step(Some(STEP_MS));
        world.play(FOUND_WITHIN_MS);
        world.set_step(None);
        let now_ms = world.now_ms();
        world.truth.trouble(None, 0, now_ms);
        world.note(format!("revision {hidden} was hidden"));
        world.end("what_was_not_told_is_found_within_the_hour");
    }
}

#[test]
fn who_begins_beside_an_older_api_server_takes_nobody_back_in_time() {
    for known in revisions().step_by(apart()) {
        let mut world = World::new(1, TINY);
        much_happens(&mut world);
        let older = world.api(|api| api.replica_frozen_at(known));
        let from_ms = world.now_ms();
        world.note(format!("the API server that is asked from now on knows revision {known}"));
        world.controllers[0].asks = older;
        world.kill_controller(0);
        world.play(30_000);
        world.api(|api| api.freeze(older, false));
        let now_ms = world.now_ms();
        world.truth.trouble(None, from_ms, now_ms + 15_000);
        world.end("who_begins_beside_an_older_api_server_takes_nobody_back_in_time");
    }
}
