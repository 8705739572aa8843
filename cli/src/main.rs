//! The `rollcall` command.

mod inject;

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// The workspace's version; in what is released, with the commit that it was built from.
const VERSION: &str = match option_env!("ROLLCALL_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Rollcall: a service registry for Kubernetes.
#[derive(Parser)]
#[command(name = "rollcall", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print manifests with the sidecar that the webhook would give their pods, for `kubectl apply -f -`.
    Inject(inject::Inject),
    /// Print the ServiceRegistration CRD, for `kubectl apply -f -`.
    Crd,
    /// Print a completion script for a shell.
    Completion { shell: Shell },
}

/// Exit codes: 0 ok, 1 failed, 2 usage (clap's own).
fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    let mut output = Vec::new();
    match command {
        Command::Inject(inject) => output.extend(inject.run()?.into_bytes()),
        Command::Crd => output.extend(rollcall_crds::crd_yaml()?.into_bytes()),
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "rollcall", &mut output);
        }
    }
    io::Write::write_all(&mut io::stdout(), &output)?;
    Ok(())
}
