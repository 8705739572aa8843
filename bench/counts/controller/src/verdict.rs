//! The verdict: of an instance, and of a service as a whole.

use std::hint::black_box;

use rollcall_catalogue::liveness::{
    EndpointWitness, Intent, PodWitness, ProbeWitness, RegistryHealth, SessionWitness, Settled, Standing,
    Verdict, Witnesses, verdict,
};
use rollcall_counts::{Path, shop};

const WELL: Witnesses = Witnesses {
    pod: PodWitness::Ready,
    endpoint: EndpointWitness::NoEndpoint,
    session: SessionWitness::Live,
    probe: ProbeWitness::Passing,
    intent: Intent::Stay,
    registry: RegistryHealth::Well,
};

/// One of each kind that is asked about often; most are well.
const CASES: [Witnesses; 8] = [
    WELL,
    Witnesses { probe: ProbeWitness::Dead, ..WELL },
    WELL,
    Witnesses { session: SessionWitness::Silent, ..WELL },
    WELL,
    Witnesses { pod: PodWitness::NotReady, ..WELL },
    Witnesses { endpoint: EndpointWitness::Ready, session: SessionWitness::NotExpected, ..WELL },
    Witnesses { pod: PodWitness::Terminating, ..WELL },
];

pub(crate) fn paths() -> Vec<Path> {
    vec![
        Path::new("verdict/instance", 4_096, |_| {
            Ok(Box::new(|turn| {
                let witnesses = CASES.get(turn % CASES.len());
                witnesses
                    .is_some_and(|witnesses| black_box(verdict(black_box(witnesses))) != Verdict::Removed)
            }))
        }),
        Path::new("verdict/service/100", 256, |_| {
            let key = shop::key(0)?;
            let service = shop::failing(&key, &shop::service(&key, 100)?, 10);
            let witnesses: Vec<_> = CASES.into_iter().cycle().take(100).collect();
            Ok(Box::new(move |_| {
                let listed =
                    black_box(&witnesses).iter().filter(|one| verdict(one) != Verdict::Removed).count();
                let standing = Standing::of(service.instances.iter().map(AsRef::as_ref));
                black_box(listed) == 100 && standing.settled() == Settled::Out
            }))
        }),
    ]
}
