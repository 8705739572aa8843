//! An app of a pod: listens, registers with its sidecar, and waits in the hook before its end, as one with a preStop does.

use std::{
    io::{Write, stdout},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::localhost::Localhost;
use crate::peers::{PORT, VERSION};

/// A sidecar that takes nothing by then does not run.
const REGISTERED_MAX: Duration = Duration::from_secs(45);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Holds what it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct AppArguments {
    #[arg(long)]
    service: String,
    /// Its sidecar's first port; the second one is for hooks.
    #[arg(long)]
    port: u16,
}

/// Prints `registered`, and after SIGTERM `left`.
pub(crate) fn run(arguments: &AppArguments) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        let accepting = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let local = |port: u16| Localhost::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        register(&local(arguments.port), &arguments.service).await?;
        say("registered")?;
        let mut terminated = signal(SignalKind::terminate())?;
        terminated.recv().await;
        // Whatever it says: the end comes.
        let _ = local(arguments.port + 1).call(Method::GET, "/prestop?grace=30", None).await;
        say("left")?;
        accepting.abort();
        Ok(())
    })
}

async fn register(sidecar: &Localhost, service: &str) -> anyhow::Result<()> {
    let path = format!("/v1/self/{service}");
    let body = json!({"version": VERSION, "ports": {"http": PORT}}).to_string();
    let begin = Instant::now();
    loop {
        // What an app before it, on the same volume, has said of its end.
        let drained = sidecar.call(Method::DELETE, "/v1/self/drain", None).await;
        if drained.is_ok() {
            let answer = sidecar.call(Method::PUT, &path, Some(body.clone())).await;
            if answer.is_ok_and(|(status, _)| status == StatusCode::OK) {
                return Ok(());
            }
        }
        ensure!(begin.elapsed() < REGISTERED_MAX, "the sidecar does not take it");
        sleep(ASK_EVERY).await;
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
