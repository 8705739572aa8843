//! A lookup over HTTP on localhost: what it costs the sidecar beside what HTTP itself costs, and beside a Consul agent.
//!
//! ```text
//!  processor 0: one of   sidecar | bare hyper with the same bytes | Consul agent
//!  processor 1: this process (the load), and the controller's half that the sidecar is in session with
//! ```
//!
//! All run in turn, round by round, so that a machine that changes its pace changes it for all of them.

mod consul;
mod floor;
mod load;
mod process;
mod shop;
mod sidecar;

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rollcall_cluster::{CONSUL, Home, companion::Companion};
use tokio::{runtime::Builder, time::sleep};

use self::{
    consul::Consul,
    load::{Caller, Outcome},
    process::{cpu, listening, measured, memory, stand_aside},
    sidecar::{Pod, Sidecar},
};
pub(crate) use self::{
    floor::serve as serve_floor,
    shop::{Shop, serve as serve_shop},
};

/// Names the sidecar's program, as it is in its image.
const SIDECAR_PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(2);
/// Lookups a second where delays are measured: a tenth of what one processor can answer.
const STEADY: u32 = 2_000;
const STEADY_CONNECTIONS: usize = 16;
const STEADY_FOR: Duration = Duration::from_secs(6);
const CHANGES_A_SECOND: u32 = 1_000;
/// How long an idle sidecar is looked at.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Ports of loopback that nobody else has: below those that the kernel gives out.
const PORTS: u16 = 27_300;

/// Holds what one load on one server came to.
struct Measured {
    a_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(crate) fn run(services: u32, rounds: u32, with_consul: bool) -> anyhow::Result<()> {
    // Before we keep to one processor: it takes both for minutes.
    let consul = if with_consul { Some(CONSUL.build(&Home::of_this_user()?)?) } else { None };
    stand_aside()?;
    let program =
        PathBuf::from(env::var(SIDECAR_PROGRAM).with_context(|| format!("{SIDECAR_PROGRAM} is not set"))?);
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pod = Pod::new(&program, PORTS)?;
        let mut half = pod.controller(Shop { services, generation: 1 })?;
        let mut sidecar = pod.start().await?;
        sidecar.in_step().await?;
        println!("memory, MiB resident (anonymous alone): {} idle in session", shown(memory(sidecar.process.pid())?));
        sidecar.hold(services).await?;
        println!("  {} with {services} services of {} instances held", shown(memory(sidecar.process.pid())?), shop::INSTANCES);
        lookups(&sidecar, services, rounds, consul.as_deref()).await?;
        println!("  {} after all these lookups", shown(memory(sidecar.process.pid())?));

        let quiet = steady(&sidecar, services).await?;
        half.change(CHANGES_A_SECOND, STEADY_FOR.as_secs())?;
        let changing = steady(&sidecar, services).await?;
        half.changed()?;
        sidecar.in_step().await?;
        drop(half);
        let half = pod.controller(Shop { services, generation: 1_000_000 })?;
        let resyncing = steady(&sidecar, services).await?;
        sidecar.in_step().await?;
        println!("\ndelays at {STEADY} lookups/s of all services over {STEADY_CONNECTIONS} connections, from when each was due");
        println!("while                      p50 us   p99 us  p99.9 us  p99/quiet");
        for (what, outcome) in [
            ("nothing changes", &quiet),
            ("1,000 changes/s come", &changing),
            ("all is told anew", &resyncing),
        ] {
            let at = |share| outcome.delay_us(share);
            println!("{what:<25}  {:>6.0}  {:>7.0}  {:>8.0}  {:>9.2}", at(0.5), at(0.99), at(0.999), at(0.99) / quiet.delay_us(0.99));
        }
        println!("  {} after that", shown(memory(sidecar.process.pid())?));

        let before = cpu(sidecar.process.pid())?;
        sleep(IDLE_FOR).await;
        let idle = cpu(sidecar.process.pid())? - before;
        println!("\nidle in session with {services} services held: {:.2} millicores", idle.as_secs_f64() / IDLE_FOR.as_secs_f64() * 1e3);
        drop(half);
        let request = sidecar.request(0);
        sleep(Duration::from_secs(6)).await;
        drop(sidecar);
        let mut took_ms = Vec::new();
        for _ in 0..rounds {
            let begin = Instant::now();
            sidecar = pod.start().await?;
            let from_disk = Caller::connect(sidecar.at).await?.answer(&request).await?.to_ascii_lowercase();
            took_ms.push(begin.elapsed().as_secs_f64() * 1e3);
            ensure!(String::from_utf8_lossy(&from_disk).contains("x-rollcall-source: disk"), "not from the disk");
            drop(sidecar);
        }
        println!("from exec to the first answer, from the disk, without a controller: {:.1} ms (median of {rounds}; looked for each 5 ms)", median(took_ms));
        Ok(())
    })
}

