//! What a pod says of itself, over its sidecar's port and a real session, as its own callers and others see it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a test's helpers are tests too, and other tests use the rest of them"
)]

#[path = "../bench/mod.rs"]
mod bench;
mod classic;
mod declared;
mod machine;
mod probes;
mod registrations;

use std::net::{IpAddr, SocketAddr, UdpSocket};

use bench::{Answer, Controller, Pod, eventually, pod};
use rollcall_controller::Authority;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// Headers of a request as a program of this machine sends it.
const LOCAL: &str = "Host: localhost\r\nContent-Type: application/json\r\n";

/// A controller that knows a consumer, pod 9, and pod 1 that is nothing yet; and the sidecars of both, in session.
struct Shop {
    authority: Authority,
    controller: Controller,
    consumer: Pod,
    app: Pod,
}

impl Shop {
    async fn open() -> Self {
        Self::with_flags(&[]).await
    }

    /// With these flags of the sidecar of pod 1.
    async fn with_flags(flags: &[String]) -> Self {
        let authority = Authority::generate("test").unwrap();
        let controller = Controller::start(&authority, ANY, vec![pod(1, None), pod(9, None)]).await;
        let consumer = Pod::start(&authority, controller.address, "u9").await;
        let app = Pod::with_flags(&authority, controller.address, "token-of-u1", flags).await;
        // What it says before that may be answered before the controller's word is there.
        for pod in [&consumer, &app] {
            eventually("it is in session", async || pod.get("/readyz").await.status == 200).await;
        }
        Self { authority, controller, consumer, app }
    }
}

/// One request with a body.
async fn send(to: &Pod, line: &str, headers: &str, body: &str) -> Answer {
    send_at(to.api, line, headers, body).await
}

async fn send_at(api: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(api).await.unwrap();
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// The state and reason of the only instance that this pod sees of a service; empty where there is none.
async fn seen(from: &Pod, service: &str) -> String {
    let answer = from.get(&format!("/v1/services/{service}?all=true")).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let of = |name: &str| body["instances"][0][name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", of("state"), of("reason")).trim().to_owned()
}

/// An address of this machine that others could reach; none on one without.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only says which way it would go.
    socket.connect("198.51.100.1:9").ok()?;
    socket.local_addr().ok().map(|at| at.ip())
}
