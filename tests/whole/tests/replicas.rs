//! What is promised of several controllers: that no single failure of ours is seen by any app.

use rollcall_whole::{
    Millis,
    network::Whom,
    world::{Size, World, api_server_address},
};

const THREE: Size = Size { nodes: 3, controllers: 3, services: 4, pods: 6 };

/// A second of jitter, a dial, and once more where that one is gone as well.
const REPLACED_WITHIN_MS: Millis = 5_000;
/// What silence needs besides, where another replica is known.
const SILENCE_MS: Millis = 4_500;

fn world() -> World {
    World::new(1, THREE)
}

#[test]
fn a_replica_that_is_killed_is_replaced_at_once_and_takes_nobody_out() {
    let mut world = world();
    for number in [0, 1, 2] {
        world.kill_controller(number);
        let now_ms = world.now_ms();
        world.truth.loss(now_ms, REPLACED_WITHIN_MS);
        world.play(15_000);
    }
    world.end("a_replica_that_is_killed_is_replaced_at_once_and_takes_nobody_out");
}

#[test]
fn a_leader_that_stands_still_for_a_minute_is_replaced_and_takes_nobody_out() {
    let mut world = world();
    let leader = world.leader().expect("somebody leads");
    world.freeze_controller(leader);
    let now_ms = world.now_ms();
    world.truth.loss(now_ms, REPLACED_WITHIN_MS + SILENCE_MS);
    world.play(60_000);
    world.wake_controller(leader);
    world.play(20_000);
    world.end("a_leader_that_stands_still_for_a_minute_is_replaced_and_takes_nobody_out");
}

#[test]
fn a_replica_that_reaches_nobody_is_replaced_and_takes_nobody_out() {
    let mut world = world();
    let one = Whom::One(world.controllers[1].address);
    world.net.cut_both(&one, &Whom::All);
    let now_ms = world.now_ms();
    world.truth.loss(now_ms, REPLACED_WITHIN_MS + SILENCE_MS);
    world.play(60_000);
    world.end("a_replica_that_reaches_nobody_is_replaced_and_takes_nobody_out");
}

#[test]
fn a_replica_that_is_cut_off_from_the_api_server_or_from_the_others_takes_nobody_out() {
    for others in [false, true] {
        let mut world = world();
        let one = Whom::One(world.controllers[1].address);
        let from = match others {
            true => Whom::Some([world.controllers[0].address, world.controllers[2].address].into()),
            false => api_server_address(),
        };
        let from_ms = world.now_ms();
        world.net.cut_both(&one, &from);
        world.play(60_000);
        let now_ms = world.now_ms();
        world.truth.trouble(None, from_ms, now_ms);
        world.end("a_replica_that_is_cut_off_from_the_api_server_or_from_the_others_takes_nobody_out");
    }
}

#[test]
fn a_node_with_a_replica_that_dies_is_out_in_time_and_nobody_else() {
    let mut world = World::new(1, Size { nodes: 5, services: 3, pods: 5, ..THREE });
    world.kill_node_with_replica(2);
    let now_ms = world.now_ms();
    world.truth.loss(now_ms, REPLACED_WITHIN_MS + SILENCE_MS);
    world.play(40_000);
    world.end("a_node_with_a_replica_that_dies_is_out_in_time_and_nobody_else");
}

/// How long a node is cut off; and how much later than the first of its ways the second and the third are whole again, which
/// are the API server, the first and the third node, in this order or from another one on.
const HEALINGS: [(Millis, usize, [Millis; 2]); 7] = [
    (25_000, 0, [0, 0]),
    (25_300, 0, [1_500, 2_000]),
    // So short that the links' ends are still near when the API server answers first.
    (7_000, 0, [1_500, 500]),
    (25_900, 1, [1_000, 1_000]),
    (26_100, 2, [700, 3_000]),
    // Those on the other side have given it up, and look for it no more.
    (90_000, 0, [2_500, 500]),
    (90_400, 1, [0, 2_000]),
];

#[test]
fn a_node_with_a_replica_that_is_back_takes_nobody_out_of_its_own_lookups() {
    let story = "a_node_with_a_replica_that_is_back_takes_nobody_out_of_its_own_lookups";
    for (number, (lasts_ms, first, later)) in HEALINGS.into_iter().enumerate() {
        let mut world = World::new(1, THREE);
        let others = [api_server_address(), Whom::Node("n1".into()), Whom::Node("n3".into())];
        let from_ms = world.now_ms();
        let mut cuts = world.cut_node_off(2, &others);
        world.play(lasts_ms);
        cuts.rotate_left(first);
        for (cut, after_ms) in cuts.into_iter().zip([0, later[0], later[1]]) {
            world.play(after_ms);
            world.note(format!("a way is whole again, {after_ms} ms after the one before"));
            world.net.heal(&cut);
        }
        world.pods_are_reached_again();
        let now_ms = world.now_ms();
        world.truth.trouble(None, from_ms, now_ms);
        world.play(20_000);
        // What comes of it in the end is the same each time.
        if number == 0 {
            world.end(story);
        } else {
            world.judge(story);
        }
    }
}

#[test]
fn statuses_are_written_again_soon_after_their_writer_was_killed() {
    let mut world = world();
    let leader = world.leader().expect("somebody leads");
    world.kill_controller(leader);
    let before = world.revision();
    world.create_pod(0);
    let is_written = world.play_until(20_000, |world| {
        let written = world.api(|api| api.written_after(before));
        written.iter().any(|write| write.id.kind == "serviceregistrations")
    });
    assert!(is_written, "nobody has written a status for 20 s:\n{}", world.chronicle);
    world.end("statuses_are_written_again_soon_after_their_writer_was_killed");
}
