//! The sidecar of a whole machine, in one process with the controller: `rollcall dev`. Apps ask it as they do in a pod, and each
//! local address at which one of them registers is a pod of its own to the controller.
//!
//! ```text
//!  app ── 7300, 7353 ─► Ports ─► Api ─┬─ lookups ──────► Store of 127.0.0.1
//!                                     └─ registrations ─► Machine ─┬─ 127.0.0.1  Own, Agent ══ session ══╗
//!                                                          │ wish  ├─ 127.0.0.2  Own, Agent ══ session ══╬═► controller
//!                                                          ▼       └─ …                                  ║
//!                                                       Steward ─► opens, and lets go ═══════════════════╝
//! ```
//!
//! Sessions, ledgers, probes and answers are those of a pod's sidecar. What differs is what a restart makes of registrations:
//! nobody has seen the apps meanwhile, so that they are Suspect until they are heard or probed.

mod folders;
mod machine;
mod steward;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use futures::future::BoxFuture;
use rollcall_catalogue::Namespace;
use rollcall_net::{Network, Shutdown};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, timeout},
};
use tracing::{info, warn};

pub(crate) use self::machine::{ADDRESSES_MAX, Machine};
use self::{
    machine::WISHES_MAX,
    steward::{Ground, Steward},
};
use crate::{
    api::Api,
    dns::{Counts, Servers},
    metrics,
    owners::Owners,
    ports::{Listen, PortError, Ports},
    session::Trust,
    store::{Store, Writer, store},
};

/// Nobody is answered before all that was registered earlier is known to the controller, so that no lookup is told that it is
/// not there; nor later than this, whatever the controller does.
const SETTLED_MAX: Duration = Duration::from_secs(2);
/// All parts have ended by then, or are cut off: answers come from memory, so nothing takes longer.
const END_MAX: Duration = Duration::from_millis(1_500);

/// Holds what a machine's sidecar is given.
#[derive(Debug)]
pub struct Setting {
    /// Where apps are answered; loopback only, since nobody is asked for credentials.
    pub api: SocketAddr,
    /// The same over IPv6; a machine without ::1 goes without.
    pub api_v6: SocketAddr,
    /// Where resolvers are answered; loopback only.
    pub dns: Vec<SocketAddr>,
    /// Who is asked for names of other zones.
    pub dns_forward: Servers,
    /// Which names without one are of, and in which all apps register.
    pub namespace: Namespace,
    /// Has a folder per address beneath it, named by the address.
    pub state_dir: PathBuf,
    /// The authority of the controller's certificate.
    pub ca_pem: String,
    /// Every dial leads to the controller of this process.
    pub network: Arc<dyn Network>,
    pub pods: Arc<dyn Pods>,
}

/// Says who an address of this machine is to the controller.
pub trait Pods: fmt::Debug + Send + Sync + 'static {
    /// The token of the pod that this address is, which the controller knows from here on.
    fn token_of(&self, address: IpAddr) -> BoxFuture<'_, anyhow::Result<String>>;

    /// Nothing is registered at this address any more, and its session is over: it need not be known any longer.
    fn let_go(&self, address: IpAddr) -> BoxFuture<'_, ()>;
}

/// Holds a machine's sidecar that is about to run, its ports open.
#[derive(Debug)]
pub struct Local {
    ground: Ground,
    ports: Ports,
    stored: (Writer, Store),
}

/// Reads the measurements of a running sidecar, those of the machine's first address.
#[derive(Debug, Clone)]
pub struct Metrics {
    store: Store,
    counts: Counts,
}

/// Knows whether all that apps asked for is current.
#[derive(Debug, Clone)]
pub struct InStep(Store);

// === impl Local ===

impl Local {
    /// Opens the ports, and reads the authority: a mistake must fail the start, not the first request. Within a runtime.
    pub fn bind(setting: Setting) -> anyhow::Result<Self> {
        let Setting { api, api_v6, dns, dns_forward, namespace, state_dir, ca_pem, network, pods } = setting;
        Trust::new(&ca_pem).context("the authority of the controller")?;
        folders::make(&state_dir)
            .with_context(|| format!("{}: cannot be made; use another folder", state_dir.display()))?;
        let ports = Ports::bind(Listen { api, api_v6, dns: &dns, forward: &dns_forward }).map_err(unbound)?;
        let ground = Ground { state_dir, ca_pem, namespace, network, pods };
        Ok(Self { ground, ports, stored: store() })
    }

