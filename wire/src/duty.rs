//! What a sidecar is to look after: the instances that its pod is, as the controller has joined them from all that say so.

use std::net::IpAddr;

use rollcall_catalogue::{InstanceId, ServiceName};
use serde::{Deserialize, Serialize};

/// Instances of one pod that its sidecar looks after. A pod is in a few services; what is more follows Kubernetes alone.
pub const DUTIES_MAX: usize = 64;

/// Holds one instance that the pod is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Duty {
    pub service: ServiceName,
    pub id: InstanceId,
    /// The one that is shown first comes first.
    pub addresses: Vec<IpAddr>,
    /// The primary one.
    pub port: u16,
    /// Others than the app at run time say so too: its annotations, an object, a Service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared: bool,
    /// How the app is to be asked; none: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<DutyProbe>,
    /// The app beats, and is believed for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// Holds how an app is to be asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DutyProbe {
    pub check: DutyCheck,
    pub port: u16,
    pub interval_ms: u32,
    pub timeout_ms: u32,
    pub failure_threshold: u8,
    pub success_threshold: u8,
}

/// Says what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DutyCheck {
    Tcp,
    /// A GET of this path.
    Http(Box<str>),
    /// Of this service; the empty one is the whole server.
    Grpc(Box<str>),
}
