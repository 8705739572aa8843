//! DNS on localhost: what an answer costs the sidecar beside what UDP itself costs, and beside CoreDNS.
//!
//! ```text
//!  processor 0: one of   sidecar | bare UDP with the same bytes | CoreDNS with the same records in a file
//!  processor 1: this process (the load), and the controller's half that the sidecar is in session with
//! ```
//!
//! All run in turn, round by round, so that a machine that changes its pace changes it for all of them.

mod coredns;
mod floor;
mod load;
mod query;

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use rollcall_cluster::{COREDNS, Home, companion::Companion};
use tokio::runtime::Builder;

pub(crate) use self::floor::serve as serve_floor;
use self::{
    coredns::CoreDns,
    query::{Client, Kind, Query},
};
use crate::local::{INSTANCES, Measured, Pod, Rounds, Shop, Sidecar, cpu, measured, stand_aside};

/// Clients that each have one query outstanding.
const CLIENTS: usize = 8;
/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(2);
/// Queries a second where delays are measured.
const STEADY: u32 = 10_000;
const STEADY_FOR: Duration = Duration::from_secs(3);
/// Ports of loopback that nobody else has: below those that the kernel gives out.
const PORTS: u16 = 27_320;
/// CoreDNS's processor time for each answer, by the sidecar's: the least that it is to be.
const CPU_GOAL: f64 = 4.0;
const P99_GOAL_US: f64 = 1_000.0;

/// Holds what is measured in turn: a server, and what it is asked.
struct Contender {
    name: &'static str,
    at: SocketAddr,
    pid: u32,
    queries: Vec<Query>,
}

/// Holds what both loads on one contender came to.
#[derive(Default)]
struct Results {
    closed: Rounds,
    steady: Rounds,
}

pub(crate) fn run(services: u32, rounds: u32) -> anyhow::Result<()> {
    // Before we keep to one processor: it takes both for minutes.
    let coredns = COREDNS.build(&Home::of_this_user()?)?;
    stand_aside()?;
    let pod = Pod::new(PORTS)?;
    let _half = pod.controller(Shop { services, generation: 1 })?;
    let sidecar = Builder::new_current_thread().enable_all().build()?.block_on(async {
        let sidecar = pod.start().await?;
        sidecar.hold(services).await?;
        anyhow::Ok(sidecar)
    })?;
    let coredns = CoreDns::start(&coredns, PORTS + 10, services)?;
    println!(
        "DNS of one of {services} services, or of all in turn, {INSTANCES} instances each; medians of {rounds} rounds; ratios are medians of each round's"
    );
    println!(
        "closed: {CLIENTS} clients with a query outstanding each, {} s; busy: the server's share of its processor, below 100% where the load is the limit",
        LASTS.as_secs()
    );
    println!(
        "open: {STEADY} queries/s by {CLIENTS} clients, {} s; delays from when each was due",
        STEADY_FOR.as_secs()
    );
    let mut missed = Vec::new();
    for (place, kind) in (0..).zip(Kind::ALL) {
        missed.extend(one_kind(kind, PORTS + 11 + place, &sidecar, &coredns, services, rounds)?);
    }
    println!(
        "\ngoals: CoreDNS' CPU >= {CPU_GOAL} of the sidecar's; the sidecar's p99 at {STEADY} queries/s < {P99_GOAL_US} us"
    );
    match missed.as_slice() {
        [] => println!("none was missed"),
        some => println!("missed: {}", some.join("; ")),
    }
    Ok(())
}

