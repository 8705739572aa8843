//! The controller's authority is replaced, and its address, under sidecars that live on: as processes, over real TLS.

use std::fs;

use rollcall_controller::Told;
use rollcall_wire::{Down, Up};

use super::*;
use crate::bench::{Played, Process, Volumes, welcome};

/// Somewhere that nobody listens.
fn nobody() -> SocketAddr {
    rollcall_net::bind(ANY).unwrap().local_addr().unwrap()
}

fn pods() -> Vec<PodFacts> {
    vec![pod(1, Some(8080)), pod(9, None)]
}

async fn metrics(health: SocketAddr) -> String {
    request(health, "GET /metrics HTTP/1.1\r\nHost: a\r\n").await.body
}

/// Waits until so many authorities are believed.
async fn believes(process: &Process<'_>, count: usize) {
    let held = async || {
        metrics(process.health).await.lines().filter(|line| line.starts_with("rollcall_authority{")).count()
    };
    eventually(&format!("it believes {count}"), async || held().await == count).await;
}

async fn in_step(process: &Process<'_>) {
    let ready = "GET /readyz HTTP/1.1\r\nHost: a\r\n";
    eventually("in step", async || request(process.health, ready).await.status == 200).await;
}

/// Whether the file of what was told holds all of this.
fn keeps(volumes: &Volumes, parts: &[&str]) -> bool {
    let kept = fs::read(volumes.state().with_file_name("way")).unwrap_or_default();
    let kept = String::from_utf8_lossy(&kept).into_owned();
    parts.iter().all(|part| kept.contains(part))
}

/// A line of this authority's certificate, in which no other one has the same.
fn line_of(authority: &Authority) -> &str {
    authority.certificate_pem.lines().rev().nth(1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_was_told_outlives_the_authority_that_its_pod_was_given() {
    let [old, new] = ["old", "new"].map(|name| Authority::generate(name).unwrap());
    let both: Arc<str> = format!("{}{}", new.certificate_pem, old.certificate_pem).into();
    let first = Controller::start(&old, ANY, pods()).await;
    let address = first.address;
    let (volumes, never_told) = (Volumes::new(&old), Volumes::new(&old));
    let process = volumes.start(address).await;
    in_step(&process).await;
    believes(&process, 1).await;

    // The new one is announced.
    first.telling.send_replace(Told { ca_pem: both.clone(), controller: Some(address) });
    believes(&process, 2).await;
    let parts = [line_of(&old), line_of(&new), &address.to_string()];
    eventually("it is kept", async || keeps(&volumes, &parts)).await;

    // It signs, and then the old one is retired.
    first.stop().await;
    let second = Controller::start(&new, address, pods()).await;
    second.telling.send_replace(Told { ca_pem: both, controller: Some(address) });
    in_step(&process).await;
    assert_eq!(process.orders().await.header("age"), Some("0"));
    second
        .telling
        .send_replace(Told { ca_pem: new.certificate_pem.as_str().into(), controller: Some(address) });

    // The next process finds both what it believes and where to call on its disk: its flags know neither any more.
    process.kill();
    let process = volumes.start(nobody()).await;
    in_step(&process).await;
    assert_eq!(process.orders().await.addresses(), ["10.0.0.1"]);
    assert_eq!(process.orders().await.header("x-rollcall-source"), Some("live"));

    // Who was never told does not get in, and says why.
    let stranger = never_told.start(address).await;
    let asked = second.asked();
    assert_eq!(stranger.orders().await.status, 503);
    assert_eq!(request(stranger.health, "GET /readyz HTTP/1.1\r\nHost: a\r\n").await.status, 503);
    let said = stranger.terminate().join("\n");
    assert!(said.contains("not of our authority") && said.contains("must be made anew"), "{said}");
    assert_eq!(second.asked(), asked, "nobody saw its token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_tells_nonsense_is_counted_and_believed_in_all_else() {
    let [ours, another] = ["ours", "another"].map(|name| Authority::generate(name).unwrap());
    let told = [
        Some("whom you like".to_owned()),
        Some(String::new()),
        Some(another.certificate_pem.clone()),
        Some(" ".repeat(20_000)),
        None,
    ];
    let script = move |frame: &Up| match frame {
        Up::Subscribe { services, .. } => {
            let services = services.iter().map(|name| name.resolve(&"shop".parse().unwrap())).collect();
            let way = |ca: &Option<String>| Down::Way {
                ca: ca.as_deref().map(Into::into),
                controller: "0.0.0.0:7310".parse().ok(),
            };
            let synced = Down::Synced {
                cursor: 1,
                services,
                summary: false,
                position: Default::default(),
                changed: Default::default(),
            };
            told.iter().map(way).chain([synced]).collect()
        }
        Up::Heartbeat { .. } => vec![Down::Heartbeat],
        _ => vec![],
    };
    let controller = Played::start_with(&ours, |_| welcome(), script).await;
    let volumes = Volumes::new(&ours);
    let process = volumes.start(controller.address).await;
    eventually("it is answered", async || process.orders().await.status == 404).await;
    believes(&process, 1).await;
    let text = metrics(process.health).await;
    for (reason, count) in [("too-large", 1), ("unreadable", 2), ("stranger", 1)] {
        let line = format!("rollcall_authorities_refused_total{{reason=\"{reason}\"}} {count}");
        assert!(text.contains(&line), "{line} in {text}");
    }
    let hellos = controller.heard().iter().filter(|frame| matches!(frame, Up::Hello { .. })).count();
    assert_eq!(hellos, 1, "the session went on");
    assert!(!volumes.state().with_file_name("way").exists(), "nothing was told");
}
