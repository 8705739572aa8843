//! What a write makes of an object, and when it is refused.

use serde_json::{Value, json};

use crate::place::{MERGE, OPERATIONS, Place, STRATEGIC, map, registration, version};

pub(crate) async fn what_is_created_has_what_the_server_gives_it(place: Place) {
    let mut wish = registration("orders", "1.0.0");
    wish["status"] = json!({"observedGeneration": 7});
    wish["metadata"]["uid"] = json!("mine");
    wish["metadata"]["generation"] = json!(9);
    let made = place.post(&place.registrations(""), wish.clone()).await.done(201);
    let meta = &made["metadata"];
    assert_eq!(meta["generation"], 1, "{made}");
    assert!(
        meta["uid"] != "mine" && meta["uid"].is_string() && meta["creationTimestamp"].is_string(),
        "{made}"
    );
    assert_eq!(meta["namespace"], json!(place.namespace));
    assert!(version(&made) > 0 && made["status"].is_null(), "{made}");
    let there = place.get(&place.registrations("/orders")).await.done(200);
    assert_eq!(there, made);
    let refused = place.post(&place.registrations(""), wish).await.refused(409, "AlreadyExists");
    assert_eq!(refused["details"]["name"], "orders");
    place.get(&place.registrations("/nobody")).await.refused(404, "NotFound");
    place.get("/apis/rollcall.dev/v1alpha1/nothings").await.done(404);
    let elsewhere = "/api/v1/namespaces/rollcall-there-is-none/configmaps";
    place.post(elsewhere, map("a", "b")).await.refused(404, "NotFound");
    let mut versioned = map("a", "b");
    versioned["metadata"]["resourceVersion"] = json!("7");
    assert!(place.post(&place.maps(""), versioned).await.code >= 400);
    assert_eq!(place.get(&place.maps("/a")).await.code, 404);
}

pub(crate) async fn names_are_made_where_a_stem_is_given(place: Place) {
    let mut made = Vec::new();
    for _ in 0..2 {
        let wish = json!({"metadata": {"generateName": "some-"}});
        let object = place.post(&place.maps(""), wish).await.done(201);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.strip_prefix("some-").is_some_and(|ending| ending.len() == 5), "{name}");
        made.push(name);
    }
    assert_ne!(made[0], made[1]);
}

pub(crate) async fn who_replaces_what_has_changed_is_told_so(place: Place) {
    let first = place.post(&place.maps(""), map("a", "one")).await.done(201);
    let mut second = first.clone();
    second["data"]["says"] = json!("two");
    let second = place.put(&place.maps("/a"), &second).await.done(200);
    assert!(version(&second) > version(&first));
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    place.put(&place.maps("/a"), &first).await.refused(409, "Conflict");
    // Nothing is written where nothing changes.
    let same = place.put(&place.maps("/a"), &second).await.done(200);
    assert_eq!(version(&same), version(&second));
    // Of this kind one may write without saying what he has seen; of a Lease and of our own kind nobody may.
    place.put(&place.maps("/a"), &map("a", "three")).await.done(200);
    let mut other = map("a", "three");
    other["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
    place.put(&place.maps("/a"), &other).await.refused(409, "Conflict");
    place.put(&place.maps("/b"), &map("b", "three")).await.refused(404, "NotFound");
    place.post(&place.registrations(""), registration("orders", "1.0.0")).await.done(201);
    let unversioned = place.put(&place.registrations("/orders"), &registration("orders", "2.0.0")).await;
    unversioned.refused(422, "Invalid");
}

pub(crate) async fn a_lease_is_written_as_we_write_it(place: Place) {
    let leases = place.path("coordination.k8s.io/v1", "leases");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "ours"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.000006Z"}});
    let made = place.post(&leases, lease.clone()).await.done(201);
    assert_eq!(made["spec"]["renewTime"], "2026-01-02T03:04:05.000006Z");
    let path = format!("{leases}/ours");
    place.put(&path, &lease).await.refused(422, "Invalid");
    let mut renewed = made.clone();
    renewed["spec"]["holderIdentity"] = json!("b");
    let renewed = place.put(&path, &renewed).await.done(200);
    place.put(&path, &made).await.refused(409, "Conflict");
    place.delete(&path, Value::Null).await.done(200);
    // What is gone is not what it was: with its uid it cannot be written again, and without it is made.
    place.put(&path, &renewed).await.refused(409, "Conflict");
    place.put(&path, &lease).await.done(201);
}

pub(crate) async fn patches_do_what_they_say(place: Place) {
    let first = place.post(&place.maps(""), map("a", "one")).await.done(201);
    let path = place.maps("/a");
    let merged = place.patch(&path, MERGE, json!({"data": {"more": "two", "says": null}})).await.done(200);
    assert_eq!(merged["data"], json!({"more": "two"}));
    let old =
        json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"more": "x"}});
    place.patch(&path, MERGE, old).await.refused(409, "Conflict");
    let same = place.patch(&path, MERGE, json!({"data": {"more": "two"}})).await.done(200);
    assert_eq!(version(&same), version(&merged));
    let operations = json!([{"op": "test", "path": "/data/more", "value": "two"},
        {"op": "replace", "path": "/data/more", "value": "three"}, {"op": "add", "path": "/data/x", "value": "y"}]);
    let operated = place.patch(&path, OPERATIONS, operations.clone()).await.done(200);
    assert_eq!(operated["data"], json!({"more": "three", "x": "y"}));
    assert!(place.patch(&path, OPERATIONS, operations).await.code == 422);
    let other = json!({"metadata": {"uid": "00000000-0000-4000-8000-000000000000"}, "data": {"more": "z"}});
    place.patch(&path, MERGE, other).await.refused(422, "Invalid");
    place.patch(&place.maps("/nobody"), MERGE, json!({})).await.refused(404, "NotFound");
    place.post(&place.registrations(""), registration("orders", "1.0.0")).await.done(201);
    let custom =
        place.patch(&place.registrations("/orders"), STRATEGIC, json!({"spec": {"weight": 2}})).await;
    custom.refused(415, "UnsupportedMediaType");
}

