//! A sidecar: with nothing asked for, and holding all that there is, as apps hold what they look up.

use anyhow::Result;
use rollcall_results::{Class, Configuration, Record};

use super::{Kept, settled};
use crate::{
    local::{Pod, Shop},
    peers::Data,
};

/// What is held; the first is there, and nobody asks for it.
const HELD: [Data; 4] = [
    Data { services: 1, instances: 10 },
    Data { services: 100, instances: 10 },
    Data { services: 1_000, instances: 10 },
    Data { services: 1_000, instances: 100 },
];
/// Ports of loopback: of the API, and the three behind it.
const PORTS: u16 = 28_610;

pub(super) async fn measure(kept: &mut Kept) -> Result<()> {
    for (turn, data) in HELD.into_iter().enumerate() {
        let pod = Pod::new(PORTS)?;
        let _controller = pod.controller(Shop { data, generation: 1 })?;
        let sidecar = pod.start().await?;
        let held = match turn {
            0 => Data { services: 0, ..data },
            _ => data,
        };
        sidecar.hold(held.services).await?;
        kept.push(settled(&[sidecar.process.pid()], record(held)).await?)?;
    }
    Ok(())
}

fn record(held: Data) -> Record {
    Record::new("sidecar", Class::B, Configuration::Default, 1)
        .with_case("services", held.services)
        .with_case("instances", held.instances)
        .with_case("watchers", 0_u32)
}
