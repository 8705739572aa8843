//! What the catalogue keeps of a pod.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{few::Few, liveness::PodLife, names::Namespace, registration::Registration, texts::Texts};

/// Holds a pod's UID: the one name that Kubernetes never gives twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodUid(Arc<str>);

/// Holds the few facts of a pod that matter here, mapped at its arrival; the pod itself is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    pub uid: PodUid,
    pub namespace: Namespace,
    pub name: Arc<str>,
    pub node: Option<Arc<str>>,
    /// The primary address first; empty until the pod has one.
    pub addresses: Few<IpAddr>,
    /// Shared by the pods of one template.
    pub labels: Arc<Texts>,
    /// A container of ours is in the pod, so that a session is expected.
    pub has_sidecar: bool,
    /// `rollcall.dev/drain: "true"`.
    pub asks_to_drain: bool,
    /// What the pod's own annotations register.
    pub registration: Option<Arc<Registration>>,
    pub life: PodLife,
}

impl PodUid {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl From<&str> for PodUid {
    fn from(uid: &str) -> Self {
        Self(uid.into())
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
