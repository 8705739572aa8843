//! HTTP as it should not be: what comes of each, on both loopbacks, byte by byte.

use std::{net::SocketAddr, time::Duration};

use rollcall_controller::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    bench::{Answer, Pod, eventually},
    service::with_orders,
};

/// So long without a byte, and the connection counts as kept open.
const QUIET: Duration = Duration::from_millis(400);

/// Holds what was said on a connection, and whether it was closed then.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    statuses: Vec<u16>,
    closed: bool,
}

/// Says these bytes, and listens until nothing comes.
async fn talk(address: SocketAddr, bytes: &[u8]) -> (Said, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Who is refused early may be hung up on while he still speaks.
    let _ = stream.write_all(bytes).await;
    let (mut text, mut closed) = (Vec::new(), true);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match timeout(QUIET, stream.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(length)) => text.extend_from_slice(&chunk[..length]),
            Err(_) => {
                closed = false;
                break;
            }
        }
    }
    let text = String::from_utf8(text).unwrap();
    // Whichever of the two versions it is.
    let status = |part: &str| part.get(2..5).and_then(|status| status.parse().ok());
    let statuses = text.split("HTTP/1.").skip(1).filter_map(status).collect();
    (Said { statuses, closed }, text)
}

fn open(statuses: &[u16]) -> Said {
    Said { statuses: statuses.to_vec(), closed: false }
}

fn closed(statuses: &[u16]) -> Said {
    Said { statuses: statuses.to_vec(), closed: true }
}

