//! Which instances a registration means.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Says which instances a registration means; exactly one is set.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::target_is_set(), validation = rules::target_is_one())]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The pods of this namespace that carry certain labels, in the words of a Deployment's selector; at most
    /// 32 requirements, all of which must hold. Example: `{matchLabels: {app: orders}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSelector", extend("x-kubernetes-map-type" = "atomic"))]
    pub selector: Option<LabelSelector>,

    /// The endpoints of a Service of this namespace, with its ports; for what has a Service already. Example:
    /// `{name: orders}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServiceTarget")]
    pub service: Option<ServiceTarget>,

    /// One pod of this namespace and no successor of it; the controller writes this for what an app registers
    /// at run time. Example: `{name: orders-1, uid: 0b5e6a4c-58a4-4f0e-9c0e-6d2f5b1f3a77}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PodTarget")]
    pub pod: Option<PodTarget>,

    /// Things outside the cluster, 1 to 256 of them, by IP address. Loopback, unspecified, link-local,
    /// multicast, reserved and IPv4-mapped addresses are refused, and `fd00:ec2::254`. Example: `[{address: 10.0.0.5, zone: a}]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<StaticAddress>", length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    #[x_kube(validation = rules::addresses_are_some())]
    pub addresses: Option<Vec<StaticAddress>>,
}

/// Holds what the labels of a pod must be like, all of it, as in a Deployment; at most 32 requirements.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::selector_is_not_empty(), validation = rules::selector_is_short())]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that a pod must carry, each with this value. Example: `{app: orders}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = rules::label_value("a value of matchLabels")))]
    #[x_kube(validation = rules::match_labels_keys())]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements on labels beyond one value. Example: `[{key: tier, operator: In, values: [web, api]}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// Holds one requirement on a label.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::expression_has_values(), validation = rules::expression_has_no_values())]
#[serde(rename_all = "camelCase")]
pub struct LabelRequirement {
    /// The label's key. Example: `tier`.
    #[schemars(length(max = 317))]
    #[x_kube(validation = rules::expression_key())]
    pub key: String,

    /// What the label must be like: In or NotIn `values`, Exists, or DoesNotExist. NotIn also holds where the
    /// label is missing.
    #[schemars(length(max = 63), extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String,

    /// The values for In and NotIn, 1 to 32; left out for Exists and DoesNotExist. Example: `[web, api]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("items" = rules::label_value("an entry of values"), "x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// Names a Service.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::service_target_is_named())]
#[serde(rename_all = "camelCase")]
pub struct ServiceTarget {
    /// The name of a Service of this namespace. Required. Example: `orders`.
    // Here and below not `required`, as with the target itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63), extend("default" = null))]
    #[x_kube(validation = rules::service_target_name())]
    pub name: String,
}

/// Names one pod.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = rules::pod_is_named(), validation = rules::pod_uid_is_there())]
#[serde(rename_all = "camelCase")]
pub struct PodTarget {
    /// The pod's name. Required. Example: `orders-1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253), extend("default" = null))]
    #[x_kube(validation = rules::pod_name())]
    pub name: String,

    /// The pod's UID (its metadata.uid), so that another pod of the same name is not meant. Required.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128), extend("default" = null))]
    #[x_kube(validation = rules::pod_uid())]
    pub uid: String,
}

/// Holds one address outside the cluster.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticAddress {
    /// An IPv4 or IPv6 address; no name of a host. Example: `10.0.0.5`, `2001:db8::5`.
    // Longer than an address may be, so that the name of a host draws the message that says what to use.
    #[schemars(length(max = 253))]
    #[x_kube(
        validation = rules::address_is_ip(),
        validation = rules::address_is_specified(),
        validation = rules::address_is_not_loopback(),
        validation = rules::address_is_not_link_local(),
        validation = rules::address_is_no_metadata(),
        validation = rules::address_is_one_machine(),
        validation = rules::address_hides_no_ipv4()
    )]
    pub address: String,

    /// The zone it is in, for callers that prefer their own, in the words of the nodes' label
    /// `topology.kubernetes.io/zone`; at most 63 characters. Default: unknown. Example: `eu-west-1a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    #[x_kube(validation = rules::zone())]
    pub zone: Option<String>,
}
