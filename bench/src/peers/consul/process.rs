//! A server of Consul, a client agent that has joined it, and what they are filled with.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use http::Method;
use rollcall_cluster::{CONSUL, Home, companion::Companion};
use rollcall_results::{Configuration, Program};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    local::{listening, measured},
    peers::{Data, METADATA, PORT, TAG, VERSION, folder, http::Http},
};

/// Operations of one transaction, which Consul bounds at 128; an instance is three of them.
const OPERATIONS: usize = 126;
/// What a server or an agent does not answer by then it never does.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);
const START_MAX: Duration = Duration::from_secs(60);
/// Ports of loopback that nobody else has, of the first agent; each has so many.
const PORTS: u16 = 28_000;
const PORTS_EACH: u16 = 10;

/// Holds both, of one configuration.
pub(super) struct Processes {
    pub(super) server: Agent,
    pub(super) client: Agent,
    version: String,
}

/// Holds one agent: a server of its own, or a client of one.
pub(super) struct Agent {
    pub(super) at: SocketAddr,
    pub(super) dns: SocketAddr,
    pub(super) process: Companion,
    arguments: Vec<String>,
    _data: TempDir,
}

/// Holds the ports of one agent.
#[derive(Clone, Copy)]
struct Ports(u16);

// === impl Processes ===

impl Processes {
    pub(super) async fn start(data: Data, configuration: Configuration) -> anyhow::Result<Self> {
        let program = CONSUL.build(&Home::of_this_user()?)?;
        let first = match configuration {
            Configuration::Default => PORTS,
            Configuration::Tuned => PORTS + 2 * PORTS_EACH,
        };
        let (of_server, of_client) = (Ports(first), Ports(first + PORTS_EACH));
        let as_server = ["-server".to_owned(), "-bootstrap-expect=1".to_owned()];
        let server = Agent::start(&program, "server", of_server, configuration, &as_server).await?;
        server.until("has a leader", "/v1/status/leader", |leader| leader.as_str() != Some("")).await?;
        server.fill(data).await?;
        let joining = [format!("-retry-join=127.0.0.1:{}", of_server.gossip())];
        let client = Agent::start(&program, "client", of_client, configuration, &joining).await?;
        let both = |members: &Value| members.as_array().is_some_and(|members| members.len() == 2);
        client.until("has joined", "/v1/agent/members", both).await?;
        // It knows the server by then, but may not have reached it.
        client.until("reaches the server", "/v1/catalog/services", |all| all.get("consul").is_some()).await?;
        Ok(Self { server, client, version: version(&program)? })
    }

    /// The server, and the client agent where that is asked.
    pub(super) fn programs(&self, is_of_the_agent: bool) -> Vec<Program> {
        let of = |name: &str, agent: &Agent| Program {
            name: name.to_owned(),
            version: self.version.clone(),
            command: format!("consul {}", agent.arguments.join(" ")),
        };
        let server = of("consul server", &self.server);
        if is_of_the_agent { vec![server, of("consul client agent", &self.client)] } else { vec![server] }
    }
}

fn version(program: &Path) -> anyhow::Result<String> {
    let said = Command::new(program).arg("version").output()?;
    let said = String::from_utf8(said.stdout)?;
    let first = said.lines().next().and_then(|line| line.strip_prefix("Consul v"));
    Ok(first.context("no version")?.to_owned())
}

// === impl Ports ===

impl Ports {
    fn http(self) -> u16 {
        self.0
    }

    fn dns(self) -> u16 {
        self.0 + 1
    }

    fn gossip(self) -> u16 {
        self.0 + 2
    }

    /// What servers are asked by agents, and the two of gRPC, of which a server has the second one open at any rate.
    fn arguments(self) -> Vec<String> {
        let named = [
            ("http-port", self.http()),
            ("dns-port", self.dns()),
            ("serf-lan-port", self.gossip()),
            ("server-port", self.0 + 3),
            ("grpc-port", self.0 + 4),
            ("grpc-tls-port", self.0 + 5),
        ];
        let mut all: Vec<_> = named.iter().map(|(name, port)| format!("-{name}={port}")).collect();
        // There is one data centre.
        all.push("-serf-wan-port=-1".to_owned());
        all
    }
}

