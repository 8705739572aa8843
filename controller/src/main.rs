//! The controller's process: read the flags, run until told to end.

use std::process::ExitCode;

use clap::Parser;
use rollcall_controller::{app, args::Args};
use tracing::error;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let logs = match rollcall_net::init_logs() {
        Ok(logs) => logs,
        Err(error) => {
            eprintln!("rollcall-controller: {error}");
            return ExitCode::from(2);
        }
    };
    match app::run(args, logs).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "the controller ends");
            ExitCode::FAILURE
        }
    }
}
