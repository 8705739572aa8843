use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rollcall_controller::{
    index::{Change, Key, NamespaceFacts},
    operate::api,
};
use serde_json::json;

use crate::bench::{Connection, Controller, LOGS, pod};

const READS: [&str; 8] = [
    "/v1/services",
    "/v1/services/orders.shop",
    "/v1/services/orders.shop/consumers",
    "/v1/instances?address=10.0.0.1",
    "/v1/explain/orders.shop",
    "/v1/catalogue",
    "/v1/without-sidecar",
    "/v1/failing",
];

#[tokio::test]
async fn before_the_first_lists_nothing_is_said_to_be_empty() {
    let controller = Controller::start().await;
    for path in READS {
        let answer = controller.get(path).await;
        assert_eq!(answer.problem(), (503, "not-synced".to_owned()), "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
    }
    assert_eq!(controller.get("/").await.status, 200);
    assert_eq!(controller.get("/v1/log-level").await.status, 200);
    controller.list(vec![]).await;
    assert_eq!(controller.get("/v1/services").await.json(), json!({"services": []}));
    assert_eq!(
        controller.get("/v1/services/orders.shop").await.problem(),
        (404, "unknown-service".to_owned())
    );
    controller.stop().await;
}

#[tokio::test]
async fn services_are_listed_and_their_instances_found() {
    let controller = Controller::shop().await;
    let all = controller.get("/v1/services").await;
    assert_eq!(all.header("content-type"), Some("application/json"));
    let far = json!({"service": "orders", "namespace": "far", "versions": ["1.4.2"], "serving": 1, "total": 1, "consumers": 0});
    let shop = json!({"service": "orders", "namespace": "shop", "versions": ["1.4.2", "2.0.0"], "serving": 2, "total": 2, "consumers": 0});
    assert_eq!(all.json(), json!({"services": [far, shop]}));
    assert_eq!(controller.get("/v1/services?namespace=shop").await.json(), json!({"services": [shop]}));
    assert_eq!(controller.get("/v1/services?namespace=none").await.json(), json!({"services": []}));

    for (query, pods) in [
        ("", vec!["orders-1", "orders-2"]),
        ("?version=^1", vec!["orders-1"]),
        ("?version=2.0.0&port=http", vec!["orders-2"]),
        ("?tag=blue", vec![]),
        ("?all=true&port=8080", vec!["orders-1", "orders-2"]),
    ] {
        let answer = controller.get(&format!("/v1/services/orders.shop{query}")).await.json();
        let found: Vec<_> = answer["instances"].as_array().unwrap().iter().map(|one| &one["pod"]).collect();
        assert_eq!(found, pods, "{query}");
        assert_eq!((&answer["service"], &answer["namespace"]), (&"orders".into(), &"shop".into()));
    }
    let who = controller.get("/v1/instances?address=10.0.0.3").await.json();
    assert_eq!(
        (&who["instances"][0]["namespace"], &who["instances"][0]["pod"]),
        (&"far".into(), &"orders-3".into())
    );
    assert_eq!(controller.get("/v1/instances?address=10.0.0.9").await.json(), json!({"instances": []}));
    controller.stop().await;
}

#[tokio::test]
async fn the_dump_has_everything_and_follows_what_happens() {
    let controller = Controller::shop().await;
    let dump = controller.get("/v1/catalogue").await;
    assert_eq!(
        (dump.header("content-type"), dump.header("content-length")),
        (Some("application/json"), None)
    );
    let pods = |body: &serde_json::Value| -> Vec<String> {
        let services = body["services"].as_array().unwrap().iter();
        let instances = services.flat_map(|service| service["instances"].as_array().unwrap());
        instances.map(|instance| instance["pod"].as_str().unwrap().to_owned()).collect()
    };
    let before = dump.json();
    assert_eq!(before["replica"], "r1");
    assert_eq!(pods(&before), ["orders-3", "orders-1", "orders-2"]);
    assert_eq!(pods(&controller.get("/v1/catalogue?namespace=far").await.json()), ["orders-3"]);

    let mut view = controller.index.view();
    view.mark_unchanged();
    controller.index.apply(Change::Gone(Key::Pod("u1".into()))).await.unwrap();
    view.changed().await.unwrap();
    let after = controller.get("/v1/catalogue").await.json();
    assert_eq!(pods(&after), ["orders-3", "orders-2"]);
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
    view.mark_unchanged();
    controller.index.apply(pod("shop", 1, "1.4.2")).await.unwrap();
    view.changed().await.unwrap();
    let again = controller.get("/v1/catalogue").await;
    let content = |body: &str| body.split_once('\n').unwrap().1.to_owned();
    assert_eq!(content(&again.body), content(&dump.body), "the same again, the first line aside");
    controller.stop().await;
}

#[tokio::test]
async fn pods_that_lack_a_sidecar_are_listed_with_what_to_do() {
    let controller = Controller::shop().await;
    let lacking = async |path: &str| controller.get(path).await.json();
    assert_eq!(lacking("/v1/without-sidecar").await, json!({"pods": [], "total": 0}));
    let asks = NamespaceFacts { injects: true, ..NamespaceFacts::default() };
    controller.index.apply(Change::Namespace("shop".parse().unwrap(), asks)).await.unwrap();
    let answer = lacking("/v1/without-sidecar?namespace=shop").await;
    assert_eq!((&answer["total"], &answer["pods"][1]["pod"]), (&2.into(), &"orders-2".into()));
    assert_eq!(
        (&answer["pods"][0]["namespace"], &answer["pods"][0]["reason"]),
        (&"shop".into(), &"missed".into())
    );
    assert!(answer["pods"][0]["message"].as_str().unwrap().contains("delete it"), "{answer}");
    assert_eq!(lacking("/v1/without-sidecar?namespace=far").await["total"], 0);
    controller.stop().await;
}

#[tokio::test]
async fn a_service_without_consumers_is_told_from_one_that_nobody_knows() {
    let controller = Controller::shop().await;
    let answer = controller.get("/v1/services/orders.shop/consumers").await;
    let expected = json!({"service": "orders", "namespace": "shop", "replica": "r1", "partial": false, "others": [],
        "consumers": [], "total": 0, "truncated": false});
    assert_eq!(answer.json(), expected);
    let unknown = controller.get("/v1/services/none.shop/consumers").await;
    assert_eq!(unknown.problem(), (404, "unknown-service".to_owned()));
    assert_eq!(controller.get("/v1/failing?namespace=shop").await.json(), json!({"pods": [], "total": 0}));
    controller.stop().await;
}

#[tokio::test]
async fn bad_questions_are_told_what_is_wrong() {
    let controller = Controller::shop().await;
    for (path, status, slug) in [
        ("/v1/nothing", 404, "unknown-path"),
        ("/v1/services/orders", 400, "invalid-query"),
        ("/v1/services/orders.nowhere", 404, "unknown-service"),
        ("/v1/services/orders.shop?verison=1", 400, "invalid-query"),
        ("/v1/services/orders.shop?version=v1", 400, "invalid-query"),
        ("/v1/services/orders.shop?zone=%zz", 400, "invalid-query"),
        ("/v1/services?namespace=No", 400, "invalid-query"),
        ("/v1/services?all=true", 400, "invalid-query"),
        ("/v1/instances", 400, "invalid-query"),
        ("/v1/instances?address=orders", 400, "invalid-query"),
        ("/v1/explain/orders.nowhere", 404, "unknown-service"),
        ("/v1/explain/orders.shop?all=true", 400, "invalid-query"),
        ("/v1/catalogue?namespace=a&namespace=b", 400, "invalid-query"),
        ("/v1/without-sidecar?all=true", 400, "invalid-query"),
        ("/?a=b", 400, "invalid-query"),
    ] {
        assert_eq!(controller.get(path).await.problem(), (status, slug.to_owned()), "{path}");
    }
    for path in READS.into_iter().chain(["/"]) {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = controller.ask(method, path, "", "").await;
            assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()), "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
    let answer = controller.ask("DELETE", "/v1/log-level", "", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, PUT")));
    controller.stop().await;
}

#[tokio::test]
async fn what_a_browser_can_be_tricked_into_is_refused() {
    let controller = Controller::shop().await;
    for path in READS.into_iter().chain(["/", "/v1/log-level", "/nothing"]) {
        for (lines, slug) in [
            ("Host: evil.example\r\n", "forbidden-host"),
            ("Host: 10.0.0.1:7380\r\n", "forbidden-host"),
            ("Host: localhost\r\nOrigin: http://localhost:7380\r\n", "forbidden-origin"),
        ] {
            let answer = Connection::open(controller.api).await.ask("GET", path, lines, "").await;
            assert_eq!(answer.problem(), (403, slug.to_owned()), "{path} {lines}");
        }
    }
    for host in ["localhost:17380", "127.0.0.1:7380", "[::1]"] {
        let lines = format!("Host: {host}\r\n");
        let answer = Connection::open(controller.api).await.ask("GET", "/v1/services", &lines, "").await;
        assert_eq!(answer.status, 200, "{host}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn a_connection_is_kept_and_a_head_has_no_body() {
    let controller = Controller::shop().await;
    let mut connection = Connection::open(controller.api).await;
    for path in READS.into_iter().filter(|path| !path.contains("explain")).chain(["/"]) {
        let head = connection.ask("HEAD", path, "Host: localhost\r\n", "").await;
        let whole = connection.ask("GET", path, "Host: localhost\r\n", "").await;
        assert_eq!((head.status, whole.status), (200, 200), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), whole.header("content-length"), "{path}");
    }
    controller.stop().await;
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn the_log_level_changes_at_run_time() {
    const JSON: &str = "Content-Type: application/json\r\n";
    let controller = Controller::start().await;
    let level = async || controller.get("/v1/log-level").await.json()["filter"].as_str().unwrap().to_owned();
    let put = async |lines: &str, body: &str| controller.ask("PUT", "/v1/log-level", lines, body).await;
    let first = level().await;
    let answer = put(JSON, r#"{"filter":"warn,rollcall_controller=debug"}"#).await;
    assert_eq!((answer.status, answer.header("content-type")), (204, None));
    assert_eq!(level().await, "rollcall_controller=debug,warn");
    assert_eq!(LOGS.current().unwrap(), level().await);

    let large = format!(r#"{{"filter":"{}"}}"#, "info,".repeat(2_000));
    let long = format!(r#"{{"filter":"{}"}}"#, "info,".repeat(300));
    for (lines, body, status, slug) in [
        (JSON, r#"{"filter":"loud"}"#, 422, "invalid-field"),
        (JSON, r#"{"filter":"rollcall_controller=loud"}"#, 422, "invalid-field"),
        (JSON, r#"{"filter":""}"#, 422, "invalid-field"),
        (JSON, r#"{"level":"info"}"#, 422, "invalid-field"),
        (JSON, &long, 422, "invalid-field"),
        (JSON, "info", 400, "invalid-body"),
        (JSON, "", 400, "invalid-body"),
        (JSON, &large, 413, "payload-too-large"),
        ("", r#"{"filter":"info"}"#, 415, "unsupported-media-type"),
        ("Content-Type: text/plain\r\n", r#"{"filter":"info"}"#, 415, "unsupported-media-type"),
    ] {
        assert_eq!(put(lines, body).await.problem(), (status, slug.to_owned()), "{body}");
    }
    assert_eq!(level().await, "rollcall_controller=debug,warn", "what is refused changes nothing");
    assert_eq!(put(JSON, &format!(r#"{{"filter":"{first}"}}"#)).await.status, 204);
    assert_eq!(level().await, first);
    controller.stop().await;
}

#[tokio::test]
async fn it_listens_on_both_loopbacks_and_a_taken_port_names_its_flag() {
    let any = |ip: std::net::IpAddr| SocketAddr::new(ip, 0);
    let listeners = api::listen(any(Ipv4Addr::LOCALHOST.into()), any(Ipv6Addr::LOCALHOST.into())).unwrap();
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    let has_v6 = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    assert_eq!(addresses.len(), if has_v6 { 2 } else { 1 });
    let error = api::listen(addresses[0], any(Ipv6Addr::LOCALHOST.into())).unwrap_err().to_string();
    assert!(error.starts_with("--read-listen 127.0.0.1:"), "{error}");
}
