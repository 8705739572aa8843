//! The Rust side of `ServiceRegistration`; the YAML is generated from it.

use std::collections::{BTreeMap, BTreeSet};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// What a name of a service must match, as CEL.
const NAME_RULE: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
const NAME_MESSAGE: &str =
    "service is no DNS-1123 label: use a-z, 0-9 and -, beginning and ending with a letter or a digit";
const NO_VERSION_RULE: &str = "!self.matches('^[0-9]+-[0-9]+-[0-9]+$')";
const NO_VERSION_MESSAGE: &str =
    "service reads as a version in DNS names: use a name that is not three numbers joined by -";
/// Where `service` is left out, the object's own name must do.
const DEFAULT_NAME_RULE: &str = "has(self.spec.service) || (size(self.metadata.name) <= 63 && \
     self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && \
     !self.metadata.name.matches('^[0-9]+-[0-9]+-[0-9]+$'))";
const DEFAULT_NAME_MESSAGE: &str =
    "metadata.name is no name of a service: set spec.service to a DNS-1123 label";
/// The semantic version's own grammar (semver.org).
const VERSION_RULE: &str = "self.matches('^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)\
     (-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?\
     ([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$')";
const VERSION_MESSAGE: &str =
    "version is no semantic version: use three numbers as in 1.4.2, without a leading v";
const PORT_NAME_RULE: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
const PORT_NAME_MESSAGE: &str = "name of a port is no DNS-1123 label: use a-z, 0-9 and -";
const TAGS_RULE: &str = r"self.all(tag, !tag.matches('\\p{Cc}'))";
const TAGS_MESSAGE: &str = "a tag holds a control character: use printable characters";
const METADATA_RULE: &str = r"self.all(key, size(key) >= 1 && size(key) <= 128 && !key.matches('\\p{Cc}'))";
const METADATA_MESSAGE: &str =
    "a key of metadata is empty, too long or not printable: use 1 to 128 printable characters";

/// Says that the pods of a namespace with certain labels are one service.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "ServiceRegistration",
    plural = "serviceregistrations",
    shortname = "sreg",
    category = "rollcall",
    namespaced,
    status = "ServiceRegistrationStatus",
    selectable = ".spec.service",
    selectable = ".spec.version",
    printcolumn(name = "SERVICE", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "VERSION", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "TARGET", type_ = "string", json_path = ".spec.target.selector.matchLabels"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(DEFAULT_NAME_RULE).message(DEFAULT_NAME_MESSAGE)
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRegistrationSpec {
    /// The name to look up; the object's own name where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
        validation = Rule::new(NO_VERSION_RULE).message(NO_VERSION_MESSAGE)
    )]
    pub service: Option<String>,

    /// The semantic version of these instances, without a leading v.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new(VERSION_RULE).message(VERSION_MESSAGE))]
    pub version: Option<String>,

    /// Which pods are meant.
    pub target: Target,

    /// The ports of each instance; the first is the primary one.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ports: Vec<Port>,

    /// Words to choose instances by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set", "uniqueItems" = false))]
    #[x_kube(validation = Rule::new(TAGS_RULE).message(TAGS_MESSAGE))]
    pub tags: BTreeSet<String>,

    /// Anything that callers want to know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    #[x_kube(validation = Rule::new(METADATA_RULE).message(METADATA_MESSAGE))]
    pub metadata: BTreeMap<String, String>,

    /// The share of the traffic against other instances, 100 where it is left out; 0 is never picked, but listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: Option<u16>,
}

/// Says which pods a registration means.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Pods of the same namespace by their labels.
    pub selector: Selector,
}

/// Holds the labels that a pod must carry, all of them.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub match_labels: BTreeMap<String, String>,
}

/// Holds one named port.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(PORT_NAME_RULE).message(PORT_NAME_MESSAGE))]
    pub name: String,
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// Holds what the controller reports; nothing yet.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRegistrationStatus {}
