//! Tokens, and what is said of them.

use serde_json::{Value, json};

use crate::{deletes::pod, place::Place};

pub(crate) async fn a_token_is_good_for_its_audience_while_its_pod_is_there(place: Place) {
    let pods = place.path("v1", "pods");
    let made = place.post(&pods, pod("orders-1", None)).await.done(201);
    let request = |audience: &str, pod: Value| {
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600, "boundObjectRef": pod}})
    };
    let accounts = place.path("v1", "serviceaccounts/default/token");
    let bound =
        json!({"kind": "Pod", "apiVersion": "v1", "name": "orders-1", "uid": made["metadata"]["uid"]});
    let token = async |audience: &str, pod: Value| {
        place.post(&accounts, request(audience, pod)).await.done(201)["status"]["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let review = async |token: &str, audience: &str| {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]}});
        place.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.done(201)["status"].clone()
    };
    let ours = token("rollcall", bound.clone()).await;
    let status = review(&ours, "rollcall").await;
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["rollcall"])),
        "{status}"
    );
    let user = &status["user"];
    assert_eq!(user["username"], json!(format!("system:serviceaccount:{}:default", place.namespace)));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-uid"], json!([made["metadata"]["uid"]]));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], json!(["orders-1"]));
    let good = |status: &Value| status["authenticated"] == true;
    for (token, audience) in [
        (&ours, "another"),
        (&token("another", bound).await, "rollcall"),
        (&"nonsense".to_owned(), "rollcall"),
    ] {
        let status = review(token, audience).await;
        assert!(!good(&status) && status["error"].is_string(), "{audience} {status}");
    }
    let unbound = review(&token("rollcall", Value::Null).await, "rollcall").await;
    assert!(
        good(&unbound) && unbound["user"]["extra"]["authentication.kubernetes.io/pod-uid"].is_null(),
        "{unbound}"
    );
    place.delete(&format!("{pods}/orders-1"), json!({"gracePeriodSeconds": 0})).await.done(200);
    place.eventually("a token goes with its pod", async || !good(&review(&ours, "rollcall").await)).await;
    let missing = request("rollcall", json!({"kind": "Pod", "apiVersion": "v1", "name": "orders-1"}));
    place.post(&accounts, missing).await.refused(404, "NotFound");
}
