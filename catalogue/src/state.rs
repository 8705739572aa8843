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

// === impl State ===

impl State {
    /// The word that JSON writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Serving => "Serving",
            Self::Suspect => "Suspect",
            Self::Failing => "Failing",
            Self::Draining => "Draining",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The words of [`Reason`], each once: what JSON writes is what the code calls it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident,)+) => {
        /// Says why an instance is in its state; a word for people and for alerts. A word of a newer controller is
        /// kept as it came.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Reason {
            $($(#[$doc])* $reason,)+
            /// A word that this build does not know. In two boxes, since every instance has the room of one.
            Other(Box<Box<str>>),
        }

        impl Reason {
            /// Every word that this build knows.
            pub const KNOWN: &[Self] = &[$(Self::$reason),+];

            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$reason => stringify!($reason),)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for Reason {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $(stringify!($reason) => Self::$reason,)+
                    _ => Self::Other(Box::new(word.into())),
                }
            }
        }
    };
}

reasons! {
    /// Kubernetes has it ready, its sidecar, if one is expected, is in session, and its app does not object.
    Ready,
    /// Its pod is not ready, but its Service publishes such addresses.
    PublishedNotReady,
    /// A container other than our own, or a readiness gate, is not ready.
    NotReady,
    /// Its EndpointSlice has it not ready.
    EndpointNotReady,
    /// An address outside the cluster that was not asked yet.
    NotProbedYet,
    /// Kubernetes has it ready, but its sidecar never opened a session.
    SessionNeverCame,
    /// Kubernetes has it ready, but its sidecar's session broke off.
    SidecarLost,
    /// Its sidecar's session is open, and nothing comes any more.
    SessionQuiet,
    /// Nothing came for so long that its node is taken for dead or cut off.
    SessionSilent,
    /// Kubernetes lost sight of its node.
    NodeUnknown,
    /// Kubernetes lost sight of its node, and so did we.
    NodeLost,
    /// So many sessions broke off at once that the registry doubts itself, and takes nobody out for it.
    MassLossGuard,
    /// Its app refuses connections.
    ProbeRefused,
    /// Its app times out, or answers badly.
    ProbeFailed,
    /// Its app answers on 127.0.0.1, and not where others would call it.
    ListensOnLoopbackOnly,
    /// Its app's own heartbeat is missing.
    HeartbeatMissed,
    /// Its app has not beaten since the registry came back.
    AwaitingBeat,
    /// Its app says itself that it is failing.
    AppSaysFailing,
    /// It was asked to drain.
    DrainRequested,
    /// Its pod is being deleted.
    Terminating,
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
        for reason in Reason::KNOWN {
            let json = serde_json::to_string(reason).unwrap();
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), *reason);
            assert!(!matches!(Reason::from(reason.to_string()), Reason::Other(_)));
        }
        let foreign: Reason = serde_json::from_str("\"Hibernating\"").unwrap();
        assert_eq!(serde_json::to_string(&foreign).unwrap(), "\"Hibernating\"");
    }
}
