//! The frames of a session: one JSON object each, told apart by `type`.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Namespace, Policy, ServiceKey, ServiceName, ServiceRef, Version,
    liveness::ProbeWitness,
};
use serde::{Deserialize, Serialize};

use crate::registration::SelfRegistration;

/// The version of the wire that this build speaks.
pub const PROTOCOL: &str = "1.0";

/// Says what a sidecar tells the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Up {
    /// The first frame of every session.
    Hello {
        protocol: String,
        /// Names this process of the sidecar; another one after each restart.
        incarnation: String,
        /// Counts the sessions of this incarnation.
        sequence: u64,
        /// The controller's process that gave the cursor; none where there was no session before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
        /// Of the last `synced` that was applied.
        #[serde(default)]
        cursor: u64,
        /// What is still held from an earlier session, so that it need not be sent again.
        #[serde(default)]
        held: BTreeMap<ServiceKey, ContentHash>,
        /// All that the app has registered here: what is not in it is no longer registered.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        registrations: Vec<SelfRegistration>,
    },
    /// The app registers itself, or changes what it registered under this name.
    Register { registration: SelfRegistration },
    /// No longer; what the pod's annotations and other people say of it stays.
    Deregister { service: ServiceName },
    /// What the sidecar knows of its app: by asking it, or by its own word.
    Health {
        /// Of this one of the pod's services; none is all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceName>,
        #[serde(with = "probe_word")]
        probe: ProbeWitness,
    },
    /// Sent each [`crate::limits::HEARTBEAT_EVERY`], at the latest.
    Heartbeat {
        cursor: u64,
        /// The wrapping sum of the hashes of all services held, so that silent staleness is found.
        digest: ContentHash,
    },
    Subscribe {
        #[serde(default)]
        services: Vec<ServiceRef>,
        /// The list of all services that may be seen, as well.
        #[serde(default, skip_serializing_if = "is_default")]
        summary: bool,
    },
    Unsubscribe {
        #[serde(default)]
        services: Vec<ServiceRef>,
        #[serde(default, skip_serializing_if = "is_default")]
        summary: bool,
    },
    /// Everything up to this `synced` is applied. Each is acknowledged.
    Ack { cursor: u64 },
    /// Asks when nobody calls this pod any more; see [`Drain`].
    Drain {
        drain: Drain,
        /// The answer comes then at the latest.
        #[serde(default, rename = "deadlineMs", skip_serializing_if = "is_default")]
        deadline_ms: u64,
    },
    /// A type of a newer peer: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Says what a `drain` is to do before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// The pod's instances leave the lookups, until it is stopped.
    Start,
    Stop,
    /// Nothing: of a pod that Kubernetes ends, the answer comes when that is known everywhere; of another one, at once.
    Wait,
}

/// Says what the controller tells a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Down {
    /// The first frame of every session.
    Welcome {
        protocol: String,
        /// Names the controller's process, for people and logs.
        replica: String,
        /// Names the process once more, differently after each start: cursors are its own.
        epoch: String,
        /// Where sessions are served, this replica included.
        #[serde(default)]
        replicas: Vec<SocketAddr>,
        /// The authorities to be trusted from now on, in PEM; none where nothing changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
        /// Who the caller is, as Kubernetes says.
        pod: PodIdentity,
    },
    /// What the app registered is in the catalogue.
    Registered { service: ServiceName },
    /// What the app registered is not, and why.
    Rejected {
        service: ServiceName,
        reason: String,
        /// The field that holds a bad value, where it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// One service as a whole, or what has changed of it; see `more` for one that needs several frames. Its
    /// versions are those of its instances.
    Upsert {
        service: ServiceKey,
        #[serde(deserialize_with = "rollcall_catalogue::revision")]
        revision: u64,
        hash: ContentHash,
        /// The hash of the content that this changes; none where this is all of the service.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<ContentHash>,
        /// How callers spread their requests, where they do not say so themselves.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: Policy,
        /// There are more instances than may be listed.
        #[serde(default, skip_serializing_if = "is_default")]
        truncated: bool,
        /// Instances that are new or different; without `base`, all of them.
        instances: Vec<Arc<Instance>>,
        /// Instances that are gone; only with `base`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<InstanceId>,
        /// More of the same revision follows; nothing is applied before the last of them.
        #[serde(default, skip_serializing_if = "is_default")]
        more: bool,
    },
    /// The service is gone with these instances, the last that the sidecar was told of.
    Remove { service: ServiceKey, ids: Vec<InstanceId> },
    /// What has changed in the list of services that may be seen, in place of what was held of each.
    Summary {
        services: Vec<ServiceSummary>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<ServiceKey>,
        /// This begins the list anew.
        #[serde(default, skip_serializing_if = "is_default")]
        whole: bool,
    },
    /// Everything that was to be said has been said.
    Synced {
        cursor: u64,
        /// These were asked for: one that is not held now does not exist.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceKey>,
        /// The list of services was asked for, and is whole.
        #[serde(default, skip_serializing_if = "is_default")]
        summary: bool,
    },
    /// The answer to a `drain`.
    Drained {
        /// Nobody is late.
        complete: bool,
        /// Whether the pod is going at all.
        terminating: bool,
        acked: u32,
        subscribers: u32,
        /// Pods that have not acknowledged, as `namespace/name`; not all where they are many.
        late: Vec<String>,
        #[serde(rename = "elapsedMs")]
        elapsed_ms: u64,
    },
    /// Sent when nothing else was for [`crate::limits::HEARTBEAT_EVERY`].
    Heartbeat,
    /// The controller ends the session; the sidecar comes back, here or elsewhere.
    Goaway { reason: String },
    /// A type of a newer peer: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Holds one service in the list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// Written `service.namespace`.
    pub service: ServiceKey,
    pub versions: Vec<Version>,
    pub serving: u32,
    pub total: u32,
}

