//! Server-side apply, as far as statuses rely on it.

use serde_json::{Value, json};

use crate::place::{MERGE, Place, registration, version};

fn says(says: &[(&str, &str)]) -> Value {
    let data: Value = says
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

pub(crate) async fn what_one_applies_is_his_until_somebody_forces_it(place: Place) {
    let path = place.maps("/a");
    let made = place.apply(&path, "anne", false, says(&[("x", "1"), ("y", "1")])).await.done(201);
    let same = place.apply(&path, "anne", false, says(&[("x", "1"), ("y", "1")])).await.done(200);
    assert_eq!(version(&same), version(&made), "nothing is written where nothing changes");
    let refused = place.apply(&path, "bert", false, says(&[("x", "2")])).await.refused(409, "Conflict");
    assert_eq!(refused["details"]["causes"][0]["reason"], "FieldManagerConflict", "{refused}");
    assert_eq!(refused["details"]["causes"][0]["field"], ".data.x");
    assert!(refused["message"].as_str().unwrap().contains("\"anne\""), "{refused}");
    // Who says the same as another shares it.
    place.apply(&path, "bert", false, says(&[("x", "1")])).await.done(200);
    let forced = place.apply(&path, "bert", true, says(&[("x", "2")])).await.done(200);
    assert_eq!(forced["data"], json!({"x": "2", "y": "1"}));
    // Anne says nothing of x any more: it is Bert's, and stays; what she leaves of her own goes.
    let left = place.apply(&path, "anne", false, says(&[("z", "1")])).await.done(200);
    assert_eq!(left["data"], json!({"x": "2", "z": "1"}));
    // What is shared goes with the last who says it.
    place.apply(&path, "anne", false, says(&[("x", "2"), ("z", "1")])).await.done(200);
    let one = place.apply(&path, "bert", false, says(&[])).await.done(200);
    assert_eq!(one["data"], json!({"x": "2", "z": "1"}));
    let none = place.apply(&path, "anne", false, says(&[("z", "1")])).await.done(200);
    assert_eq!(none["data"], json!({"z": "1"}));
}

pub(crate) async fn other_writes_take_over_what_they_change(place: Place) {
    let path = place.maps("/a");
    place.apply(&path, "anne", false, says(&[("x", "1"), ("y", "1")])).await.done(201);
    let patched = format!("{path}?fieldManager=carl");
    place.patch(&patched, MERGE, json!({"data": {"x": "2", "w": "1"}})).await.done(200);
    place.apply(&path, "anne", false, says(&[("x", "1"), ("y", "1")])).await.refused(409, "Conflict");
    // What Anne left out, and Carl has written since, is his.
    let left = place.apply(&path, "anne", false, says(&[])).await.done(200);
    assert_eq!(left["data"], json!({"x": "2", "w": "1"}));
    let managers: Vec<_> =
        left["metadata"]["managedFields"].as_array().unwrap().iter().map(|one| &one["manager"]).collect();
    assert!(managers.contains(&&json!("carl")), "{left}");
}

pub(crate) async fn a_status_that_is_applied_by_force_is_all_that_is_ours(place: Place) {
    let made = place.post(&place.registrations(""), registration("orders", "1.0.0")).await.done(201);
    let path = place.registrations("/orders/status");
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let status = |uid: &Value, conditions: &[Value], more: Value| {
        let mut status = json!({"observedGeneration": 1, "conditions": conditions});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "status": status,
            "metadata": {"name": "orders", "namespace": place.namespace, "uid": uid}})
    };
    let uid = &made["metadata"]["uid"];
    let both = [condition("Ready", "True"), condition("Accepted", "True")];
    let first = place.apply(&path, "us", true, status(uid, &both, json!({"serving": 1}))).await.done(200);
    assert_eq!(first["status"]["conditions"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["spec"], made["spec"]);
    assert_eq!(first["metadata"]["generation"], 1);
    // Another adds a condition of its own, and what we leave out goes while that stays.
    let theirs = status(uid, &[condition("Theirs", "True")], json!({}));
    place.apply(&path, "them", true, theirs).await.done(200);
    let second = place
        .apply(&path, "us", true, status(uid, &[condition("Ready", "False")], json!({})))
        .await
        .done(200);
    let conditions: Vec<_> = second["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["type"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(conditions.len(), 2, "{second}");
    assert!(conditions.contains(&("Ready", "False")) && conditions.contains(&("Theirs", "True")), "{second}");
    assert!(second["status"]["serving"].is_null(), "{second}");
    // Which object is meant is said by a version, and not by a uid: that one is not looked at.
    let mut meant = status(uid, &both, json!({}));
    meant["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"].clone();
    place.apply(&path, "us", true, meant.clone()).await.refused(409, "Conflict");
    assert_eq!(place.get(&path).await.done(200), second);
    let other = json!("00000000-0000-4000-8000-000000000000");
    let applied = place.apply(&path, "us", true, status(&other, &both, json!({}))).await.done(200);
    assert_eq!(&applied["metadata"]["uid"], uid);
    meant["metadata"]["resourceVersion"] = applied["metadata"]["resourceVersion"].clone();
    place.apply(&path, "us", true, meant).await.done(200);
    let patched =
        place.patch(&path, MERGE, json!({"metadata": {"uid": other}, "status": {"serving": 1}})).await;
    patched.done(200);
    let nobody = place.registrations("/nobody/status");
    place
        .apply(
            &nobody,
            "us",
            true,
            json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
        "metadata": {"name": "nobody"}, "status": {"observedGeneration": 1}}),
        )
        .await
        .refused(404, "NotFound");
}
