//! The way to a cluster, over an API server that answers by a script.

use std::{convert::Infallible, future::pending, time::Duration};

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, client::Body};
use serde_json::json;
use tower::service_fn;

use super::*;

/// A way to an API server that answers each path and query like this; none: never.
fn reach(answers: impl Fn(&str) -> Option<(u16, serde_json::Value)> + Clone + Send + 'static) -> Reach {
    let service = service_fn(move |request: Request<Body>| {
        let asked = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let answer = answers(&asked);
        async move {
            let Some((status, body)) = answer else { return pending().await };
            let mut answer = Response::new(Body::from(body.to_string().into_bytes()));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(answer)
        }
    });
    Reach {
        client: Client::new(service, "shop"),
        namespace: "shop".parse().unwrap(),
        system: "rollcall-system".parse().unwrap(),
        timeout: Duration::from_secs(10),
    }
}

impl Source {
    /// A way to an API server that never answers.
    pub(crate) fn silent() -> Self {
        Self::Cluster(Box::new(reach(|_| None)))
    }
}

fn refusal(code: u16, reason: &str) -> serde_json::Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn page(name: &str, after: &str) -> serde_json::Value {
    let pod = json!({"metadata": {"name": name, "labels": {}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        "spec": {"containers": [{"name": "controller", "image": "c:1"}]}});
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": after}, "items": [pod]})
}

async fn names(reach: &Reach) -> Seen<Listed<String>> {
    let pods: Api<Pod> = Api::all(reach.client.clone());
    reach.all(&pods, None, |pod| pod.metadata.name).await
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page_and_not_for_ever() {
    let two =
        reach(|asked| Some((200, if asked.contains("continue=x") { page("b", "") } else { page("a", "x") })));
    let listed = names(&two).await;
    let expected = Listed { items: vec!["a".to_owned(), "b".to_owned()], truncated: false };
    assert_eq!(listed, Seen::Here(expected));
    let endless = reach(|_| Some((200, page("a", "x"))));
    let Seen::Here(listed) = names(&endless).await else { panic!("no list") };
    assert_eq!((listed.items.len(), listed.truncated), (PAGES_MAX, true));
}

#[tokio::test(start_paused = true)]
async fn who_gives_no_answer_is_not_waited_for() {
    let silent = reach(|_| None);
    assert!(matches!(names(&silent).await, Seen::Unknown(why) if why.contains("10s")));
    let failure = silent.read("/v1/services").await.unwrap_err();
    assert_eq!(failure.code(), 3);
    let asked = silent.ask(&silent.system, "c-1", READ_PORT, Method::GET, "/").await;
    assert_eq!(asked, Err(ForwardError::TimedOut(silent.timeout)));
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_named() {
    let lists = reach(|asked| {
        let forwards = asked.contains("/portforward");
        Some(if forwards { (403, refusal(403, "Forbidden")) } else { (200, page("c-1", "")) })
    });
    let failure = lists.read("/v1/services").await.unwrap_err();
    assert_eq!(failure.code(), 3);
    let said = failure.sentence().unwrap();
    assert!(said.contains("forbidden: you need pods/portforward in rollcall-system"), "{said}");
    let sees_nothing = reach(|_| Some((403, refusal(403, "Forbidden"))));
    let said = sees_nothing.read("/v1/services").await.unwrap_err().to_string();
    assert!(said.contains("the right to list pods in rollcall-system"), "{said}");
    let not_known = reach(|_| Some((401, refusal(401, "Unauthorized"))));
    let said = not_known.read("/v1/services").await.unwrap_err().to_string();
    assert!(said.contains("your credentials are not taken") && !said.contains("the right to"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_is_not_there_is_told_with_where_it_was_looked_for() {
    let empty = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []});
    let none = reach(move |_| Some((200, empty.clone())));
    let said = none.read("/v1/services").await.unwrap_err().to_string();
    assert!(
        said.contains("none in the namespace rollcall-system") && said.contains("--system-namespace"),
        "{said}"
    );
    let elsewhere = reach(|asked| {
        let mut found = page("orders-1", "");
        found["items"][0]["metadata"]["namespace"] = "bank".into();
        Some(if asked.contains("fieldSelector") { (200, found) } else { (404, refusal(404, "NotFound")) })
    });
    let said = elsewhere.pod("orders-1").await.unwrap_err().to_string();
    assert!(said.ends_with("in the namespace shop; one is in bank: -n bank"), "{said}");
    let alike = reach(|asked| {
        let is_list = asked.contains("namespaces/shop/pods?");
        Some(if is_list { (200, page("orders-6d-a", "")) } else { (404, refusal(404, "NotFound")) })
    });
    let said = alike.pod("orders").await.unwrap_err().to_string();
    assert!(said.ends_with("did you mean orders-6d-a?"), "{said}");
    let gone = reach(|_| Some((404, refusal(404, "NotFound"))));
    let failure = gone.pod("orders-1").await.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert!(failure.to_string().contains("kubectl get pods -A"), "{failure}");
}
