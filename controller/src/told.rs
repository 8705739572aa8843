//! What all who dial us are to know of the installation: whom to believe, and where we are reached.
//!
//! One task knows it, the keeper of the authority; all others read its newest word: sessions tell it to sidecars,
//! admission writes it into pods and into the webhook's configuration, links between replicas are dialled by it.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;

/// Holds whom to believe and where we are reached, as this process knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The certificates of all authorities that are to be believed, as PEM.
    pub ca_pem: Arc<str>,
    /// The Service's own address with its port for sessions, where it is known.
    pub controller: Option<SocketAddr>,
}

/// A feed of it that begins with this bundle, and with no address.
pub(crate) fn feed(ca_pem: &str) -> (watch::Sender<Told>, watch::Receiver<Told>) {
    watch::channel(Told { ca_pem: ca_pem.into(), controller: None })
}