/// Measures answers of this kind, and says which goals were missed.
fn one_kind(
    kind: Kind,
    floor_port: u16,
    sidecar: &Sidecar,
    coredns: &CoreDns,
    services: u32,
    rounds: u32,
) -> anyhow::Result<Vec<String>> {
    let of_one = vec![Query::new(kind, 0)];
    let of_all: Vec<_> = (0..services).map(|number| Query::new(kind, number)).collect();
    let query = of_one.first().context("no query")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("reply");
    let reply = Client::answered(sidecar.dns, query, &sidecar.process)?;
    fs::write(&file, &reply)?;
    let (floor, floor_at) = floor(floor_port, &file)?;
    Client::answered(floor_at, query, &floor)?;
    let of_coredns = Client::answered(coredns.at, query, &coredns.process)?;
    let (of_sidecar, of_core) = (sidecar.process.pid(), coredns.process.pid());
    let contenders = [
        Contender { name: "bare UDP", at: floor_at, pid: floor.pid(), queries: of_one.clone() },
        Contender { name: "sidecar", at: sidecar.dns, pid: of_sidecar, queries: of_one.clone() },
        Contender { name: "sidecar, all", at: sidecar.dns, pid: of_sidecar, queries: of_all.clone() },
        Contender { name: "CoreDNS", at: coredns.at, pid: of_core, queries: of_one },
        Contender { name: "CoreDNS, all", at: coredns.at, pid: of_core, queries: of_all },
    ];
    let mut results: BTreeMap<&str, Results> = BTreeMap::new();
    // Each once, so that nothing is answered for the first time.
    for one in &contenders {
        let mut client = Client::connect(one.at)?;
        one.queries.iter().try_for_each(|query| client.ask(query).map(drop))?;
    }
    for _ in 0..rounds {
        for one in &contenders {
            let (closed, steady) = one.measure()?;
            let results = results.entry(one.name).or_default();
            results.closed.push(closed);
            results.steady.push(steady);
        }
    }
    println!("\n{kind}: {} bytes of the sidecar, {} of CoreDNS", reply.len(), of_coredns.len());
    println!(
        "server        queries/s  /floor  CPU us  /floor  busy  p50 us  p99 us | open: p50 us  p99 us  CPU us"
    );
    let of = |name: &str| results.get(name).context("a contender without results");
    for one in &contenders {
        row(one.name, of(one.name)?, of("bare UDP")?);
    }
    let mut missed = Vec::new();
    for (ours, theirs) in [("sidecar", "CoreDNS"), ("sidecar, all", "CoreDNS, all")] {
        let (ours_of, theirs_of) = (of(ours)?, of(theirs)?);
        let ratio = theirs_of.closed.ratio(&ours_of.closed, |one| one.cpu_us);
        println!("{theirs} takes {ratio:.2} times the CPU of {ours} for each answer");
        if ratio < CPU_GOAL {
            missed.push(format!("{kind}: {theirs} by {ours}: CPU {ratio:.2}"));
        }
        let p99_us = ours_of.steady.median(|one| one.p99_us);
        if p99_us >= P99_GOAL_US {
            missed.push(format!("{kind}: {ours}: p99 {p99_us:.0} us"));
        }
    }
    Ok(missed)
}

fn row(name: &str, results: &Results, floor: &Results) {
    let Results { closed, steady } = results;
    println!(
        "{name:<12}  {:>9.0}  {:>6.2}  {:>6.1}  {:>6.2}  {:>3.0}%  {:>6.0}  {:>6.0} | {:>12.0}  {:>6.0}  {:>6.1}",
        closed.median(|one| one.a_second),
        closed.ratio(&floor.closed, |one| one.a_second),
        closed.median(|one| one.cpu_us),
        closed.ratio(&floor.closed, |one| one.cpu_us),
        closed.median(|one| one.busy) * 100.0,
        closed.median(|one| one.p50_us),
        closed.median(|one| one.p99_us),
        steady.median(|one| one.p50_us),
        steady.median(|one| one.p99_us),
        steady.median(|one| one.cpu_us),
    );
}

fn floor(port: u16, reply: &Path) -> anyhow::Result<(Companion, SocketAddr)> {
    let reply = reply.to_owned();
    let process = measured("starting bare UDP", &env::current_exe()?, move |floor| {
        floor.arg("dns-floor").arg(format!("--port={port}")).arg(reply);
    })?;
    Ok((process, (Ipv4Addr::LOCALHOST, port).into()))
}

// === impl Contender ===

impl Contender {
    /// Under as many queries as the clients can make, and then under a steady number of them.
    fn measure(&self) -> anyhow::Result<(Measured, Measured)> {
        let before = cpu(self.pid)?;
        let closed = load::closed(self.at, &self.queries, CLIENTS, LASTS)?;
        let between = cpu(self.pid)?;
        let steady = load::steady(self.at, &self.queries, CLIENTS, STEADY, STEADY_FOR)?;
        let after = cpu(self.pid)?;
        Ok((Measured::of(&closed, between - before), Measured::of(&steady, after - between)))
    }
}
