use std::net::SocketAddr;

use rollcall_injection::{INJECTED, SIDECAR, STATUS, apply};
use serde_json::json;

use super::*;

/// As an API server sends it: all its fields, of which we read few, and a pod that has no name and no namespace yet.
fn review() -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "014fbff9-9cbe-4b31-b2c4-31f0a7c7d0a2",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "extra": {"some-key": ["some-value1", "some-value2"]},
            },
            "object": {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {
                    "generateName": "orders-5d8f7c9b4-",
                    "creationTimestamp": null,
                    "labels": {"app": "orders", "pod-template-hash": "5d8f7c9b4"},
                    "annotations": {"rollcall.dev/service": "orders", "rollcall.dev/inject": "true"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-5d8f7c9b4",
                        "uid": "9bd5c6f1-0d4b-4d9e-8b0f-7a1f1c2d3e4f", "controller": true, "blockOwnerDeletion": true}],
                    "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                        "time": "2024-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}}],
                },
                "spec": {
                    "volumes": [{"name": "kube-api-access-x", "projected": {"sources": []}}],
                    "containers": [{"name": "app", "image": "orders:1", "ports": [{"name": "http", "containerPort": 8080}],
                        "resources": {}, "imagePullPolicy": "IfNotPresent"}],
                    "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                    "serviceAccountName": "default", "securityContext": {}, "schedulerName": "default-scheduler",
                },
                "status": {},
            },
            "oldObject": null,
            "dryRun": true,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]},
        },
    })
}

fn way() -> Way {
    let controller: SocketAddr = ([10, 96, 0, 7], 7310).into();
    Way::Direct { controller, ca_pem: "the authority".to_owned() }
}

/// What is answered, and what came of it.
fn told(review: &Value, way: Option<&Way>) -> (Outcome, Value) {
    let settings = Settings::default();
    let known = Known { settings: &settings, dns: None, way, service: "rollcall-system/rollcall-controller" };
    let Answer { outcome, body } = answered(review.to_string().as_bytes(), known).unwrap();
    (outcome, serde_json::from_slice(&body).unwrap())
}

/// The pod as the API server has it then.
fn patched(review: &Value, told: &Value) -> Value {
    let patch = BASE64_STANDARD.decode(told["response"]["patch"].as_str().unwrap()).unwrap();
    let operations: Vec<Value> = serde_json::from_slice(&patch).unwrap();
    let additions = operations.into_iter().map(|mut operation| {
        assert_eq!(operation["op"], "add");
        Addition { path: operation["path"].as_str().unwrap().to_owned(), value: operation["value"].take() }
    });
    let mut pod = review["request"]["object"].clone();
    apply(&mut pod, &additions.collect::<Vec<_>>()).unwrap();
    pod
}

#[test]
fn a_pod_gets_its_sidecar_as_a_patch() {
    let (review, way) = (review(), way());
    let (outcome, told) = told(&review, Some(&way));
    assert_eq!(outcome, Outcome::Injected);
    assert_eq!(
        (&told["apiVersion"], &told["kind"]),
        (&json!("admission.k8s.io/v1"), &json!("AdmissionReview"))
    );
    let response = &told["response"];
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    let pod = patched(&review, &told);
    assert_eq!(pod["metadata"]["annotations"][STATUS], INJECTED);
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], SIDECAR);
    let env = sidecar["env"].as_array().unwrap();
    let value = |name: &str| env.iter().find(|one| one["name"] == name).unwrap()["value"].clone();
    assert_eq!(value("ROLLCALL_CONTROLLER"), "10.96.0.7:7310");
    assert_eq!(value("ROLLCALL_CA_PEM"), "the authority");
}

#[test]
fn doing_it_twice_changes_nothing_more() {
    let (mut review, way) = (review(), way());
    let once = patched(&review, &told(&review, Some(&way)).1);
    review["request"]["object"] = once;
    let (outcome, again) = told(&review, Some(&way));
    assert_eq!(outcome, Outcome::Left);
    assert!(
        again["response"].get("patch").is_none() && again["response"].get("patchType").is_none(),
        "{again}"
    );
}

/// The review with something else at this place.
fn with(pointer: &str, value: Value) -> Value {
    let mut review = review();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    review.pointer_mut(parent).unwrap()[name] = value;
    review
}

