//! Who asks for a sidecar, and who can have none: the webhook and the index, which looks for pods without one, go by the
//! same rules.

use std::fmt;

use serde_json::Value;

use crate::{ENABLED, MIRROR};

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
    match (annotation, namespace_label) {
        (Some("true" | "enabled"), _) => Wish::Asked,
        (Some("false" | "disabled"), _) => Wish::Declined,
        (_, Some(ENABLED)) => Wish::Asked,
        _ => Wish::None,
    }
}

/// Why a pod of this shape can have no sidecar.
pub fn exemption(shape: Shape) -> Option<Exemption> {
    match shape {
        Shape { mirror: true, .. } => Some(Exemption::Mirror),
        Shape { windows: true, .. } => Some(Exemption::Windows),
        Shape { host_network: true, .. } => Some(Exemption::HostNetwork),
        _ => None,
    }
}

// === impl Shape ===

impl Shape {
    /// That of a pod, or of a pod template.
    pub fn of(pod: &Value) -> Self {
        let windows = |path: &str| pod.pointer(path).is_some_and(|os| os == "windows");
        let annotations = pod.pointer("/metadata/annotations");
        Self {
            host_network: pod.pointer("/spec/hostNetwork").is_some_and(|host| host == true),
            mirror: annotations.is_some_and(|annotations| annotations.get(MIRROR).is_some()),
            windows: windows("/spec/os/name") || windows("/spec/nodeSelector/kubernetes.io~1os"),
        }
    }
}

// === impl Exemption ===

impl fmt::Display for Exemption {
    /// A sentence for the Event `InjectionSkipped`, and what to do instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::HostNetwork => {
                "it is in its node's network, where the ports of a sidecar would be the node's"
            }
            Self::Mirror => "the kubelet made it from a file, and takes no change of it",
            Self::Windows => "it runs on Windows, for which there is no sidecar",
        };
        write!(
            f,
            "no sidecar: {why}; register it by a ServiceRegistration, and annotate it rollcall.dev/inject: \"false\""
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pods_word_counts_before_its_namespaces() {
        for (label, annotation, expected) in [
            (None, None, Wish::None),
            (Some("enabled"), None, Wish::Asked),
            (Some("enabled"), Some("false"), Wish::Declined),
            (Some("enabled"), Some("disabled"), Wish::Declined),
            (Some("enabled"), Some("maybe"), Wish::Asked),
            (None, Some("true"), Wish::Asked),
            (None, Some("enabled"), Wish::Asked),
            (None, Some("false"), Wish::Declined),
            (None, Some("True"), Wish::None),
            // A namespace says `enabled` and nothing else, as the webhook's selector does.
            (Some("true"), None, Wish::None),
            (Some("disabled"), Some("true"), Wish::Asked),
        ] {
            assert_eq!(wish(label, annotation), expected, "{label:?} {annotation:?}");
        }
    }

    #[test]
    fn who_can_have_none() {
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "0a1b"}}});
        for (pod, expected) in [
            (json!({}), None),
            (json!({"metadata": null, "spec": null}), None),
            (json!({"spec": {"hostNetwork": false, "os": {"name": "linux"}}}), None),
            (json!({"spec": {"hostNetwork": true}}), Some(Exemption::HostNetwork)),
            (mirror, Some(Exemption::Mirror)),
            (json!({"spec": {"os": {"name": "windows"}}}), Some(Exemption::Windows)),
            (json!({"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}), Some(Exemption::Windows)),
        ] {
            let found = exemption(Shape::of(&pod));
            assert_eq!(found, expected, "{pod}");
            let told = found.map(|found| found.to_string()).unwrap_or_default();
            assert!(found.is_none() || told.contains("ServiceRegistration"), "{told}");
        }
    }
}