    /// Where lookups are answered.
    pub fn api_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.ports.api_addresses()
    }

    /// Where resolvers are answered.
    pub fn dns_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.ports.dns_addresses()
    }

    pub fn metrics(&self) -> Metrics {
        Metrics { store: self.stored.1.clone(), counts: self.ports.counts() }
    }

    pub fn in_step(&self) -> InStep {
        InStep(self.stored.1.clone())
    }

    /// Answers until it is told to end, or until a part ends by itself.
    pub async fn run(self, mut shutdown: Shutdown) -> anyhow::Result<()> {
        let Self { ground, ports, stored } = self;
        let addresses = ports.api_addresses()?;
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        let mut steward = Steward::new(ground, inbox);
        let first = tokio::select! {
            first = steward.begin(stored) => first?,
            () = shutdown.requested() => return steward.end().await,
        };
        let owners = Owners::Machine(Machine::new(first, steward.others(), wishes));
        tokio::select! {
            settled = timeout(SETTLED_MAX, owners.answered()) => if settled.is_err() {
                warn!("the controller does not say yet what becomes of what is registered; lookups are answered without");
            },
            () = shutdown.requested() => {}
        }
        let api = Api::new(owners);
        let mut parts = JoinSet::new();
        ports.serve(&api, &mut parts, &shutdown);
        info!(?addresses, "answering lookups");
        tokio::select! {
            ended = steward.run() => ended?,
            Some(ended) = parts.join_next() => {
                ended?;
                // The word to end reaches all parts at once; the others finish below.
                timeout(END_MAX, shutdown.requested()).await.context("a part ended by itself; this is a bug")?;
            }
            () = shutdown.requested() => {}
        }
        steward.end().await?;
        while let Some(ended) = parts.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Why a port cannot be had, and what a person at this machine can do about it.
fn unbound(error: PortError) -> anyhow::Error {
    match error.refused() {
        Some((flag, address, io::ErrorKind::AddrInUse)) => anyhow::anyhow!(
            "{flag} {address}: another program listens there, which may be another `rollcall dev`; end that one, or give {flag} \
             another port"
        ),
        Some((flag, address, io::ErrorKind::PermissionDenied)) => {
            anyhow::anyhow!(
                "{flag} {address}: this user may not have a port as low as {}; give {flag} one from 1024 on",
                address.port()
            )
        }
        _ => error.into(),
    }
}

// === impl Metrics ===

impl Metrics {
    /// As Prometheus reads it; docs/metrics.md lists them.
    pub fn text(&self) -> String {
        metrics::render(&self.store, &self.counts)
    }
}

// === impl InStep ===

impl InStep {
    pub fn is(&self) -> bool {
        self.0.in_step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::ListenError;

    #[test]
    fn who_cannot_have_a_port_is_told_what_to_do() {
        let address: SocketAddr = ([127, 0, 0, 1], 53).into();
        let api = |kind: io::ErrorKind| PortError::Api { flag: "--api-listen", address, source: kind.into() };
        let dns = |kind: io::ErrorKind| ListenError::Failed { address, carrier: "UDP", source: kind.into() };
        for (error, flag, says) in [
            (api(io::ErrorKind::AddrInUse), "--api-listen", "give --api-listen another port"),
            (api(io::ErrorKind::PermissionDenied), "--api-listen", "from 1024 on"),
            (api(io::ErrorKind::AddrNotAvailable), "--api-listen", "cannot listen"),
            (dns(io::ErrorKind::AddrInUse).into(), "--dns-listen", "give --dns-listen another port"),
            (
                ListenError::NotAllowed { address }.into(),
                "--dns-listen",
                "give --dns-listen one from 1024 on",
            ),
        ] {
            let error = unbound(error).to_string();
            assert!(error.starts_with(&format!("{flag} {address}: ")) && error.contains(says), "{error}");
            assert!(!error.contains("pod"), "{error}");
        }
    }
}
