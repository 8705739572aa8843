//! A real Consul agent with the same services: the registry that teams compare with.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::ensure;
use rollcall_cluster::companion::Companion;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    fleet::address,
    local::{INSTANCES, listening, measured, service},
};

/// Operations of one transaction, which Consul bounds at 128.
const OPERATIONS: usize = 60;

/// Holds an agent, which is its own server and keeps all in memory, as `consul agent -dev` does.
pub(super) struct Consul {
    pub(super) process: Companion,
    pub(super) at: SocketAddr,
    _data: TempDir,
}

// === impl Consul ===

impl Consul {
    pub(super) async fn start(program: &Path, port: u16, services: u32) -> anyhow::Result<Self> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let data = tempfile::tempdir()?;
        let configuration = data.path().join("agent.json");
        let ports = json!({
            "http": port, "server": port + 1, "serf_lan": port + 2, "serf_wan": port + 3,
            "dns": -1, "grpc": -1, "grpc_tls": -1, "https": -1,
        });
        let text = json!({
            "ports": ports, "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "ERROR",
            "disable_update_check": true, "limits": {"http_max_conns_per_client": 1_000},
        });
        std::fs::write(&configuration, text.to_string())?;
        let process = measured("starting Consul", program, move |consul| {
            consul.arg("agent").arg("-dev").arg("-config-file").arg(configuration);
            consul.stderr(std::process::Stdio::null());
        })?;
        listening(at, &process).await?;
        let consul = Self { process, at, _data: data };
        while !consul.ask("GET", "/v1/status/leader", "").await?.contains(':') {}
        consul.fill(services).await?;
        Ok(consul)
    }

    /// The request that looks one service up, in the agent's own cache.
    pub(super) fn request(&self, number: u32) -> String {
        let path = format!("/v1/health/service/{}?passing&cached", service(number));
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.at)
    }

    /// Each instance is a node of its own with one service and one passing check, as pods are.
    async fn fill(&self, services: u32) -> anyhow::Result<()> {
        let all: Vec<_> = (0..services * INSTANCES).flat_map(operations).collect();
        for some in all.chunks(OPERATIONS) {
            let answer = self.ask("PUT", "/v1/txn", &serde_json::to_string(some)?).await?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        Ok(())
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.at).await?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.at);
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len())?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn operations(number: u32) -> [serde_json::Value; 3] {
    let (node, name) = (format!("pod-{number}"), service(number / INSTANCES));
    let node_of = json!({"Node": node, "Address": address(number)});
    let of_service = json!({
        "ID": format!("{name}-{number}"), "Service": name, "Address": address(number), "Port": 8080,
        "Tags": ["blue"], "Meta": {"version": "1.4.2", "team": "payments", "build": "00000001"},
    });
    let check = json!({
        "Node": node, "CheckID": format!("alive-{number}"), "Name": "alive", "Status": "passing",
        "ServiceID": format!("{name}-{number}"),
    });
    [
        json!({"Node": {"Verb": "set", "Node": node_of}}),
        json!({"Service": {"Verb": "set", "Node": node, "Service": of_service}}),
        json!({"Check": {"Verb": "set", "Check": check}}),
    ]
}
