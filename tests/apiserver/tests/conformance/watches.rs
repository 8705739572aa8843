//! Watches: everything, in order, from where one was.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::place::{MERGE, Place, registration, version};

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Makes, changes and deletes one; gives the revisions, with the one before all.
async fn a_life(place: &Place, name: &str) -> [u64; 4] {
    let all = place.registrations("");
    let before = version(&place.get(&all).await.done(200));
    let made = version(&place.post(&all, registration(name, "1.0.0")).await.done(201));
    let path = place.registrations(&format!("/{name}"));
    let changed = place.patch(&path, MERGE, json!({"spec": {"version": "2.0.0"}})).await.done(200);
    place.delete(&path, Value::Null).await.done(200);
    [before, made, version(&changed), version(&place.get(&all).await.done(200))]
}

pub(crate) async fn everything_is_told_in_order(place: Place) {
    let [before, made, changed, after] = a_life(&place, "a").await;
    let all = place.registrations("");
    let mut watch = place.watch(&all, &format!("resourceVersion={before}&timeoutSeconds=60"), JSON).await;
    let (what, object) = watch.next().await.unwrap();
    assert_eq!(
        (what.as_str(), version(&object), &object["spec"]["version"]),
        ("ADDED", made, &json!("1.0.0"))
    );
    let (what, object) = watch.next().await.unwrap();
    assert_eq!(
        (what.as_str(), version(&object), &object["spec"]["version"]),
        ("MODIFIED", changed, &json!("2.0.0"))
    );
    let (what, object) = watch.next().await.unwrap();
    // With its last state, and the revision in which it went.
    assert_eq!((what.as_str(), &object["spec"]["version"]), ("DELETED", &json!("2.0.0")));
    let gone = version(&object);
    assert!(gone > changed && gone <= after, "{changed} {gone} {after}");
    // What happens from now on comes as it happens.
    let next = version(&place.post(&all, registration("b", "1.0.0")).await.done(201));
    let (what, object) = watch.next().await.unwrap();
    assert_eq!((what.as_str(), version(&object)), ("ADDED", next));
    // And whoever goes on from the middle hears the rest.
    let mut later = place.watch(&all, &format!("resourceVersion={changed}&timeoutSeconds=60"), JSON).await;
    for expected in [("DELETED", gone), ("ADDED", next)] {
        let (what, object) = later.next().await.unwrap();
        assert_eq!((what.as_str(), version(&object)), expected);
    }
}

pub(crate) async fn without_a_revision_all_that_is_there_comes_first(place: Place) {
    let all = place.registrations("");
    place.post(&all, registration("a", "1.0.0")).await.done(201);
    let mut watch = place.watch(&all, "timeoutSeconds=60", JSON).await;
    let (what, object) = watch.next().await.unwrap();
    assert_eq!((what.as_str(), object["metadata"]["name"].as_str()), ("ADDED", Some("a")));
    place.post(&all, registration("b", "1.0.0")).await.done(201);
    assert_eq!(watch.next().await.unwrap().1["metadata"]["name"], "b");
}

pub(crate) async fn a_call_ends_in_time_and_says_before_how_far_it_is(place: Place) {
    let all = place.registrations("");
    let made = version(&place.post(&all, registration("a", "1.0.0")).await.done(201));
    // Something that is not of this watch.
    let elsewhere = place.post(&place.maps(""), crate::place::map("x", "y")).await.done(201);
    let begun = Instant::now();
    let parameters = format!("resourceVersion={}&timeoutSeconds=6&allowWatchBookmarks=true", made - 1);
    let mut watch = place.watch(&all, &parameters, JSON).await;
    assert_eq!(watch.next().await.unwrap().0, "ADDED");
    let mut told = made;
    let mut bookmarks = 0;
    while let Some((what, object)) = watch.next().await {
        assert_eq!((what.as_str(), object["kind"].as_str()), ("BOOKMARK", Some("ServiceRegistration")));
        assert!(version(&object) >= told && object["spec"]["version"].is_null(), "{object}");
        told = version(&object);
        bookmarks += 1;
    }
    assert!(bookmarks > 0 && told >= made, "{bookmarks} {told} {}", version(&elsewhere));
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(4) && lasted < Duration::from_secs(12), "{lasted:?}");
}

pub(crate) async fn who_asks_for_no_bookmarks_gets_none(place: Place) {
    let all = place.registrations("");
    let now = version(&place.post(&all, registration("a", "1.0.0")).await.done(201));
    let mut watch = place.watch(&all, &format!("resourceVersion={now}&timeoutSeconds=5"), JSON).await;
    assert!(watch.next().await.is_none());
}

pub(crate) async fn what_is_forgotten_is_an_error_in_the_stream(place: Place) {
    let mut watch = place.watch(&place.registrations(""), "resourceVersion=1&timeoutSeconds=60", JSON).await;
    let (what, status) = watch.next().await.unwrap();
    assert_eq!(what, "ERROR");
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&json!("Status"), &json!(410), &json!("Expired"))
    );
    assert!(status["message"].as_str().unwrap().starts_with("too old resource version: 1 ("), "{status}");
    assert!(watch.next().await.is_none());
}

pub(crate) async fn a_watch_from_the_future_is_silent(place: Place) {
    let all = place.registrations("");
    let now = version(&place.post(&all, registration("a", "1.0.0")).await.done(201));
    let parameters = format!("resourceVersion={}&timeoutSeconds=5", now + 1_000_000);
    let mut watch = place.watch(&all, &parameters, JSON).await;
    place.post(&all, registration("b", "1.0.0")).await.done(201);
    assert_eq!(watch.next().await, None);
}

pub(crate) async fn only_what_is_asked_for_is_told(place: Place) {
    let all = place.registrations("");
    let before = version(&place.get(&all).await.done(200));
    for name in ["a", "b"] {
        place.post(&all, registration(name, "1.0.0")).await.done(201);
    }
    let one = format!("resourceVersion={before}&timeoutSeconds=60&fieldSelector=metadata.name%3Db");
    assert_eq!(place.watch(&all, &one, JSON).await.next().await.unwrap().1["metadata"]["name"], "b");
    let names = format!("resourceVersion={before}&timeoutSeconds=60");
    let (_, object) = place.watch(&all, &names, METADATA).await.next().await.unwrap();
    assert_eq!(
        (object["kind"].as_str(), object["metadata"]["name"].as_str()),
        (Some("PartialObjectMetadata"), Some("a"))
    );
    assert!(object["spec"].is_null());
}
