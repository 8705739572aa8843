//! A controller that dies at every write, before and after it: whoever comes next finds its way.

use rollcall_apiserver::{Fault, Harm};
use rollcall_whole::world::{Size, World};

const TINY: Size = Size { nodes: 2, controllers: 1, services: 1, pods: 2 };

/// More writes than a story has: who comes so far has died at each.
const WRITES_MAX: u64 = 200;

/// Each is tried in so many runs of the story; the others are for a person who has the time.
const APART: u64 = 3;

/// A story in which everything is written that there is to write; the controller dies at the write of this number. Whether
/// it came so far.
fn dies_at(number: u64, harm: Harm) -> bool {
    let mut world = World::begin(number, TINY);
    let faults = world.faults_of(0);
    faults.place(Fault::of_write(number, harm));
    let mut died = false;
    let mut bury = |world: &mut World| {
        if faults.is_dead() && !std::mem::replace(&mut died, true) {
            world.kill_controller(0);
        }
    };
    world.settle();
    bury(&mut world);
    world.create_pod(0);
    world.play(8_000);
    bury(&mut world);
    let leaving = world.some_pod();
    world.delete_pod(&leaving);
    world.play(8_000);
    bury(&mut world);
    world.play(5_000);
    let now_ms = world.now_ms();
    // Between its death and its next life nothing is told; that its kubelet sees it at once is no promise.
    world.truth.trouble(None, 0, now_ms + 5_000);
    world.end("whoever_dies_at_a_write_is_followed_by_one_who_finds_his_way");
    died
}

#[test]
fn whoever_dies_at_a_write_is_followed_by_one_who_finds_his_way() {
    let apart = if std::env::var_os("ROLLCALL_SEEDS").is_some() { 1 } else { APART };
    for (first, harm) in [(1, Harm::CrashBefore), (2, Harm::CrashAfter)] {
        let numbers = (first..WRITES_MAX).step_by(usize::try_from(apart).unwrap());
        let died = numbers.take_while(|number| dies_at(*number, harm)).count();
        println!("{harm:?}: died at {died} writes");
        assert!(died > 2, "the story has more writes than that");
    }
}
