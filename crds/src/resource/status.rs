//! What the controller reports of a registration.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::condition::ConditionReason;

/// Holds what the controller reports. Only transitions are written, so it may be a little behind; lookups are
/// not.
// Whoever may write a status could write one that no type of ours holds, as a date beyond the year 9999: it must
// not take a sound spec with it, so that each field that cannot be read counts as not said.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRegistrationStatus {
    /// The generation of the object that this status speaks of.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 0))]
    pub observed_generation: Option<i64>,

    /// What holds of the registration. Ready: lookups find an instance of it. Accepted: the spec is sound and
    /// agrees with the service's other registrations. Resolved: what the target means is there.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// How many of its instances are handed out now.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 2_147_483_647))]
    pub serving: Option<i32>,

    /// How many instances are known of it, whatever their state.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 2_147_483_647))]
    pub total: Option<i32>,

    /// Its first 100 instances, in the catalogue's order.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub instances: Vec<InstanceStatus>,

    /// There are more instances than are listed.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Holds one instance as lookups know it.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The instance's identity, as lookups show it.
    #[schemars(length(min = 1, max = 253))]
    pub id: String,

    /// The address that is handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 45))]
    pub address: Option<String>,

    /// The primary port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// The pod, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub pod: Option<String>,

    /// Starting, Serving, Suspect (handed out when nothing better is left), Failing or Draining; a newer
    /// controller may know others.
    // No enum: a controller that is newer than the schema must be able to write.
    #[schemars(length(max = 63))]
    pub state: String,

    /// Why it is in this state: a word for people and for alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub reason: Option<String>,

    /// When it came into this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Option<Time>,
}

/// The value, or none of it where it is not of the type.
fn if_readable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

/// The words of each condition, for `kubectl explain`.
fn reasons() -> String {
    let mut said = String::new();
    let mut of = None;
    for reason in ConditionReason::ALL {
        let kind = reason.kind().as_str();
        let before = if of == Some(kind) {
            ", ".to_owned()
        } else {
            format!("{}{kind}: ", if said.is_empty() { "" } else { ". " })
        };
        of = Some(kind);
        let _ = write!(said, "{before}{reason}");
    }
    said + "."
}

/// Kubernetes' own Condition; written here, since k8s-openapi's schema of it comes only with a feature of all
/// its types.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "Holds one condition, as all of Kubernetes has them.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 316,
                    "description": "Ready, Accepted or Resolved.",
                },
                "status": {
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                    "description": "Whether it holds.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": format!("Why, in one word. {}", reasons()),
                },
                "message": {
                    "type": "string",
                    "maxLength": 32768,
                    "description": "Why, for people, with the field and the remedy where something is wrong.",
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When its status last changed.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The generation of the object that it speaks of.",
                },
            },
        },
    })
}
