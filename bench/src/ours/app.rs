//! An app of a pod: registers with its sidecar, and answers its HTTP probe.

use std::{
    convert::Infallible,
    io::{Write, stdout},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::ensure;
use bytes::Bytes;
use clap::Args;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Builder, time::sleep};

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
    /// Its sidecar's.
    #[arg(long)]
    port: u16,
}

/// Prints `registered`, and is well until it is killed.
pub(crate) fn run(arguments: &AppArguments) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        let answering = tokio::spawn(answer(listener));
        let sidecar = Localhost::new(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)));
        register(&sidecar, &arguments.service).await?;
        say("registered")?;
        answering.await?
    })
}

/// 200, whatever is asked.
async fn answer(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let good = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
        // Who hangs up has heard enough.
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), good).await });
    }
}

async fn register(sidecar: &Localhost, service: &str) -> anyhow::Result<()> {
    let path = format!("/v1/self/{service}");
    let body = json!({"version": VERSION, "ports": {"http": PORT}, "probe": "http:/"}).to_string();
    let begin = Instant::now();
    loop {
        let answer = sidecar.call(Method::PUT, &path, Some(body.clone())).await;
        if answer.is_ok_and(|(status, _)| status == StatusCode::OK) {
            return Ok(());
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
