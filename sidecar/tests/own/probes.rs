use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use crate::{
    bench::{eventually, seen as change},
    *,
};

/// The promise: who has crashed is out of the lookups.
const CRASHED: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_crashes_leaves_the_lookups_of_others() {
    let Some(outward) = outward() else { return };
    let shop = Shop::open().await;
    let mut listener = TcpListener::bind((outward, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut facts = pod(2, Some(port));
    facts.addresses = [outward].into();
    shop.controller.apply(change(facts)).await;
    let app = Pod::start(&shop.authority, shop.controller.address, "u2").await;
    let mut times = Vec::new();
    for _ in 0..10 {
        let mut serving = JoinSet::new();
        let here = listener;
        serving.spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = here.accept().await {
                kept.push(stream);
            }
        });
        eventually("it serves", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
        eventually("it was asked", async || {
            json(&app.get("/v1/self").await)["registrations"][0]["health"] == "passing"
        })
        .await;
        let begin = Instant::now();
        serving.shutdown().await;
        eventually("it is out", async || shop.consumer.orders().await.addresses().is_empty()).await;
        times.push(begin.elapsed());
        assert_eq!(seen(&shop.consumer, "orders").await, "Failing ProbeRefused");
        listener = TcpListener::bind((outward, port)).await.unwrap();
    }
    times.sort();
    assert!(times[times.len() / 2] < CRASHED, "{times:?}");
}

/// A server as frameworks begin with: it serves one connection after the other, and waits for as long as its caller says nothing.
const ONE_AT_A_TIME: &str = "
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class App(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
    def log_message(self, *said):
        pass
server = HTTPServer((sys.argv[1], 0), App)
print(server.server_port, flush=True)
server.serve_forever()
";

/// Longer than a user of an idle server ever waits, on a machine that does other things too; a probe's time is 1 s.
const STALL_MAX: Duration = Duration::from_millis(500);

/// A process that ends with the test.
struct App(Child);

impl App {
    fn start(at: IpAddr) -> (Self, u16) {
        let mut python = Command::new("python3");
        python.args(["-u", "-c", ONE_AT_A_TIME, &at.to_string()]).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap_or_else(|error| panic!("this test needs python3: {error}"));
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        (Self(child), port.trim().parse().unwrap())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_serves_one_caller_at_a_time_is_never_kept_from_its_users() {
    let Some(outward) = outward() else { return };
    let shop = Shop::open().await;
    let (mut python, port) = App::start(outward);
    let mut facts = pod(2, Some(port));
    facts.addresses = [outward].into();
    shop.controller.apply(change(facts)).await;
    let app = Pod::start(&shop.authority, shop.controller.address, "u2").await;
    eventually("it was asked", async || {
        json(&app.get("/v1/self").await)["registrations"][0]["health"] == "passing"
    })
    .await;
    eventually("it serves", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    // Ten probes, and more looks.
    while begin.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        let user = bench::request((outward, port).into(), "GET / HTTP/1.1\r\nHost: a\r\n");
        let answer = timeout(Duration::from_secs(3), user).await.expect("its users wait for us");
        assert_eq!(answer.body, "ok");
        longest = longest.max(asked.elapsed());
        assert_eq!(seen(&shop.consumer, "orders").await, "Serving Ready");
    }
    assert!(longest < STALL_MAX, "{longest:?}");

    python.0.kill().unwrap();
    eventually("it is out", async || shop.consumer.orders().await.addresses().is_empty()).await;
    assert_eq!(seen(&shop.consumer, "orders").await, "Failing ProbeRefused");
}
