//! What one change costs at 100,000 instances, and what it costs to tell it.

#![expect(clippy::expect_used, reason = "a benchmark that measures nothing must not go on")]

mod fleet;

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fleet::{DEAD, Fleet, Shape, WELL};
use rollcall_catalogue::{
    ContentHash, ServiceKey, Snapshot, Update,
    changes::{Delta, Ring},
    consolidate::{Profiles, Settings},
};

const MANY_SMALL: Shape = Shape { services: 10_000, instances: 10 };
const SHAPES: [Shape; 3] =
    [MANY_SMALL, Shape { services: 1_000, instances: 100 }, Shape { services: 20, instances: 5_000 }];

/// The state of one instance flips, in another service each time: its member is consolidated, and the snapshot
/// follows.
fn one_change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one change");
    for shape in SHAPES {
        let fleet = Fleet::new(shape);
        let mut snapshot = fleet.snapshot();
        let registrations: Vec<_> = (0..shape.services).map(|service| fleet.registration(service)).collect();
        let mut profiles = vec![Profiles::default(); registrations.len()];
        let pods: Vec<_> =
            (0..shape.services).map(|service| fleet.pod(service, shape.instances / 2)).collect();
        let (mut now, mut turn) = (2, 0);
        group.bench_function(format!("{}x{}", shape.services, shape.instances), |bencher| {
            bencher.iter(|| {
                let witnesses = if turn / pods.len() % 2 == 0 { DEAD } else { WELL };
                // A step that is coprime to the number of services: no cache knows the next one.
                let place = turn * 7_919 % pods.len();
                let (Some(pod), Some(registration), Some(profiles)) =
                    (pods.get(place), registrations.get(place), profiles.get_mut(place))
                else {
                    return;
                };
                let upserts = fleet.instances(pod, registration, witnesses, profiles);
                let update = Update::Part { settings: None, upserts, removes: Vec::new() };
                let step = snapshot.next([(registration.key.clone(), update)], now);
                snapshot = step.expect("the state flips").snapshot;
                (now, turn) = (now + 1, turn + 1);
            });
        });
    }
    // The same when all of the service is consolidated and told anew.
    let fleet = Fleet::new(MANY_SMALL);
    let mut snapshot = fleet.snapshot();
    let registration = fleet.registration(1);
    let pods: Vec<_> = (0..MANY_SMALL.instances).map(|number| fleet.pod(1, number)).collect();
    let mut profiles = Profiles::default();
    let mut now = 2;
    group.bench_function("10000x10, told as a whole", |bencher| {
        bencher.iter(|| {
            let mut instances = Vec::with_capacity(pods.len());
            for (number, pod) in (0u64..).zip(&pods) {
                let witnesses = if number == now % 2 { DEAD } else { WELL };
                instances.extend(fleet.instances(pod, &registration, witnesses, &mut profiles));
            }
            let update = Update::Whole { settings: Settings::default(), instances };
            snapshot =
                snapshot.next([(registration.key.clone(), update)], now).expect("two states flip").snapshot;
            now += 1;
        });
    });
    group.finish();
}

/// A hundred changes are remembered, and a sidecar with 20 services that missed them comes back.
fn telling(criterion: &mut Criterion) {
    let shape = Shape { services: 1_000, instances: 10 };
    let fleet = Fleet::new(shape);
    let first = fleet.snapshot();
    let mut snapshot = first.clone();
    let changes: Vec<_> = (0..100)
        .map(|now| {
            // Every second one hits a service that is held, which fall ill and get well in turn.
            let (held, well) = (now % 2 == 0, now / 40 % 2 == 1);
            let service = if held { now / 2 % 20 } else { 20 + now };
            let witnesses = if held && well { WELL } else { DEAD };
            let step = fleet.step(&snapshot, service, witnesses, u64::from(now));
            snapshot = step.snapshot;
            step.deltas
        })
        .collect();
    let mut group = criterion.benchmark_group("telling");
    group.bench_function("Ring::push, 100 changes", |bencher| {
        bencher.iter_batched_ref(
            || (Ring::default(), changes.clone()),
            |(ring, changes)| {
                for deltas in changes.drain(..) {
                    ring.push(deltas);
                }
            },
            BatchSize::SmallInput,
        );
    });
    let mut ring = Ring::default();
    for deltas in &changes {
        ring.push(deltas.clone());
    }
    let held: Vec<_> = (0..20)
        .filter_map(|service| first.get(&fleet.key(service)).map(|held| (fleet.key(service), held.hash)))
        .collect();
    group.bench_function("Ring::path, 20 services after 100 changes", |bencher| {
        bencher.iter(|| {
            let told = held.iter().filter_map(|(key, hash)| joined(&ring, &snapshot, key, *hash)).count();
            assert!(told > 0, "something of it is remembered");
        });
    });

    // A large service is rolled out while its holder is away.
    let fleet = Fleet::new(Shape { services: 1, instances: 1_000 });
    let mut snapshot = Snapshot::default();
    let mut ring = Ring::default();
    let mut held = None;
    let registration = fleet.registration(0);
    for number in 0..1_000 {
        let upserts = fleet.instances(&fleet.pod(0, number), &registration, WELL, &mut Profiles::default());
        let update = Update::Part { settings: Some(Settings::default()), upserts, removes: Vec::new() };
        let step = snapshot.next([(fleet.key(0), update)], 1).expect("it is new");
        snapshot = step.snapshot;
        ring.push(step.deltas);
        // The first push made it known: whoever holds it is away since then.
        held = held.or_else(|| snapshot.get(&fleet.key(0)).map(|service| service.hash));
    }
    let (key, held) = (fleet.key(0), held.expect("it is known"));
    group.bench_function("Ring::path, 1 service after 1,000 changes of it", |bencher| {
        bencher.iter(|| black_box(joined(&ring, &snapshot, &key, held)).expect("it is remembered"));
    });

    for shape in SHAPES {
        let fleet = Fleet::new(Shape { services: 1, ..shape });
        let before = fleet.snapshot();
        let step = fleet.step(&before, 0, DEAD, 2);
        let delta = step.deltas.first().expect("one service changed");
        let held = before.get(&delta.key).map(AsRef::as_ref);
        group.bench_function(format!("Delta::apply, {} instances", shape.instances), |bencher| {
            bencher.iter(|| black_box(delta.apply(held)).expect("in step"));
        });
    }
    group.finish();
}

/// What leads from this content of a service to its newest state, as one; none where nothing does.
fn joined(ring: &Ring, newest: &Snapshot, key: &ServiceKey, held: ContentHash) -> Option<Delta> {
    let path = ring.path(key, held, &newest.get(key)?.head())?;
    let (first, later) = path.split_first()?;
    first.and_all(later.iter().map(AsRef::as_ref)).ok()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = one_change, telling
}
criterion_main!(benches);
