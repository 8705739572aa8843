//! Lists: whole, in pages, as they were.

use http::Method;
use serde_json::{Value, json};

use crate::place::{Place, registration, version};

const LIST_OF_METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

pub(crate) async fn pages_are_of_one_revision(place: Place) {
    let all = place.registrations("");
    for name in ["a", "b", "c", "d", "e"] {
        place.post(&all, registration(name, "1.0.0")).await.done(201);
    }
    let first = place.get(&format!("{all}?limit=2")).await.done(200);
    assert_eq!((first["kind"].as_str(), names(&first)), (Some("ServiceRegistrationList"), vec!["a", "b"]));
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    // What happens meanwhile is not in it.
    place.delete(&place.registrations("/d"), Value::Null).await.done(200);
    place.post(&all, registration("cc", "1.0.0")).await.done(201);
    let further = first["metadata"]["continue"].as_str().unwrap();
    let second = place.get(&format!("{all}?limit=2&continue={further}")).await.done(200);
    assert_eq!(names(&second), ["c", "d"]);
    let last = second["metadata"]["continue"].as_str().unwrap();
    let third = place.get(&format!("{all}?limit=2&continue={last}")).await.done(200);
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"]["continue"].as_str().unwrap_or_default().is_empty());
    let versions: Vec<_> = [&first, &second, &third].iter().map(|list| version(list)).collect();
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    let now = place.get(&all).await.done(200);
    assert_eq!(names(&now), ["a", "b", "c", "cc", "e"]);
    assert!(version(&now) > versions[0]);
    place.get(&format!("{all}?limit=2&continue=nonsense")).await.refused(400, "BadRequest");
    let both = format!("{all}?continue={further}&resourceVersion={}&resourceVersionMatch=Exact", versions[0]);
    assert_eq!(place.get(&both).await.code, 422);
}

pub(crate) async fn a_list_as_it_was(place: Place) {
    let all = place.registrations("");
    place.post(&all, registration("a", "1.0.0")).await.done(201);
    let then = version(&place.post(&all, registration("b", "1.0.0")).await.done(201));
    place.delete(&place.registrations("/a"), Value::Null).await.done(200);
    let exactly =
        |version: u64| format!("{all}?limit=500&resourceVersion={version}&resourceVersionMatch=Exact");
    let was = place.get(&exactly(then)).await.done(200);
    assert_eq!((names(&was), version(&was)), (vec!["a", "b"], then));
    let now = place.get(&all).await.done(200);
    assert_eq!(names(&now), ["b"]);
    // Any state will do for this one, and one that is no older than that for the other.
    assert!(place.get(&format!("{all}?resourceVersion=0")).await.code == 200);
    let fresh = format!("{all}?resourceVersion={}&resourceVersionMatch=NotOlderThan", version(&now));
    assert_eq!(names(&place.get(&fresh).await.done(200)), ["b"]);
    for wrong in ["resourceVersionMatch=Exact", "resourceVersion=0&resourceVersionMatch=Exact"] {
        assert_eq!(place.get(&format!("{all}?{wrong}")).await.code, 422, "{wrong}");
    }
    // What is forgotten cannot be listed; a server that is young may know it still.
    let first = place.get(&exactly(1)).await;
    if first.code != 200 {
        first.refused(410, "Expired");
    }
}

pub(crate) async fn what_has_not_happened_cannot_be_asked_for(place: Place) {
    let all = place.registrations("");
    let now = version(&place.post(&all, registration("a", "1.0.0")).await.done(201));
    let future = format!("{all}?resourceVersion={}&resourceVersionMatch=NotOlderThan", now + 1_000_000);
    let refused = place.get(&future).await.refused(504, "Timeout");
    assert_eq!(refused["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", "{refused}");
    assert_eq!(refused["details"]["retryAfterSeconds"], 1);
    let one = format!("{}?resourceVersion={}", place.registrations("/a"), now + 1_000_000);
    place.get(&one).await.refused(504, "Timeout");
}

pub(crate) async fn nothing_but_the_metadata(place: Place) {
    let made = place.post(&place.registrations(""), registration("a", "1.0.0")).await.done(201);
    let accept = [("accept", LIST_OF_METADATA)];
    let list = place.call(Method::GET, &place.registrations(""), &accept, &Value::Null).await.done(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let item = &list["items"][0];
    assert_eq!(item["kind"], "PartialObjectMetadata");
    assert_eq!(item["metadata"]["uid"], made["metadata"]["uid"]);
    assert!(item["spec"].is_null());
}

pub(crate) async fn fields_and_labels_select(place: Place) {
    for name in ["a", "b"] {
        let mut object = registration(name, "1.0.0");
        object["metadata"]["labels"] = json!({"is": name});
        place.post(&place.registrations(""), object).await.done(201);
    }
    let all = place.registrations("");
    let by = async |what: &str| place.get(&format!("{all}?{what}")).await.done(200);
    assert_eq!(names(&by("fieldSelector=metadata.name%3Da").await), ["a"]);
    assert_eq!(names(&by("labelSelector=is%3Db").await), ["b"]);
    let everywhere = "/apis/rollcall.dev/v1alpha1/serviceregistrations";
    let own = format!("{everywhere}?fieldSelector=metadata.namespace%3D{}", place.namespace);
    assert_eq!(names(&place.get(&own).await.done(200)), ["a", "b"]);
}
