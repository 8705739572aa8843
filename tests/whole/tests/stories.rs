//! What is promised of a whole system, one story after the other: each has its own bounds.

use rollcall_whole::{
    Millis,
    network::Whom,
    world::{Size, World, api_server_address},
};

const SMALL: Size = Size { nodes: 3, controllers: 1, services: 3, pods: 3 };

/// From a controller's death until its sidecars are in step with the next process: a second until the kubelet has started it,
/// and two draws of up to 2 s.
const RESTARTED_WITHIN_MS: Millis = 5_000;

fn world() -> World {
    World::new(1, SMALL)
}

#[test]
fn while_nothing_is_wrong_who_comes_and_goes_is_told_in_time() {
    let mut world = world();
    world.create_pod(0);
    world.play(5_000);
    let leaving = world.some_pod();
    world.delete_pod(&leaving);
    world.play(3_000);
    let failing = world.some_pod();
    world.app_fails(&failing, true);
    world.play(4_000);
    world.app_fails(&failing, false);
    world.play(4_000);
    world.end("while_nothing_is_wrong_who_comes_and_goes_is_told_in_time");
}

#[test]
fn who_restarts_a_sidecar_takes_nobody_out() {
    let mut world = world();
    for name in world.pods_in_life() {
        world.kill_sidecar(&name);
        world.play(700);
    }
    world.end("who_restarts_a_sidecar_takes_nobody_out");
}

#[test]
fn a_controller_that_is_killed_takes_nobody_out_and_is_back_in_time() {
    let mut world = world();
    for _ in 0..3 {
        world.kill_controller(0);
        let now_ms = world.now_ms();
        world.truth.loss(now_ms, RESTARTED_WITHIN_MS);
        world.play(12_000);
    }
    world.end("a_controller_that_is_killed_takes_nobody_out_and_is_back_in_time");
}

#[test]
fn a_controller_that_stands_still_for_a_minute_takes_nobody_out() {
    let mut world = world();
    world.freeze_controller(0);
    world.play(60_000);
    world.wake_controller(0);
    world.play(20_000);
    world.end("a_controller_that_stands_still_for_a_minute_takes_nobody_out");
}

#[test]
fn a_node_that_dies_is_out_in_time_and_nobody_else() {
    // The controller is on the second.
    let mut world = World::new(1, Size { nodes: 5, services: 3, pods: 5, ..SMALL });
    world.kill_node(3);
    world.play(30_000);
    world.end("a_node_that_dies_is_out_in_time_and_nobody_else");
}

#[test]
fn an_api_server_that_cannot_be_reached_takes_nobody_out() {
    let mut world = world();
    let controller = Whom::One(world.controllers[0].address);
    let from_ms = world.now_ms();
    world.net.cut_both(&controller, &api_server_address());
    world.play(20_000);
    let leaving = world.some_pod();
    world.delete_pod(&leaving);
    world.create_pod(1);
    world.play(180_000);
    world.heal();
    // The watches are begun anew within a minute; a kernel that gets no answer tries again each two minutes.
    let now_ms = world.now_ms();
    world.truth.trouble(None, from_ms, now_ms + 130_000);
    // Who holds the Lease, and so writes, is found as late.
    world.play(130_000);
    world.end("an_api_server_that_cannot_be_reached_takes_nobody_out");
}
