//! The Rust side of `ServiceRegistration`; the YAML is generated from it, and `kubectl explain` shows its
//! comments.
//!
//! Words with a fixed choice and numbers are plain here (`String`, `i32`): an object that another version of
//! the schema let in must stay readable, so that the conversion can say what is wrong with it.

mod health;
mod sharing;
mod status;
mod target;

use std::collections::{BTreeMap, BTreeSet};

pub use health::{GrpcProbe, Heartbeat, HttpProbe, Probe, TcpProbe};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
pub use sharing::{LoadBalancing, Visibility};
pub use status::{InstanceStatus, ServiceRegistrationStatus};
pub use target::{LabelRequirement, LabelSelector, PodTarget, ServiceTarget, StaticAddress, Target};

use crate::rules;

/// What is registered: which instances are the service, and what they are like.
///
/// Several registrations may describe one service; they are merged. Where they disagree on an instance, the
/// closest one wins (a pod target before a selector, before a Service), then the older one. A field that is
/// left out says nothing and leaves the word to the others.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "ServiceRegistration",
    plural = "serviceregistrations",
    shortname = "sreg",
    category = "rollcall",
    namespaced,
    status = "ServiceRegistrationStatus",
    doc = "Says that certain pods, the endpoints of a Service, or addresses outside the cluster are instances of a \
           service that Rollcall's lookups know by name.",
    selectable = ".spec.service",
    selectable = ".spec.version",
    // The name that counts: spec.service, or else metadata.name. Of several results the API server prints the
    // first, in the order of the union; nothing else at the top of an object's parts is called service or
    // name.
    printcolumn(
        name = "SERVICE",
        type_ = "string",
        json_path = ".*['service','name']",
        description = "The name to look up."
    ),
    printcolumn(
        name = "VERSION",
        type_ = "string",
        json_path = ".spec.version",
        description = "The version of these instances."
    ),
    // What tells targets apart, and of several results the first, as above: a whole target may have 256 addresses.
    printcolumn(
        name = "TARGET",
        type_ = "string",
        json_path = ".spec.target..['matchLabels','matchExpressions','name','address']",
        description = "Which instances are meant: the labels, the name, or the first address."
    ),
    printcolumn(
        name = "SERVING",
        type_ = "integer",
        json_path = ".status.serving",
        description = "How many instances are handed out now."
    ),
    printcolumn(
        name = "TOTAL",
        type_ = "integer",
        json_path = ".status.total",
        description = "How many instances are known."
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether lookups find an instance of it."
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready, or why not.",
        priority = 1
    ),
    printcolumn(
        name = "MESSAGE",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What to do about it.",
        priority = 1
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::default_name()
)]
#[x_kube(
    validation = rules::target_is_there(),
    validation = rules::ports_are_known(),
    validation = rules::probe_port_is_known("http"),
    validation = rules::probe_port_is_known("tcp"),
    validation = rules::probe_port_is_known("grpc")
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRegistrationSpec {
    /// The name to look up, as in `orders` or `orders.shop`: a DNS-1123 label of at most 63 characters that
    /// is not three numbers joined by - (those are versions in DNS names). Default: the object's own name.
    /// Example: `orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = rules::service_is_label(), validation = rules::service_is_no_version())]
    pub service: Option<String>,

    /// The version of these instances: a full semantic version without a leading v. Default: none said here;
    /// a pod's label `app.kubernetes.io/version` may still say it. Example: `1.4.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 128))]
    #[x_kube(validation = rules::version())]
    pub version: Option<String>,

    /// Which instances are meant. Required: exactly one of `selector`, `service`, `pod` and `addresses`. Pods and
    /// Services are those of this object's own namespace.
    // Not `required`, whose message would not say what to set; a rule of the spec does.
    // Atomic, so that whoever applies another kind of target takes the place of the old one.
    #[serde(default)]
    #[schemars(extend("default" = null, "x-kubernetes-map-type" = "atomic"))]
    pub target: Target,

    /// The ports of each instance, at most 32, each with its own name; the first is the primary one, which
    /// lookups hand out. Required, except with `target.service`, whose EndpointSlices know them. Example:
    /// `[{name: http, port: 8080}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = rules::port_names_differ())]
    pub ports: Vec<Port>,

    /// Words to choose instances by (`?tag=blue`): at most 64, each of 1 to 63 printable characters of any
    /// script. Those of several registrations are united. Example: `[blue, eu]`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 64), extend("items" = rules::tag(), "x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::tags_differ())]
    pub tags: BTreeSet<String>,

    /// What callers are told about the instances: at most 64 keys of 1 to 128 printable characters of any
    /// script, with values of at most 1,024 characters, which may be empty. Merged key by key. Example:
    /// `{team: payments}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = rules::metadata_value()))]
    #[x_kube(validation = rules::metadata_keys())]
    pub metadata: BTreeMap<String, String>,

    /// The share of each instance under the policy Weighted, against that of the others: 0 to 1000. 0 is
    /// never picked, but still listed. Default: 100. Example: beside one instance of 90, one of `10` gets a
    /// tenth of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 1000))]
    pub weight: Option<i32>,

    /// How each instance is asked whether it is well: exactly one of `http`, `tcp` and `grpc`. A refused
    /// connection counts at once; timeouts and bad answers count when `failureThreshold` of them came in a
    /// row. Default: a TCP connection to the primary port; nothing where that is UDP or SCTP, or where the
    /// instance sends heartbeats. Example: `{http: {path: /healthz}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Probe", extend("x-kubernetes-map-type" = "atomic"))]
    pub probe: Option<Probe>,

    /// Says that each instance reports its own health again and again, through the classic API,
    /// `/v1/self/health` or a dialect, and that it is unwell while it does not. Default: no such reports are
    /// expected. Example: `{intervalSeconds: 5, ttlSeconds: 15}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Heartbeat")]
    pub heartbeat: Option<Heartbeat>,

    /// How a caller that asks for one instance gets it. Default: what other registrations of the service say,
    /// or else RoundRobin. Example: `{policy: LeastLoaded}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LoadBalancing")]
    pub load_balancing: Option<LoadBalancing>,

    /// Who may see the service; its own namespace always may. The narrowest of all its registrations holds;
    /// to everyone else the service does not exist. Default: every namespace of the cluster. Example:
    /// `{scope: Namespace}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Visibility")]
    pub visibility: Option<Visibility>,
}

/// Holds one named port of each instance.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The port's name, unique among these: a DNS-1123 label of at most 63 characters. Example: `http`.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::port_name())]
    pub name: String,

    /// The port's number, 1 to 65535. Example: `8080`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// What carries the bytes: TCP, UDP or SCTP. Default: TCP.
    #[serde(default = "tcp")]
    #[schemars(extend("enum" = ["TCP", "UDP", "SCTP"]))]
    pub protocol: String,

    /// What is spoken there (`?protocol=grpc`), as in a Service: a word of at most 128 characters, with or
    /// without a domain before it. Default: nothing is said. Example: `http`, `grpc`, `kubernetes.io/h2c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 128))]
    #[x_kube(validation = rules::app_protocol())]
    pub app_protocol: Option<String>,
}

fn tcp() -> String {
    "TCP".to_owned()
}
