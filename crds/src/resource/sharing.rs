//! Who gets the instances of a service, and in which order.

use std::collections::BTreeSet;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Says how a caller that asks for one instance gets it.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// How instances are picked where the caller does not say it itself. Random: any. RoundRobin: one after
    /// the other. Weighted: by `weight`. LeastLoaded: the one with the fewest open picks. PowerOfTwo: the
    /// less loaded of two random ones. ConsistentHash: by the caller's key, for caches. Default: RoundRobin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        extend("enum" = ["Random", "RoundRobin", "Weighted", "LeastLoaded", "PowerOfTwo", "ConsistentHash"])
    )]
    pub policy: Option<String>,
}

/// Says who may see the service; its own namespace always may.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = rules::scope_is_there(),
    validation = rules::namespaces_where_named(),
    validation = rules::namespaces_only_where_named()
)]
#[serde(rename_all = "camelCase")]
pub struct Visibility {
    /// Cluster: every namespace. Namespace: this one alone. Namespaces: this one and those in `namespaces`.
    /// Required.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63), extend("default" = null, "enum" = ["Cluster", "Namespace", "Namespaces"]))]
    pub scope: String,

    /// The other namespaces, 1 to 64 names; required with scope Namespaces, and with no other. Example:
    /// `[billing]`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 64), extend("items" = rules::visible_namespace(), "x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::namespaces_differ())]
    pub namespaces: BTreeSet<String>,
}
