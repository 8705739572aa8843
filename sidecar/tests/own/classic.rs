use crate::{bench::eventually, *};

const YES: &str = r#"{"success":true}"#;
const NO: &str = r#"{"success":false}"#;

async fn register(to: &Pod, path: &str, body: &str) -> (u16, String) {
    let answer = send(to, &format!("POST {path}/register"), LOCAL, body).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    (answer.status, answer.body)
}

async fn get(to: &Pod, path: &str) -> (u16, String) {
    let answer = to.get(path).await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_app_registers_beats_falls_silent_and_comes_back() {
    let shop = Shop::open().await;
    let (app, consumer) = (&shop.app, &shop.consumer);
    let yes = (200, YES.to_owned());
    let nobody = (404, NO.to_owned());
    // 503 before the first session, which a busy machine may take longer for than a lookup waits.
    eventually("there is none", async || get(consumer, "/orders/1.4.2/getaddresses").await == nobody).await;
    assert_eq!(register(app, "/orders/1.4.2", r#"{"port":8080,"ttl":1}"#).await, yes);
    let listed = async || get(consumer, "/orders/1.4.2/getaddresses").await;
    let there = (200, r#"{"addresses":["10.0.0.1:8080"]}"#.to_owned());
    let none = (200, r#"{"addresses":[]}"#.to_owned());
    eventually("it is listed", async || listed().await == there).await;
    assert_eq!(get(consumer, "/orders/1.4.3/getaddresses").await, (404, NO.to_owned()), "another version");
    assert_eq!(get(consumer, "/orders/nonsense/getaddresses").await, (404, NO.to_owned()));
    eventually("it is silent", async || listed().await == none).await;
    assert_eq!(get(app, "/orders/1.4.2/heartbeat").await, yes);
    eventually("it is back", async || listed().await == there).await;
    assert_eq!(get(app, "/orders/1.4.3/heartbeat").await, (404, NO.to_owned()));
    assert_eq!(get(app, "/orders/1.4.2/heartbeat?port=8080").await, yes);
    assert_eq!(get(app, "/orders/1.4.2/heartbeat?port=8081").await, (404, NO.to_owned()));
    assert_eq!(get(app, "/orders/1.4.2/heartbeat?address=198.51.100.7").await, (404, NO.to_owned()));
    assert_eq!(get(consumer, "/orders/1.4.2/heartbeat").await, (404, NO.to_owned()), "not of this pod");
    let away = send(app, "POST /orders/1.4.2/deregister", LOCAL, r#"{"port":8080}"#).await;
    assert_eq!((away.status, away.body), yes);
    eventually("it is gone", async || listed().await == (404, NO.to_owned())).await;
    let away = send(app, "POST /orders/1.4.2/deregister", LOCAL, r#"{"port":8080}"#).await;
    assert_eq!((away.status, away.body), (404, NO.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_is_registered_once_while_it_is_alive() {
    let shop = Shop::open().await;
    let taken = (409, r#"{"success":false,"error":"already registered"}"#.to_owned());
    let yes = (200, YES.to_owned());
    let body = r#"{"port":8080,"ttl":"2s"}"#;
    assert_eq!(register(&shop.app, "/orders/1.4.2", body).await, yes);
    assert_eq!(register(&shop.app, "/orders/1.4.2", body).await, taken);
    assert_eq!(register(&shop.app, "/orders/1.4.2", r#"{"port":8081}"#).await, yes, "another port");
    let both = r#"{"addresses":["10.0.0.1:8080","10.0.0.1:8081"]}"#;
    eventually("both are listed", async || get(&shop.consumer, "/orders/1.4.2/getaddresses").await.1 == both)
        .await;
    let only = r#"{"addresses":["10.0.0.1:8081"]}"#;
    eventually("one is silent", async || get(&shop.consumer, "/orders/1.4.2/getaddresses").await.1 == only)
        .await;
    assert_eq!(register(&shop.app, "/orders/1.4.2", body).await, yes, "what is silent is replaced");
    assert_eq!(register(&shop.app, "/orders/1.4.2", body).await, taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_taken_up_by_the_first_that_registers_it() {
    let shop = Shop::open().await;
    shop.controller.apply(bench::seen(pod(2, Some(8080)))).await;
    let app = Pod::start(&shop.authority, shop.controller.address, "u2").await;
    eventually("it is declared", async || {
        json(&app.get("/v1/self").await)["registrations"][0]["source"] == "declared"
    })
    .await;
    let body = r#"{"port":8080,"metadata":{"team":"payments"}}"#;
    assert_eq!(register(&app, "/orders/1.4.2", body).await.0, 200);
    assert_eq!(register(&app, "/orders/1.4.2", body).await.0, 409);
    eventually("it is one instance", async || {
        let seen = json(&shop.consumer.orders().await);
        let all = seen["instances"].as_array().map_or(&[][..], Vec::as_slice);
        all.len() == 1 && all[0]["metadata"]["team"] == "payments" && all[0]["ports"]["http"] == 8080
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_in_the_classic_way() {
    let shop = Shop::open().await;
    let plain = "Host: localhost\r\nContent-Type: text/plain\r\n";
    let page = "Host: localhost\r\nOrigin: http://localhost:7300\r\nContent-Type: application/json\r\n";
    let foreign = "Host: evil.example\r\nContent-Type: application/json\r\n";
    let large = format!(r#"{{"port":8080,"metadata":{{"x":"{}"}}}}"#, "x".repeat(70_000));
    let table = [
        ("POST /orders/1.4.2/register", foreign, r#"{"port":1}"#, 403),
        ("POST /orders/1.4.2/register", page, r#"{"port":1}"#, 403),
        ("GET /orders/1.4.2/register", LOCAL, "", 405),
        ("POST /orders/1.4.2/heartbeat", LOCAL, "", 405),
        ("POST /orders/1.4.2/register", plain, r#"{"port":1}"#, 415),
        ("POST /orders/1.4.2/register", LOCAL, &large, 413),
        ("POST /orders/1.4.2/register", LOCAL, "{", 400),
        ("POST /orders/1.4.2/register", LOCAL, "[]", 400),
        ("POST /orders/1.4.2/register", LOCAL, "{}", 422),
        ("POST /orders/1.4.2/register", LOCAL, r#"{"port":0}"#, 422),
        ("POST /orders/1.4.2/register", LOCAL, r#"{"port":1,"address":"here"}"#, 422),
        ("POST /orders/1.4/register", LOCAL, r#"{"port":1}"#, 422),
        ("POST /Orders/1.4.2/register", LOCAL, r#"{"port":1}"#, 422),
        ("POST /orders/1.4.2/register", LOCAL, r#"{"port":1,"address":"198.51.100.7"}"#, 403),
        ("POST /orders/1.4.2/register", LOCAL, r#"{"port":1,"address":"127.0.0.1"}"#, 403),
        ("POST /orders/1.4/register", LOCAL, r#"{"port":1,"address":"198.51.100.7"}"#, 422),
        ("POST /orders/1.4.2/deregister", LOCAL, r#"{"port":1,"address":"198.51.100.7"}"#, 403),
        ("GET /orders/1.4.2/heartbeat?port=x", LOCAL, "", 400),
        ("GET /orders/1.4.2/heartbeat?x=1", LOCAL, "", 400),
    ];
    for (line, headers, body, status) in table {
        let answer = send(&shop.app, line, headers, body).await;
        let shown = body.get(..60).unwrap_or(body);
        assert_eq!(answer.status, status, "{line} {shown}: {}", answer.body);
        let said = json(&answer);
        assert!(said["success"] == false && said["error"].is_string(), "{line}: {said}");
    }
    assert_eq!(send(&shop.app, "GET /orders/1.4.2/register", LOCAL, "").await.header("allow"), Some("POST"));
    assert_eq!(
        shop.app.get("/v1/1.4.2/getaddresses").await.header("content-type"),
        Some("application/problem+json")
    );
    if let Some(own) = outward() {
        let body = format!(r#"{{"port":1,"address":"{own}"}}"#);
        assert_eq!(register(&shop.app, "/orders/1.4.2", &body).await.0, 200);
    }
}
