//! How an instance is asked whether it is well, and how it says so itself.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Says how each instance is asked whether it is well: exactly one of `http`, `tcp` and `grpc`. A connection
/// that is refused counts at once; timeouts and bad answers count when `failureThreshold` of them came in a
/// row.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::probe_is_one())]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// A GET that must be answered with 2xx or 3xx. Example: `{path: /healthz}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpProbe")]
    pub http: Option<HttpProbe>,

    /// A connection that must be accepted. Example: `{}`, or `{port: admin}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TcpProbe")]
    pub tcp: Option<TcpProbe>,

    /// A call of `grpc.health.v1.Health/Check` that must be answered with SERVING. Example: `{service:
    /// orders.v1.Orders}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GrpcProbe")]
    pub grpc: Option<GrpcProbe>,

    /// Milliseconds from one question to the next, 100 to 300000. Default: 500.
    #[serde(default = "Probe::interval")]
    #[schemars(range(min = 100, max = 300_000))]
    pub interval_milliseconds: i32,

    /// Milliseconds until a missing answer counts as a bad one, 100 to 300000. Default: 1000.
    #[serde(default = "Probe::timeout")]
    #[schemars(range(min = 100, max = 300_000))]
    pub timeout_milliseconds: i32,

    /// How many timeouts or bad answers in a row make an instance unwell, 1 to 10. Default: 3.
    #[serde(default = "Probe::failures")]
    #[schemars(range(min = 1, max = 10))]
    pub failure_threshold: i32,

    /// How many good answers in a row make it well again, 1 to 10. Default: 1.
    #[serde(default = "Probe::successes")]
    #[schemars(range(min = 1, max = 10))]
    pub success_threshold: i32,
}

/// Holds what is asked over HTTP.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::http_path_is_there())]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// The path of the GET, beginning with /, at most 1,024 printable ASCII characters. Required. Example:
    /// `/healthz`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024), extend("default" = null))]
    #[x_kube(validation = rules::http_path())]
    pub path: String,

    /// The name of an entry of `spec.ports`. Default: the first of them. Example: `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = rules::probe_port())]
    pub port: Option<String>,
}

/// Holds where a connection is tried.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpProbe {
    /// The name of an entry of `spec.ports`. Default: the first of them. Example: `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = rules::probe_port())]
    pub port: Option<String>,
}

/// Holds what is asked over gRPC.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcProbe {
    /// The name of an entry of `spec.ports`. Default: the first of them. Example: `grpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = rules::probe_port())]
    pub port: Option<String>,

    /// The gRPC service that is asked about, at most 253 printable ASCII characters. Default: the whole
    /// server. Example: `orders.v1.Orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    #[x_kube(validation = rules::grpc_service())]
    pub service: Option<String>,
}

/// Says how often each instance reports its own health, through the classic API, `/v1/self/health` or a
/// dialect.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::ttl_outlives_interval())]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Seconds from one report to the next, as the app sends them, 1 to 3600. Default: 5.
    #[serde(default = "Heartbeat::interval")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: i32,

    /// Seconds of silence after which an instance is unwell, until its next report; 1 to 3600, and not less
    /// than `intervalSeconds`. Default: 15.
    #[serde(default = "Heartbeat::ttl")]
    #[schemars(range(min = 1, max = 3600))]
    pub ttl_seconds: i32,
}

// === impl Probe ===

impl Probe {
    fn interval() -> i32 {
        500
    }

    fn timeout() -> i32 {
        1000
    }

    fn failures() -> i32 {
        3
    }

    fn successes() -> i32 {
        1
    }
}

// === impl Heartbeat ===

impl Heartbeat {
    fn interval() -> i32 {
        5
    }

    fn ttl() -> i32 {
        15
    }
}
