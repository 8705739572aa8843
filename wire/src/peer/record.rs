//! What one replica knows of a pod's session, as another one is told of it.

use std::sync::Arc;

use rollcall_catalogue::{PodUid, liveness::ProbeWitness};
use serde::{Deserialize, Serialize};

use crate::{frame::HealthOf, registration::SelfRegistration};

/// Holds what is known of the newest session of one pod, and of what its app has said. Of two the one of the higher version
/// is right, whoever tells it: it was written where that session is, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub pod: PodUid,
    pub version: Version,
    /// The process of the controller that has the session, or had it, by its epoch.
    pub origin: Arc<str>,
    pub session: SessionWord,
    pub said: Said,
}

/// Orders what is said of one pod. Compared field by field, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Counts the sidecar's processes: whoever opens a session of another incarnation than the one it knows of counts on.
    /// Should two do so at once, one of the two sessions is dismissed, and its sidecar is known everywhere when it is back.
    pub generation: u64,
    pub incarnation: Box<str>,
    /// The sidecar's own count of its sessions.
    pub sequence: u64,
    /// The origin's count of what changed in this session.
    pub count: u64,
}

/// Says how the session stands at its origin. No time of one machine is compared with another's: these are ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum SessionWord {
    /// Open; with an age where its last frame is older than the origin's threshold for telling so.
    Open {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unheard_ms: Option<u64>,
    },
    Ended {
        /// Ago.
        ended_ms: u64,
        /// Ago: its last frame.
        heard_ms: u64,
        /// The pod's end closed it: its node is alive.
        by_peer: bool,
    },
}

/// Holds what the app of a pod has said, as the catalogue counts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<SaidRegistration>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthWord>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drains: bool,
}

/// Holds one registration of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidRegistration {
    pub registration: SelfRegistration,
    /// The sidecar's process that speaks now has named it itself: what it leaves out later is taken back.
    pub named: bool,
}

/// Holds one word on the app's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthWord {
    /// None is all that the pod is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<HealthOf>,
    #[serde(with = "crate::frame::probe_word")]
    pub probe: ProbeWitness,
}
