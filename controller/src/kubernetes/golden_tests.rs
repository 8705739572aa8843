//! Objects as controllers of older versions left them in a cluster, whole as the API server gave them back: this build
//! reads them as those did. None is ever changed.

use rollcall_catalogue::{Target, liveness::PodLife};
use serde_json::Value;

use super::{pod::Pods, registration::Registrations, watched::Watched};
use crate::index::{Change, Object, StatusDigest};

/// What the last controllers of 1.0 had written, and a pod that they had injected.
const OF_1_0: &str = include_str!("golden/1.0.json");

fn object(name: &str) -> Value {
    let all: Value = serde_json::from_str(OF_1_0).unwrap();
    all[name].clone()
}

fn registration(name: &str) -> Object {
    let change = Registrations::seen(serde_json::from_value(object(name)).unwrap()).unwrap();
    let Change::Registration(_, kept) = change else { panic!("{change:?}") };
    *kept
}

#[test]
fn what_an_older_controller_wrote_of_annotated_pods_is_ours_and_its_status_is_read() {
    let kept = registration("managed");
    assert!(kept.managed && kept.app.is_none());
    assert_ne!(kept.told, StatusDigest::default());
    let registration = kept.registration.unwrap();
    assert_eq!(registration.key.to_string(), "billing.shop");
    assert!(matches!(registration.target, Target::Selector(_)));
}

#[test]
fn what_an_older_controller_kept_of_an_apps_word_is_taken_for_that_word() {
    let kept = registration("registered");
    assert!(kept.managed);
    let app = kept.app.unwrap();
    assert_eq!(&*app.uid.text(), "3df353ed-cb5c-4e6b-abc3-5f89a1f38c99");
    assert_eq!(app.word.key.to_string(), "cart.shop");
    assert_eq!(app.word.attributes.metadata.get("by"), Some("itself"));
}

#[test]
fn what_a_person_declared_under_an_older_version_stays_a_persons() {
    let kept = registration("declared");
    assert!(!kept.managed && kept.app.is_none());
    assert_ne!(kept.told, StatusDigest::default());
    assert_eq!(kept.registration.unwrap().key.to_string(), "orders.shop");
}

#[test]
fn a_pod_that_an_older_webhook_injected_has_its_sidecar_and_its_service() {
    let change = Pods::seen(serde_json::from_value(object("pod")).unwrap()).unwrap();
    let Change::Pod(seen) = change else { panic!("{change:?}") };
    assert_eq!(seen.problems, []);
    let facts = seen.facts;
    assert!(facts.has_sidecar && facts.life == PodLife::READY && !facts.asks_to_drain);
    let registration = facts.registration.unwrap();
    assert_eq!(registration.key.to_string(), "orders.shop");
    assert_eq!(registration.attributes.ports.first().map(|port| port.port), Some(8080));
}
