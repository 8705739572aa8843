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

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rollcall_cluster::{CONSUL, Home, companion::Companion};
use tokio::{runtime::Builder, time::sleep};

use self::consul::Consul;
pub(crate) use self::floor::serve as serve_floor;
use crate::local::{
    Caller, Half, INSTANCES, Measured, Outcome, Pod, Rounds, Shop, Sidecar, cpu, listening, measured, median,
    memory, stand_aside,
};

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

pub(crate) fn run(services: u32, rounds: u32, with_consul: bool) -> anyhow::Result<()> {
    // Before we keep to one processor: it takes both for minutes.
    let consul = if with_consul { Some(CONSUL.build(&Home::of_this_user()?)?) } else { None };
    stand_aside()?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pod = Pod::new(PORTS)?;
        let half = pod.controller(Shop { services, generation: 1 })?;
        let mut sidecar = pod.start().await?;
        sidecar.in_step().await?;
        println!("memory, MiB resident (anonymous alone): {} idle in session", shown(memory(sidecar.process.pid())?));
        sidecar.hold(services).await?;
        println!("  {} with {services} services of {} instances held", shown(memory(sidecar.process.pid())?), INSTANCES);
        lookups(&sidecar, services, rounds, consul.as_deref()).await?;
        println!("  {} after all these lookups", shown(memory(sidecar.process.pid())?));

        let half = delays(&pod, &sidecar, half, services, rounds).await?;
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
    let mut all: BTreeMap<(usize, usize), Rounds> = BTreeMap::new();
    for _ in 0..rounds {
        for connections in CONNECTIONS {
            for (place, (_, at, pid, requests)) in servers.iter().enumerate() {
                let before = cpu(*pid)?;
                let outcome = load::closed(*at, requests, connections, LASTS).await?;
                let measured = Measured::of(&outcome, cpu(*pid)? - before);
                all.entry((connections, place)).or_default().push(measured);
            }
        }
    }
    println!(
        "\nlookups of one of {services} services, or of all in turn, {} instances each ({} bytes); medians of {rounds} rounds of {} s; ratios are medians of each round's",
        INSTANCES,
        fs::metadata(&answer)?.len(),
        LASTS.as_secs()
    );
    println!("connections  server            lookups/s  /floor  CPU us  /floor  p50 us  p99 us");
    for ((connections, place), rounds) in &all {
        let Some(floors) = all.get(&(*connections, 0)) else { continue };
        let name = servers.get(*place).map_or("", |server| server.0);
        println!(
            "{connections:>11}  {name:<16}  {:>9.0}  {:>6.2}  {:>6.1}  {:>6.2}  {:>6.0}  {:>6.0}",
            rounds.median(|one| one.a_second),
            rounds.ratio(floors, |one| one.a_second),
            rounds.median(|one| one.cpu_us),
            rounds.ratio(floors, |one| one.cpu_us),
            rounds.median(|one| one.p50_us),
            rounds.median(|one| one.p99_us)
        );
    }
    println!("goals: lookups/s >= 0.9 and CPU <= 1.15 of the floor; CPU <= 0.1 of Consul's");
    Ok(())
}

/// Delays of lookups that come evenly, while nothing changes, while much does, and while all is told anew; the controller's half
/// that is there then. Beside them those of bare hyper at the same times: what it loses while others change, it loses to the
/// machine, which has the controller's half to run behind the load, and the sidecar that takes the changes beside it.
async fn delays(
    pod: &Pod,
    sidecar: &Sidecar,
    mut half: Half,
    services: u32,
    rounds: u32,
) -> anyhow::Result<Half> {
    let folder = tempfile::tempdir()?;
    let answer = folder.path().join("answer");
    fs::write(&answer, Caller::connect(sidecar.at).await?.answer(&sidecar.request(0)).await?)?;
    let (_floor, floor) = floor(&answer).await?;
    let requests: Vec<_> = (0..services).map(|number| sidecar.request(number)).collect();
    let steady = |at| load::steady(at, &requests, STEADY_CONNECTIONS, STEADY, STEADY_FOR);
    let mut all: [Vec<Outcome>; 5] = Default::default();
    for round in 0..rounds {
        let [quiet, changing, resyncing, floor_quiet, floor_changing] = &mut all;
        quiet.push(steady(sidecar.at)?);
        floor_quiet.push(steady(floor)?);
        for (at, outcomes) in [(sidecar.at, changing), (floor, floor_changing)] {
            half.change(CHANGES_A_SECOND, STEADY_FOR.as_secs())?;
            outcomes.push(steady(at)?);
            half.changed()?;
            sidecar.in_step().await?;
        }
        drop(half);
        half = pod.controller(Shop { services, generation: (round + 1) * 1_000_000 })?;
        resyncing.push(steady(sidecar.at)?);
        sidecar.in_step().await?;
    }
    println!(
        "\ndelays at {STEADY} requests/s over {STEADY_CONNECTIONS} connections, from when each was due; medians of {rounds} rounds of {} s; ratios to the same server's quiet are medians of each round's",
        STEADY_FOR.as_secs()
    );
    println!("server      while                  p50 us   p99 us  p99.9 us  p99/quiet");
    let [quiet, changing, resyncing, floor_quiet, floor_changing] = &all;
    for (server, what, outcomes, quiet) in [
        ("sidecar", "nothing changes", quiet, quiet),
        ("sidecar", "1,000 changes/s come", changing, quiet),
        ("sidecar", "all is told anew", resyncing, quiet),
        ("bare hyper", "nothing changes", floor_quiet, floor_quiet),
        ("bare hyper", "1,000 changes/s come", floor_changing, floor_quiet),
    ] {
        let at = |share| median(outcomes.iter().map(|outcome| outcome.delay_us(share)).collect());
        let by_quiet =
            outcomes.iter().zip(quiet).map(|(one, quiet)| one.delay_us(0.99) / quiet.delay_us(0.99));
        println!(
            "{server:<10}  {what:<20}  {:>7.0}  {:>7.0}  {:>8.0}  {:>9.2}",
            at(0.5),
            at(0.99),
            at(0.999),
            median(by_quiet.collect())
        );
    }
    println!("goal: p99 <= 2 x quiet");
    Ok(half)
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

fn shown((resident, anonymous): (f64, f64)) -> String {
    format!("{resident:.1} ({anonymous:.1})")
}
