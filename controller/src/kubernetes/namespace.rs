//! From Kubernetes' namespace to the few facts that are kept of it.

use k8s_openapi::{api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::PartialObjectMeta;
use rollcall_catalogue::Namespace;
use rollcall_injection::{INJECT, Wish, wish};

use crate::{
    index::{Change, Key, Kind, NamespaceFacts},
    kubernetes::watched::{NoMeta, Watched, label, name},
};

const ADOPT: &str = "rollcall.dev/adopt-services";

/// All namespaces. What is kept is in the metadata alone.
pub(super) struct Namespaces;

impl Watched for Namespaces {
    type Object = PartialObjectMeta<v1::Namespace>;
    const KIND: Kind = Kind::Namespace;
    const METADATA_ONLY: bool = true;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        namespace(meta).map(Key::Namespace)
    }

    fn seen(object: Self::Object) -> Result<Change, NoMeta> {
        Ok(Change::Namespace(namespace(&object.metadata)?, facts(&object.metadata)))
    }
}

fn namespace(meta: &ObjectMeta) -> Result<Namespace, NoMeta> {
    name(meta)?.parse().map_err(|_| NoMeta("name"))
}

fn facts(meta: &ObjectMeta) -> NamespaceFacts {
    NamespaceFacts {
        adopts_services: label(meta, ADOPT) == Some("enabled"),
        injects: wish(label(meta, INJECT), None) == Wish::Asked,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_adopted_where_the_label_says_enabled_and_nowhere_else() {
        for (labels, adopts) in [
            (json!({"rollcall.dev/adopt-services": "enabled"}), true),
            (json!({"rollcall.dev/adopt-services": "disabled"}), false),
            (json!({"rollcall.dev/adopt-services": "Enabled"}), false),
            (json!({"team": "enabled"}), false),
            (json!(null), false),
        ] {
            let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": {"name": "shop", "labels": labels}});
            let change = Namespaces::seen(serde_json::from_value(object).unwrap()).unwrap();
            let Change::Namespace(name, facts) = change else { panic!("{change:?}") };
            assert_eq!((name.as_str(), facts.adopts_services), ("shop", adopts), "{labels}");
        }
    }

    #[test]
    fn pods_ask_for_a_sidecar_where_the_label_says_enabled_and_nowhere_else() {
        for (label, injects) in [("enabled", true), ("true", false), ("disabled", false)] {
            let meta = json!({"name": "shop", "labels": {"rollcall.dev/inject": label}});
            let facts = facts(&serde_json::from_value(meta).unwrap());
            assert_eq!(facts, NamespaceFacts { injects, adopts_services: false }, "{label}");
        }
    }
}
