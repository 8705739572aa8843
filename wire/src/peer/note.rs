//! What one replica knows of a pod's session, in its own clock.

use std::sync::Arc;

use rollcall_catalogue::PodUid;

use super::record::{Record, Said, SessionWord, Version};

/// Holds what a [`Record`] says, in the clock of the process that keeps it: that of the owner of the index, by which sessions
/// are judged. It costs little to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub pod: PodUid,
    pub version: Version,
    /// The process of the controller that has the session, or had it, by its epoch.
    pub origin: Arc<str>,
    pub session: SessionNote,
    pub said: Arc<Said>,
}

/// Says how the session stands at its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionNote {
    Open {
        /// When its last frame came, where that was long ago; none while it is heard.
        unheard_since_ms: Option<u64>,
    },
    Ended {
        at_ms: u64,
        /// Its last frame came then.
        heard_ms: u64,
        /// The pod's end closed it: its node is alive.
        by_peer: bool,
    },
}

// === impl Note ===

impl Note {
    /// What another replica told now, with ages turned into our clock. Nothing is older than that clock.
    pub fn of(record: Record, now_ms: u64) -> Self {
        let Record { pod, version, origin, session, said } = record;
        let ago = |age_ms: u64| now_ms.saturating_sub(age_ms);
        let session = match session {
            SessionWord::Open { unheard_ms } => SessionNote::Open { unheard_since_ms: unheard_ms.map(ago) },
            SessionWord::Ended { ended_ms, heard_ms, by_peer } => {
                let at_ms = ago(ended_ms);
                // After its end nobody heard it, whatever is told.
                SessionNote::Ended { at_ms, heard_ms: ago(heard_ms).min(at_ms), by_peer }
            }
        };
        Self { pod, version, origin, session, said: Arc::new(said) }
    }

    /// The same for another replica, told now.
    pub fn told(&self, now_ms: u64) -> Record {
        let age = |then_ms: u64| now_ms.saturating_sub(then_ms);
        Record {
            pod: self.pod.clone(),
            version: self.version.clone(),
            origin: self.origin.clone(),
            session: match self.session {
                SessionNote::Open { unheard_since_ms } => {
                    SessionWord::Open { unheard_ms: unheard_since_ms.map(age) }
                }
                SessionNote::Ended { at_ms, heard_ms, by_peer } => {
                    SessionWord::Ended { ended_ms: age(at_ms), heard_ms: age(heard_ms), by_peer }
                }
            },
            said: Said::clone(&self.said),
        }
    }

    /// Which of two notes of one pod stands, wherever they meet and in whatever order: the one of the higher version. A sidecar
    /// that gave two replicas one and the same session would make two of one version; then the origin decides, so that all of
    /// them keep the same one.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (&self.version, &self.origin) > (&other.version, &other.origin)
    }
}
