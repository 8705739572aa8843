//! How objects go.

use serde_json::{Value, json};

use crate::place::{MERGE, Place, map, version};

pub(crate) async fn only_what_was_meant_is_deleted(place: Place) {
    let made = place.post(&place.maps(""), map("a", "one")).await.done(201);
    let path = place.maps("/a");
    let if_it_is =
        |uid: &Value, version: &Value| json!({"preconditions": {"uid": uid, "resourceVersion": version}});
    let (uid, is) = (&made["metadata"]["uid"], &made["metadata"]["resourceVersion"]);
    let other = json!("00000000-0000-4000-8000-000000000000");
    place.delete(&path, if_it_is(&other, is)).await.refused(409, "Conflict");
    place.delete(&path, if_it_is(uid, &json!("1"))).await.refused(409, "Conflict");
    place.delete(&path, if_it_is(uid, is)).await.done(200);
    place.delete(&path, Value::Null).await.refused(404, "NotFound");
    let again = place.post(&place.maps(""), map("a", "one")).await.done(201);
    assert_ne!(&again["metadata"]["uid"], uid);
}

pub(crate) async fn a_finalizer_keeps_what_is_deleted(place: Place) {
    let mut wish = map("a", "one");
    wish["metadata"]["finalizers"] = json!(["rollcall.dev/test"]);
    let made = place.post(&place.maps(""), wish).await.done(201);
    let path = place.maps("/a");
    let deleted = place.delete(&path, Value::Null).await.done(200);
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(version(&deleted) > version(&made));
    let again = place.delete(&path, Value::Null).await.done(200);
    assert_eq!(version(&again), version(&deleted));
    place.patch(&path, MERGE, json!({"metadata": {"finalizers": null}})).await.done(200);
    place.get(&path).await.refused(404, "NotFound");
}

pub(crate) fn pod(name: &str, node: Option<&str>) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "there-is-none"}], "schedulerName": "nobody",
            "automountServiceAccountToken": false}});
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

pub(crate) async fn a_pod_has_its_grace_once_it_has_a_node(place: Place) {
    let pods = place.path("v1", "pods");
    let made = place.post(&pods, pod("free", None)).await.done(201);
    assert_eq!(made["status"]["phase"], "Pending");
    place.delete(&format!("{pods}/free"), Value::Null).await.done(200);
    place.get(&format!("{pods}/free")).await.refused(404, "NotFound");
    // A node that is not there: nobody plays its kubelet.
    let made = place.post(&pods, pod("bound", Some("rollcall-nowhere"))).await.done(201);
    let path = format!("{pods}/bound");
    let leaving = place.delete(&path, Value::Null).await.done(200);
    assert_eq!(leaving["metadata"]["deletionGracePeriodSeconds"], 30, "{leaving}");
    assert!(leaving["metadata"]["deletionTimestamp"].is_string() && version(&leaving) > version(&made));
    let again = place.delete(&path, Value::Null).await.done(200);
    assert_eq!(again["metadata"]["deletionTimestamp"], leaving["metadata"]["deletionTimestamp"]);
    place.delete(&path, json!({"gracePeriodSeconds": 0})).await.done(200);
    place.get(&path).await.refused(404, "NotFound");
}

pub(crate) async fn what_is_owned_goes_with_the_last_owner(place: Place) {
    let mut owners = Vec::new();
    for name in ["first", "second"] {
        owners.push(place.post(&place.maps(""), map(name, "owner")).await.done(201));
    }
    let owned_by = |name: &str, owners: &[&Value]| {
        let mut owned = map(name, "owned");
        let owner = |owner: &&Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]});
        owned["metadata"]["ownerReferences"] = owners.iter().map(owner).collect();
        owned
    };
    place.post(&place.maps(""), owned_by("of-one", &[&owners[0]])).await.done(201);
    place.post(&place.maps(""), owned_by("of-both", &[&owners[0], &owners[1]])).await.done(201);
    place.delete(&place.maps("/first"), json!({"propagationPolicy": "Background"})).await.done(200);
    place
        .eventually("what was its alone is gone", async || {
            place.get(&place.maps("/of-one")).await.code == 404
        })
        .await;
    place.get(&place.maps("/of-both")).await.done(200);
    place.delete(&place.maps("/second"), json!({"propagationPolicy": "Background"})).await.done(200);
    place.eventually("all is gone", async || place.get(&place.maps("/of-both")).await.code == 404).await;
}

pub(crate) async fn a_namespace_that_ends_takes_all_and_nothing_more(place: Place) {
    let name = format!("{}-ends", place.namespace);
    let wish = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = place.post("/api/v1/namespaces", wish).await.done(201);
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], json!(name));
    let maps = format!("/api/v1/namespaces/{name}/configmaps");
    place.post(&maps, map("a", "b")).await.done(201);
    place.delete(&format!("/api/v1/namespaces/{name}"), Value::Null).await.done(200);
    let refused = place.post(&maps, map("c", "d")).await;
    assert!(refused.code == 403 || refused.code == 404, "{refused:?}");
    place
        .eventually("it is gone with all that was in it", async || {
            place.get(&format!("/api/v1/namespaces/{name}")).await.code == 404
        })
        .await;
    place.get(&format!("{maps}/a")).await.refused(404, "NotFound");
}
