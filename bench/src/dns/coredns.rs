//! A real CoreDNS with the same records in a file: the server that pods ask today.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use rollcall_catalogue::limits::WEIGHT_DEFAULT;
use rollcall_cluster::companion::Companion;
use tempfile::TempDir;

use crate::{
    fleet::address,
    local::{INSTANCES, NAMESPACE, measured, service},
};

/// Holds a CoreDNS that answers from a file of its own.
pub(super) struct CoreDns {
    pub(super) process: Companion,
    pub(super) at: SocketAddr,
    _files: TempDir,
}

// === impl CoreDns ===

impl CoreDns {
    pub(super) fn start(program: &Path, port: u16, services: u32) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let (corefile, zone) = (files.path().join("Corefile"), files.path().join("zone"));
        fs::write(&zone, records(services)?)?;
        let plugins = format!("bind 127.0.0.1\n file {} {{\n reload 0\n }}", zone.display());
        fs::write(&corefile, format!("rollcall.:{port} {{\n {plugins}\n}}\n"))?;
        let process = measured("starting CoreDNS", program, move |coredns| {
            coredns.arg("-conf").arg(corefile).arg("-quiet").stderr(Stdio::null());
        })?;
        Ok(Self { process, at: (Ipv4Addr::LOCALHOST, port).into(), _files: files })
    }
}

/// The zone that the sidecar answers of. It has no NS, which CoreDNS would add to each reply, and the sidecar does not.
fn records(services: u32) -> anyhow::Result<String> {
    let mut zone = "$ORIGIN rollcall.\n@ 1 IN SOA localhost. nobody.localhost. 1 60 60 60 1\n".to_owned();
    for number in 0..services * INSTANCES {
        let (name, address) = (service(number / INSTANCES), address(number));
        let host = format!("ip-{}.{name}.{NAMESPACE}", dashed(address));
        writeln!(zone, "{name}.{NAMESPACE} 1 IN A {address}\n{host} 1 IN A {address}")?;
        writeln!(zone, "_http._tcp.{name}.{NAMESPACE} 1 IN SRV 0 {WEIGHT_DEFAULT} 8080 {host}")?;
    }
    Ok(zone)
}

fn dashed(address: IpAddr) -> String {
    address.to_string().replace('.', "-")
}
