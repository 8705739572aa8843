//! `cargo xtask`: the project's own commands.

mod bench;
mod cluster;
mod counts;
mod demo;
mod faults;
mod generate;
mod image;
mod keep;
mod on_cluster;
mod outcome;
mod release;
mod test;
mod test_programs;
mod upgrades;
#[cfg(test)]
mod workflows;

use clap::{Parser, Subcommand};
use rollcall_cluster::interrupt;
use std::process::ExitCode;

/// What can be done with a checkout of Rollcall.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests, on a real cluster too
    Test {
        /// The cluster to test on: local (one of our own), existing (the one of KUBECONFIG) or kind
        #[arg(long, default_value = "local")]
        provider: String,
    },
    /// Show on a real cluster what Rollcall does, with what it measures: target/demo-report.md
    Demo(demo::Arguments),
    /// A real Kubernetes on this machine
    Cluster(cluster::Arguments),
    /// Build the images as target/images/{controller,sidecar}.tar, for containerd, kind and docker
    Image,
    /// Measure; what, and by which figures, it says itself
    Bench(bench::Arguments),
    /// Count the instructions of the hot paths, and hold them against their budgets
    Counts {
        /// Write what was counted as the new budgets, where it does not fit the old ones
        #[arg(long)]
        write: bool,
    },
    /// Write the committed files that are made from code, and from kept results
    Generate {
        /// Change nothing, but fail if a file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Make all that is handed out of this version, as target/release-VERSION
    Release(release::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match interrupt::listen().map_err(Into::into).and_then(|()| run(arguments.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Test { provider } => test::run(&provider),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Cluster(arguments) => cluster::run(arguments),
        Task::Image => image::build_all().map(|_| ExitCode::SUCCESS),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Counts { write } => counts::run(write),
        Task::Generate { check } => generate::run(check).map(|()| ExitCode::SUCCESS),
        Task::Release(arguments) => release::run(&arguments).map(|()| ExitCode::SUCCESS),
    }
}
