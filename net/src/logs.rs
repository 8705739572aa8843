//! Logs: one JSON object a line on standard error, filtered by `RUST_LOG`.

use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, prelude::*};

/// Says why there are no logs.
#[derive(Debug, Error)]
pub enum LogsError {
    #[error("RUST_LOG: no filter; use for example `info` or `rollcall_sidecar=debug`")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    #[error("logs: set up twice; call init_logs once, in main")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the logs of this process: `info` and above unless `RUST_LOG` says otherwise.
pub fn init_logs() -> Result<(), LogsError> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env()?;
    let lines = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}
