//! A lookup on localhost: what it costs the sidecar beside what HTTP itself costs, and beside the registries that teams have.
//!
//! ```text
//!  processor 0: one of   bare hyper with as many answers | sidecar | controller | Consul | etcd | ZooKeeper | Eureka
//!  processor 1: this process (the load), and the controller's half that the sidecar is in session with
//! ```
//!
//! All are there all the time, filled with the same data, and one at a time has something to do.

mod delays;
mod floor;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use rollcall_results::{Class, Configuration, Record};
use tokio::runtime::Builder;

use self::delays::delays;
pub(crate) use self::floor::serve as serve_floor;
use crate::{
    contest::{Contest, Load, Terms, WarmUp, distinct, systems},
    kept::Kept,
    local::{Caller, Choice, Half, Pod, Shop, Turns, stand_aside},
    peers::{Data, Floor, Peer, SidecarPeer, Start, start_controller},
};

/// Holds what is measured, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct LookupArguments {
    /// Each system is measured so often under each load.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// What all loads on all systems take together; starting and filling them comes on top of it.
    #[arg(long, default_value_t = 12.0)]
    minutes: f64,
    /// Beside these alone.
    #[arg(long, value_delimiter = ',', default_value = "consul,etcd,zookeeper,eureka")]
    peers: Vec<String>,
    /// Beside bare HTTP alone.
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

/// Holds what is measured with one amount of data.
struct Part {
    data: Data,
    configurations: &'static [Configuration],
    loads: Vec<Load>,
    loads_for: Duration,
}

/// Holds our own side of it.
struct Ours {
    pod: Pod,
    half: Half,
    sidecar: Arc<SidecarPeer>,
    floor: Arc<Floor>,
}

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const OPEN_CONNECTIONS: usize = 64;
const MAXIMUM_BY: Load = Load::Closed { choice: Choice::Zipf, connections: 16 };
/// Under all loads, and in all configurations.
const MOST: Data = Data { services: 1_000, instances: 10 };
/// With one load for each number of connections, as their makers ship them.
const OTHERS: [Data; 2] = [Data { services: 100, instances: 10 }, Data { services: 1_000, instances: 100 }];
const QUICK: Data = Data { services: 20, instances: 10 };
const QUICK_MINUTES: f64 = 0.5;
/// The share of the time of all loads that the others have, each.
const SHARE_OF_OTHERS: f64 = 0.15;
const BOTH: &[Configuration] = &[Configuration::Default, Configuration::Tuned];
const AS_SHIPPED: &[Configuration] = &[Configuration::Default];
/// Of all turns, at most so many are repeated where the host takes too much.
const REPEATS: u32 = 20;
/// What starting, filling and warming all registries takes, about, in minutes, with each amount of data.
const STARTS_MINUTES: f64 = 3.0;
/// Ports of loopback that nobody else has: below those that the kernel gives out.
const PORTS: u16 = 27_300;

pub(crate) fn run(arguments: &LookupArguments) -> anyhow::Result<()> {
    let systems: Vec<_> = arguments.systems()?;
    let parts = arguments.parts();
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let mut turns = Turns::new(arguments.seed.map_or_else(Turns::seed, Ok)?, REPEATS);
    let loads_minutes = parts.iter().map(|part| part.loads_for.as_secs_f64() / 60.0).sum::<f64>();
    let delays_minutes = delays::lasts(rounds).as_secs_f64() / 60.0;
    println!(
        "loads of {:.0} minutes in all, and until all systems are started, filled and warm some {:.0} more; a turn that the host disturbs is repeated, {REPEATS} at most",
        loads_minutes + delays_minutes,
        STARTS_MINUTES * parts.len() as f64
    );
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut kept = None;
        for (place, part) in parts.into_iter().enumerate() {
            one_part(arguments, place == 0, part, &systems, rounds, &mut turns, &mut kept).await?;
        }
        println!("\n{}", turns.told());
        kept.map_or(Ok(()), |kept| kept.end())
    })
}

