//! `cargo xtask`: the project's own commands.

mod cluster;

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
    /// A real Kubernetes on this machine
    Cluster(cluster::Arguments),
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
        Task::Cluster(arguments) => cluster::run(arguments),
    }
}
