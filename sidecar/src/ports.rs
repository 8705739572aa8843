//! The ports on which apps ask, HTTP and DNS: opened before anything else, so that a mistake fails the start, and served once
//! there is something to answer from.

use std::{io, net::SocketAddr, sync::Arc};

use rollcall_net::{Callers, Http1, Places, Shutdown, bind, bind_if_present};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinSet};
use tracing::info;

use crate::{
    api::{self, Api},
    dns::{Counts, Dns, Forwarder, ListenError, Search, Servers, ServersError, Sockets},
};

/// Says where apps are to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen<'a> {
    pub(crate) api: SocketAddr,
    pub(crate) api_v6: SocketAddr,
    pub(crate) dns: &'a [SocketAddr],
    /// Who knows names of other zones.
    pub(crate) forward: &'a Servers,
}

/// Holds the open ports.
#[derive(Debug)]
pub(crate) struct Ports {
    api: Vec<TcpListener>,
    dns: Vec<Sockets>,
    forwarder: Option<Forwarder>,
    counts: Counts,
}

/// Says which port cannot be had.
#[derive(Debug, Error)]
pub(crate) enum PortError {
    #[error("{flag} {address}: cannot listen")]
    Api { flag: &'static str, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Dns(#[from] ListenError),
    #[error(transparent)]
    Forward(#[from] ServersError),
    #[error("--dns-listen: the kernel does not say where it listens")]
    Unsaid(#[from] io::Error),
}

// === impl Ports ===

impl Ports {
    /// Opens all that the machine has addresses for.
    pub(crate) fn bind(listen: Listen<'_>) -> Result<Self, PortError> {
        let mut dns = Vec::new();
        for address in listen.dns {
            match Sockets::bind(*address)? {
                Some(sockets) => dns.push(sockets),
                None => info!(%address, "this machine has no such address"),
            }
        }
        let own = dns.iter().map(Sockets::address).collect::<Result<Vec<_>, _>>()?;
        let forwarder = Forwarder::new(listen.forward, &own, Search::of_this_pod())?;
        // Last: whoever can connect here finds the others open as well.
        let failed = |flag, address| move |source| PortError::Api { flag, address, source };
        let mut api = vec![bind(listen.api).map_err(failed("--api-listen", listen.api))?];
        match bind_if_present(listen.api_v6).map_err(failed("--api-listen-v6", listen.api_v6))? {
            Some(listener) => api.push(listener),
            None => info!(address = %listen.api_v6, "this machine has no such address"),
        }
        Ok(Self { api, dns, forwarder, counts: Counts::default() })
    }

    /// Where lookups are answered.
    pub(crate) fn api_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.api.iter().map(TcpListener::local_addr).collect()
    }

    /// Where resolvers are answered.
    pub(crate) fn dns_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.dns.iter().map(Sockets::address).collect()
    }

    /// What comes of queries.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Answers at all of them, each as a part of its own.
    pub(crate) fn serve(self, api: &Arc<Api>, parts: &mut JoinSet<()>, shutdown: &Shutdown) {
        let dns = Arc::new(Dns::new(api.clone(), self.forwarder, self.counts));
        for sockets in self.dns {
            sockets.serve(&dns, shutdown, parts);
        }
        for listener in self.api {
            let api = api.clone();
            let http = Http1 { listener, places: Places::new(api::CONNECTIONS_MAX), callers: Callers::Apps };
            parts.spawn(http.serve(move |request| api.clone().answer(request), shutdown.clone()));
        }
    }
}

// === impl PortError ===

impl PortError {
    /// The flag and the address that are to blame, and what the kernel has against them; none where it has nothing.
    pub(crate) fn refused(&self) -> Option<(&'static str, SocketAddr, io::ErrorKind)> {
        match self {
            Self::Api { flag, address, source } => Some((flag, *address, source.kind())),
            Self::Dns(ListenError::Failed { address, source, .. }) => {
                Some(("--dns-listen", *address, source.kind()))
            }
            Self::Dns(ListenError::NotAllowed { address }) => {
                Some(("--dns-listen", *address, io::ErrorKind::PermissionDenied))
            }
            Self::Forward(_) | Self::Unsaid(_) => None,
        }
    }
}
