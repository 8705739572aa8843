//! What lookups are told about an instance.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Says whether an instance may be handed out. All five are of the wire from the first day, since a sidecar lives
/// as long as its pod and must understand the controllers to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Not ready yet, or not ready at the moment.
    Starting,
    /// Handed out.
    Serving,
    /// Handed out only when nothing better is left.
    Suspect,
    /// Known to be broken.
    Failing,
    /// On its way out.
    Draining,
}

/// Says why an instance is in its state; a word for people and for alerts. A word of a newer controller is kept
/// as it came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reason {
    /// Kubernetes has it ready, and its sidecar, if one is expected, is in session.
    Ready,
    /// A container other than our own, or a readiness gate, is not ready.
    NotReady,
    /// Kubernetes has it ready, but its sidecar never opened a session to this controller.
    SessionNeverCame,
    /// Kubernetes has it ready, but its sidecar's session broke off.
    SidecarLost,
    /// Its pod is being deleted.
    Terminating,
    /// A word that this build does not know.
    Other(Box<str>),
}

impl Reason {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ready => "Ready",
            Self::NotReady => "NotReady",
            Self::SessionNeverCame => "SessionNeverCame",
            Self::SidecarLost => "SidecarLost",
            Self::Terminating => "Terminating",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Reason {
    fn from(word: String) -> Self {
        match word.as_str() {
            "Ready" => Self::Ready,
            "NotReady" => Self::NotReady,
            "SessionNeverCame" => Self::SessionNeverCame,
            "SidecarLost" => Self::SidecarLost,
            "Terminating" => Self::Terminating,
            _ => Self::Other(word.into()),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.to_string()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_wire_and_a_foreign_one_is_kept() {
        let known = [
            Reason::Ready,
            Reason::NotReady,
            Reason::SessionNeverCame,
            Reason::SidecarLost,
            Reason::Terminating,
        ];
        for reason in known {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
            assert!(!matches!(Reason::from(reason.to_string()), Reason::Other(_)));
        }
        let foreign: Reason = serde_json::from_str("\"MassLossGuard\"").unwrap();
        assert_eq!(serde_json::to_string(&foreign).unwrap(), "\"MassLossGuard\"");
    }
}
