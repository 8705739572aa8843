//! What the catalogue takes of the heap at 100,000 instances, and whether following it leaves anything behind.

mod fleet;

use std::process::ExitCode;

use fleet::{DEAD, Fleet, Shape, WELL};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const SHAPE: Shape = Shape { services: 10_000, instances: 10 };

/// Bytes of the heap for one instance, beyond its metadata: half of what the controller may take for it.
const BYTES_PER_INSTANCE: usize = 512;

/// Bytes that a thousand changes may add, for maps that grow in steps.
const BYTES_OF_A_HISTORY: usize = 64 * 1024;

fn main() -> ExitCode {
    let profiler = dhat::Profiler::builder().testing().build();
    let live = || dhat::HeapStats::get().curr_bytes;
    let fleet = Fleet::new(SHAPE);

    let empty = live();
    let mut snapshot = fleet.snapshot();
    let instances = (SHAPE.services * SHAPE.instances) as usize;
    let each = (live() - empty) / instances;
    println!(
        "{} services, {instances} instances: {each} B each (goal: {BYTES_PER_INSTANCE})",
        snapshot.len()
    );

    // One instance of a thousand services becomes ill, and well again.
    let mut change = |turn: u32| {
        let witnesses = if (turn / 1_000).is_multiple_of(2) { DEAD } else { WELL };
        snapshot = fleet.step(&snapshot, turn % 1_000, witnesses, u64::from(turn)).snapshot;
    };
    // All of it once before it counts: those instances no longer share their profile.
    (0..2_000).for_each(&mut change);
    let before = live();
    (2_000..3_000).for_each(&mut change);
    let grown = live().saturating_sub(before);
    println!("1,000 changes later: {grown} B more (goal: {BYTES_OF_A_HISTORY})");

    drop(profiler);
    let reached = each <= BYTES_PER_INSTANCE && grown <= BYTES_OF_A_HISTORY;
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
