//! DNS on localhost: what an answer costs the sidecar beside what UDP itself costs, and beside CoreDNS and Consul.
//!
//! ```text
//!  processor 0: one of   bare UDP with the same bytes | sidecar | CoreDNS with the same records in a file | Consul
//!  processor 1: this process (the load), and the controller's half that the sidecar is in session with
//! ```
//!
//! All are there all the time, filled with the same data, and one at a time has something to do.

mod floor;
mod query;
mod resolver;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use rollcall_results::{Class, Configuration, Record};
use tokio::runtime::Builder;

pub(crate) use self::floor::serve as serve_floor;
use self::{floor::Floor, query::Kind, resolver::Resolver};
use crate::{
    contest::{Contest, Load, Terms, WarmUp, distinct, systems},
    kept::Kept,
    local::{Choice, Pod, Shop, Turns, stand_aside},
    peers::{Data, NameServer, Peer, SidecarPeer, Start},
};

/// Holds what is measured, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct DnsArguments {
    /// Each server is measured so often under each load.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// What all loads on all servers take together; starting and filling them comes on top of it.
    #[arg(long, default_value_t = 6.0)]
    minutes: f64,
    /// Beside these alone.
    #[arg(long, value_delimiter = ',', default_value = "coredns,consul")]
    peers: Vec<String>,
    /// Beside bare UDP alone.
    #[arg(long, conflicts_with = "peers")]
    without_peers: bool,
    /// To see that it works: one short round, little data, and numbers that say nothing.
    #[arg(long)]
    quick: bool,
    /// Without keeping the load to a processor of its own, before all others: for machines where that is not allowed, or where
    /// others have work to do. Delays say little then.
    #[arg(long)]
    unpinned: bool,
    /// What orders and names are drawn with.
    #[arg(long)]
    seed: Option<u32>,
}

/// Clients that each have one query outstanding.
const CLIENTS: usize = 8;
const MAXIMUM_BY: Load = Load::Closed { choice: Choice::Zipf, connections: CLIENTS };
/// Clients of loads that keep a pace.
const OPEN_CLIENTS: usize = 32;
const DATA: Data = Data { services: 1_000, instances: 10 };
const QUICK: Data = Data { services: 20, instances: 10 };
const QUICK_MINUTES: f64 = 0.5;
/// Of all turns, at most so many are repeated where the host takes too much.
const REPEATS: u32 = 20;
/// Ports of loopback that nobody else has: below those that the kernel gives out.
const PORTS: u16 = 27_320;

pub(crate) fn run(arguments: &DnsArguments) -> anyhow::Result<()> {
    let systems = arguments.systems()?;
    let (rounds, minutes, data) = match arguments.quick {
        true => (1, QUICK_MINUTES, QUICK),
        false => (arguments.rounds, arguments.minutes.max(0.0), DATA),
    };
    let mut turns = Turns::new(arguments.seed.map_or_else(Turns::seed, Ok)?, REPEATS);
    println!(
        "loads of {minutes:.1} minutes in all, once all servers are started, filled and warm, which takes a minute or two; a turn that the host disturbs is repeated, {REPEATS} at most"
    );
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut servers: Vec<Arc<dyn NameServer>> = Vec::new();
        let mut not_started = Vec::new();
        for (name, start) in systems {
            for configuration in [Configuration::Default, Configuration::Tuned] {
                match start(data, configuration).await {
                    Ok(rows) => servers.extend(rows.into_iter().filter_map(|row| row.names)),
                    Err(error) => not_started.push((Record::new(name, Class::B, configuration, 1), error)),
                }
            }
        }
        // What is built before it starts takes both processors.
        if !arguments.unpinned {
            stand_aside()?;
        }
        let pod = Pod::new(PORTS)?;
        let _half = pod.controller(Shop { data, generation: 1 })?;
        let sidecar = Arc::new(SidecarPeer::new(pod.start().await?, data).await?);
        servers.insert(0, sidecar.clone());
        let programs = distinct(servers.iter().flat_map(|server| server.programs()));
        let kept = Kept::begin("dns", programs)?;
        for (record, error) in not_started {
            kept.miss(record, &error.context("it does not start"))?;
        }
        for (place, kind) in (0..).zip(Kind::ALL) {
            let resolvers: Vec<_> =
                servers.iter().map(|server| Resolver::new(server.clone(), kind, data)).collect();
            let ours = resolvers.first().context("nobody answers")?.first_reply().await.context("ours")?;
            // Who has not begun to answer by then is told of where all are compared.
            for resolver in &resolvers {
                let _ = resolver.first_reply().await;
            }
            let floor = Arc::new(Floor::start(PORTS + 12 + place, &ours, sidecar.clone())?);
            let floor = Resolver::new(floor, kind, data);
            floor.first_reply().await?;
            let all = std::iter::once(floor).chain(resolvers);
            let peers = all.map(|one| Arc::new(one) as Arc<dyn Peer>).collect();
            let terms = Terms {
                kind: Some(kind.name()),
                loads: loads(),
                maximum_by: MAXIMUM_BY,
                open_connections: OPEN_CLIENTS,
                rounds,
                loads_for: Duration::from_secs_f64(minutes * 60.0) / Kind::ALL.len() as u32,
                warm_up: if arguments.quick { WarmUp::QUICK } else { WarmUp::USUAL },
            };
            let mut contest = Contest::begin(data, peers, terms, &mut turns, &kept).await?;
            contest.run(&mut turns, &kept).await?;
            contest.print();
        }
        println!(
            "\ngoals: CoreDNS' CPU >= 4 of the sidecar's; the sidecar's p99 at 10,000 queries/s < 1,000 us"
        );
        println!("{}", turns.told());
        kept.end()
    })
}

fn loads() -> Vec<Load> {
    let mut loads: Vec<_> =
        [Choice::One, Choice::Zipf].map(|choice| Load::Closed { choice, connections: CLIENTS }).into();
    loads.extend([1_000, 5_000, 10_000].map(|a_second| Load::Steady { a_second }));
    loads.extend([10, 50, 80].map(|percent| Load::Share { percent }));
    loads
}

// === impl DnsArguments ===

impl DnsArguments {
    fn systems(&self) -> anyhow::Result<Vec<&'static (&'static str, Start)>> {
        if self.without_peers { Ok(Vec::new()) } else { systems(&self.peers) }
    }
}
