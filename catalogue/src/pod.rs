//! What the catalogue keeps of a pod.

use std::{net::IpAddr, sync::Arc};

use crate::{
    few::Few, liveness::PodLife, names::Namespace, pod_uid::PodUid, registration::Registration, texts::Texts,
};

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