/// Throughput and cost, of all servers in turn.
async fn lookups(sidecar: &Sidecar, services: u32, rounds: u32, consul: Option<&Path>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let answer = folder.path().join("answer");
    fs::write(&answer, Caller::connect(sidecar.at).await?.answer(&sidecar.request(0)).await?)?;
    let (floor, floor_at) = floor(&answer).await?;
    let consul = match consul {
        Some(program) => Some(Consul::start(program, PORTS + 10, services).await?),
        None => None,
    };
    let of_all: Vec<_> = (0..services).map(|number| sidecar.request(number)).collect();
    let of_one = vec![sidecar.request(0)];
    let mut servers = vec![
        ("bare hyper", floor_at, floor.pid(), of_one.clone()),
        ("sidecar", sidecar.at, sidecar.process.pid(), of_one),
        ("sidecar, all", sidecar.at, sidecar.process.pid(), of_all),
    ];
    if let Some(consul) = &consul {
        servers.push(("consul ?cached", consul.at, consul.process.pid(), vec![consul.request(0)]));
    }
    // Each once, so that nothing is answered for the first time.
    for (_, at, _, requests) in &servers {
        let mut caller = Caller::connect(*at).await?;
        for request in requests {
            caller.answer(request).await?;
        }
    }
    let mut all: BTreeMap<(usize, usize), Vec<Measured>> = BTreeMap::new();
    for _ in 0..rounds {
        for connections in CONNECTIONS {
            for (place, (_, at, pid, requests)) in servers.iter().enumerate() {
                let before = cpu(*pid)?;
                let outcome = load::closed(*at, requests, connections, LASTS).await?;
                let cpu_us = (cpu(*pid)? - before).as_secs_f64() * 1e6 / outcome.answers as f64;
                let (p50_us, p99_us) = (outcome.delay_us(0.5), outcome.delay_us(0.99));
                let measured = Measured { a_second: outcome.a_second(), cpu_us, p50_us, p99_us };
                all.entry((connections, place)).or_default().push(measured);
            }
        }
    }
    println!(
        "\nlookups of one of {services} services, or of all in turn, {} instances each ({} bytes); medians of {rounds} rounds of {} s; ratios are medians of each round's",
        shop::INSTANCES,
        fs::metadata(&answer)?.len(),
        LASTS.as_secs()
    );
    println!("connections  server            lookups/s  /floor  CPU us  /floor  p50 us  p99 us");
    for ((connections, place), rounds) in &all {
        let Some(floors) = all.get(&(*connections, 0)) else { continue };
        let name = servers.get(*place).map_or("", |server| server.0);
        let of = |value: fn(&Measured) -> f64| median(rounds.iter().map(value).collect());
        let by_floor = |value: fn(&Measured) -> f64| {
            median(rounds.iter().zip(floors).map(|(one, floor)| value(one) / value(floor)).collect())
        };
        println!(
            "{connections:>11}  {name:<16}  {:>9.0}  {:>6.2}  {:>6.1}  {:>6.2}  {:>6.0}  {:>6.0}",
            of(|one| one.a_second),
            by_floor(|one| one.a_second),
            of(|one| one.cpu_us),
            by_floor(|one| one.cpu_us),
            of(|one| one.p50_us),
            of(|one| one.p99_us)
        );
    }
    println!("goals: lookups/s >= 0.9 and CPU <= 1.15 of the floor; CPU <= 0.1 of Consul's");
    Ok(())
}

async fn floor(answer: &Path) -> anyhow::Result<(Companion, SocketAddr)> {
    let port = PORTS + 9;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answer = answer.to_owned();
    let process = measured("starting bare hyper", &env::current_exe()?, move |floor| {
        floor.arg("lookup-floor").arg(format!("--port={port}")).arg(answer);
    })?;
    listening(at, &process).await?;
    Ok((process, at))
}

/// Delays of lookups that come evenly.
async fn steady(sidecar: &Sidecar, services: u32) -> anyhow::Result<Outcome> {
    let requests: Vec<_> = (0..services).map(|number| sidecar.request(number)).collect();
    load::open(sidecar.at, &requests, STEADY_CONNECTIONS, STEADY, STEADY_FOR).await
}

fn shown((resident, anonymous): (f64, f64)) -> String {
    format!("{resident:.1} ({anonymous:.1})")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