// === impl Agent ===

impl Agent {
    async fn start(
        program: &Path,
        node: &str,
        ports: Ports,
        configuration: Configuration,
        role: &[String],
    ) -> anyhow::Result<Self> {
        let data = folder::on_disk()?;
        let (file, text) = match configuration {
            Configuration::Default => ("default.hcl", include_str!("default.hcl")),
            Configuration::Tuned => ("tuned.hcl", include_str!("tuned.hcl")),
        };
        fs::write(data.path().join(file), text)?;
        let mut arguments = vec![
            "agent".to_owned(),
            format!("-config-file={file}"),
            "-data-dir=data".to_owned(),
            format!("-node={node}"),
            "-bind=127.0.0.1".to_owned(),
            "-client=127.0.0.1".to_owned(),
        ];
        arguments.extend(ports.arguments());
        arguments.extend_from_slice(role);
        let (given, at_home) = (arguments.clone(), data.path().to_owned());
        let process = measured("starting Consul", program, move |consul| {
            consul.args(given).current_dir(at_home).stderr(Stdio::null());
        })?;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let agent = Self { at: at(ports.http()), dns: at(ports.dns()), process, arguments, _data: data };
        listening(agent.at, &agent.process).await?;
        Ok(agent)
    }

    /// Returns once what it says there is so.
    async fn until(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut http = Http::connect(self.at).await?;
        loop {
            let answer = http.ask(Method::GET, path, "", ANSWER_MAX).await?;
            // Before it has a leader it answers much with an error.
            if answer.status.is_success() && is_so(&serde_json::from_slice(&answer.body)?) {
                return Ok(());
            }
            if begin.elapsed() > START_MAX {
                bail!("{} never {what}: {}", self.at, String::from_utf8_lossy(&answer.body));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Each instance is a node of its own with one service and one passing check, as pods are.
    async fn fill(&self, data: Data) -> anyhow::Result<()> {
        let mut http = Http::connect(self.at).await?;
        let instances = (0..data.services).flat_map(|service| {
            let name = Data::service(service);
            data.addresses(service).flat_map(move |address| operations(&name, &address))
        });
        let mut all = instances.peekable();
        while all.peek().is_some() {
            let some: Vec<_> = all.by_ref().take(OPERATIONS).collect();
            let answer = http.ask(Method::PUT, "/v1/txn", serde_json::to_vec(&some)?, ANSWER_MAX).await?;
            ensure!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }
}

/// The node that an instance is in the catalogue.
pub(super) fn node(address: &str) -> String {
    format!("pod-{}", address.replace('.', "-"))
}

/// The id that it has there, and with the agent that it registers with.
pub(super) fn id(service: &str, address: &str) -> String {
    format!("{service}-{}", address.replace('.', "-"))
}

/// An instance as the catalogue has it, and nearly as an agent has it.
pub(super) fn described(service: &str, address: &str) -> Value {
    let mut metadata: serde_json::Map<_, _> =
        METADATA.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    metadata.insert("version".to_owned(), json!(VERSION));
    json!({"ID": id(service, address), "Address": address, "Port": PORT, "Tags": [TAG], "Meta": metadata})
}

/// The check of an instance in the catalogue.
pub(super) fn check(service: &str, address: &str) -> Value {
    json!({
        "Node": node(address), "CheckID": format!("alive-{}", id(service, address)), "Name": "alive",
        "Status": "passing", "ServiceID": id(service, address),
    })
}

fn operations(service: &str, address: &str) -> [Value; 3] {
    let node = node(address);
    let of_node = json!({"Node": node, "Address": address});
    let mut of_service = described(service, address);
    if let Some(fields) = of_service.as_object_mut() {
        fields.insert("Service".to_owned(), json!(service));
    }
    [
        json!({"Node": {"Verb": "set", "Node": of_node}}),
        json!({"Service": {"Verb": "set", "Node": node, "Service": of_service}}),
        json!({"Check": {"Verb": "set", "Check": check(service, address)}}),
    ]
}
