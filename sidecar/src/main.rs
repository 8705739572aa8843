//! The sidecar's process: read the flags, run until told to end.

use std::process::ExitCode;

use rollcall_sidecar::{app, args::Task};
use tracing::error;

/// One thread: lookups are short and from memory, and every pod pays for what we use.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let task = Task::parse();
    if let Err(error) = rollcall_net::init_logs() {
        eprintln!("rollcall-sidecar: {error}");
        return ExitCode::from(2);
    }
    let ended = match task {
        Task::Serve(args) => app::run(*args).await.map(|()| true),
        Task::Wait(requires) => Ok(requires.run().await),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            error!(error = format!("{error:#}"), "the sidecar ends");
            ExitCode::FAILURE
        }
    }
}
