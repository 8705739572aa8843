//! What was gathered for the checks, before anybody judges it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::reach::{Listed, Replica, Seen};

/// Holds what this program is.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) version: String,
    /// The schema of the CRD's version that it knows.
    pub(crate) schema: Value,
}

/// Holds everything that an installation is judged by.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) build: Build,
    /// The namespace of the installation.
    pub(crate) system: String,
    /// Unix time, of this machine's clock.
    pub(crate) now_s: i64,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) crd: Seen<Crd>,
    pub(crate) installation: Installation,
    pub(crate) webhook: Seen<Webhook>,
    pub(crate) authority: Seen<Authority>,
    pub(crate) catalogue: Catalogue,
    /// The NetworkPolicies of the controllers that let nobody in for a session.
    pub(crate) walls: Vec<String>,
    pub(crate) pods: Seen<Listed<Sidecar>>,
}

/// Holds what is known of the cluster itself.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    /// As `v1.33.4`.
    pub(crate) version: Seen<String>,
    pub(crate) nodes: Seen<Vec<Node>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kubelet: String,
}

/// Holds the CRD as the cluster has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Crd {
    /// By its label; the chart sets it.
    pub(crate) version: Option<String>,
    /// The helm release and its namespace, where helm made it.
    pub(crate) release: Option<(String, String)>,
    /// It takes requests, as the API server itself says.
    pub(crate) established: bool,
    pub(crate) served: Vec<String>,
    /// Of the version that this program knows.
    pub(crate) schema: Option<Value>,
}

/// Holds the controller's own objects.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) deployment: Seen<Deployment>,
    pub(crate) replicas: Seen<Vec<Replica>>,
    pub(crate) service: Seen<Service>,
    /// The image that sidecars are to have, by the installation's settings.
    pub(crate) sidecar_image: Seen<Option<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    /// By its label; the chart sets it.
    pub(crate) version: Option<String>,
    pub(crate) wanted: i32,
    pub(crate) ready: i32,
    /// It is told to give pods their sidecars.
    pub(crate) injects: bool,
    /// For how long it announces an authority before that signs; none where it is not told.
    pub(crate) overlap_s: Option<i64>,
    /// Why it makes no pods, where it says so.
    pub(crate) stuck: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) cluster_ip: Option<String>,
    pub(crate) ports: Vec<i32>,
}

/// Holds the webhook's configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Webhook {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As `namespace/name:port`; none where it leads to a URL.
    pub(crate) service: Option<String>,
    /// The certificates of its bundle.
    pub(crate) bundle: Vec<Vec<u8>>,
    pub(crate) fails_open: bool,
    /// The namespaces that it is asked for.
    pub(crate) namespaces: LabelSelector,
}

/// Holds the Secret `rollcall-ca`, without its keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Authority {
    /// The authority that signs, now or soon.
    pub(crate) signer: Option<Certificate>,
    /// The one before.
    pub(crate) previous: Option<Certificate>,
    /// From when on the first of them signs.
    pub(crate) sign_from: SignFrom,
    /// All who are to be believed, by the Secret's own bundle; none where it has no such entry, as older ones.
    pub(crate) bundle: Option<Vec<Vec<u8>>>,
}

/// Says from when on the newer authority signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SignFrom {
    /// It is not said: it does.
    #[default]
    Now,
    /// Of Unix time.
    At(i64),
    /// What is said is no time.
    Unread,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) not_after_s: i64,
}

/// Holds what the replicas tell.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    pub(crate) told: Vec<Replied>,
    pub(crate) without_sidecar: Asked<Many<Lacking>>,
    pub(crate) failing: Asked<Many<FailingApp>>,
    pub(crate) sessions: Asked<Many<crate::verbs::Heard>>,
    pub(crate) registrations: Seen<Listed<Refused>>,
}

/// Says what came of asking the controller for something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked<T> {
    Told(T),
    /// It is of a version that does not know the question.
    NotKnown,
    Unanswered(String),
}

/// Holds a list of which not all need be listed.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct Many<T> {
    pub(crate) pods: Vec<T>,
    pub(crate) total: usize,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(crate) struct Lacking {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// `missed` or `exempt`.
    pub(crate) reason: String,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailingApp {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) liveness_probe: bool,
}

/// Holds what one replica said of itself and of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replied {
    pub(crate) pod: String,
    pub(crate) dump: Result<Dump, Silence>,
    pub(crate) metrics: Result<Metrics, Silence>,
}

/// Says why a replica said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The user may not forward ports there.
    Forbidden,
    Other(String),
}

/// Holds a dump without its first line, which is the replica's own: a line an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dump(pub(crate) Vec<String>);

/// Holds those of a replica's metrics that a check goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics {
    pub(crate) frozen: bool,
    /// The oldest of the watches, and its kind.
    pub(crate) oldest_watch: Option<(String, f64)>,
    pub(crate) places_missing: f64,
}

/// Holds a registration that is not taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) message: String,
}

/// Holds a pod's sidecar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sidecar {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) image: String,
    /// Where it was told that the controller is.
    pub(crate) controller: Option<String>,
}

/// Holds what is judged before an install.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) system: String,
    pub(crate) kubernetes: Kubernetes,
    /// What helm will do, as `create deployments.apps`, and whether the user may.
    pub(crate) rights: Vec<(String, Seen<bool>)>,
    pub(crate) crd: Seen<Crd>,
    /// Our webhook's configuration, and those of other installations.
    pub(crate) webhooks: Seen<Vec<String>>,
    pub(crate) deployment: Seen<Deployment>,
    /// The labels that bear on the namespace, where it is there.
    pub(crate) namespace: Seen<NamespaceLabels>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NamespaceLabels {
    /// Pod Security's level.
    pub(crate) enforce: Option<String>,
    pub(crate) terminating: bool,
}

// === impl Authority ===

impl Authority {
    /// Who signs at this time; the newer one where nothing else is known.
    pub(crate) fn signs(&self, now_s: i64) -> Option<&Certificate> {
        match (self.sign_from, &self.previous) {
            (SignFrom::At(from_s), Some(previous)) if now_s < from_s => Some(previous),
            _ => self.signer.as_ref(),
        }
    }
}
