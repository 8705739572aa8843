//! What controllers and sidecars answer to a scraper, by their own code.

use anyhow::{Context, Result};
use clap::Parser;
use rollcall_controller::View;
use rollcall_controller::operate::{Format, Metrics};
use rollcall_net::shutdown;
use rollcall_sidecar::app::Sidecar;
use rollcall_sidecar::args::Args;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a controller answers with these measurements, as Prometheus asks for it.
pub fn of_a_controller(metrics: &Metrics) -> String {
    metrics.render(&View::default(), Format::OpenMetrics)
}

/// What a sidecar answers that has no controller: a whole one, on ports of its own.
pub async fn of_a_sidecar() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().display();
    // Port 9 of this machine: nobody is there.
    let args = Args::try_parse_from([
        "rollcall-sidecar".to_owned(),
        "--controller=127.0.0.1:9".to_owned(),
        "--namespace=shop".to_owned(),
        "--api-listen=127.0.0.1:0".to_owned(),
        "--api-listen-v6=[::1]:0".to_owned(),
        "--dns-listen=127.0.0.1:0".to_owned(),
        "--health-listen=127.0.0.1:0".to_owned(),
        format!("--state-dir={state}"),
        format!("--registrations-dir={state}/none"),
    ])?;
    let sidecar = Sidecar::bind(args)?;
    let address = sidecar.health_address()?;
    let (trigger, ear) = shutdown();
    let running = tokio::spawn(sidecar.run(ear));
    let answer = scraped(address).await;
    trigger.pull();
    running.await??;
    let answer = answer?;
    let (head, text) = answer.split_once("\r\n\r\n").context("no answer of HTTP")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(text.to_owned())
}

async fn scraped(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
