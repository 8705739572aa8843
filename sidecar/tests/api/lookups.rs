//! Lookups and what else is read: over a connection, with a controller that goes on and goes away.

use std::time::{Duration, Instant};

use rollcall_controller::Authority;
use rollcall_wire::Up;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    bench::{Answer, Pod, Volumes, eventually, request},
    raw::post,
    service::with_orders,
};

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

fn slug(answer: &Answer) -> (u16, String) {
    let kind = body(answer)["type"].as_str().unwrap().to_owned();
    (answer.status, kind.trim_start_matches("urn:rollcall:problem:").to_owned())
}

fn revision(answer: &Answer) -> u64 {
    answer.header("x-rollcall-revision").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_choose_and_every_answer_says_how_current_it_is() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let of = async |query: &str| pod.get(&format!("/v1/services/orders{query}")).await;
    for (query, addresses) in [
        ("?version=1.1.0", &["10.0.0.1"][..]),
        ("?version=%5E1.2", &["10.0.0.2"]),
        ("?zone=a", &["10.0.0.2"]),
        ("?tag=blue&zone=b&port=grpc", &["10.0.0.1"]),
        ("?tag=red", &[]),
        ("?protocol=h2c", &[]),
    ] {
        let answer = of(query).await;
        let found = answer.addresses();
        let found: Vec<_> = found.iter().map(String::as_str).filter(|one| *one != "10.0.0.3").collect();
        assert_eq!((answer.status, found), (200, addresses.to_vec()), "{query}");
        for name in ["x-rollcall-revision", "age", "x-rollcall-source", "etag"] {
            assert!(answer.header(name).is_some(), "{query}: {name}");
        }
    }
    assert_eq!(body(&of("?port=grpc").await)["instances"][0]["port"], 9090);
    for bad in ["?versoin=1", "?version=new", "?zone=", "?all=yes", "?wait=11m", "?index=x", "?port=70000"] {
        assert_eq!(slug(&of(bad).await), (400, "invalid-query".to_owned()), "{bad}");
    }
    let long = of(&format!("?tag={}", "x".repeat(2_000))).await;
    assert_eq!((long.status, long.addresses().len()), (200, 0));

    let plain = of("").await;
    let etag = plain.header("etag").unwrap();
    let again = format!("GET /v1/services/orders HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {etag}\r\n");
    let again = pod.ask(&again).await;
    // The controller goes on: it is the same, or there is another tag.
    assert!(again.status == 304 && again.body.is_empty() || again.header("etag") != Some(etag), "{again:?}");
    let head = pod.ask("HEAD /v1/services/orders?zone=a HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(
        head.status == 200 && head.body.is_empty() && head.header("content-length") != Some("0"),
        "{head:?}"
    );
    assert_eq!(of("?max-age=0&zone=a").await.status, 200, "in step");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_newest_waits_for_a_newer_one() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let now = revision(&pod.orders().await);
    let begin = Instant::now();
    let older = pod.get(&format!("/v1/services/orders?index={}&wait=30s", now - 1)).await;
    assert!(older.status == 200 && begin.elapsed() < Duration::from_secs(1), "it has less: {older:?}");
    // The next heartbeat brings another revision, within 3 s and a margin.
    let next = pod.get(&format!("/v1/services/orders?index={now}&wait=60s")).await;
    assert!(next.status == 200 && revision(&next) > now, "{next:?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());

    let begin = Instant::now();
    let none = pod.get("/v1/services/nothing?index=1&wait=300ms").await;
    assert_eq!(slug(&none), (404, "unknown-service".to_owned()));
    assert!(begin.elapsed() >= Duration::from_millis(300) && none.header("age").is_some(), "{none:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picks_go_round_and_reports_are_taken() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let pick = async |query: &str| pod.get(&format!("/v1/services/orders/pick{query}")).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        seen.insert(body(&pick("?zone=b&tag=blue&version=1.1.0").await)["id"].to_string());
        seen.insert(body(&pick("?version=1.2.0").await)["id"].to_string());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["\"u1-8080\"", "\"u2-8080\""]);
    let answer = pick("?port=grpc").await;
    assert!(body(&answer)["port"] == 9090 && answer.header("etag").is_some() && revision(&answer) > 0);
    let hashed = async || body(&pick("?policy=hash&key=alice&zone=a").await)["id"].clone();
    assert_eq!(hashed().await, hashed().await);
    for policy in ["random", "round-robin", "weighted", "least-loaded", "p2c"] {
        assert_eq!(pick(&format!("?policy={policy}")).await.status, 200, "{policy}");
    }
    assert_eq!(slug(&pick("?policy=hash").await), (400, "invalid-query".to_owned()));
    assert_eq!(slug(&pick("?policy=best").await), (400, "invalid-query".to_owned()));
    assert_eq!(slug(&pick("?all=true").await), (400, "invalid-query".to_owned()));
    assert_eq!(pick("?all=false").await.status, 200);
    let none = pick("?tag=red").await;
    assert_eq!(slug(&none), (503, "no-serving-instance".to_owned()));
    assert!(revision(&none) > 0 && none.header("age") == Some("0"), "{none:?}");
    assert!(none.header("x-rollcall-source") == Some("live") && none.header("retry-after").is_some());
    assert_eq!(slug(&pod.get("/v1/services/nothing/pick").await), (404, "unknown-service".to_owned()));

    let report = async |service: &str, instance: &str, latency: &str, outcome: &str| {
        post(&pod, &format!(r#"{{"service":"{service}","instance":"{instance}","latencyMs":{latency},"outcome":"{outcome}"}}"#)).await
    };
    assert_eq!(report("orders", "u1-8080", "12.5", "success").await.status, 204);
    assert_eq!(report("orders.shop", "u2-8080", "9000000000000", "failure").await.status, 204);
    for (answer, expected) in [
        (report("nothing", "u1-8080", "1", "success").await, (404, "unknown-service")),
        (report("orders", "u9-8080", "1", "success").await, (404, "unknown-instance")),
        (report("orders", "u1-8080", "-1", "success").await, (422, "invalid-field")),
        (report("orders", "u1-8080", "1", "great").await, (422, "invalid-field")),
        (report("Orders", "u1-8080", "1", "success").await, (422, "invalid-field")),
        (report("orders", "u1-8080", "\"1\"", "success").await, (422, "invalid-field")),
        (post(&pod, r#"{"service":"orders","instance":7}"#).await, (422, "invalid-field")),
        (post(&pod, "{}").await, (422, "invalid-field")),
        (post(&pod, "{").await, (400, "invalid-body")),
    ] {
        assert_eq!(slug(&answer), (expected.0, expected.1.to_owned()), "{answer:?}");
        assert!(expected.0 != 422 || body(&answer)["field"].is_string(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_are_not_allowed_are_told_which_are() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    for (target, allow) in [
        ("/", "GET, HEAD"),
        ("/v1/services/orders", "GET, HEAD"),
        ("/v1/services/orders/pick", "GET, HEAD"),
        ("/v1/report", "POST"),
        ("/v1/self", "GET, HEAD, PUT, DELETE"),
        ("/v1/self/orders", "PUT, DELETE"),
        ("/v1/self/health", "PUT"),
        ("/v1/self/drain", "POST, DELETE"),
    ] {
        let answer = pod.ask(&format!("PATCH {target} HTTP/1.1\r\nHost: localhost\r\n")).await;
        assert_eq!(slug(&answer), (405, "method-not-allowed".to_owned()), "{target}");
        assert_eq!(answer.header("allow"), Some(allow), "{target}");
    }
    let preflight = "OPTIONS /v1/self HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n";
    let answer = pod.ask(preflight).await;
    assert!(answer.status == 403 && answer.header("access-control-allow-origin").is_none(), "{answer:?}");
}

/// The next event of a stream, comments left out.
async fn event(stream: &mut TcpStream, held: &mut String) -> String {
    let read = async {
        loop {
            if let Some((event, rest)) = held.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                *held = rest;
                // The size of a chunk stands before it.
                if let Some(begin) = event.find("event: ") {
                    return event[begin..].to_owned();
                }
                continue;
            }
            let mut chunk = [0; 4_096];
            let length = stream.read(&mut chunk).await.unwrap();
            assert!(length > 0, "closed after {held}");
            held.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        }
    };
    timeout(Duration::from_secs(20), read).await.unwrap()
}

async fn watch(pod: &Pod, line: &str) -> TcpStream {
    let mut stream = TcpStream::connect(pod.api).await.unwrap();
    let head = format!("GET /v1/services/orders/watch HTTP/1.1\r\nHost: localhost\r\n{line}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_all_then_changes_and_goes_on_where_it_was() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let (mut stream, mut held) = (watch(&pod, "").await, String::new());
    let first = event(&mut stream, &mut held).await;
    assert!(first.starts_with("event: snapshot\nid: ") && first.contains("u1-8080"), "{first}");
    // A change that nothing is seen of has an id and no event; the first that is seen brings the third instance.
    if !first.contains("u3-8080") {
        let next = event(&mut stream, &mut held).await;
        assert!(next.starts_with("event: upsert\nid: ") && next.contains("u3-8080"), "{next}");
    }
    drop(stream);
    let id = revision(&pod.orders().await);
    let (mut stream, mut held) =
        (watch(&pod, &format!("Last-Event-ID: {}\r\n", id - 1)).await, String::new());
    assert!(event(&mut stream, &mut held).await.starts_with("event: snapshot\n"), "it missed something");

    assert_eq!(pod.get("/v1/services/nothing/watch").await.status, 404);
    assert_eq!(slug(&pod.get("/v1/services/orders/watch?index=1").await).0, 400);
    let head = pod.ask("HEAD /v1/services/orders/watch HTTP/1.1\r\nHost: localhost\r\n").await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));

    // As many as there may be, and one more.
    let mut open = Vec::new();
    for _ in 0..127 {
        open.push(watch(&pod, "").await);
    }
    eventually("the last place is taken", async || {
        pod.ask("HEAD /v1/services/orders/watch HTTP/1.1\r\nHost: localhost\r\n").await.status == 503
    })
    .await;
    drop(open);
    eventually("the places are free again", async || {
        pod.ask("HEAD /v1/services/orders/watch HTTP/1.1\r\nHost: localhost\r\n").await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_opens_when_all_is_there() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let gate = async |query: &str| pod.get(&format!("/v1/ready?{query}")).await;
    let open = gate("deps=orders>=2,orders.shop").await;
    assert_eq!((open.status, body(&open)["ready"].clone()), (200, true.into()));
    let begin = Instant::now();
    let shut = gate("deps=orders>=2,nothing>=3&wait=300ms").await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(shut.status, 503);
    assert_eq!(body(&shut)["deps"][1], serde_json::json!({"service":"nothing","need":3,"have":0}));
    // The next heartbeat brings the third.
    let later = gate("deps=orders%3E%3D3&wait=60s").await;
    assert_eq!((later.status, body(&later)["deps"][0]["have"].clone()), (200, 3.into()));
    for bad in ["", "deps=", "deps=orders>=0", "deps=Orders", "deps=orders&x=1", "deps=orders&wait=1h"] {
        assert_eq!(slug(&gate(bad).await), (400, "invalid-query".to_owned()), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_is_asked_what_only_it_knows() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let list = pod.get("/v1/services").await;
    assert_eq!(
        list.body,
        r#"{"services":[{"service":"bills","namespace":"bank","versions":["1.0.0"],"serving":2,"total":3},{"service":"orders","namespace":"shop","versions":["1.0.0"],"serving":2,"total":3}],"partial":false}"#
    );
    let etag = list.header("etag").unwrap();
    let same = format!("GET /v1/services HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {etag}\r\n");
    assert_eq!(pod.ask(&same).await.status, 304);

    let found = body(&pod.get("/v1/instances?address=10.0.0.77").await);
    assert_eq!((&found["instances"][0]["service"], &found["partial"]), (&"orders".into(), &false.into()));
    let explained = body(&pod.get("/v1/explain/orders").await);
    assert_eq!(
        (&explained["instances"][0]["witnesses"]["pod"], &explained["partial"]),
        (&"ready".into(), &false.into())
    );
    assert_eq!(explained["instances"][0]["sinceSeconds"], 7);
    assert_eq!(slug(&pod.get("/v1/explain/orders/u7-8080").await), (404, "unknown-instance".to_owned()));
    assert_eq!(slug(&pod.get("/v1/explain/nothing").await), (404, "unknown-service".to_owned()));
    assert_eq!(slug(&pod.get("/v1/explain/No").await), (400, "invalid-query".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_controller_what_is_held_is_told() {
    let authority = Authority::generate("test").unwrap();
    let (played, pod) = with_orders(&authority).await;
    assert_eq!(body(&pod.get("/v1/services").await)["partial"], false);
    drop(played);
    eventually("it is away", async || pod.orders().await.header("age") != Some("0")).await;
    let services = body(&pod.get("/v1/services").await);
    // The whole list that was told last, which may lack some by now.
    assert_eq!((&services["services"][1]["service"], &services["partial"]), (&"orders".into(), &true.into()));
    let found = body(&pod.get("/v1/instances?address=10.0.0.2").await);
    assert_eq!((&found["instances"][0]["id"], &found["partial"]), (&"u2-8080".into(), &true.into()));
    let explained = body(&pod.get("/v1/explain/orders/u1-8080").await);
    assert_eq!(explained["instances"][0]["witnesses"]["pod"], "unknown");
    assert_eq!((&explained["instances"][0]["served"], &explained["partial"]), (&true.into(), &true.into()));
    assert_eq!(slug(&pod.get("/v1/explain/orders/u7-8080").await), (404, "unknown-instance".to_owned()));
    assert_eq!(slug(&pod.get("/v1/explain/nothing").await), (503, "not-synced".to_owned()));

    let old = pod.get("/v1/services/orders?max-age=0").await;
    assert_eq!(slug(&old), (503, "too-old".to_owned()));
    assert!(old.header("age").is_some() && old.header("retry-after").is_some(), "{old:?}");
    assert_eq!(pod.get("/v1/services/orders?max-age=3600").await.status, 200);
    assert_eq!(pod.get("/v1/services/orders/pick").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_session_nothing_is_said_to_be_there_or_not() {
    let authority = Authority::generate("test").unwrap();
    // Nobody listens there.
    let pod = Pod::start(&authority, ([127, 0, 0, 1], 9).into(), "u9").await;
    let begin = Instant::now();
    for target in ["/v1/services", "/v1/instances?address=10.0.0.1"] {
        let answer = pod.get(target).await;
        assert_eq!(slug(&answer), (503, "not-synced".to_owned()), "{target}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{target}");
    }
    assert!(begin.elapsed() >= Duration::from_secs(2), "each waits as a first lookup does");
    let classic = pod.get("/orders/1.1.0/getaddresses").await;
    assert_eq!((classic.status, &body(&classic)["success"]), (503, &false.into()));
    assert_eq!(classic.header("retry-after"), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_disk_alone_backs_says_so() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (played, _pod) = with_orders(&authority).await;
    let process = volumes.start(played.address).await;
    eventually("it is in step", async || process.orders().await.header("age") == Some("0")).await;
    let targets = ["/v1/services", "/v1/instances?address=10.0.0.1", "/v1/ready?deps=orders"];
    for target in targets {
        assert_eq!(process.get(target).await.header("x-rollcall-source"), Some("live"), "{target}");
    }
    eventually("it is kept", async || volumes.keeps("orders.shop")).await;
    process.kill();
    let address = played.address;
    drop(played);
    let process = volumes.start(address).await;
    for target in targets {
        let answer = process.get(target).await;
        assert_eq!((answer.status, answer.header("x-rollcall-source")), (200, Some("disk")), "{target}");
        assert!(answer.body.contains("\"partial\":true") || target.contains("ready"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_lookup_is_one_of_the_catalogue_and_is_counted() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let found = pod.get("/orders/1.1.0/getaddresses").await;
    assert_eq!((found.status, found.body.as_str()), (200, r#"{"addresses":["10.0.0.1:8080"]}"#));
    assert!(revision(&found) > 0 && found.header("etag").is_some(), "{found:?}");
    let of_no_such_version = pod.get("/orders/9.9.9/getaddresses").await;
    assert!(of_no_such_version.status == 404 && revision(&of_no_such_version) > 0);
    let of_nobody = pod.get("/nothing/1.1.0/getaddresses").await;
    assert!(of_nobody.status == 404 && of_nobody.header("x-rollcall-revision").is_none());
    for answer in [found, of_no_such_version, of_nobody] {
        assert_eq!((answer.header("age"), answer.header("x-rollcall-source")), (Some("0"), Some("live")));
    }
    let metrics = request(pod.health, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(metrics.body.contains("rollcall_lookups_total{api=\"classic\"} 3\n"), "{}", metrics.body);
}

/// More names that nobody registers than are held, each waited for: those that are held stay, and the others find no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_an_unknown_name_keeps_its_place() {
    let authority = Authority::generate("test").unwrap();
    let (played, pod) = with_orders(&authority).await;
    let api = pod.api;
    let mut waiting = JoinSet::new();
    let mut ask = |target: String| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n");
        waiting.spawn(async move { request(api, &head).await });
    };
    // A few at a time: each has its first answer in time, on any machine.
    for batch in 0..20 {
        (0..10).for_each(|number| ask(format!("/v1/services/n{batch}-{number}?index=1&wait=5m")));
        let subscriptions = format!("rollcall_subscriptions {}\n", 1 + (batch + 1) * 10);
        eventually("all are subscribed to", async || {
            let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
            request(pod.health, metrics).await.body.contains(&subscriptions)
        })
        .await;
    }
    let gated: Vec<_> = (0..64).map(|number| format!("g{number}")).collect();
    ask(format!("/v1/ready?deps={}&wait=5m", gated.join(",")));
    eventually("there is no room", async || {
        slug(&pod.get("/v1/services/more").await) == (503, "limit-reached".to_owned())
    })
    .await;
    assert!(waiting.try_join_next().is_none(), "they wait");
    let asked = |frame: &Up| match frame {
        Up::Subscribe { services, .. } => services.len(),
        _ => 0,
    };
    let asked: usize = played.heard().iter().map(asked).sum();
    assert!((256..300).contains(&asked), "{asked} names were subscribed to");
}
