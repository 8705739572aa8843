//! How a command ends that does not end well.

use thiserror::Error;

use crate::print::plain;

/// Says why a command did not do what it was asked to; each kind has an exit code of its own.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// What is asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    Nothing(String),
    /// Something is wrong, and it was printed what.
    #[error("what was asked for is not so")]
    Told,
    /// The API server, or what it leads to, gave no answer.
    #[error("{what}: {why}; {remedy}")]
    Unreachable { what: String, why: String, remedy: String },
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

// === impl Failure ===

impl Failure {
    /// 1 a check failed or nothing found, 2 usage, 3 unreachable.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Nothing(_) | Self::Told | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
        }
    }

    /// What is said of it on standard error, unless all was said.
    pub(crate) fn sentence(&self) -> Option<String> {
        match self {
            Self::Told => None,
            // A parser's own picture of a file has lines.
            other => Some(other.to_string().lines().map(plain).collect::<Vec<_>>().join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_said_steers_no_terminal() {
        let failure = Failure::Other(anyhow::anyhow!("kubeconfig:\n1 | \u{1b}[2J"));
        assert_eq!(failure.sentence().unwrap(), "kubeconfig:\n1 | \u{fffd}[2J");
    }
}