/// Two requests; nothing of the second is heard where the first is a trick.
fn table() -> Vec<(&'static str, String, Said)> {
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let get = |lines: &str| format!("GET /healthz HTTP/1.1\r\n{lines}\r\n\r\n");
    let post = |lines: &str, body: &str| {
        format!(
            "POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}\r\n\r\n{body}"
        )
    };
    let report = r#"{"service":"orders","instance":"u1-8080","latencyMs":5,"outcome":"success"}"#;
    let length = report.len();
    let chunk = format!("{length:x}\r\n{report}\r\n0\r\n\r\n");
    let many: String = (0..200).map(|number| format!("\r\nX-{number}: 1")).collect();
    vec![
        ("one after the other", format!("{good}{good}"), open(&[200, 200])),
        ("rubbish in the middle", format!("{good}RUBBISH\r\n\r\n{good}"), closed(&[200, 400])),
        ("nothing but rubbish", "\u{16}\u{3}\u{1}\u{2}hello".to_owned(), closed(&[400])),
        ("HTTP/2 by surprise", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), closed(&[])),
        ("another version", "GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n".to_owned(), closed(&[400])),
        ("no version", "GET /healthz\r\n\r\n".to_owned(), closed(&[400])),
        // Who may ask.
        ("no Host", get("Accept: */*"), open(&[403])),
        ("two Hosts", get("Host: localhost\r\nHost: localhost"), open(&[403])),
        ("two Hosts that differ", get("Host: localhost\r\nHost: evil.example"), open(&[403])),
        ("a foreign Host", get("Host: evil.example"), open(&[403])),
        ("a Host that begins well", get("Host: 127.0.0.1.evil.example"), open(&[403])),
        ("a Host in capitals", get("Host: LOCALHOST:80"), open(&[200])),
        ("a Host with a user", get("Host: localhost@evil.example"), open(&[403])),
        ("an Origin", get("Host: localhost\r\nOrigin: http://localhost:7300"), open(&[403])),
        ("a null Origin", get("Host: localhost\r\nOrigin: null"), open(&[403])),
        ("a page's image", get("Host: localhost\r\nSec-Fetch-Site: cross-site"), open(&[403])),
        (
            "an absolute target elsewhere",
            "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            open(&[403]),
        ),
        (
            "an absolute target here",
            "GET http://127.0.0.1:7300/healthz HTTP/1.1\r\nHost: 127.0.0.1:7300\r\n\r\n".to_owned(),
            open(&[200]),
        ),
        ("old HTTP without a Host", "GET /healthz HTTP/1.0\r\n\r\n".to_owned(), closed(&[403])),
        // Where one request ends.
        ("two lengths", post("Content-Length: 4\r\nContent-Length: 5", "abcde"), closed(&[400])),
        ("a length below nothing", post("Content-Length: -1", ""), closed(&[400])),
        ("a length with a sign", post("Content-Length: +4", "abcd"), closed(&[400])),
        ("two lengths in one", post("Content-Length: 4, 5", "abcde"), closed(&[400])),
        ("a huge length", post("Content-Length: 99999999999999999999", ""), closed(&[400])),
        (
            "a length and chunks: the chunks count, and nothing behind them",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{good}")),
            closed(&[400]),
        ),
        (
            "chunks and a length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4", &format!("{chunk}{good}")),
            closed(&[400]),
        ),
        (
            "a length and chunks",
            post("content-length: 4\r\ntransfer-encoding: chunked", &format!("{chunk}{good}")),
            closed(&[400]),
        ),
        (
            "both where no body is wanted",
            get("Host: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked") + "0\r\n\r\n" + good,
            closed(&[400]),
        ),
        (
            "both behind another request",
            format!("{good}{}", post("Content-Length: 4\r\nTransfer-Encoding: chunked", &chunk)),
            closed(&[200, 400]),
        ),
        ("chunks that are not the last coding", post("Transfer-Encoding: chunked, gzip", good), closed(&[400])),
        ("another coding", post("Transfer-Encoding: xchunked", good), closed(&[400])),
        ("a chunk without a size", post("Transfer-Encoding: chunked", "zz\r\n\r\n"), closed(&[400])),
        ("a chunk that is too large to count", post("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nx"), closed(&[400])),
        (
            "a body in chunks",
            post("Transfer-Encoding: chunked", &format!("{chunk}{good}")),
            open(&[204, 200]),
        ),
        ("a body that is told of first", post(&format!("Expect: 100-continue\r\nContent-Length: {length}"), report), open(&[100, 204])),
        ("a body where none is wanted", format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc{good}"), open(&[200, 200])),
        // The head.
        ("a line that goes on", get("Host: localhost\r\nX-A: 1\r\n 2"), closed(&[400])),
        ("a space before the colon", get("Host : localhost"), closed(&[400])),
        ("a bare return", "GET /healthz HTTP/1.1\r\nHost: localhost\rX: 1\r\n\r\n".to_owned(), closed(&[400])),
        // RFC 9112 lets a reader take it for the end of a line; nobody stands before us who could read it otherwise.
        ("bare line feeds", format!("GET /healthz HTTP/1.1\nHost: localhost\n\n{good}"), open(&[200, 200])),
        ("a NUL", get("Host: localhost\r\nX: a\0b"), closed(&[400])),
        ("many headers", get(&format!("Host: localhost{many}")), closed(&[431])),
        ("a giant header", get(&format!("Host: localhost\r\nX: {}", "a".repeat(64 << 10))), closed(&[431])),
        ("a giant target", format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(64 << 10)), closed(&[431])),
        // Methods and paths.
        ("a tunnel", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[404])),
        ("a question to all", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[404])),
        ("a trace", "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[405])),
        ("a method of its own", "DANCE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[405])),
        ("an upgrade", get("Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade"), open(&[200])),
        ("steps upwards", "GET /v1/../healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[404])),
        ("a fragment", "GET /healthz#x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), open(&[200])),
        (
            "what no URI may hold, as curl and Go send it",
            "GET /v1/services/orders?version=>=1.0 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            open(&[200]),
        ),
        (
            "the same, behind others",
            format!("{good}{}GET /v1/services/orders?version=>=1.0 HTTP/1.1\r\nHost: localhost\r\n\r\n", post(&format!("Content-Length: {length}"), report)),
            open(&[200, 204, 200]),
        ),
        ("a form", "POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}".to_owned(), open(&[415])),
        ("a deep body", post("Content-Length: 10000", &"[".repeat(10_000)), open(&[400])),
        ("a number that is none", post("Content-Length: 5", "1e999"), open(&[400])),
        ("a large body", post("Content-Length: 70000", &"x".repeat(70_000)), closed(&[413])),
        ("a body that is said to be large", post("Content-Length: 1000000000", ""), closed(&[413])),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_and_what_is_one_is_answered() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let addresses: Vec<_> = [pod.api].into_iter().chain(pod.api_v6).collect();
    let mut wrong = Vec::new();
    for address in addresses {
        let all = table().into_iter().map(|(what, bytes, expected)| async move {
            (what, talk(address, bytes.as_bytes()).await, expected)
        });
        for (what, (said, text), expected) in futures::future::join_all(all).await {
            if said != expected {
                wrong.push(format!("{what} at {address}: {said:?} in place of {expected:?}: {text}"));
            }
        }
        assert_eq!(pod.get("/healthz").await.status, 200, "and it goes on");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is quoted of a request cannot become a page: it is JSON, and said to be nothing else.
fn harmless(what: &str, answer: &Answer) {
    if answer.body.contains("<script>") {
        let kind = answer.header("content-type").unwrap();
        assert!(matches!(kind, "application/json" | "application/problem+json"), "{what}: {kind}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    }
    assert!(!answer.head.contains("script"), "{what}: {}", answer.head);
    assert!(answer.body.len() < 2_000, "{what}: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_does_not_come_back_as_a_page() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    for target in [
        "/<script>",
        "/v1/services/<script>",
        "/v1/services/orders?<script>=1",
        "/v1/services/orders?zone=<script>",
        "/v1/services/orders?port=<script>",
        "/v1/services/orders?version=<script>",
        "/v1/services/orders?all=<script>",
        "/v1/services/orders?index=<script>",
        "/v1/services/orders?wait=<script>",
        "/v1/services/orders/pick?policy=<script>",
        "/v1/explain/orders/<script>",
        "/v1/instances?address=<script>",
        "/v1/ready?deps=<script>",
        "/v1/ready?deps=orders>=<script>",
        "/v1/services/%0d%0aset-cookie:%20a",
        "/v1/services/%3Cscript%3E",
        "/v1/services/orders",
    ] {
        let answer = pod.get(target).await;
        assert!(answer.status >= 200 && answer.header("set-cookie").is_none(), "{target}: {answer:?}");
        harmless(target, &answer);
    }
    for line in [
        "Host: <script>",
        "Host: localhost\r\nOrigin: <script>",
        "Host: localhost\r\nIf-None-Match: <script>",
    ] {
        harmless(line, &pod.ask(&format!("GET /v1/services/orders HTTP/1.1\r\n{line}\r\n")).await);
    }
    for body in [
        "<script>".to_owned(),
        r#"{"<script>":1}"#.to_owned(),
        r#"{"service":"<script>","instance":"a","latencyMs":1,"outcome":"success"}"#.to_owned(),
        r#"{"service":"orders","instance":"<script>","latencyMs":1,"outcome":"success"}"#.to_owned(),
        r#"{"service":"orders","instance":"u1-8080","latencyMs":1,"outcome":"<script>"}"#.to_owned(),
    ] {
        let answer = post(&pod, &body).await;
        assert!(answer.status >= 400, "{body}: {answer:?}");
        harmless(&body, &answer);
    }
}

/// A report with this body.
pub async fn post(pod: &Pod, body: &str) -> Answer {
    let length = body.len();
    let head = "POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let (_, text) =
        talk(pod.api, format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes()).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_that_he_is_done_is_answered() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    // At once, and after a wait.
    for (target, status) in [("orders", "200"), ("nothing?index=1&wait=300ms", "404")] {
        let mut stream = TcpStream::connect(pod.api).await.unwrap();
        let head = format!("GET /v1/services/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        timeout(Duration::from_secs(5), stream.read_to_string(&mut text)).await.unwrap().unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {text}");
    }

    // Who waits for long and hangs up gives his place back: there are 256 of them.
    for _ in 0..3 {
        let mut waiting = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(pod.api).await.unwrap();
            let head = b"GET /v1/services/nothing?index=1&wait=10m HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(head).await.unwrap();
            waiting.push(stream);
        }
        drop(waiting);
        eventually("all places are free", async || {
            let asked = (0..200).map(|_| pod.get("/v1/services/nothing?index=1&wait=1ms"));
            futures::future::join_all(asked).await.iter().all(|answer| answer.status == 404)
        })
        .await;
    }
}