#[test]
fn what_is_no_pod_of_ours_is_left_without_a_word() {
    let way = way();
    for (pointer, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/kind/kind", json!("Deployment")),
        ("/request/kind/group", json!("example.dev")),
        ("/request/namespace", json!("kube-system")),
        ("/request/object/metadata/annotations/rollcall.dev~1inject", json!("false")),
    ] {
        let review = match pointer.contains("~1") {
            true => {
                let mut review = review();
                *review.pointer_mut(pointer).unwrap() = value;
                review
            }
            false => with(pointer, value),
        };
        let (outcome, told) = told(&review, Some(&way));
        assert_eq!(outcome, Outcome::Left, "{pointer}");
        assert_eq!(told["response"], json!({"uid": review["request"]["uid"], "allowed": true}), "{pointer}");
    }
}

#[test]
fn who_should_have_a_sidecar_and_gets_none_hears_why_and_is_made() {
    let way = way();
    let many = Value::from(vec![json!({}); VALUES_MAX]);
    let homeless = {
        let mut review = review();
        review["request"].as_object_mut().unwrap().remove("namespace");
        review
    };
    let bodiless = {
        let mut review = review();
        review["request"].as_object_mut().unwrap().remove("object");
        review
    };
    for (review, way, words) in [
        (review(), None, "rollcall-system/rollcall-controller"),
        (with("/request/object/spec", json!("no spec")), Some(&way), "spec"),
        (with("/request/object", json!([])), Some(&way), "no object"),
        (with("/request/object", Value::Null), Some(&way), "not sent"),
        (with("/request/object/spec/volumes", many), Some(&way), "values"),
        (homeless, Some(&way), "namespace"),
        (bodiless, Some(&way), "not sent"),
    ] {
        let (outcome, told) = told(&review, way);
        assert_eq!((outcome, &told["response"]["allowed"]), (Outcome::Failed, &json!(true)), "{words}");
        let warning = told["response"]["warnings"][0].as_str().unwrap();
        assert!(warning.contains(words) && warning.contains("; "), "{warning}");
        assert!(told["response"].get("patch").is_none());
    }
}

#[test]
fn a_pod_that_can_have_none_hears_what_to_do_instead() {
    let way = way();
    let (outcome, told) = told(&with("/request/object/spec/hostNetwork", json!(true)), Some(&way));
    assert_eq!(outcome, Outcome::Left);
    assert!(told["response"]["warnings"][0].as_str().unwrap().contains("ServiceRegistration"), "{told}");
}

#[test]
fn the_place_that_counts_is_the_api_servers_word() {
    let way = way();
    let mut own = with("/request/object/metadata/namespace", json!("kube-system"));
    assert_eq!(told(&own, Some(&way)).0, Outcome::Injected);
    own["request"].as_object_mut().unwrap().remove("namespace");
    assert_eq!(told(&own, Some(&way)).0, Outcome::Left, "only where it has not said it");
}

#[test]
fn what_is_no_review_is_refused_in_a_sentence() {
    let settings = Settings::default();
    let known = Known { settings: &settings, dns: None, way: None, service: "a/b" };
    let deep = "[".repeat(1_000_000);
    for body in [
        "".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "\u{1}".to_owned(),
        deep.clone(),
        format!("{{\"request\":{{\"object\":{deep}"),
        with("/apiVersion", json!("admission.k8s.io/v1beta1")).to_string(),
        with("/kind", json!("Pod")).to_string(),
        with("/request", Value::Null).to_string(),
        with("/request/uid", json!(7)).to_string(),
        review().to_string().split_at(700).0.to_owned(),
    ] {
        let error = answered(body.as_bytes(), known).unwrap_err().to_string();
        assert!(error.contains("; send"), "{error}");
    }
    assert!(answered(b"\xff\xfe", known).is_err());
}

#[test]
fn values_are_counted_before_they_are_held() {
    for (text, count) in [("7", 1), ("[]", 2), ("[1,2,3]", 4), (r#"{"a,{[":"\",[{","b":{}}"#, 4)] {
        assert_eq!(values(text), count, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0_usize..2_500) {
        let settings = Settings::default();
        let way = way();
        let known = Known { settings: &settings, dns: None, way: Some(&way), service: "a/b" };
        let _ = answered(&bytes, known);
        let mut review = review().to_string().into_bytes();
        let at = at.min(review.len());
        review.splice(at..(at + bytes.len() / 20).min(review.len()), bytes);
        let _ = answered(&review, known);
    }
}