/// Holds who a session acts as, taken from the controller's own pod index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIdentity {
    pub namespace: Namespace,
    pub name: String,
    pub uid: String,
    #[serde(default)]
    pub node: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A witness of the app is written as its word: the same as in `explain` and docs/liveness.md.
mod probe_word {
    use rollcall_catalogue::liveness::ProbeWitness;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(probe: &ProbeWitness, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(probe.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProbeWitness, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse()
            .map_err(|()| D::Error::custom(format!("`{word}` is no word on an app; see docs/liveness.md")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_are_the_contracts() {
        let hello = Up::Hello {
            protocol: PROTOCOL.to_owned(),
            incarnation: "i".to_owned(),
            sequence: 1,
            epoch: None,
            cursor: 0,
            registrations: vec![],
            held: [("orders.shop".parse().unwrap(), ContentHash(7))].into(),
        };
        let table = [
            (
                serde_json::to_string(&hello).unwrap(),
                r#"{"type":"hello","protocol":"1.0","incarnation":"i","sequence":1,"cursor":0,"held":{"orders.shop":"0000000000000007"}}"#,
            ),
            (
                serde_json::to_string(&Up::Subscribe {
                    services: vec!["orders".parse().unwrap()],
                    summary: false,
                })
                .unwrap(),
                r#"{"type":"subscribe","services":["orders"]}"#,
            ),
            (
                serde_json::to_string(&Down::Remove {
                    service: "orders.shop".parse().unwrap(),
                    ids: vec!["a".into()],
                })
                .unwrap(),
                r#"{"type":"remove","service":"orders.shop","ids":["a"]}"#,
            ),
            (serde_json::to_string(&Down::Heartbeat).unwrap(), r#"{"type":"heartbeat"}"#),
        ];
        for (written, expected) in table {
            assert_eq!(written, expected);
        }
        assert_eq!(serde_json::from_str::<Up>(&serde_json::to_string(&hello).unwrap()).unwrap(), hello);
    }

    #[test]
    fn unknown_types_and_fields_are_skipped_and_malformed_frames_are_errors() {
        assert_eq!(serde_json::from_str::<Up>(r#"{"type":"dance","x":[1]}"#).unwrap(), Up::Unknown);
        assert_eq!(
            serde_json::from_str::<Down>(r#"{"type":"heartbeat","load":3}"#).unwrap(),
            Down::Heartbeat
        );
        assert!(serde_json::from_str::<Up>(r#"{"type":"subscribe","services":["-"]}"#).is_err());
        assert!(serde_json::from_str::<Up>(r#"{"services":[]}"#).is_err());
        let upsert = |revision: u64| {
            let json = format!(
                r#"{{"type":"upsert","service":"orders.shop","revision":{revision},"hash":"01","instances":[]}}"#
            );
            serde_json::from_str::<Down>(&json)
        };
        assert!(upsert(1).is_ok() && upsert(1 << 53).is_err() && upsert(u64::MAX).is_err());
    }
}