pub(crate) async fn a_webhook_is_patched_by_the_name_of_its_entry(place: Place) {
    let all = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let path = format!("{all}/{}", place.namespace);
    let entry = |name: &str| {
        json!({"name": format!("{name}.rollcall.dev"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": name, "namespace": place.namespace}}})
    };
    let wish = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": place.namespace}, "webhooks": [entry("a"), entry("b")]});
    let made = place.post(all, wish).await.done(201);
    let patch = json!({"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]},
        "webhooks": [{"name": "b.rollcall.dev", "clientConfig": {"caBundle": "Cg=="}}]});
    let patched = place.patch(&path, STRATEGIC, patch.clone()).await;
    let again = place.patch(&path, STRATEGIC, patch).await;
    place.delete(&path, Value::Null).await.done(200);
    let patched = patched.done(200);
    assert_eq!(patched["webhooks"].as_array().map(Vec::len), Some(2), "{patched}");
    assert_eq!(patched["webhooks"][1]["clientConfig"]["caBundle"], "Cg==");
    assert_eq!(patched["webhooks"][1]["clientConfig"]["service"]["name"], "b");
    assert!(patched["webhooks"][0]["clientConfig"]["caBundle"].is_null());
    again.refused(409, "Conflict");
}

pub(crate) async fn a_status_is_its_own_and_counts_no_generation(place: Place) {
    let path = place.registrations("/orders");
    let status = place.registrations("/orders/status");
    let made = place.post(&place.registrations(""), registration("orders", "1.0.0")).await.done(201);
    let said = place.patch(
        &status,
        MERGE,
        json!({"spec": {"version": "9.0.0"}, "status": {"observedGeneration": 1}}),
    );
    let said = said.await.done(200);
    assert_eq!((&said["spec"], &said["status"]), (&made["spec"], &json!({"observedGeneration": 1})));
    assert_eq!(said["metadata"]["generation"], 1);
    let beside = place.patch(&path, MERGE, json!({"status": {"observedGeneration": 5}})).await.done(200);
    assert_eq!(beside["status"], said["status"]);
    assert_eq!(version(&beside), version(&said), "nothing of it could be written");
    let labelled = place.patch(&path, MERGE, json!({"metadata": {"labels": {"a": "b"}}})).await.done(200);
    assert_eq!(labelled["metadata"]["generation"], 1);
    let changed = place.patch(&path, MERGE, json!({"spec": {"version": "2.0.0"}})).await.done(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    assert_eq!(place.get(&status).await.done(200), changed, "a status is read as the whole object");
    place.get(&place.registrations("/nobody/status")).await.refused(404, "NotFound");
}

pub(crate) async fn an_event_is_made_and_counted_on(place: Place) {
    let events = place.path("events.k8s.io/v1", "events");
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "orders.1"},
        "eventTime": "2026-01-02T03:04:05.000006Z", "reportingController": "rollcall.dev/controller",
        "reportingInstance": "r", "action": "Reconcile", "reason": "Tested", "type": "Warning", "note": "hear",
        "regarding": {"kind": "Pod", "name": "orders-1", "namespace": place.namespace}});
    place.post(&events, event.clone()).await.done(201);
    place.post(&events, event).await.refused(409, "AlreadyExists");
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}});
    let counted = place.patch(&format!("{events}/orders.1"), MERGE, series).await.done(200);
    assert_eq!(counted["series"]["count"], 2);
    assert_eq!(counted["note"], "hear");
}
