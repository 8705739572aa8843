//! The part of a pod that decides anything. Pods are the most of what is listed, and have much more than that, as the
//! list of who wrote which field: to make objects of all of it would be work for nothing.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::{self, ContainerPort, PodCondition, PodIP, PodReadinessGate},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

/// Holds a pod; its fields are named as Kubernetes' own type names them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    #[serde(deserialize_with = "read_meta")]
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<PodSpec>,
    pub(super) status: Option<PodStatus>,
}

/// Holds what a pod shall be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Option<Vec<Container>>,
    pub(super) readiness_gates: Option<Vec<PodReadinessGate>>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) host_network: bool,
    pub(super) os: Option<PodOs>,
    pub(super) node_selector: Option<NodeSelector>,
}

/// Holds the system that a pod is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodOs {
    pub(super) name: Option<String>,
}

/// Holds what of a node's labels a pod asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSelector {
    #[serde(rename = "kubernetes.io/os")]
    pub(super) os: Option<String>,
}

/// Holds one container of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
    pub(super) ports: Option<Vec<ContainerPort>>,
    pub(super) restart_policy: Option<String>,
    /// Whether there is one.
    pub(super) liveness_probe: Option<IgnoredAny>,
}

/// Holds what a pod is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIP>>,
    pub(super) conditions: Option<Vec<PodCondition>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
}

/// Holds what one container of a pod is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) ready: bool,
    pub(super) state: Option<ContainerState>,
}

/// Holds what a container does now.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) terminated: Option<Terminated>,
}

/// Holds how a container has ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Terminated {
    /// Its last words.
    pub(super) message: Option<String>,
}

/// Holds what is read of a pod's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
}

fn read_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        labels: meta.labels,
        annotations: meta.annotations,
        deletion_timestamp: meta.deletion_timestamp,
        deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
        ..ObjectMeta::default()
    })
}

/// Kubernetes takes null for what is not there.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

// === impl Pod ===

impl Resource for Pod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_as_good_as_nothing_as_for_kubernetes_own_type() {
        for pod in [
            json!({}),
            json!({"metadata": {"name": null, "labels": null}, "spec": null, "status": null}),
            json!({"spec": {"containers": null, "initContainers": null, "readinessGates": null},
                "status": {"containerStatuses": null, "conditions": null, "podIPs": null}}),
            json!({"spec": {"containers": [{"name": null, "ports": null}, {}], "hostNetwork": null, "os": null,
                    "nodeSelector": null},
                "status": {"containerStatuses": [{"name": null, "ready": null, "state": null},
                    {"state": {"terminated": null}}]}}),
        ] {
            let theirs: v1::Pod = serde_json::from_value(pod.clone()).unwrap();
            let ours: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(
                ours.spec.map(|spec| spec.containers.len()),
                theirs.spec.map(|spec| spec.containers.len())
            );
        }
    }

    #[test]
    fn it_is_listed_where_kubernetes_has_its_pods() {
        assert_eq!(Pod::url_path(&(), None), v1::Pod::url_path(&(), None));
        assert_eq!((Pod::kind(&()), Pod::api_version(&())), (v1::Pod::kind(&()), v1::Pod::api_version(&())));
    }
}
