//! What an app says of itself at run time.

use std::collections::BTreeMap;

use rollcall_catalogue::ServiceName;
use serde::{Deserialize, Serialize};

/// Holds what an app registers through its sidecar, as it says it: the controller judges the values, and tells which is bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfRegistration {
    /// Of the pod's own namespace.
    pub service: ServiceName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The first is the primary one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<SelfPort>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// `tcp`, `http:/path`, `grpc` or `none`, as in the pod annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The app beats, and is believed for so long.
    #[serde(default, rename = "ttlSeconds", skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// It stands beside what was declared of the pod, as one of several addresses told apart by their ports; otherwise it
    /// says something of the pod's one instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
}

/// Tells the registrations of one app apart: by service, and where several addresses stand beside each other by their port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegistrationKey {
    pub service: ServiceName,
    /// The primary port of one that stands beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
}

/// Holds one port of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelfPort {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub port: u32,
    /// `TCP` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

// === impl SelfRegistration ===

impl SelfRegistration {
    pub fn key(&self) -> RegistrationKey {
        let port = self.ports.first().filter(|_| self.beside).map(|first| first.port);
        RegistrationKey { service: self.service.clone(), port }
    }
}
