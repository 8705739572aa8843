//! The frames of a session: one JSON object each, told apart by `type`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rollcall_catalogue::{
    ContentHash, Instance, InstanceId, Namespace, Policy, ServiceKey, ServiceName, ServiceRef, Version,
    changes::Position, liveness::ProbeWitness,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Line,
    duty::Duty,
    question::{Explained, Found, Question, Unknown},
    registration::{RegistrationKey, SelfRegistration},
    token::Token,
    usage::ServiceUsage,
};

/// The version of the wire that this build speaks.
pub const PROTOCOL: &str = "1.2";

/// The header in which a replica that does not serve says where another one does: IP and port.
pub const SERVING: &str = "x-rollcall-serving";

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
    Deregister {
        #[serde(flatten)]
        key: RegistrationKey,
    },
    /// What the sidecar knows of its app: by asking it, or by its own word.
    Health {
        /// None is all that the pod is.
        #[serde(flatten, with = "health_of")]
        of: Option<HealthOf>,
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
    /// Everything up to this `synced` is applied; of several with one cursor each has its own.
    Ack { cursor: u64 },
    /// Asks when nobody calls this pod any more; see [`Drain`].
    Drain {
        drain: Drain,
        /// The answer comes then at the latest.
        #[serde(default, rename = "deadlineMs", skip_serializing_if = "is_default")]
        deadline_ms: u64,
        /// A number of the asker's own, which is given back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask: Option<u64>,
    },
    /// What a person wants to know, under a number that the answer gives back.
    Ask {
        ask: u64,
        #[serde(flatten)]
        question: Question,
    },
    /// The token of the pod as the kubelet has renewed it: what would be shown when the session is lost now. It is not
    /// answered. Of 1.1.
    Token { token: Token },
    /// How the app has used services, of those where something is new. It is not answered. Of 1.2.
    Usage { services: Vec<ServiceUsage> },
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
#[expect(
    clippy::large_enum_variant,
    reason = "frames are held one at a time, and some hundred bytes longer cost nothing"
)]
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
        /// The authorities to be believed from now on, in PEM; none where nothing changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Arc<str>>,
        /// Where the controller is reached from now on, whichever replica answers there; none where nothing changes. Of 1.2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        controller: Option<SocketAddr>,
        /// Who the caller is, as Kubernetes says.
        pod: PodIdentity,
        /// How far this replica has read Kubernetes; empty where an older one does not say.
        #[serde(default, skip_serializing_if = "is_default")]
        position: Position,
        /// The newest change that it knows of, of the kinds in which that is another revision than in `position`; 0 where
        /// it knows of none.
        #[serde(default, skip_serializing_if = "is_default")]
        changed: Position,
    },
    /// Where sessions are served from now on, in place of what `welcome` said.
    Replicas { replicas: Vec<SocketAddr> },
    /// Whom to believe and where to call from now on, in place of what `welcome` said of it. Of 1.2.
    Way {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Arc<str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        controller: Option<SocketAddr>,
    },
    /// What the app registered is in the catalogue.
    Registered {
        #[serde(flatten)]
        key: RegistrationKey,
    },
    /// What the app registered is not, and why.
    Rejected {
        #[serde(flatten)]
        key: RegistrationKey,
        reason: String,
        /// The field that holds a bad value, where it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// One service as a whole, or what has changed of it.
    Upsert(Upsert),
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
        /// How far this replica had read Kubernetes when it made what was told.
        #[serde(default, skip_serializing_if = "is_default")]
        position: Position,
        /// As in `welcome`.
        #[serde(default, skip_serializing_if = "is_default")]
        changed: Position,
    },
    /// All that the pod is, after each `welcome` and whenever it changes.
    Duties { duties: Vec<Duty> },
    /// The answer to an `ask`, or a part of it; another one begins only after its end.
    Told {
        ask: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<Unknown>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        explained: Vec<Explained>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        found: Vec<Found>,
        /// The answer goes on in the next frame.
        #[serde(default, skip_serializing_if = "is_default")]
        more: bool,
    },
    /// The answer to a `drain`.
    Drained {
        /// The number that the question came with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ask: Option<u64>,
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
    Goaway {
        reason: String,
        /// Where it is to come back, at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dial: Option<SocketAddr>,
    },
    /// A type of a newer peer: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Holds one service as a whole, or what has changed of it; see `more` for one that needs several frames. Its versions are those of
/// its instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsert {
    pub service: ServiceKey,
    #[serde(deserialize_with = "rollcall_catalogue::revision")]
    pub revision: u64,
    pub hash: ContentHash,
    /// The hash of the content that this changes; none where this is all of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
    /// How callers spread their requests, where they do not say so themselves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// There are more instances than may be listed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub truncated: bool,
    /// Instances that are new or different; without `base`, all of them.
    pub instances: Vec<Arc<Instance>>,
    /// Instances that are gone; only with `base`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<InstanceId>,
    /// More of the same revision follows; nothing is applied before the last of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub more: bool,
}

/// How the JSON of an upsert begins, as this crate writes it.
const UPSERT: &str = r#"{"type":"upsert","#;

/// Names what a word on health is of: all that the pod is in a service, or one instance of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HealthOf {
    pub service: ServiceName,
    /// The primary port of the one that is meant alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
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
    /// Of that node, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// All of them, as Kubernetes says; its primary one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

