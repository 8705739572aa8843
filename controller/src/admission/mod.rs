//! What the API server asks when a pod is made: which sidecar does it get?
//!
//! ```text
//!  injection.yaml ──► settings ─┐
//!  our Service ─────► keeper ───┴─► installation ─► review ──► JSON patch
//!  webhook's configuration ◄─┘ caBundle                ▲ server :7343 (TLS), limits
//!                                                 API server
//! ```
//!
//! What goes wrong here never keeps a pod from being made: it is made without a sidecar, and its maker is told.

mod connection;
mod keeper;
mod large;
mod outcome;
mod review;
mod server;
mod settings;
mod stall;
mod webhook;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use kube::Client;
use rollcall_injection::{ClusterDns, Settings, Way};
use rollcall_net::{Shutdown, TlsError, webhook_server_config_showing};
use tokio::{net::TcpListener, sync::watch};

use self::{keeper::Keeper, server::Server};
pub(crate) use self::{outcome::Outcome, settings::cluster_dns, settings::read as read_settings};
use crate::{args::Args, authority::Trust, operate::Metrics};

/// Holds by which names Kubernetes knows us.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) namespace: String,
    /// The Service by which pods and the API server reach us.
    pub(crate) service: String,
    /// The MutatingWebhookConfiguration.
    pub(crate) webhook: String,
}

/// Holds what every injection of this installation depends on.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) names: Names,
    pub(crate) settings: Settings,
    pub(crate) dns: Option<ClusterDns>,
}

/// How pods reach us; none until we know it ourselves.
type Known = Option<Arc<Way>>;

/// Answers the API server, and sees to it that it can ask, until the process ends. `admitting` turns true once it can, or
/// that is not to be waited for.
pub(crate) async fn run(
    installation: Installation,
    trust: Trust,
    client: Client,
    listener: TcpListener,
    metrics: Metrics,
    admitting: Arc<AtomicBool>,
    ear: Shutdown,
) -> Result<(), TlsError> {
    let tls = webhook_server_config_showing(trust.shown)?;
    let (known, way) = watch::channel(Known::None);
    let writes = metrics.writes().clone();
    let keeper = Keeper::new(client, installation.names.clone(), trust.told, writes, known, admitting);
    let server = Arc::new(Server::new(installation, way, metrics));
    tokio::join!(server.serve(listener, tls, ear.clone()), keeper.run(ear.clone()));
    Ok(())
}

// === impl Names ===

impl Names {
    /// None where the API server is not to ask.
    pub(crate) fn of(args: &Args) -> Option<Self> {
        let (namespace, service) = (args.namespace.clone(), args.service_name.clone());
        Some(Self { namespace, service, webhook: args.webhook.clone()? })
    }

    /// What the API server wants our certificate to be for.
    pub(crate) fn of_certificate(&self) -> [String; 2] {
        let name = format!("{}.{}.svc", self.service, self.namespace);
        [format!("{name}.cluster.local"), name]
    }
}

/// The way that is written into pods.
fn direct(controller: SocketAddr, authority_pem: &str) -> Way {
    Way::Direct { controller, ca_pem: authority_pem.to_owned() }
}
