//! How sessions end: in our own words, for peers, logs and measurements.

use std::fmt;

/// Says why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The pod's end has closed it, or broke off.
    Closed,
    Shutdown,
    /// Another replica has fewer sessions.
    Moved,
    /// This replica hears neither the others nor the API server.
    Cut,
    /// Another replica knows more of Kubernetes, and reads on.
    Behind,
    Superseded,
    PodGone,
    Silent,
    Slow,
    Expired,
    NoHello,
    /// The peer did what no peer may do.
    Violation,
}

// === impl Ending ===

impl Ending {
    pub const ALL: [Self; 12] = [
        Self::Closed,
        Self::Shutdown,
        Self::Moved,
        Self::Cut,
        Self::Behind,
        Self::Superseded,
        Self::PodGone,
        Self::Silent,
        Self::Slow,
        Self::Expired,
        Self::NoHello,
        Self::Violation,
    ];

    /// The same word as in `goaway`, where that has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Shutdown => "shutdown",
            Self::Moved => "moved",
            Self::Cut => "cut",
            Self::Behind => "behind",
            Self::Superseded => "superseded",
            Self::PodGone => "pod-gone",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Expired => "expired",
            Self::NoHello => "no-hello",
            Self::Violation => "violation",
        }
    }

    /// What a `goaway` with this reason stands for: one that is none of our words says what the peer did wrong.
    pub(super) fn of(reason: &str) -> Self {
        Self::ALL.into_iter().find(|ending| ending.as_str() == reason).unwrap_or(Self::Violation)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
