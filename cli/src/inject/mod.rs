//! `rollcall inject`: manifests, with the sidecar that the webhook would give their pods.

mod documents;
mod workloads;
mod written;

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use documents::Documents;
use rollcall_catalogue::Namespace;
use rollcall_injection::{ClusterDns, Install, Settings, Way};
use workloads::Workloads;

/// The ConfigMap that says where the controller is, of manifests that are written before that is known.
const CONFIG_MAP: &str = "rollcall";
/// More than all manifests of a large installation; etcd takes 1.5 MiB of one object.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Some hundred times a certificate.
const CA_BYTES_MAX: u64 = 256 * 1024;
/// Values of the settings, those that stand there by a reference included: what the controller takes of them.
const SETTINGS_NODES_MAX: usize = 10_000;
/// Values within each other: it has three. What the controller takes too.
const SETTINGS_DEPTH_MAX: usize = 16;

/// Holds what `rollcall inject` is told.
#[derive(Debug, Args)]
pub(crate) struct Inject {
    /// A file of YAML or JSON documents; `-`: standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The controller's address and port, as 10.96.0.7:7310. Without it: what the ConfigMap `rollcall` of the pod's namespace
    /// says under `controller` and `ca.crt`.
    #[arg(long, value_name = "IP:PORT", requires = "ca_file")]
    controller: Option<SocketAddr>,

    /// The certificate of the controller's authority (PEM), which goes with its address.
    #[arg(long, value_name = "FILE", requires = "controller")]
    ca_file: Option<PathBuf>,

    /// What sidecars are, as the chart writes it for the controller: injection.yaml of its ConfigMap.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// The namespace of what names none.
    #[arg(long, short, default_value = "default")]
    namespace: Namespace,

    /// The cluster's DNS, up to three, for pods with rollcall.dev/dns: resolver.
    #[arg(long, value_name = "IP", value_delimiter = ',', num_args = 1)]
    cluster_dns: Vec<IpAddr>,

    /// The domain of the cluster's names.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
}

// === impl Inject ===

impl Inject {
    /// The documents as they are to be applied. What people should know of them is told on standard error, a line each.
    pub(crate) fn run(&self) -> anyhow::Result<String> {
        let (settings, way, dns) = (self.settings()?, self.way()?, self.dns());
        let install = Install { settings: &settings, way: &way, dns: dns.as_ref() };
        let mut documents = Documents::read(&content(&self.file, INPUT_BYTES_MAX)?)
            .with_context(|| self.file.display().to_string())?;
        let mut workloads = Workloads::new(&install, &self.namespace);
        documents.each(|document| workloads.inject(document))?;
        for notice in workloads.notices() {
            eprintln!("{notice}");
        }
        documents.written()
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let Some(path) = &self.settings else { return Ok(Settings::default()) };
        let text = content(path, CA_BYTES_MAX)?;
        let limits = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: SETTINGS_NODES_MAX, max_depth: SETTINGS_DEPTH_MAX },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: SETTINGS_NODES_MAX },
        };
        serde_saphyr::from_str_with_options(&text, limits)
            .map_err(|error| documents::first_line(&error))
            .with_context(|| path.display().to_string())
    }

    fn way(&self) -> anyhow::Result<Way> {
        let (Some(controller), Some(path)) = (self.controller, &self.ca_file) else {
            return Ok(Way::ConfigMap(CONFIG_MAP.to_owned()));
        };
        let ca_pem = content(path, CA_BYTES_MAX)?;
        // It is written into manifests, which anybody may read.
        if !ca_pem.contains("-----BEGIN CERTIFICATE-----") || ca_pem.contains("PRIVATE KEY-----") {
            bail!(
                "{}: holds more or less than certificates; give `ca.crt` of the Secret rollcall-ca",
                path.display()
            );
        }
        Ok(Way::Direct { controller, ca_pem })
    }

    fn dns(&self) -> Option<ClusterDns> {
        let services = format!("svc.{}", self.cluster_domain);
        let rest = vec![services.clone(), self.cluster_domain.clone()];
        let nameservers = self.cluster_dns.clone();
        (!nameservers.is_empty()).then_some(ClusterDns { nameservers, services, rest })
    }
}

/// What a file says, or standard input.
fn content(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().take(bytes_max + 1).read_to_end(&mut text),
        false => File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut text)),
    };
    read.with_context(|| path.display().to_string())?;
    if text.len() as u64 > bytes_max {
        bail!("{}: more than {bytes_max} bytes", path.display());
    }
    String::from_utf8(text).with_context(|| format!("{}: no text in UTF-8", path.display()))
}