impl Line for Up {}

impl Line for Down {
    /// Most of what a sidecar reads is upserts, and serde keeps all fields in values of their own until it knows the type, which
    /// may be the last of them. Where it is the first, nothing has to wait for it.
    fn read(json: &str) -> serde_json::Result<Self> {
        match json.starts_with(UPSERT) {
            true => serde_json::from_str(json).map(Self::Upsert),
            false => serde_json::from_str(json),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A port means something beside its service alone.
mod health_of {
    use rollcall_catalogue::ServiceName;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::HealthOf;

    #[derive(Default, Serialize, Deserialize)]
    struct Parts {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
    }

    pub(super) fn serialize<S: Serializer>(of: &Option<HealthOf>, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = of.clone().map(|HealthOf { service, port }| Parts { service: Some(service), port });
        parts.unwrap_or_default().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<HealthOf>, D::Error> {
        match Parts::deserialize(deserializer)? {
            Parts { service: Some(service), port } => Ok(Some(HealthOf { service, port })),
            Parts { service: None, port: None } => Ok(None),
            Parts { service: None, port: Some(_) } => Err(D::Error::custom("a port without its service")),
        }
    }
}

/// A witness of the app is written as its word: the same as in `explain` and docs/liveness.md.
pub(crate) mod probe_word {
    use rollcall_catalogue::liveness::ProbeWitness;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(probe: &ProbeWitness, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(probe.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProbeWitness, D::Error> {
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
                r#"{"type":"hello","protocol":"1.2","incarnation":"i","sequence":1,"cursor":0,"held":{"orders.shop":"0000000000000007"}}"#,
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
            (
                serde_json::to_string(&Down::Replicas { replicas: vec!["[fd00::7]:7310".parse().unwrap()] })
                    .unwrap(),
                r#"{"type":"replicas","replicas":["[fd00::7]:7310"]}"#,
            ),
            (
                serde_json::to_string(&Down::Goaway {
                    reason: "moved".into(),
                    dial: Some(([10, 0, 0, 2], 7310).into()),
                })
                .unwrap(),
                r#"{"type":"goaway","reason":"moved","dial":"10.0.0.2:7310"}"#,
            ),
        ];
        for (written, expected) in table {
            assert_eq!(written, expected);
        }
        assert_eq!(serde_json::from_str::<Up>(&serde_json::to_string(&hello).unwrap()).unwrap(), hello);
    }

    #[test]
    fn what_an_app_says_and_asks_is_written_flat() {
        let key = |port| RegistrationKey { service: "orders".parse().unwrap(), port };
        let of = |port| Some(HealthOf { service: "orders".parse().unwrap(), port });
        let explain = |id: Option<&str>| Question::Explain {
            service: "orders.shop".parse().unwrap(),
            id: id.map(Into::into),
        };
        let up = [
            (Up::Deregister { key: key(None) }, r#"{"type":"deregister","service":"orders"}"#),
            (Up::Deregister { key: key(Some(81)) }, r#"{"type":"deregister","service":"orders","port":81}"#),
            (Up::Health { of: None, probe: ProbeWitness::Dead }, r#"{"type":"health","probe":"dead"}"#),
            (
                Up::Health { of: of(Some(81)), probe: ProbeWitness::Dead },
                r#"{"type":"health","service":"orders","port":81,"probe":"dead"}"#,
            ),
            (
                Up::Ask { ask: 3, question: explain(Some("u-80")) },
                r#"{"type":"ask","ask":3,"explain":{"service":"orders.shop","id":"u-80"}}"#,
            ),
            (
                Up::Ask { ask: 4, question: Question::Address("10.1.2.3".parse().unwrap()) },
                r#"{"type":"ask","ask":4,"address":"10.1.2.3"}"#,
            ),
            (
                Up::Drain { drain: Drain::Wait, deadline_ms: 0, ask: Some(5) },
                r#"{"type":"drain","drain":"wait","ask":5}"#,
            ),
        ];
        for (frame, expected) in up {
            assert_eq!(serde_json::to_string(&frame).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Up>(expected).unwrap(), frame);
        }
        let told = |unknown, more| Down::Told { ask: 3, unknown, explained: vec![], found: vec![], more };
        let down = [
            (
                Down::Registered { key: key(Some(81)) },
                r#"{"type":"registered","service":"orders","port":81}"#,
            ),
            (
                Down::Rejected { key: key(None), reason: "no".into(), field: None },
                r#"{"type":"rejected","service":"orders","reason":"no"}"#,
            ),
            (told(Some(Unknown::Service), false), r#"{"type":"told","ask":3,"unknown":"service"}"#),
            (told(None, true), r#"{"type":"told","ask":3,"more":true}"#),
            (Down::Duties { duties: vec![] }, r#"{"type":"duties","duties":[]}"#),
        ];
        for (frame, expected) in down {
            assert_eq!(serde_json::to_string(&frame).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Down>(expected).unwrap(), frame);
        }
        for bad in [
            r#"{"type":"health","port":81,"probe":"dead"}"#,
            r#"{"type":"health","service":"-","probe":"dead"}"#,
            r#"{"type":"ask","ask":3}"#,
        ] {
            assert!(serde_json::from_str::<Up>(bad).is_err(), "{bad}");
        }
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
