//! What is known of a pod on its way into the catalogue, before anybody judges it.

use std::collections::BTreeMap;

use rollcall_catalogue::Visibility;
use rollcall_injection::Wish;

use crate::check::{facts::Refused, judge::crd::Age};

/// Holds what is known of a pod.
#[derive(Debug, Clone)]
pub(super) struct PodFacts {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) controllers: Controllers,
    /// How the cluster's CRD stands to this build's; none where it is not there or was not seen.
    pub(super) crd: Option<Age>,
    /// Those of ours, with what they say.
    pub(super) annotations: BTreeMap<String, String>,
    /// What is wrong with them, as the controller would say it.
    pub(super) problems: Vec<String>,
    pub(super) wish: Wish,
    /// Why it can have no sidecar.
    pub(super) exempt: Option<String>,
    /// None: it has none.
    pub(super) sidecar: Option<Sidecar>,
    /// Kubernetes ends it.
    pub(super) ending: bool,
    pub(super) phase: String,
    /// Its other containers that are not ready, and why.
    pub(super) unready: Vec<String>,
    /// The ports that its containers declare.
    pub(super) declared_ports: Vec<i32>,
    /// What it is in the catalogue; none where nobody could be asked.
    pub(super) instances: Option<Vec<Member>>,
    /// The registrations of its namespace that are refused.
    pub(super) refused: Vec<Refused>,
    /// Who asks, where that matters.
    pub(super) caller: Option<String>,
}

/// Says whether there is anybody who keeps the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Controllers {
    Ready(usize),
    NoneReady(usize),
    NotInstalled,
    /// The user may not see them, or nobody said.
    NotSeen(String),
}

/// Holds the sidecar of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sidecar {
    pub(super) running: bool,
    /// Why it does not run, as Kubernetes has it.
    pub(super) why: String,
    /// Whom its token is for; none where it has none.
    pub(super) audience: Option<String>,
    /// A word of docs/liveness.md; none where nobody could be asked.
    pub(super) session: Option<String>,
    /// Why its last dial came to nothing, by its log, where that was after its last session.
    pub(super) last_error: Option<String>,
}

/// Holds what the pod is in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) service: String,
    pub(super) namespace: String,
    pub(super) port: u16,
    pub(super) served: bool,
    pub(super) state: String,
    pub(super) reason: String,
    /// A word of docs/liveness.md.
    pub(super) probe: String,
    /// Who may see the service; none where that was not told.
    pub(super) visibility: Option<Visibility>,
}
