//! From a `ServiceRegistration` to what is kept of it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rollcall_crds::ServiceRegistration;

use crate::{
    index::{Change, Key, Kind, Object},
    kubernetes::watched::{NoMeta, Watched, object_key, uid},
    status::{app_word, digest_of, is_ours},
};

/// `ServiceRegistration`s, of all namespaces.
pub(super) struct Registrations;

impl Watched for Registrations {
    type Object = ServiceRegistration;
    const KIND: Kind = Kind::Registration;
    const ABSENT: Option<&'static str> = Some("pods register by their annotations alone");

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        object_key(meta).map(Key::Registration)
    }

    fn seen(object: ServiceRegistration) -> Result<Change, NoMeta> {
        Ok(Change::Registration(object_key(&object.metadata)?, Box::new(kept(&object)?)))
    }
}

/// A bad spec is kept with what is wrong with it: its writer is to be told.
fn kept(object: &ServiceRegistration) -> Result<Object, NoMeta> {
    let meta = &object.metadata;
    Ok(Object {
        uid: uid(meta)?.into(),
        generation: meta.generation.unwrap_or_default(),
        managed: is_ours(object),
        told: object.status.as_ref().map(digest_of).unwrap_or_default(),
        registration: rollcall_crds::registration(object).map(Arc::new),
        app: app_word(object),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: &Value) -> Value {
        json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "r1", "generation": 3,
                "creationTimestamp": "2026-01-02T03:04:05Z"},
            "spec": spec,
        })
    }

    fn good() -> Value {
        object(&json!({"target": {"selector": {"matchLabels": {"app": "orders"}}},
                "ports": [{"name": "http", "port": 8080}]}))
    }

    fn read(value: Value) -> Object {
        let change = Registrations::seen(serde_json::from_value(value).unwrap()).unwrap();
        let Change::Registration(key, object) = change else { panic!("{change:?}") };
        assert_eq!((key.namespace.as_str(), &*key.name), ("shop", "orders"));
        *object
    }

    #[test]
    fn what_is_kept_of_a_registration() {
        let kept = read(good());
        assert_eq!((&*kept.uid, kept.generation, kept.managed), ("r1", 3, false));
        assert_eq!(kept.registration.unwrap().key.to_string(), "orders.shop");
    }

    #[test]
    fn a_bad_spec_is_kept_with_what_is_wrong_with_it() {
        let kept =
            read(object(&json!({"target": {}, "ports": [{"name": "http", "port": 0}], "version": "one"})));
        assert_eq!((&*kept.uid, kept.generation), ("r1", 3));
        let errors = kept.registration.unwrap_err().to_string();
        assert!(errors.contains("spec.version") && errors.contains("spec.target"), "{errors}");
    }

    #[test]
    fn the_label_alone_makes_nothing_ours() {
        let mut ours = good();
        ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "rollcall-controller"});
        assert!(!read(ours.clone()).managed, "a person's selector");
        ours["spec"] = json!({
            "service": "orders", "target": {"selector": {"matchLabels": {"rollcall.dev/service": "orders"}}},
            "ports": [{"name": "http", "port": 8080}],
        });
        assert!(read(ours.clone()).managed);
        ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
        assert!(!read(ours).managed);
    }
}
