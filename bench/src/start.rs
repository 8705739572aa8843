//! A sidecar alone: its memory, what it computes while nobody asks, and how soon it answers.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use rollcall_results::{Class, Configuration, Ended, Record};
use tokio::{runtime::Builder, time::sleep};

use crate::{
    local::{Caller, Pod, Shop, Sidecar, cpu, memory, stand_aside},
    peers::{Data, Peer, SidecarPeer},
    report,
};

/// Holds how often, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct StartArguments {
    #[arg(long, default_value_t = 21)]
    starts: u32,
    /// How long an idle sidecar is looked at.
    #[arg(long, default_value_t = 20)]
    idle_seconds: u64,
    /// Without keeping this process to a processor of its own, before all others.
    #[arg(long)]
    unpinned: bool,
}

const DATA: Data = Data { services: 1_000, instances: 10 };
/// What is held is on the disk after this.
const WRITTEN_AFTER: Duration = Duration::from_secs(6);
/// Ports of loopback that nobody else has: below those that the kernel gives out.
const PORTS: u16 = 27_340;

pub(crate) fn run(arguments: &StartArguments) -> anyhow::Result<()> {
    let idle_for = Duration::from_secs(arguments.idle_seconds.max(1));
    println!(
        "about {} s: a sidecar that is idle, and {} starts of one",
        (idle_for * 3 + WRITTEN_AFTER * 2).as_secs() + 10,
        arguments.starts
    );
    if !arguments.unpinned {
        stand_aside()?;
    }
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pod = Pod::new(PORTS)?;
        let half = pod.controller(Shop { data: DATA, generation: 1 })?;
        let sidecar = pod.start().await?;
        sidecar.in_step().await?;
        let nothing = idle(&sidecar, held(0, 0), idle_for).await?;
        let sidecar = SidecarPeer::new(sidecar, DATA).await?;
        let mut writer = report::begin("start", sidecar.programs())?;
        let written = written(&sidecar.sidecar).await?;
        let all = idle(&sidecar.sidecar, held(DATA.services, 1), idle_for).await?;
        for service in 0..DATA.services {
            sidecar.client().await?.lookup(service).await?;
        }
        let again = idle(&sidecar.sidecar, held(DATA.services, 2), idle_for).await?;
        let image = Record::new("sidecar", Class::B, Configuration::Default, 1)
            .with_case("event", "image")
            .with_value("image_mib", pod.image_mib()?);
        for record in [&nothing, &written, &all, &again, &image] {
            println!("{}", told(record));
            writer.push(record)?;
        }
        drop(half);
        let request = sidecar.sidecar.request(0);
        sleep(WRITTEN_AFTER).await;
        drop(sidecar);
        let mut delays = report::Delays::new()?;
        for _ in 0..arguments.starts {
            let begin = Instant::now();
            let sidecar = pod.start().await?;
            let answer = Caller::connect(sidecar.at).await?.answer(&request).await?.to_ascii_lowercase();
            delays.push(begin.elapsed());
            let is_from_disk = String::from_utf8_lossy(&answer).contains("x-rollcall-source: disk");
            ensure!(is_from_disk, "an answer is not from the disk");
        }
        let mut record = of_sidecar("start").with_case("services", DATA.services);
        delays.tell(&mut record);
        writer.push(&record)?;
        println!(
            "from exec to the first answer, from the disk, without a controller: {:.1} ms, {:.1} at most (median of {}; looked for each 5 ms)",
            delays.at(0.5).as_secs_f64() * 1e3,
            delays.at(1.0).as_secs_f64() * 1e3,
            arguments.starts
        );
        Ok(writer.end(Ended::default())?)
    })
}

/// What it costs to write all that was just told to the disk, which falls into none of the times in which it is idle.
async fn written(sidecar: &Sidecar) -> anyhow::Result<Record> {
    let pid = sidecar.process.pid();
    let before = cpu(pid)?;
    sleep(WRITTEN_AFTER).await;
    let took = cpu(pid)? - before;
    let record = of_sidecar("written").with_case("services", DATA.services);
    Ok(record.with_value("cpu_ms", took.as_secs_f64() * 1e3))
}

/// What a sidecar in session holds, and what it computes with nothing to do.
async fn idle(sidecar: &Sidecar, record: Record, idle_for: Duration) -> anyhow::Result<Record> {
    let pid = sidecar.process.pid();
    let before = cpu(pid)?;
    sleep(idle_for).await;
    let millicores = (cpu(pid)? - before).as_secs_f64() / idle_for.as_secs_f64() * 1e3;
    let (rss_mib, anonymous_mib) = memory(pid)?;
    Ok(record
        .with_value("rss_mib", rss_mib)
        .with_value("anonymous_mib", anonymous_mib)
        .with_value("cpu_millicores", millicores))
}

/// Idle with so many services held, each of which was looked up so often: the answer to who asks again is kept.
fn held(services: u32, lookups_each: u32) -> Record {
    of_sidecar("idle").with_case("services", services).with_case("lookups_each", lookups_each)
}

fn of_sidecar(event: &str) -> Record {
    let record = Record::new("sidecar", Class::B, Configuration::Default, 1);
    record.with_case("event", event).with_case("instances", DATA.instances)
}

fn told(record: &Record) -> String {
    let case: Vec<_> = record.case.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
    let values: Vec<_> = record.values.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
    format!("{}: {}", case.join(", "), values.join(", "))
}
