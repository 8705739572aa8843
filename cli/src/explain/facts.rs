//! What is known of a pod on its way into the catalogue, before anybody judges it.

use rollcall_catalogue::Visibility;
use rollcall_injection::Wish;

use super::{
    astray::{Astray, Words},
    registrations::Registration,
};
use crate::check::judge::crd::Age;

/// Holds what is known of a pod.
#[derive(Debug, Clone)]
pub(super) struct PodFacts {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) controllers: Controllers,
    pub(super) crd: Crd,
    /// Those of ours, with what they say.
    pub(super) annotations: Words,
    /// What of it, or of whoever made it, is read by nobody.
    pub(super) astray: Option<Astray>,
    /// What is wrong with its annotations, as the controller would say it.
    pub(super) problems: Vec<String>,
    pub(super) wish: Wish,
    pub(super) injection: Injection,
    /// Why it can have no sidecar.
    pub(super) exempt: Option<String>,
    /// None: it has none.
    pub(super) sidecar: Option<Sidecar>,
    /// The command that has it made anew.
    pub(super) anew: String,
    /// Kubernetes ends it.
    pub(super) ending: bool,
    pub(super) phase: String,
    /// What keeps it from being ready.
    pub(super) unready: Vec<String>,
    /// The ports that its containers declare.
    pub(super) declared_ports: Vec<Declared>,
    /// What it is in the catalogue; none where nobody could be asked.
    pub(super) instances: Option<Vec<Member>>,
    /// Those of its namespace; none where they were not seen.
    pub(super) registrations: Option<Vec<Registration>>,
    /// The NetworkPolicies that keep it from the controllers, each with whose it is.
    pub(super) walls: Vec<String>,
    /// Who asks, where that matters.
    pub(super) caller: Option<String>,
}

/// Says whether there is anybody who keeps the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Controllers {
    Ready(usize),
    /// With what keeps each of them from being ready.
    NoneReady(Vec<String>),
    /// The Deployment wants none.
    ScaledToZero,
    /// The Deployment wants some, and none is made; with what it says of that.
    NotMade(Option<String>),
    NotInstalled,
    /// The user may not see them, or nobody said.
    NotSeen(String),
}

/// Says how the cluster's CRD stands to this build's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Crd {
    /// With the fields that it lacks.
    Seen(Age, Vec<String>),
    Missing,
    NotSeen,
}

/// Holds what has a say in whether the pod was given a sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Injection {
    /// The namespace's label, whatever it says.
    pub(super) label: Option<String>,
    /// The namespace has it as an annotation.
    pub(super) is_annotation: bool,
    /// The label is younger than the pod.
    pub(super) is_older_than_label: bool,
    /// What is wrong with the webhook, and what helps.
    pub(super) webhook: Option<(String, String)>,
}

/// Holds a port that a container declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) port: u16,
    /// As `TCP`.
    pub(super) protocol: String,
}

/// Holds the sidecar of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sidecar {
    pub(super) running: bool,
    /// Why it does not run, as Kubernetes has it; none: nothing of the pod is begun.
    pub(super) why: Option<String>,
    /// Whom its token is for; none where it has none.
    pub(super) audience: Option<String>,
    /// A word of docs/liveness.md; none where nobody could be asked.
    pub(super) session: Option<String>,
    pub(super) last_word: LastWord,
}

/// Says what its log told last of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LastWord {
    /// Why its last dial came to nothing.
    NoSession(String),
    /// Nothing of that, or that it has one.
    Nothing,
    /// The log was not read.
    NotRead(String),
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
    /// Who looks it up and may not see it, as `namespace/pod`.
    pub(super) shut_out: Vec<String>,
}

// === impl Declared ===

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.protocol == "TCP" {
            write!(f, "{}", self.port)
        } else {
            write!(f, "{}/{}", self.port, self.protocol)
        }
    }
}
