//! What can go wrong with a cluster, each with the step that failed and what helps.

use std::io;
use std::path::{Path, PathBuf};

/// Why a cluster command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine or the user lacks something that the kit cannot supply itself.
    #[error("{lacking}: {remedy}")]
    Unmet { lacking: String, remedy: String },

    /// A command that the kit ran said no.
    #[error("{step} failed: `{command}` {status}{}", tail_of(.output, .log))]
    Command { step: String, command: String, status: String, output: String, log: Option<PathBuf> },

    /// A daemon that the kit started is not running any more.
    #[error("{daemon} ended while the cluster was starting{}", tail_of(.output, &Some(.log.clone())))]
    DaemonEnded { daemon: String, output: String, log: PathBuf },

    /// Something did not come within its time.
    #[error("{awaited} did not come within {limit_s} s (last seen: {last_seen}); see {}", .logs.display())]
    TimedOut { awaited: String, limit_s: u64, last_seen: String, logs: PathBuf },

    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },

    /// A certificate or key could not be made.
    #[error("cannot make the certificate of {subject}: {source}")]
    Certificate { subject: String, source: rcgen::Error },

    /// A file of the kit, or an answer, cannot be understood.
    #[error("{} is not what was expected there ({source}); {remedy}", .path.display())]
    Garbled { path: PathBuf, source: serde_json::Error, remedy: String },

    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn unmet(lacking: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unmet { lacking: lacking.into(), remedy: remedy.into() }
    }
}

/// The end of a command's output, and where the rest of it is.
fn tail_of(output: &str, log: &Option<PathBuf>) -> String {
    /// Enough lines to hold an error of Go or cargo, few enough to be read.
    const LINES: usize = 12;
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines
        .iter()
        .skip(lines.len().saturating_sub(LINES))
        .fold(String::new(), |text, line| text + "\n    " + line);
    match log {
        Some(log) => format!("{tail}\n  whole log: {}", log.display()),
        None => tail,
    }
}