/// Starts all with this data, measures them, and ends them.
async fn one_part(
    arguments: &LookupArguments,
    is_first: bool,
    part: Part,
    systems: &[&(&'static str, Start)],
    rounds: u32,
    turns: &mut Turns,
    kept: &mut Option<Kept>,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut others: Vec<Arc<dyn Peer>> = Vec::new();
    let mut not_started = Vec::new();
    for (name, start) in systems {
        for configuration in part.configurations {
            match start(part.data, *configuration).await {
                Ok(rows) => others.extend(rows.into_iter().map(|row| row.peer)),
                Err(error) => {
                    let record = Record::new(name, Class::C, *configuration, 1);
                    let record = record.with_case("services", part.data.services);
                    not_started.push((record.with_case("instances", part.data.instances), error));
                }
            }
        }
    }
    // What is built before it starts takes both processors.
    if is_first && !arguments.unpinned {
        stand_aside()?;
    }
    let ours = Ours::start(part.data).await?;
    let mut peers: Vec<Arc<dyn Peer>> = vec![ours.floor.clone()];
    if let Some(consul) = others.iter().find(|peer| peer.name().starts_with("consul")) {
        let bytes = consul.client().await?.lookup(0).await?;
        let floor = Floor::of_bytes("bare hyper, Consul's bytes", part.data, bytes, PORTS + 10).await?;
        peers.push(Arc::new(floor));
    }
    peers.push(ours.sidecar.clone());
    peers.push(Arc::new(start_controller(part.data, PORTS + 11).await?));
    peers.extend(others);
    let kept = match kept {
        Some(kept) => kept,
        None => {
            let programs = distinct(peers.iter().flat_map(|peer| peer.programs()));
            for program in &programs {
                println!("  {} {}: {}", program.name, program.version, program.command);
            }
            kept.insert(Kept::begin("lookup", programs)?)
        }
    };
    for (record, error) in not_started {
        kept.miss(record, &error.context("it does not start"))?;
    }
    let terms = Terms {
        kind: None,
        loads: part.loads,
        maximum_by: MAXIMUM_BY,
        open_connections: OPEN_CONNECTIONS,
        rounds,
        loads_for: part.loads_for,
        warm_up: if arguments.quick { WarmUp::QUICK } else { WarmUp::USUAL },
    };
    let mut contest = Contest::begin(part.data, peers, terms, turns, kept).await?;
    println!(
        "\n{} x {}: started, filled, compared and warm after {:.0} s; loads of {:.0} s",
        part.data.services,
        part.data.instances,
        begin.elapsed().as_secs_f64(),
        part.loads_for.as_secs_f64()
    );
    contest.run(turns, kept).await?;
    contest.print();
    drop(contest);
    if is_first {
        println!("\ngoals: lookups/s >= 0.9 and CPU <= 1.15 of the floor; CPU <= 0.1 of Consul's");
        delays(ours, part.data, rounds, kept).await?;
    }
    Ok(())
}

// === impl LookupArguments ===

impl LookupArguments {
    fn systems(&self) -> anyhow::Result<Vec<&'static (&'static str, Start)>> {
        if self.without_peers { Ok(Vec::new()) } else { systems(&self.peers) }
    }

    /// The largest one first: all who take part do so in it.
    fn parts(&self) -> Vec<Part> {
        let share = |minutes: f64, share: f64| Duration::from_secs_f64(minutes.max(0.0) * 60.0 * share);
        if self.quick {
            let loads_for = share(QUICK_MINUTES, 1.0);
            return vec![Part { data: QUICK, configurations: BOTH, loads: all_loads(), loads_for }];
        }
        let of_most = share(self.minutes, 1.0 - SHARE_OF_OTHERS * OTHERS.len() as f64);
        let most = Part { data: MOST, configurations: BOTH, loads: all_loads(), loads_for: of_most };
        let of_others = share(self.minutes, SHARE_OF_OTHERS);
        let others = OTHERS.map(|data| Part {
            data,
            configurations: AS_SHIPPED,
            loads: by_connections(),
            loads_for: of_others,
        });
        std::iter::once(most).chain(others).collect()
    }
}

fn by_connections() -> Vec<Load> {
    CONNECTIONS.map(|connections| Load::Closed { choice: Choice::One, connections }).into()
}

fn all_loads() -> Vec<Load> {
    let mut loads = by_connections();
    loads.extend([Choice::Uniform, Choice::Zipf].map(|choice| Load::Closed { choice, connections: 16 }));
    loads.extend([1_000, 5_000].map(|a_second| Load::Steady { a_second }));
    loads.extend([10, 50, 80].map(|percent| Load::Share { percent }));
    loads
}

// === impl Ours ===

impl Ours {
    async fn start(data: Data) -> anyhow::Result<Self> {
        let pod = Pod::new(PORTS)?.that_holds(data);
        let half = pod.controller(Shop { data, generation: 1 })?;
        let sidecar = Arc::new(SidecarPeer::new(pod.start().await?, data).await?);
        let mut caller = Caller::connect(sidecar.sidecar.at).await?;
        let mut answers = Vec::new();
        for service in 0..data.services {
            answers.push(caller.answer(&sidecar.sidecar.request(service)).await?.to_vec());
        }
        let floor = Floor::start("bare hyper, our bytes", data, answers.into_iter(), PORTS + 9).await?;
        let floor = Arc::new(floor);
        Ok(Self { pod, half, sidecar, floor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: LookupArguments,
    }

    fn parsed(words: &[&str]) -> LookupArguments {
        Line::try_parse_from([&["bench"], words].concat()).expect("good words").arguments
    }

    #[test]
    fn all_parts_together_take_what_was_asked_for() {
        let parts = parsed(&["--minutes=10"]).parts();
        let seconds: f64 = parts.iter().map(|part| part.loads_for.as_secs_f64()).sum();
        assert!((seconds - 600.0).abs() < 1e-6, "{seconds}");
        assert_eq!(parts.first().map(|part| part.data), Some(MOST));
        assert_eq!(parsed(&["--quick"]).parts().len(), 1);
    }

    #[test]
    fn without_peers_none_is_asked_for() {
        assert!(parsed(&["--peers=nobody"]).systems().is_err());
        assert!(parsed(&["--without-peers"]).systems().is_ok_and(|systems| systems.is_empty()));
    }

    #[test]
    fn all_loads_begin_with_the_one_that_a_maximum_is_taken_from() {
        let loads = all_loads();
        let place = |wanted: fn(&Load) -> bool| loads.iter().position(wanted).expect("it is there");
        let zipf = place(|load| *load == MAXIMUM_BY);
        assert!(zipf < place(|load| !matches!(load, Load::Closed { .. })));
    }
}
