//! The sidecar's process: read the flags, run until told to end.

use std::process::ExitCode;

use clap::Parser;
use rollcall_sidecar::{app, args::Args};
use tracing::error;

/// One thread: lookups are short and from memory, and every pod pays for what we use.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = rollcall_net::init_logs() {
        eprintln!("rollcall-sidecar: {error}");
        return ExitCode::from(2);
    }
    match app::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "the sidecar ends");
            ExitCode::FAILURE
        }
    }
}
