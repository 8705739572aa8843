//! A real CoreDNS with the same records in a file: the server that pods ask today.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use anyhow::bail;
use futures::{FutureExt, future::BoxFuture};
use rollcall_catalogue::limits::WEIGHT_DEFAULT;
use rollcall_cluster::companion::Companion;
use rollcall_results::{Class, Configuration, Program};
use tempfile::TempDir;

use crate::{
    fleet::address,
    local::{NAMESPACE, measured},
    peers::{Client, Data, NameServer, PORT, Peer},
    report::program,
};

/// Holds a CoreDNS that answers from a file of its own: with the cache that clusters give it, or plainly.
pub(super) struct CoreDns {
    process: Companion,
    at: SocketAddr,
    configuration: Configuration,
    _files: TempDir,
}

// === impl CoreDns ===

impl CoreDns {
    pub(super) fn start(
        coredns: &Path,
        port: u16,
        data: Data,
        configuration: Configuration,
    ) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let (corefile, zone) = (files.path().join("Corefile"), files.path().join("zone"));
        fs::write(&zone, records(data)?)?;
        let cache = match configuration {
            Configuration::Default => " cache 30\n",
            Configuration::Tuned => "",
        };
        let plugins = format!("bind 127.0.0.1\n{cache} file {} {{\n reload 0\n }}", zone.display());
        fs::write(&corefile, format!("rollcall.:{port} {{\n {plugins}\n}}\n"))?;
        let process = measured("starting CoreDNS", coredns, move |coredns| {
            coredns.arg("-conf").arg(corefile).arg("-quiet").stderr(Stdio::null());
        })?;
        Ok(Self { process, at: (Ipv4Addr::LOCALHOST, port).into(), configuration, _files: files })
    }
}

impl Peer for CoreDns {
    fn name(&self) -> &str {
        match self.configuration {
            Configuration::Default => "coredns file, cache",
            Configuration::Tuned => "coredns file",
        }
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        self.configuration
    }

    fn programs(&self) -> Vec<Program> {
        program(self.name(), "", self.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { bail!("it is asked by DNS alone") }.boxed()
    }
}

impl NameServer for CoreDns {
    fn dns(&self) -> SocketAddr {
        self.at
    }

    fn hosts(&self, service: u32) -> String {
        format!("{}.{NAMESPACE}.rollcall", Data::service(service))
    }

    fn ports(&self, service: u32) -> String {
        format!("_http._tcp.{}", self.hosts(service))
    }
}

/// The zone that the sidecar answers of. It has no NS, which CoreDNS would add to each reply, and the sidecar does not.
fn records(data: Data) -> anyhow::Result<String> {
    let mut zone = "$ORIGIN rollcall.\n@ 1 IN SOA localhost. nobody.localhost. 1 60 60 60 1\n".to_owned();
    for number in 0..data.all() {
        let (name, address) = (Data::service(number / data.instances), address(number));
        let host = format!("ip-{}.{name}.{NAMESPACE}", dashed(address));
        writeln!(zone, "{name}.{NAMESPACE} 1 IN A {address}\n{host} 1 IN A {address}")?;
        writeln!(zone, "_http._tcp.{name}.{NAMESPACE} 1 IN SRV 0 {WEIGHT_DEFAULT} {PORT} {host}")?;
    }
    Ok(zone)
}

fn dashed(address: IpAddr) -> String {
    address.to_string().replace('.', "-")
}
