//! The sidecar as a process, with nobody to ask: what it answers from, and that it costs nothing.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use rollcall_controller::Authority;

use crate::{
    ANY,
    bench::{
        Answer, Controller, Process, Volumes, eventually, gone, pod, request, request_with, seen, token_of,
    },
};

/// The promise for a release build on a machine that does nothing else; what is tested is that nobody is waited for, which
/// would take a second at least.
const FIRST_ANSWER_MAX: Duration = Duration::from_millis(900);

fn age(answer: &Answer) -> u64 {
    answer.header("age").unwrap().parse().unwrap()
}

fn revision(answer: &Answer) -> u64 {
    answer.header("x-rollcall-revision").unwrap().parse().unwrap()
}

/// A controller that knows `orders` with one pod, and pod 9 with this sidecar.
async fn controller(authority: &Authority) -> Controller {
    Controller::start(authority, ANY, vec![pod(1, Some(8080)), pod(9, None)]).await
}

/// Volumes on which a sidecar has left `orders`, and nobody to ask any more.
async fn left_behind(authority: &Authority) -> (Volumes, Controller, Answer) {
    let volumes = Volumes::new(authority);
    let controller = controller(authority).await;
    let process = volumes.start(controller.address).await;
    eventually("the first lookup", async || process.orders().await.status == 200).await;
    assert_eq!(process.get("/v1/services/nobody").await.status, 404);
    eventually("it is kept", async || volumes.keeps("orders.shop")).await;
    let before = process.orders().await;
    assert_eq!((before.header("age"), before.header("x-rollcall-source")), (Some("0"), Some("live")));
    process.kill();
    (volumes, controller, before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_sidecar_answers_from_the_disk_before_anybody_is_reached_and_then_follows() {
    let authority = Authority::generate("test").unwrap();
    let (volumes, first, before) = left_behind(&authority).await;
    let address = first.address;
    first.stop().await;

    let process = volumes.start(address).await;
    let (answer, took) = process.first_answer().await;
    assert_eq!((answer.status, &answer.body), (200, &before.body));
    assert_eq!(answer.header("x-rollcall-source"), Some("disk"));
    assert!(age(&answer) >= 1 && took < FIRST_ANSWER_MAX, "{took:?}");
    assert_eq!(process.get("/v1/services/orders.shop").await.status, 200, "it knows where it is");
    assert_eq!(process.get("/readyz").await.status, 503);
    let nobody = process.get("/v1/services/nobody").await;
    assert_eq!(nobody.status, 503, "that there was none is not kept: {}", nobody.body);

    // Pod 1 is gone meanwhile, and pod 2 is there.
    let next = Controller::start(&authority, address, vec![pod(2, Some(8080)), pod(9, None)]).await;
    eventually("the new state", async || process.orders().await.addresses() == ["10.0.0.2"]).await;
    eventually("in step", async || process.get("/readyz").await.status == 200).await;
    let after = process.orders().await;
    assert_eq!((after.header("x-rollcall-source"), age(&after)), (Some("live"), 0));
    assert!(revision(&after) > revision(&before), "revisions grow over a restart of both");
    next.stop().await;
}

/// A request with this body, as the app says something of itself.
async fn say(process: &Process<'_>, line: &str, body: &str) -> u16 {
    let length = body.len();
    let json = "Content-Type: application/json";
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{json}\r\nContent-Length: {length}\r\n");
    request_with(process.api, &head, body).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apps_last_words_outlive_a_kill_and_are_no_other_pods() {
    let volumes = Volumes::new(&Authority::generate("test").unwrap());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(volumes.token(), token_of("u9")).unwrap();
    let words = [
        ("PUT /v1/self", r#"{"service":"web","ports":{"http":8080}}"#, 202),
        ("PUT /v1/self", r#"{"service":"shop","ports":{"http":8081}}"#, 202),
        ("PUT /v1/self/health", r#"{"state":"failing"}"#, 204),
        ("PUT /v1/self/health", r#"{"state":"serving"}"#, 204),
        ("DELETE /v1/self/web", "", 204),
    ];
    // Nobody has waited for the disk but who asked.
    let mut known = String::new();
    for (line, body, status) in words {
        let process = volumes.start(nobody).await;
        let shown = process.get("/v1/self").await.body;
        assert!(known.is_empty() || shown == known, "before {line} {body}: {shown} and not {known}");
        assert_eq!(say(&process, line, body).await, status, "{line} {body}");
        known = process.get("/v1/self").await.body;
        process.kill();
    }
    assert!(known.contains("shop") && !known.contains("web") && !known.contains("failing"), "{known}");

    fs::write(volumes.token(), token_of("u8")).unwrap();
    let process = volumes.start(nobody).await;
    let other = process.get("/v1/self").await.body;
    assert!(!other.contains("shop"), "{other}");
    let logged = process.terminate();
    assert_eq!(logged.iter().filter(|line| line.contains("another pod's")).count(), 1, "{logged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_pods_state_is_not_answered_from() {
    let (volumes, controller, _) = left_behind(&Authority::generate("test").unwrap()).await;
    controller.stop().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (uid, status) in [("u8", 503), ("u9", 200)] {
        fs::write(volumes.token(), token_of(uid)).unwrap();
        let process = volumes.start(nobody).await;
        assert_eq!(process.first_answer().await.0.status, status, "{uid}");
        process.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_controller_lookups_go_on_age_and_cost_nothing() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let controller = controller(&authority).await;
    let address = controller.address;
    let process = volumes.start(address).await;
    eventually("the first lookup", async || process.orders().await.status == 200).await;
    let before = process.orders().await;
    controller.stop().await;
    eventually("the loss is seen", async || age(&process.orders().await) > 0).await;
    let (begin, spent) = (Instant::now(), process.processor_time());
    let mut last = 0;
    eventually("it ages", async || {
        let answer = process.orders().await;
        assert_eq!((answer.status, &answer.body), (200, &before.body), "the last state goes on");
        assert!(age(&answer) >= last, "it never gets younger");
        last = age(&answer);
        last >= 5
    })
    .await;
    // The lookups of this test are a thousand or so; a loop without a pause would take all of it.
    let spent = process.processor_time() - spent;
    assert!(spent < begin.elapsed() * 3 / 4, "{spent:?} of {:?}", begin.elapsed());
    let metrics = request(process.health, "GET /metrics HTTP/1.1\r\nHost: a\r\n").await;
    assert!(metrics.body.contains("rollcall_session_state{state=\"lost\"} 1"), "{}", metrics.body);
    assert!(!metrics.body.contains("orders") && !metrics.body.contains("10.0.0.1"), "{}", metrics.body);

    // What has changed meanwhile is merged, and what has not stays as it was.
    let next = Controller::start(&authority, address, vec![pod(1, Some(8080)), pod(9, None)]).await;
    eventually("in step", async || process.get("/readyz").await.status == 200).await;
    eventually("as before", async || {
        let answer = process.orders().await;
        answer.addresses() == ["10.0.0.1"] && age(&answer) == 0
    })
    .await;
    next.apply(seen(pod(2, Some(8080)))).await;
    next.apply(gone("u1")).await;
    eventually("it follows", async || process.orders().await.addresses() == ["10.0.0.2"]).await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_no_good_is_not_believed_and_is_replaced() {
    let authority = Authority::generate("test").unwrap();
    let (volumes, controller, _) = left_behind(&authority).await;
    let good = fs::read(volumes.state()).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x20;
    let aside = volumes.state().with_file_name("aside");
    for (bytes, says) in [
        (Some(flipped), "is damaged"),
        (Some(good[..good.len() - 1].to_vec()), "is damaged"),
        (Some(b"rollcall state2\n{}\n".to_vec()), "is damaged"),
        (Some(Vec::new()), "is damaged"),
        (None, "not a file of this user alone"),
    ] {
        fs::remove_file(volumes.state()).unwrap();
        match bytes {
            Some(bytes) => fs::write(volumes.state(), bytes).unwrap(),
            None => {
                fs::write(&aside, &good).unwrap();
                symlink(&aside, volumes.state()).unwrap();
            }
        }
        let process = volumes.start(nobody).await;
        let (answer, _) = process.first_answer().await;
        assert_eq!(answer.status, 503, "{says}: {}", answer.body);
        let logged = process.terminate();
        let warned = logged.iter().filter(|line| line.contains(says)).count();
        assert_eq!(warned, 1, "{says}: {logged:?}");
    }
    let process = volumes.start(controller.address).await;
    eventually("the first lookup", async || process.orders().await.status == 200).await;
    let replaced = || !volumes.state().is_symlink() && volumes.keeps("orders.shop");
    eventually("a new state is kept", async || replaced()).await;
    assert_eq!(fs::read(&aside).unwrap(), good, "what the link meant is as it was");
    process.kill();
    let again = volumes.start(nobody).await;
    assert_eq!(again.first_answer().await.0.status, 200);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_be_written_costs_one_warning() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let controller = controller(&authority).await;
    // A place where nobody can make a file, not even root.
    let process = volumes.start_with(controller.address, Path::new("/proc/self")).await;
    eventually("the first lookup", async || process.orders().await.status == 200).await;
    let tried = async || process.get("/readyz").await.status == 200 && age(&process.orders().await) == 0;
    eventually("in step", tried).await;
    // The end writes once more, and the first write that fails is the one that is said.
    let logged = process.terminate();
    let warned: Vec<_> = logged.iter().filter(|line| line.contains("the state is not kept")).collect();
    assert_eq!(warned.len(), 1, "{logged:?}");
    assert!(warned[0].contains("ROLLCALL_STATE_DIR"), "{warned:?}");
    controller.stop().await;
}
