//! Measurements of whole parts of Rollcall; `cargo xtask bench` runs them.

mod contest;
mod dns;
mod failure;
mod filled;
mod fleet;
mod half;
mod idle;
mod index;
mod kept;
mod lists;
mod local;
mod lookup;
mod memory;
mod ours;
mod overload;
mod own_cluster;
mod peers;
mod propagation;
mod recovery;
mod registration;
mod report;
mod resident;
mod rest;
mod scale;
mod sessions;
mod soak;
mod start;
mod visible;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "rollcall-bench", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The controller's index: memory for each instance, and the time of one change, by the size of the cluster.
    Index {
        /// Instances in all, 20 to each service.
        #[arg(long, default_values_t = [1_000, 5_000, 20_000, 150_000])]
        instances: Vec<u32>,
    },
    /// One size of it, in a process of its own so that its memory can be told.
    #[command(hide = true)]
    IndexOf { instances: u32 },
    /// How long a change takes from the watch's event to the snapshot, with nothing else to do and under load.
    Visible {
        #[arg(long, default_value_t = 20_000)]
        instances: u32,
        /// Changes a second beside the measured ones.
        #[arg(long, default_values_t = [0, 1_000])]
        load: Vec<u32>,
    },
    /// A crowd of sessions: how soon all know of a change, what each costs, and what a storm of them does.
    Sessions {
        #[arg(long, default_value_t = 20_000)]
        instances: u32,
        #[arg(long, default_values_t = [100, 500, 2_000])]
        sessions: Vec<usize>,
        /// Of so many changes one is of the service that all hold.
        #[arg(long, default_value_t = 10)]
        shared: u32,
    },
    /// The controller's half of it, in a process of its own so that its memory can be told.
    #[command(hide = true)]
    SessionsServer {
        instances: u32,
        #[arg(long)]
        port: u16,
        /// A folder that says who it is.
        #[arg(long)]
        identity: PathBuf,
    },
    /// From the controller's start to its first lists, against bare lists of the same objects, in a cluster of its own.
    Lists {
        #[arg(long, default_value_t = 20_000)]
        instances: u32,
        /// Each lists barely, and starts the controller.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
    },
    /// Lookups on localhost: the sidecar beside bare HTTP with as many answers, the controller's read API, and other registries;
    /// its delays while everything changes.
    Lookup(lookup::LookupArguments),
    /// A sidecar alone: its memory, what it computes while nobody asks, and how soon it answers.
    Start(start::StartArguments),
    /// A real controller on a real cluster that grows, and real sessions: memory, CPU and delays by its size.
    Scale {
        /// In the order in which the cluster grows.
        #[arg(long, default_values_t = [1_000, 5_000, 20_000])]
        instances: Vec<u32>,
        /// Of as many pods, where there are as many.
        #[arg(long, default_value_t = 2_000)]
        sessions: u32,
    },
    /// What each registry holds in memory, by instances, watchers and sessions.
    Memory(memory::MemoryArguments),
    /// A controller that dies with a crowd in session, and the next one.
    Recovery {
        #[arg(long, default_value_t = 20_000)]
        instances: u32,
        #[arg(long, default_values_t = [100, 1_000, 2_000])]
        sessions: Vec<usize>,
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Ten times the churn of a large cluster for long: whether CPU of a change, memory and descriptors stay as they are.
    Soak {
        #[arg(long, default_value_t = 30)]
        minutes: u32,
        #[arg(long, default_value_t = 20_000)]
        instances: u32,
        #[arg(long, default_value_t = 500)]
        sessions: u32,
        #[arg(long, default_value_t = 200)]
        changes_a_second: u32,
        /// Of a controller's half, which needs no cluster: we tell it of changes in the place of the API server.
        #[arg(long)]
        half: bool,
    },
    /// What the sidecar of these is in session with.
    #[command(hide = true)]
    Shop {
        #[command(flatten)]
        shop: local::Shop,
        #[command(flatten)]
        ports: local::ShopPorts,
    },
    /// DNS on localhost: the sidecar beside a bare UDP server with the same bytes, CoreDNS and Consul.
    Dns(dns::DnsArguments),
    /// Starts all registries that we are measured beside, and sees that their answers are equal and that they do what the other
    /// measurements ask of them.
    Peers {
        #[arg(long, default_value_t = 20)]
        services: u32,
        /// Of each service.
        #[arg(long, default_value_t = 10)]
        instances: u32,
        /// These systems alone.
        #[arg(long)]
        only: Vec<String>,
    },
    /// One instance that is registered for as long as it beats.
    #[command(hide = true)]
    Beat(peers::BeatArguments),
    /// Three controllers and a fleet of sidecars at twice the CPU that there is, with one packet in a hundred lost: who is
    /// evicted though he is well, and how old answers become.
    Overload {
        #[arg(long, default_value_t = 30)]
        minutes: u32,
        #[arg(long, default_value_t = 30)]
        sidecars: u8,
    },
    /// The same on the cluster that KUBECONFIG names.
    #[command(hide = true)]
    OverloadOn { minutes: u32, sidecars: u8, record: PathBuf },
    /// How soon watchers know who came and who went: Rollcall beside all other registries.
    Propagation(propagation::Arguments),
    /// How many registrations a second, and what each costs; ours with a real API server.
    Registration(registration::Arguments),
    /// How soon nobody has one who failed, and how often one is evicted who is well.
    Failure(failure::Wish),
    /// What pushes to all who watch, and nothing else.
    #[command(hide = true)]
    PropagationFloor {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        services: u32,
        #[arg(long)]
        instances: u32,
    },
    /// An app that its sidecar probes.
    #[command(hide = true)]
    App(ours::AppArguments),
    /// The controller's half that sidecars are in session with.
    #[command(hide = true)]
    Town(ours::TownArguments),
    /// Bare UDP.
    #[command(hide = true)]
    DnsFloor {
        #[arg(long)]
        port: u16,
        reply: PathBuf,
    },
    /// Bare HTTP.
    #[command(hide = true)]
    LookupFloor {
        #[arg(long)]
        port: u16,
        answers: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    // A thousand watchers are as many connections, and twice that in the processes of both ends.
    let _ = rollcall_net::raise_descriptors();
    match Arguments::parse().what {
        What::Index { instances } => index::run(&instances),
        What::IndexOf { instances } => index::run_one(instances),
        What::Visible { instances, load } => visible::run(instances, &load),
        What::Sessions { instances, sessions, shared } => sessions::run(instances, &sessions, shared),
        What::SessionsServer { instances, port, identity } => sessions::serve(instances, port, &identity),
        What::Lists { instances, rounds } => lists::run(instances, rounds),
        What::Lookup(arguments) => lookup::run(&arguments),
        What::Start(arguments) => start::run(&arguments),
        What::Shop { shop, ports } => local::serve_shop(shop, ports),
        What::Dns(arguments) => dns::run(&arguments),
        What::Memory(arguments) => memory::run(&arguments),
        What::Recovery { instances, sessions, rounds } => recovery::run(instances, &sessions, rounds),
        What::Soak { minutes, instances, sessions, changes_a_second, half } => {
            let fleet = fleet::Fleet { instances };
            soak::run(soak::Soak { minutes, fleet, sessions, a_second: changes_a_second }, half)
        }
        What::Scale { instances, sessions } => scale::run(&instances, sessions),
        What::Peers { services, instances, only } => peers::smoke(peers::Data { services, instances }, &only),
        What::Beat(arguments) => peers::beat(&arguments),
        What::Overload { minutes, sidecars } => overload::run(minutes, sidecars),
        What::OverloadOn { minutes, sidecars, record } => overload::run_on_it(minutes, sidecars, &record),
        What::Propagation(wish) => propagation::run(&wish),
        What::Registration(arguments) => registration::run(&arguments),
        What::Failure(wish) => failure::run(&wish),
        What::PropagationFloor { port, services, instances } => {
            propagation::serve_floor(port, peers::Data { services, instances })
        }
        What::App(arguments) => ours::run_app(&arguments),
        What::Town(arguments) => ours::serve_town(&arguments),
        What::DnsFloor { port, reply } => dns::serve_floor(port, &reply),
        What::LookupFloor { port, answers } => lookup::serve_floor(port, &answers),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
