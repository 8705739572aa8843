//! One story after the other.

use rollcall_whole::world::{Size, World};

const SMALL: Size = Size { nodes: 3, controllers: 1, services: 4, pods: 4 };

#[test]
fn while_nothing_is_wrong_everybody_is_told_of_everybody() {
    let began = std::time::Instant::now();
    let mut world = World::new(1, SMALL);
    world.play(30_000);
    println!("{:?}", began.elapsed());
    let history = world.truth.history(world.journal());
    println!("{:?} {}", history.size(), history.steps.len());
    for run in history.runs.iter().take(20) {
        println!("{run:?}");
    }
    println!("{:?}", world.journal().last(&"s0-1".into(), &"s0".into()));
    world.judge("while_nothing_is_wrong_everybody_is_told_of_everybody");
}
