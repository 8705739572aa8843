use std::time::Duration;

use crate::{
    bench::{Controller, Volumes, eventually, gone, pod, request},
    *,
};

const ORDERS: &str = r#"{"service":"orders","version":"1.4.2","ports":{"http":8080,"admin":9090},"tags":["blue"],"weight":50}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_registers_changes_and_takes_back_what_it_is() {
    let shop = Shop::open().await;
    let put = send(&shop.app, "PUT /v1/self", LOCAL, ORDERS).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let shown = json(&put);
    assert_eq!((&shown["pod"], &shown["namespace"]), (&"pod-1".into(), &"shop".into()));
    let first = &shown["registrations"][0];
    assert_eq!(
        (&first["service"], &first["source"], &first["state"]),
        (&"orders".into(), &"app".into(), &"registered".into())
    );
    assert!(put.body.contains(r#""ports":{"http":8080,"admin":9090}"#), "in their order: {}", put.body);
    let lookup = async || json(&shop.consumer.orders().await)["instances"][0].clone();
    eventually("it is looked up", async || lookup().await["port"] == 8080).await;
    let instance = lookup().await;
    assert_eq!((&instance["weight"], &instance["tags"][0]), (&50.into(), &"blue".into()));

    let other = send(&shop.app, "PUT /v1/self/web", LOCAL, r#"{"ports":{"http":8081},"ttl":"15s"}"#).await;
    assert_eq!(other.status, 200, "{}", other.body);
    let again = send(&shop.app, "PUT /v1/self/orders", LOCAL, r#"{"ports":{"http":8080},"weight":10}"#).await;
    assert_eq!(again.status, 200);
    eventually("the change is seen", async || lookup().await["weight"] == 10).await;
    let shown = json(&shop.app.get("/v1/self").await);
    assert_eq!(shown["registrations"].as_array().unwrap().len(), 2, "{shown}");

    assert_eq!(send(&shop.app, "DELETE /v1/self/orders", LOCAL, "").await.status, 204);
    eventually("it is gone", async || shop.consumer.orders().await.status == 404).await;
    assert_eq!(
        send(&shop.app, "DELETE /v1/self/orders", LOCAL, "").await.status,
        204,
        "it need not be there"
    );
    assert_eq!(send(&shop.app, "DELETE /v1/self", LOCAL, "").await.status, 204);
    eventually("all is gone", async || shop.consumer.get("/v1/services/web").await.status == 404).await;
    let shown = json(&shop.app.get("/v1/self").await);
    assert_eq!(shown["registrations"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_speaks_of_its_health() {
    let shop = Shop::open().await;
    assert_eq!(
        send(&shop.app, "PUT /v1/self", LOCAL, r#"{"service":"orders","ports":{"http":8080}}"#).await.status,
        200
    );
    eventually("it serves", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
    let say = async |body: &str| send(&shop.app, "PUT /v1/self/health", LOCAL, body).await.status;
    assert_eq!(say(r#"{"state":"failing","output":"the disk is full"}"#).await, 204);
    eventually("it fails", async || seen(&shop.consumer, "orders").await == "Failing AppSaysFailing").await;
    assert_eq!(json(&shop.app.get("/v1/self").await)["health"]["output"], "the disk is full");
    assert_eq!(say(r#"{"state":"serving","ttl":"1s"}"#).await, 204);
    eventually("it serves again", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
    eventually("its word is too old", async || {
        seen(&shop.consumer, "orders").await == "Failing HeartbeatMissed"
    })
    .await;
    assert_eq!(say(r#"{"state":"serving"}"#).await, 204);
    eventually("it serves once more", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_drains_itself_and_stays_after_all() {
    let shop = Shop::open().await;
    assert_eq!(send(&shop.app, "PUT /v1/self", LOCAL, ORDERS).await.status, 200);
    eventually("it serves", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
    // A controller waits with its answer until all who were in session before it can be back: 10 s from its start.
    let drained = send(&shop.app, "POST /v1/self/drain?deadline=20s", LOCAL, "").await;
    assert_eq!(drained.status, 200, "{}", drained.body);
    let body = json(&drained);
    assert_eq!(
        (&body["complete"], &body["subscribers"], &body["late"]),
        (&true.into(), &1.into(), &serde_json::json!([]))
    );
    assert_eq!(seen(&shop.consumer, "orders").await, "Draining DrainRequested");
    assert_eq!(send(&shop.app, "DELETE /v1/self/drain", LOCAL, "").await.status, 204);
    eventually("it is back", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
    for bad in ["deadline=soon", "deadline=2m", "deadline=", "until=5s"] {
        let refused = send(&shop.app, &format!("POST /v1/self/drain?{bad}"), LOCAL, "").await;
        assert_eq!(refused.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_at_once() {
    let shop = Shop::open().await;
    let plain = "Host: localhost\r\nContent-Type: text/plain\r\n";
    let page = "Host: localhost\r\nOrigin: http://localhost:7300\r\nContent-Type: application/json\r\n";
    let foreign = "Host: evil.example\r\nContent-Type: application/json\r\n";
    let large = format!(r#"{{"service":"{}"}}"#, "x".repeat(70_000));
    let table = [
        ("PUT /v1/self", LOCAL, r#"{"service":"orders","weight":1001}"#, 422, "invalid-field", "weight"),
        ("PUT /v1/self", LOCAL, r#"{"service":"Orders"}"#, 422, "invalid-field", "service"),
        ("PUT /v1/self", LOCAL, r#"{"ports":{"http":1}}"#, 422, "invalid-field", "service"),
        ("PUT /v1/self/Orders", LOCAL, "{}", 422, "invalid-field", "service"),
        ("PUT /v1/self/orders.shop", LOCAL, "{}", 422, "invalid-field", "service"),
        ("PUT /v1/self", LOCAL, r#"{"service":"orders","ports":{"http":0}}"#, 422, "invalid-field", "ports"),
        ("PUT /v1/self", LOCAL, "{", 400, "invalid-body", ""),
        ("PUT /v1/self", LOCAL, "[]", 400, "invalid-body", ""),
        ("PUT /v1/self", LOCAL, &large, 413, "payload-too-large", ""),
        ("PUT /v1/self", plain, "{}", 415, "unsupported-media-type", ""),
        ("PUT /v1/self", page, "{}", 403, "forbidden-origin", ""),
        ("PUT /v1/self", foreign, "{}", 403, "forbidden-host", ""),
        ("POST /v1/self", LOCAL, "{}", 405, "method-not-allowed", ""),
        ("PUT /v1/self?x=1", LOCAL, "{}", 400, "invalid-query", ""),
        ("PUT /v1/self/health", LOCAL, r#"{"state":"sick"}"#, 422, "invalid-field", "state"),
        ("POST /v1/self/drain", plain, "", 415, "unsupported-media-type", "Content-Type"),
        ("POST /v1/self/drain", "Host: localhost\r\n", "x=1", 415, "unsupported-media-type", "Content-Type"),
        ("DELETE /v1/self/Orders", LOCAL, "", 422, "invalid-field", "service"),
    ];
    for (line, headers, body, status, slug, field) in table {
        let answer = send(&shop.app, line, headers, body).await;
        let shown = body.get(..60).unwrap_or(body);
        assert_eq!(answer.status, status, "{line} {shown}: {}", answer.body);
        let problem = json(&answer);
        assert_eq!(problem["type"], format!("urn:rollcall:problem:{slug}"), "{line} {shown}");
        assert!(field.is_empty() || problem["field"] == field, "{}", answer.body);
    }
    for number in 0..16 {
        let path = format!("PUT /v1/self/s{number}");
        assert_eq!(send(&shop.app, &path, LOCAL, "{}").await.status, 200, "{number}");
    }
    let full = send(&shop.app, "PUT /v1/self/s16", LOCAL, "{}").await;
    assert_eq!(
        (full.status, json(&full)["type"].as_str()),
        (503, Some("urn:rollcall:problem:limit-reached"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_controller_it_is_taken_and_said_later() {
    let authority = Authority::generate("test").unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = Pod::with_flags(&authority, nobody, "token-of-u1", &["--namespace=shop".to_owned()]).await;
    assert_eq!(json(&app.get("/v1/self").await)["namespace"], "shop");
    let begin = std::time::Instant::now();
    let put = send(&app, "PUT /v1/self", LOCAL, ORDERS).await;
    assert_eq!((put.status, &json(&put)["registrations"][0]["state"]), (202, &"pending".into()));
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert_eq!(send(&app, "PUT /v1/self", LOCAL, r#"{"service":"orders","weight":2000}"#).await.status, 422);
    let begin = std::time::Instant::now();
    assert_eq!(send(&app, "PUT /v1/self/web", LOCAL, "{}").await.status, 202);
    assert!(begin.elapsed() < Duration::from_secs(1), "who is alone for long need not be waited for");
    assert_eq!(send(&app, "POST /v1/self/drain?deadline=500ms", LOCAL, "").await.status, 202);
    assert_eq!(send(&app, "DELETE /v1/self/drain", LOCAL, "").await.status, 204);

    let _controller = Controller::start(&authority, nobody, vec![pod(1, None), pod(9, None)]).await;
    let consumer = Pod::start(&authority, nobody, "u9").await;
    eventually("both are looked up", async || {
        seen(&consumer, "orders").await == "Serving Ready"
            && consumer.get("/v1/services/web").await.status == 200
    })
    .await;
    eventually("it is told so", async || {
        json(&app.get("/v1/self").await)["registrations"][0]["state"] == "registered"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_app_said_survives_its_sidecar_and_the_controller() {
    let authority = Authority::generate("test").unwrap();
    let controller = Controller::start(&authority, ANY, vec![pod(1, None), pod(9, None)]).await;
    let address = controller.address;
    // The process is pod 9; the consumer is pod 1.
    let volumes = Volumes::new(&authority);
    let consumer = Pod::start(&authority, address, "u1").await;
    let process = volumes.start(address).await;
    let put = format!("PUT /v1/self HTTP/1.1\r\n{LOCAL}Content-Length: {}\r\n", ORDERS.len());
    let mut stream = TcpStream::connect(process.api).await.unwrap();
    stream.write_all(format!("{put}Connection: close\r\n\r\n{ORDERS}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    eventually("it is looked up", async || seen(&consumer, "orders").await == "Serving Ready").await;
    process.kill();
    controller.stop().await;
    let _next = Controller::start(&authority, address, vec![pod(1, None), pod(9, None)]).await;
    let process = volumes.start(address).await;
    eventually("it is looked up again", async || seen(&consumer, "orders").await == "Serving Ready").await;
    let shown = json(&process.get("/v1/self").await);
    assert_eq!(shown["registrations"][0]["source"], "app");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_registered_is_not_confirmed_by_nobody() {
    let shop = Shop::open().await;
    assert_eq!(send(&shop.app, "PUT /v1/self", LOCAL, ORDERS).await.status, 200);
    shop.controller.stop().await;
    eventually("it is alone", async || shop.app.get("/readyz").await.status == 503).await;
    assert_eq!(send(&shop.app, "PUT /v1/self", LOCAL, ORDERS).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_room_to_wait_for_a_drain_is_told_so() {
    let authority = Authority::generate("test").unwrap();
    // It welcomes everybody, and answers no drain.
    let silent = bench::Played::start(&authority, |_| Vec::new()).await;
    let app = Pod::start(&authority, silent.address, "u9").await;
    let app = &app;
    let mut all: futures::stream::FuturesUnordered<_> =
        (0..17).map(|_| send(app, "POST /v1/self/drain?deadline=30s", LOCAL, "")).collect();
    let first = futures::StreamExt::next(&mut all).await.unwrap();
    assert_eq!((first.status, &json(&first)["type"]), (503, &"urn:rollcall:problem:limit-reached".into()));
}
