//! CoreDNS with the same instances in a file: the server that pods ask today. It knows of no metadata.

mod zone;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::{COREDNS, Home, companion::Companion};
use rollcall_results::{Class, Configuration, Program};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    Client, Data, NameServer, Peer, Started,
    dns::{Kind, Resolver},
    ports,
};
use crate::local::{NAMESPACE, measured};

/// It reads its zone first.
const START_MAX: Duration = Duration::from_secs(60);
/// Ports of loopback that nobody else has, of the first one; each has two.
const PORTS: u16 = 28_050;

/// Holds one that runs.
struct CoreDns {
    at: SocketAddr,
    configuration: Configuration,
    process: Companion,
    program: Program,
    _files: TempDir,
}

/// Holds one client.
struct Lookups(Resolver);

/// Starts it with a zone of its own.
pub(super) fn start(
    data: Data,
    configuration: Configuration,
) -> BoxFuture<'static, anyhow::Result<Vec<Started>>> {
    async move {
        let coredns = Arc::new(CoreDns::start(data, configuration).await?);
        Ok(vec![Started::peer(coredns.clone()).with_names(coredns)])
    }
    .boxed()
}

fn hosts(service: u32) -> String {
    format!("{}.{NAMESPACE}.rollcall", Data::service(service))
}

fn version(program: &Path) -> anyhow::Result<String> {
    let said = String::from_utf8(Command::new(program).arg("-version").output()?.stdout)?;
    let first = said.lines().next().and_then(|line| line.strip_prefix("CoreDNS-"));
    Ok(first.context("no version")?.to_owned())
}

// === impl CoreDns ===

impl CoreDns {
    async fn start(data: Data, configuration: Configuration) -> anyhow::Result<Self> {
        let program = COREDNS.build(&Home::of_this_user()?)?;
        let files = tempfile::tempdir()?;
        let (port, name, text) = match configuration {
            Configuration::Default => (PORTS, "default.Corefile", include_str!("default.Corefile")),
            Configuration::Tuned => (PORTS + 2, "tuned.Corefile", include_str!("tuned.Corefile")),
        };
        ports::are_free(port..port + 2)?;
        fs::write(files.path().join("zone"), zone::text(data)?)?;
        fs::write(files.path().join(name), text)?;
        let arguments = ["-conf", name, "-quiet"];
        let command = format!("coredns {}", arguments.join(" "));
        let said = Program { name: "coredns".to_owned(), version: version(&program)?, command };
        let at_home = files.path().to_owned();
        let process = measured("starting CoreDNS", &program, move |coredns| {
            coredns.args(arguments).current_dir(at_home).stderr(Stdio::null());
            coredns.env("ROLLCALL_ZONE", "zone").env("ROLLCALL_DNS_PORT", port.to_string());
            coredns.env("ROLLCALL_METRICS_PORT", (port + 1).to_string());
        })?;
        let at = (Ipv4Addr::LOCALHOST, port).into();
        let coredns = Self { at, configuration, process, program: said, _files: files };
        coredns.answers().await?;
        Ok(coredns)
    }

    /// Returns once it does.
    async fn answers(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let mut resolver = Resolver::connect(self.at).await?;
            // Until it listens, the kernel refuses for it.
            let Err(error) = resolver.addresses(&hosts(0)).await else { return Ok(()) };
            if let Some(ended) = self.process.ended() {
                bail!("{}: ended by itself: {ended}", self.at);
            }
            if begin.elapsed() > START_MAX {
                return Err(error);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Peer for CoreDns {
    fn name(&self) -> &str {
        "coredns"
    }

    /// With a file of its own on the machine that asks, as a cache of a node has it.
    fn class(&self) -> Class {
        Class::B
    }

    fn configuration(&self) -> Configuration {
        self.configuration
    }

    fn programs(&self) -> Vec<Program> {
        vec![self.program.clone()]
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { Ok(Box::new(Lookups(Resolver::connect(self.at).await?)) as Box<dyn Client>) }.boxed()
    }
}

impl NameServer for CoreDns {
    fn dns(&self) -> SocketAddr {
        self.at
    }

    fn hosts(&self, service: u32) -> String {
        hosts(service)
    }

    fn ports(&self, service: u32) -> String {
        format!("_http._tcp.{}", hosts(service))
    }
}

// === impl Lookups ===

impl Client for Lookups {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move { self.0.addresses(&hosts(service)).await }.boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move { Ok(self.0.ask(&hosts(service), Kind::A).await?.len()) }.boxed()
    }
}
