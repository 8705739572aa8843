//! A store of one member, and what it is filled with.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use rollcall_cluster::{ETCD, Home, companion::Companion};
use rollcall_results::{Configuration, Program};
use serde_json::json;
use tempfile::TempDir;

use super::{
    api::{TRANSACTION, put, transaction},
    grpc::Grpc,
};
use crate::{
    local::{listening, measured},
    peers::{Data, METADATA, PORT, TAG, VERSION, folder},
};

/// Writes of one transaction, which etcd bounds at 128.
const WRITES: usize = 100;
/// Ports of loopback that nobody else has, of the first one; each has two.
const PORTS: u16 = 28_040;

/// Says on what it persists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    Real,
    /// Memory that looks like one, to tell what the disk costs.
    Tmpfs,
}

/// Holds one that runs.
pub(super) struct Etcd {
    pub(super) at: SocketAddr,
    pub(super) process: Companion,
    program: Program,
    _data: TempDir,
}

// === impl Etcd ===

impl Etcd {
    pub(super) async fn start(data: Data, configuration: Configuration, disk: Disk) -> anyhow::Result<Self> {
        let program = ETCD.build(&Home::of_this_user()?)?;
        let folder = match disk {
            Disk::Real => folder::on_disk()?,
            Disk::Tmpfs => folder::in_memory()?,
        };
        let (name, text) = match configuration {
            Configuration::Default => ("default.yaml", include_str!("default.yaml")),
            Configuration::Tuned => ("tuned.yaml", include_str!("tuned.yaml")),
        };
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let first = PORTS
            + match (configuration, disk) {
                (Configuration::Default, Disk::Real) => 0,
                (Configuration::Tuned, Disk::Real) => 2,
                (Configuration::Default, Disk::Tmpfs) => 4,
                (Configuration::Tuned, Disk::Tmpfs) => 6,
            };
        let (clients, members) = (at(first), at(first + 1));
        fs::write(folder.path().join(name), format!("{text}\n{}", addresses(text, clients, members)?))?;
        let arguments = [format!("--config-file={name}")];
        let command = format!("etcd {}", arguments.join(" "));
        let said = Program { name: "etcd".to_owned(), version: version(&program)?, command };
        let at_home = folder.path().to_owned();
        let process = measured("starting etcd", &program, move |etcd| {
            etcd.args(arguments).current_dir(at_home).stderr(Stdio::null());
        })?;
        listening(clients, &process).await?;
        let etcd = Self { at: clients, process, program: said, _data: folder };
        etcd.fill(data).await?;
        Ok(etcd)
    }

    pub(super) fn program(&self) -> Program {
        self.program.clone()
    }

    async fn fill(&self, data: Data) -> anyhow::Result<()> {
        let mut grpc = Grpc::connect(self.at).await?;
        let instances = (0..data.services).flat_map(|service| {
            let name = Data::service(service);
            data.addresses(service).map(move |address| put(&key(&name, &address), &value(&address), 0))
        });
        let mut all = instances.peekable();
        while all.peek().is_some() {
            let some: Vec<_> = all.by_ref().take(WRITES).collect();
            grpc.call(TRANSACTION, &transaction(&some)).await?;
        }
        Ok(())
    }
}

/// The lines that a configuration has of this machine alone. Beside a file etcd heeds no options, so they are in it.
fn addresses(configuration: &str, clients: SocketAddr, members: SocketAddr) -> anyhow::Result<String> {
    let name = configuration.lines().find_map(|line| line.strip_prefix("name: ")).context("no name")?;
    Ok(format!(
        "data-dir: data\n\
         listen-client-urls: http://{clients}\nadvertise-client-urls: http://{clients}\n\
         listen-peer-urls: http://{members}\ninitial-advertise-peer-urls: http://{members}\n\
         initial-cluster: {name}=http://{members}\n"
    ))
}

fn version(program: &Path) -> anyhow::Result<String> {
    let said = String::from_utf8(Command::new(program).arg("--version").output()?.stdout)?;
    let first = said.lines().next().and_then(|line| line.strip_prefix("etcd Version: "));
    Ok(first.context("no version")?.to_owned())
}

/// What all keys of a service begin with.
pub(super) fn prefix(service: &str) -> String {
    format!("{service}/")
}

/// The key of an instance, as etcd's own endpoints manager has it: `service/instance`.
pub(super) fn key(service: &str, address: &str) -> String {
    format!("{service}/{address}")
}

/// An instance as etcd's own endpoints manager writes it.
pub(super) fn value(address: &str) -> String {
    let mut metadata: serde_json::Map<_, _> =
        METADATA.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    metadata.insert("version".to_owned(), json!(VERSION));
    metadata.insert("tags".to_owned(), json!([TAG]));
    json!({"Op": 0, "Addr": format!("{address}:{PORT}"), "Metadata": metadata}).to_string()
}
