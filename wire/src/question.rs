//! What a sidecar asks the controller on behalf of a person, and what it is told: nothing that a lookup needs.

use std::net::IpAddr;

use rollcall_catalogue::{Instance, InstanceId, Reason, ServiceKey, State};
use serde::{Deserialize, Serialize};

/// Says what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// Why are the instances of this service, or this one of them, in their states?
    Explain {
        service: ServiceKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<InstanceId>,
    },
    /// Whose is this address?
    Address(IpAddr),
}

/// Says what there is to be told. Of what the asker's namespace may not see, nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    UnknownService,
    UnknownInstance,
    Explained(Vec<Explained>),
    Found(Vec<Found>),
}

/// Says what is not there, or may not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    Service,
    Instance,
}

/// Holds why one instance is in its state, in the words of docs/liveness.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    pub id: InstanceId,
    pub address: IpAddr,
    pub port: u16,
    pub pod: Option<String>,
    pub served: bool,
    pub state: State,
    pub reason: Reason,
    /// For how long it has been in its state; null where that was so before the controller saw it.
    pub since_seconds: Option<u64>,
    pub witnesses: WitnessWords,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Holds what each witness says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessWords {
    pub pod: String,
    pub endpoint: String,
    pub session: String,
    pub probe: String,
    pub intent: String,
    pub registry: String,
}

/// Holds an instance and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub service: ServiceKey,
    pub instance: Instance,
}
