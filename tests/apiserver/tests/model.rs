//! What no real API server does when it is asked to: replicas that lag, histories that are forgotten, faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

use std::time::Duration;

use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
    client::Body,
};
use rollcall_apiserver::{ApiServer, Calls, Cluster, Fault, Faults, Harm, PodWish, What};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const LONG: Duration = Duration::from_secs(600);

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn make(server: &ApiServer, name: &str) -> u64 {
    Cluster::new(server).create("configmaps", "default", json!({"metadata": {"name": name}}));
    server.revision()
}

async fn get(client: &Client, path: &str) -> (u16, Value) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&text).unwrap_or_default())
}

/// The lines of a watch from this revision, and whether it was ended in good order.
async fn watched(client: &Client, from: u64, seconds: u64) -> (Vec<(String, String)>, bool) {
    let path = format!("{MAPS}?watch=1&resourceVersion={from}&timeoutSeconds={seconds}");
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    let mut lines = Vec::new();
    loop {
        match body.frame().await {
            None => return (lines, true),
            Some(Err(_)) => return (lines, false),
            Some(Ok(frame)) => {
                let line: Value = serde_json::from_slice(&frame.into_data().unwrap()).unwrap();
                let object = &line["object"];
                let name = object["metadata"]["name"].as_str().or(object["reason"].as_str());
                lines.push((line["type"].as_str().unwrap().to_owned(), name.unwrap_or_default().to_owned()));
            }
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|one| one["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_frozen_replica_knows_what_it_knew_and_lists_what_is() {
    let server = ApiServer::default();
    let first = make(&server, "a");
    let slow = server.replica_frozen_at(first);
    let second = make(&server, "b");
    let client = server.client(slow, &Faults::default());
    assert_eq!(names(&get(&client, &format!("{MAPS}?resourceVersion=0")).await.1), ["a"]);
    assert_eq!(names(&get(&client, MAPS).await.1), ["a", "b"]);
    assert_eq!(get(&client, &format!("{MAPS}/b?resourceVersion=0")).await.0, 404);
    assert_eq!(get(&client, &format!("{MAPS}/b")).await.0, 200);
    let fresh = format!("{MAPS}?resourceVersion={second}");
    assert_eq!(get(&client, &fresh).await.0, 504);
    assert_eq!(watched(&client, first, 60).await, (vec![], true));
    // It comes on while somebody waits for that, or watches.
    let begun = Instant::now();
    let (answer, watch, ()) = tokio::join!(get(&client, &fresh), watched(&client, first, 60), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.thaw_to(slow, second);
    });
    assert_eq!((answer.0, names(&answer.1)), (200, vec!["a", "b"]));
    assert_eq!(watch, (vec![("ADDED".to_owned(), "b".to_owned())], true));
    assert!(begun.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_hears_of_all_later() {
    let server = ApiServer::new(2);
    server.lag(1, Duration::from_secs(10));
    let first = make(&server, "a");
    let any = format!("{MAPS}?resourceVersion=0");
    let client = server.client(1, &Faults::default());
    assert_eq!(names(&get(&client, &any).await.1), Vec::<&str>::new());
    assert_eq!(names(&get(&server.plain_client(), &any).await.1), ["a"]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    make(&server, "b");
    let begun = Instant::now();
    let path = format!("{MAPS}?watch=1&resourceVersion={first}&timeoutSeconds=60");
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let mut body = client.send(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert_eq!(names(&get(&client, &any).await.1), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_gone_for_good() {
    let server = ApiServer::default();
    let client = server.plain_client();
    let first = make(&server, "a");
    let page = get(&client, &format!("{MAPS}?limit=1")).await.1;
    assert!(page["metadata"]["continue"].is_null());
    make(&server, "b");
    let page = get(&client, &format!("{MAPS}?limit=1")).await.1;
    let further = format!("{MAPS}?limit=1&continue={}", page["metadata"]["continue"].as_str().unwrap());
    maps(&client).delete("a", &DeleteParams::default()).await.unwrap();
    let last = make(&server, "c");
    assert_eq!(get(&client, &further).await.0, 200);
    server.compact(last);
    for path in [&further, &format!("{MAPS}?resourceVersion={first}&resourceVersionMatch=Exact")] {
        let (code, status) = get(&client, path).await;
        assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")));
    }
    assert_eq!(watched(&client, first, 60).await, (vec![("ERROR".to_owned(), "Expired".to_owned())], true));
    assert_eq!(watched(&client, last, 60).await, (vec![], true));
    assert_eq!(names(&get(&client, MAPS).await.1), ["b", "c"]);
    // A replica that was started anew remembers less than the history does.
    let later = make(&server, "d");
    server.restart(0);
    assert_eq!(watched(&client, last, 60).await.0, [("ERROR".to_owned(), "Expired".to_owned())]);
    assert_eq!(watched(&client, later, 60).await, (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_nobody_an_answer() {
    for (harm, is_done) in [(Harm::CrashBefore, false), (Harm::CrashAfter, true)] {
        let server = ApiServer::default();
        let faults = Faults::default();
        faults.place(Fault::of_write(2, harm).of("configmaps"));
        let api = maps(&server.client(0, &faults));
        api.create(&PostParams::default(), &map("a")).await.unwrap();
        let params = PostParams::default();
        let (object, list) = (map("b"), ListParams::default());
        tokio::select! {
            answer = timeout(LONG, api.create(&params, &object)) => assert!(answer.is_err()),
            () = async { faults.dead().await; std::future::pending().await } => {}
        }
        assert!(faults.is_dead());
        assert!(timeout(LONG, api.list(&list)).await.is_err());
        assert_eq!(server.object("configmaps", "default", "b").is_some(), is_done);
        assert_eq!((faults.writes(), faults.harmed()), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn each_harm_is_as_it_says() {
    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    for (harm, expected, is_done) in [
        (Harm::Lost, 0, true),
        (Harm::LostBehindGateway, 504, true),
        (Harm::Refused, 0, false),
        (Harm::Conflict, 409, false),
        (Harm::TooManyRequests { retry_after_seconds: 7 }, 429, false),
        (Harm::Garbage, 0, false),
    ] {
        let server = ApiServer::default();
        let faults = Faults::default();
        faults.place(Fault { calls: Calls::All, kind: None, first: 1, many: 1, harm });
        let api = maps(&server.client(0, &faults));
        let error = api.create(&PostParams::default(), &map("a")).await.unwrap_err();
        assert_eq!(code(error), expected, "{harm:?}");
        assert_eq!(server.object("configmaps", "default", "a").is_some(), is_done, "{harm:?}");
        assert_eq!(api.create(&PostParams::default(), &map("a")).await.is_err(), is_done, "{harm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_empty_and_away() {
    let server = ApiServer::default();
    make(&server, "a");
    let faults = Faults::default();
    let api = maps(&server.client(0, &faults));
    let list = async || api.list(&ListParams::default()).await.map(|list| list.items.len()).ok();
    faults.place(Fault { calls: Calls::Lists, kind: None, first: 2, many: 1, harm: Harm::Empty });
    faults.place(Fault {
        calls: Calls::Gets,
        kind: None,
        first: 1,
        many: 1,
        harm: Harm::Late { milliseconds: 300 },
    });
    assert_eq!((list().await, list().await, list().await), (Some(1), Some(0), Some(1)));
    let begun = Instant::now();
    api.get("a").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(300));
    faults.away(true);
    assert_eq!(list().await, None);
    faults.away(false);
    assert_eq!(list().await, Some(1));
    faults.every_call_takes(Duration::from_secs(2));
    list().await;
    assert_eq!(begun.elapsed(), Duration::from_millis(2_300));
}

#[tokio::test(start_paused = true)]
async fn watches_are_cut_closed_and_kept_from_events() {
    let server = ApiServer::default();
    let faults = Faults::default();
    let client = server.client(0, &faults);
    let from = server.revision();
    let hidden = make(&server, "a");
    make(&server, "b");
    let told = |names: &[&str]| {
        names.iter().map(|name| ("ADDED".to_owned(), (*name).to_owned())).collect::<Vec<_>>()
    };
    faults.hide(hidden);
    assert_eq!(watched(&client, from, 5).await, (told(&["b"]), true));
    assert_eq!(watched(&client, from, 5).await, (told(&["a", "b"]), true), "hidden once");
    faults.hide_each(2, 2);
    assert_eq!(watched(&client, from, 5).await, (told(&["a"]), true));
    faults.mend();
    let begun = Instant::now();
    faults.watches_last(Some(Duration::from_secs(1)));
    assert_eq!(watched(&client, from, 60).await, (told(&["a", "b"]), true));
    assert_eq!(begun.elapsed().as_secs(), 1);
    faults.mend();
    for cut in [
        |server: &ApiServer, _: &Faults| server.restart(0),
        |_: &ApiServer, faults: &Faults| faults.cut_watches(),
    ] {
        let now = server.revision();
        let (watch, ()) = tokio::join!(watched(&client, now, 60), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cut(&server, &faults);
        });
        assert_eq!(watch, (vec![], false));
    }
    let garbled = make(&server, "c");
    faults.garble(garbled);
    let path = format!("{MAPS}?watch=1&resourceVersion={}&timeoutSeconds=5", garbled - 1);
    let (_, line) = get(&client, &path).await;
    assert_eq!(line["object"]["spec"], "garbled");
}

#[tokio::test(start_paused = true)]
async fn garbage_waits_where_it_is_to() {
    let server = ApiServer::default();
    let cluster = Cluster::new(&server);
    cluster.service("default", "web", "web", 80);
    server.keep_garbage(true);
    cluster.delete_service("default", "web");
    assert_eq!(server.objects("endpointslices").len(), 1);
    server.collect_garbage();
    assert_eq!(server.objects("endpointslices").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_and_dies_as_kubernetes_shows_it() {
    let server = ApiServer::default();
    let cluster = Cluster::new(&server);
    cluster.node("n1", "a");
    cluster.service("default", "web", "web", 80);
    let wish = PodWish {
        node: "n1".to_owned(),
        labels: vec![("app", "web".to_owned())],
        sidecar: true,
        ..PodWish::default()
    };
    let uid = cluster.pod("default", "web-1", &wish);
    let endpoint = || server.objects("endpointslices")[0]["endpoints"][0].clone();
    let pod = || server.object("pods", "default", "web-1").unwrap();
    let condition = |kind: &str| {
        let pod = pod();
        let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["type"] == kind).map_or(Value::Null, |one| one["status"].clone())
    };
    assert!(endpoint().is_null(), "without an address");
    cluster.run("default", "web-1", "10.0.0.1");
    assert_eq!(endpoint()["conditions"], json!({"ready": false, "serving": false, "terminating": false}));
    cluster.all_ready("default", "web-1");
    assert_eq!(endpoint()["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!((&endpoint()["targetRef"]["uid"], &endpoint()["zone"]), (&json!(uid), &json!("a")));
    assert_eq!(pod()["status"]["initContainerStatuses"][0]["ready"], true);
    // The node controller turns the pod's word, and not its containers'.
    cluster.lose_node("n1");
    assert_eq!((condition("Ready"), condition("ContainersReady")), (json!("False"), json!("True")));
    assert_eq!(pod()["status"]["containerStatuses"][0]["ready"], true);
    assert_eq!(endpoint()["conditions"]["ready"], false);
    assert_eq!(server.object("nodes", "", "n1").unwrap()["status"]["conditions"][0]["status"], "Unknown");
    cluster.find_node("n1");
    assert_eq!((condition("Ready"), endpoint()["conditions"]["ready"].clone()), (json!("True"), json!(true)));
    cluster.delete_pod("default", "web-1");
    assert_eq!(endpoint()["conditions"], json!({"ready": false, "serving": true, "terminating": true}));
    let api: Api<Pod> = Api::namespaced(server.plain_client(), "default");
    assert!(api.get("web-1").await.unwrap().metadata.deletion_timestamp.is_some());
    let token = cluster.token("default", "web-1", "rollcall", 600);
    assert_eq!(token.split('.').count(), 3);
    cluster.end_pod("default", "web-1");
    assert!(endpoint().is_null());
    assert_eq!(
        server
            .written_after(0)
            .iter()
            .filter(|one| one.id.name == "web-1" && one.what == What::Deleted)
            .count(),
        1
    );
    server.put_raw(
        "pods",
        "default",
        "broken",
        json!({"metadata": {"name": "broken", "namespace": "default"}, "spec": 7}),
    );
    assert!(api.list(&ListParams::default()).await.is_err());
}
