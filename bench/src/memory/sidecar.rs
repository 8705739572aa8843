//! A sidecar: with nothing asked for, and holding all that there is and its answers, as apps hold what they look up again and
//! again.

use anyhow::Result;
use rollcall_results::{Class, Configuration, Record};

use super::{Asked, MemoryArguments, Sizes, settled};
use crate::{
    local::{Pod, Shop},
    peers::Data,
};

/// What there is, each looked at with nobody asking for it, and held. A thousand services of a hundred do not fit into a sidecar, which
/// says so in its answer, and keeps what it holds.
const HELD: [Data; 4] = [
    Data { services: 1, instances: 10 },
    Data { services: 100, instances: 10 },
    Data { services: 1_000, instances: 10 },
    Data { services: 100, instances: 100 },
];
/// The first answer is written for who asks and kept for nobody; the next one is.
const LOOKUPS_EACH: u32 = 2;
/// Ports of loopback: of the API, and the three behind it.
const PORTS: u16 = 28_610;

pub(super) async fn measure(arguments: &MemoryArguments, sizes: &mut Sizes) -> Result<()> {
    let most = arguments.instances.iter().copied().max().unwrap_or_default();
    let wanted = |data: &Data| data.services * data.instances <= most;
    for data in HELD.into_iter().filter(wanted) {
        for round in 1..=arguments.rounds_of(data.services * data.instances) {
            let unmeasured = record(data, Asked::All, round);
            sizes.turn(unmeasured, async || both(data, round).await).await?;
        }
    }
    Ok(())
}

/// With nobody asking, and then with everything held and each answer kept: only who asks again has his kept.
async fn both(data: Data, round: u32) -> Result<Vec<Record>> {
    let pod = Pod::new(PORTS)?.that_holds(data);
    let _controller = pod.controller(Shop { data, generation: 1 })?;
    let sidecar = pod.start().await?;
    sidecar.in_step().await?;
    let pids = [sidecar.process.pid()];
    let unasked = settled(&pids, record(data, Asked::Nothing, round)).await?;
    for _ in 0..LOOKUPS_EACH {
        sidecar.hold(data.services).await?;
    }
    Ok(vec![unasked, settled(&pids, record(data, Asked::All, round)).await?])
}

fn record(data: Data, asked: Asked, round: u32) -> Record {
    Record::new("sidecar", Class::B, Configuration::Default, round)
        .with_case("services", data.services)
        .with_case("instances", data.instances)
        .with_case("asked", asked.name())
        .with_case("watchers", 0_u32)
}
