//! The frames of a session: one JSON object each, told apart by `type`.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Namespace, Policy, Service, ServiceKey, ServiceRef,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{CodecError, encode},
    limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES_MAX},
};

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
        /// What is still held from an earlier session, so that it need not be sent again.
        #[serde(default)]
        held: BTreeMap<ServiceKey, ContentHash>,
    },
    /// Sent when nothing else was for [`crate::limits::HEARTBEAT_EVERY`].
    Heartbeat {
        cursor: u64,
        /// The wrapping sum of the hashes of all services held, so that silent staleness is found.
        digest: ContentHash,
    },
    Subscribe {
        services: Vec<ServiceRef>,
    },
    Unsubscribe {
        services: Vec<ServiceRef>,
    },
    /// Everything up to this `synced` is applied.
    Ack {
        cursor: u64,
    },
    /// A type of a newer peer: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
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
        /// Who the caller is, as Kubernetes says.
        pod: PodIdentity,
    },
    /// One service as a whole; see [`upserts`] for one that needs several frames. Its versions are those of its
    /// instances.
    Upsert {
        service: ServiceKey,
        #[serde(deserialize_with = "rollcall_catalogue::revision")]
        revision: u64,
        hash: ContentHash,
        /// How callers spread their requests, where they do not say so themselves.
        #[serde(default, skip_serializing_if = "is_default")]
        policy: Policy,
        /// There are more instances than may be listed.
        #[serde(default, skip_serializing_if = "is_default")]
        truncated: bool,
        instances: Vec<Arc<Instance>>,
        /// More instances of the same revision follow; nothing is applied before the last of them.
        #[serde(default, skip_serializing_if = "is_default")]
        more: bool,
    },
    /// The service is gone with these instances, the last that the sidecar was told of.
    Remove { service: ServiceKey, ids: Vec<InstanceId> },
    /// Everything that was to be said of these services has been said: one without an upsert is unknown. The
    /// cursor grows with every `synced` of a session.
    Synced { cursor: u64, services: Vec<ServiceKey> },
    /// Sent when nothing else was for [`crate::limits::HEARTBEAT_EVERY`].
    Heartbeat,
    /// The controller ends the session; the sidecar comes back, here or elsewhere.
    Goaway { reason: String },
    /// A type of a newer peer: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
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

/// The encoded frames that carry one service: several where its instances do not fit into one.
pub fn upserts(key: &ServiceKey, service: &Service) -> Result<Vec<Vec<u8>>, CodecError> {
    let budget = FRAME_BYTES_MAX - FRAME_HEAD_BYTES_MAX;
    let mut parts: Vec<Vec<Arc<Instance>>> = vec![Vec::new()];
    let mut used = 0;
    for instance in service.instances.iter() {
        let cost = serde_json::to_vec(instance)?.len() + 1;
        if used + cost > budget {
            parts.push(Vec::new());
            used = 0;
        }
        used += cost;
        if let Some(part) = parts.last_mut() {
            part.push(instance.clone());
        }
    }
    let last = parts.len() - 1;
    let frame = |(number, instances)| {
        encode(&Down::Upsert {
            service: key.clone(),
            revision: service.revision,
            hash: service.hash,
            policy: service.policy,
            truncated: service.truncated,
            instances,
            more: number < last,
        })
    };
    parts.into_iter().enumerate().map(frame).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use rollcall_catalogue::{Profile, Reason, State, changes::Head};

    use super::*;

    #[test]
    fn the_frames_are_the_contracts() {
        let hello = Up::Hello {
            protocol: PROTOCOL.to_owned(),
            incarnation: "i".to_owned(),
            sequence: 1,
            held: [("orders.shop".parse().unwrap(), ContentHash(7))].into(),
        };
        let table = [
            (
                serde_json::to_string(&hello).unwrap(),
                r#"{"type":"hello","protocol":"1.0","incarnation":"i","sequence":1,"held":{"orders.shop":"0000000000000007"}}"#,
            ),
            (
                serde_json::to_string(&Up::Subscribe { services: vec!["orders".parse().unwrap()] }).unwrap(),
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
    fn a_service_too_large_for_a_frame_goes_in_parts_of_one_revision() {
        let text = "\u{1}".repeat(1_024);
        let instance = |number: u8| {
            let profile = Profile {
                port: 80,
                ports: [].into(),
                version: None,
                weight: 1,
                tags: [].into(),
                metadata: (0..20).map(|n| (n.to_string(), text.as_str())).collect(),
            };
            Arc::new(Instance {
                id: format!("uid-{number}").as_str().into(),
                addresses: IpAddr::from([10, 0, 0, number]).into(),
                zone: None,
                node: None,
                pod: None,
                profile: profile.into(),
                state: State::Serving,
                reason: Reason::Ready,
                revision: 9,
            })
        };
        let all: Vec<_> = (0..10).map(instance).collect();
        let head = Head { revision: 9, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        let service = Service::of(head, all.clone());
        let frames = upserts(&"orders.shop".parse().unwrap(), &service).unwrap();
        assert_eq!(frames.len(), 5, "two of 123 KB fit into each");
        let mut joined = Vec::new();
        for (number, bytes) in frames.iter().enumerate() {
            assert!(bytes.len() <= FRAME_BYTES_MAX + 1);
            let Down::Upsert { instances, more, revision: 9, .. } = serde_json::from_slice(bytes).unwrap()
            else {
                panic!("no upsert");
            };
            assert_eq!(more, number < 4);
            joined.extend(instances);
        }
        let ids = |all: &[Arc<Instance>]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&joined), ids(&all));
        let empty = Service::of(head, vec![]);
        assert_eq!(upserts(&"orders.shop".parse().unwrap(), &empty).unwrap().len(), 1, "known, with nothing");
    }

    #[test]
    fn unknown_types_and_fields_are_skipped_and_malformed_frames_are_errors() {
        assert_eq!(serde_json::from_str::<Up>(r#"{"type":"drain","x":[1]}"#).unwrap(), Up::Unknown);
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
