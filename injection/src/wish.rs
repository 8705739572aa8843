//! Who asks for a sidecar, and who can have none: the webhook and the index, which looks for pods without one, go by the
//! same rules.

use std::fmt;

/// Says whether a pod is to have a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// By its annotation, or by its namespace's label.
    Asked,
    /// Its annotation declines what its namespace asks for.
    Declined,
    /// Nobody asked.
    None,
}

/// Says why a pod that asks for a sidecar can have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Its ports would be the node's.
    HostNetwork,
    /// The kubelet made it from a file, and takes no change of it.
    Mirror,
    Windows,
}

/// Holds what of a pod decides whether it can have a sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    pub host_network: bool,
    pub mirror: bool,
    pub windows: bool,
}

/// What the pod's annotation `rollcall.dev/inject` and the namespace's label of the same name come to; the pod's word counts
/// first. A word that is neither `true` nor `false` (or `enabled`, `disabled`) is no word.
pub fn wish(namespace_label: Option<&str>, annotation: Option<&str>) -> Wish {
    let _ = (namespace_label, annotation);
    todo!()
}

/// Why a pod of this shape can have no sidecar.
pub fn exemption(shape: Shape) -> Option<Exemption> {
    let _ = shape;
    todo!()
}

impl fmt::Display for Exemption {
    /// A sentence for the Event `InjectionSkipped`, and what to do instead.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
