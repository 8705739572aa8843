//! The controller of one machine, without Kubernetes: a folder of manifests stands where the API server was, and the machine's
//! addresses stand where its pods were. Index, verdicts, sessions and read API are those of the cluster.
//!
//! ```text
//!  folder ─► Desk [ Manifests ] ── Change ──┐
//!               └─► Shelf: what each file came to, for people
//!  addresses ─► Residents ── Change ────────┼─► Owner [ Index ] ─► View ─► sessions ◄══ in memory ══ the sidecar
//!  static addresses ◄── prober ─────────────┘                      └─► :7380 read API   :7391 metrics
//! ```

mod desk;
mod link;
mod manifests;
mod residents;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context;
use rollcall_catalogue::{Namespace, Reach};
use rollcall_net::{LogFilter, Network, Shutdown, bind_any, server_config};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    desk::Desk,
    link::{Door, link},
};
pub use self::{
    manifests::{FileState, Shelf},
    residents::{ResidentError, Residents},
};
use crate::{
    authority::Authority,
    index::{Change, Index, Kind},
    operate::{Beside, Metrics, api, health::Health},
    outside,
    owner::{IndexHandle, Owner, OwnerGone, View, owner},
    parts::{Parts, until},
    peers::PeersHandle,
    sessions::{Consumers, Sessions},
    told,
};

/// How we call ourselves where replicas are named.
const REPLICA: &str = "dev";
/// Between two proofs that the watches work: what they watch is in this process, and whoever freezes when they are stale must not.
const PROOF_EVERY: Duration = Duration::from_secs(10);
/// All parts have ended by then, or are cut off.
const END_MAX: Duration = Duration::from_millis(1_900);

/// Holds what a controller of one machine is given.
pub struct Setting {
    /// The namespace of whatever names none.
    pub home: Namespace,
    /// Where the manifests are.
    pub folder: PathBuf,
    pub read_listen: SocketAddr,
    pub read_listen_v6: SocketAddr,
    pub health_listen: SocketAddr,
    pub logs: LogFilter,
}

/// Holds the open ports of a controller that is about to run.
pub struct Embedded {
    home: Namespace,
    owner: Owner,
    index: IndexHandle,
    metrics: Metrics,
    authority: Authority,
    residents: Residents,
    way: Arc<dyn Network>,
    door: Door,
    desk: Desk,
    shelf: watch::Receiver<Arc<Shelf>>,
    read: Vec<TcpListener>,
    health: TcpListener,
    logs: LogFilter,
}

// === impl Embedded ===

impl Embedded {
    /// Opens the ports: a conflict must fail the start, not the first request.
    pub fn bind(setting: Setting) -> anyhow::Result<Self> {
        let Setting { home, folder, read_listen, read_listen_v6, health_listen, logs } = setting;
        let health = bind_any(health_listen)
            .with_context(|| format!("--health-listen {health_listen}: cannot listen"))?;
        let read = api::listen(read_listen, read_listen_v6)?;
        let metrics = Metrics::new();
        let (owner, index) = owner(Index::default().of_this_machine(), metrics.clone());
        let (way, door) = link();
        let (desk, shelf) = Desk::new(folder, home.clone());
        Ok(Self {
            residents: Residents::new(index.clone(), home.clone()),
            authority: Authority::generate(REPLICA)?,
            way: Arc::new(way),
            home,
            owner,
            index,
            metrics,
            door,
            desk,
            shelf,
            read,
            health,
            logs,
        })
    }

    /// Whom the sidecar is to believe.
    pub fn ca_pem(&self) -> &str {
        &self.authority.certificate_pem
    }

    /// The sidecar's way here; every address leads to us.
    pub fn way(&self) -> Arc<dyn Network> {
        self.way.clone()
    }

    /// Who the machine's addresses are.
    pub fn residents(&self) -> Residents {
        self.residents.clone()
    }

    /// What the files of the folder came to, now and later.
    pub fn shelf(&self) -> watch::Receiver<Arc<Shelf>> {
        self.shelf.clone()
    }

    /// What is known, now and later.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.index.view()
    }

    /// Where people read.
    pub fn read_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.read.iter().map(TcpListener::local_addr).collect()
    }

    pub fn health_address(&self) -> std::io::Result<SocketAddr> {
        self.health.local_addr()
    }

    /// Serves until it is told to end, or until a part ends by itself. `beside` is shown with our own measurements.
    pub async fn run(self, beside: Beside, mut shutdown: Shutdown) -> anyhow::Result<()> {
        let (index, metrics) = (self.index, self.metrics);
        let leaf = self.authority.leaf(REPLICA)?;
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes())?;
        // Held to the end: who tells something must not be gone while others listen.
        let (_telling, told) = told::feed(&self.authority.certificate_pem);
        let (_holding, holds_lease) = watch::channel(true);
        let mut parts: Parts = JoinSet::new();
        let (owner, ear) = (self.owner, shutdown.clone());
        parts.spawn(async move {
            owner.run(ear).await;
            Ok("owner")
        });
        parts.spawn(until(shutdown.clone(), "folder", self.desk.run(index.clone())));
        parts.spawn(until(shutdown.clone(), "proofs", prove(metrics.clone())));
        parts.spawn({
            let probing = outside::run(index.clone(), holds_lease, Reach::Machine, shutdown.clone());
            async move {
                probing.await?;
                Ok("prober")
            }
        });
        list_what_is_not_here(&index, self.home).await?;
        let peers = PeersHandle::alone();
        let health = Health {
            index: index.clone(),
            serving: Arc::new(AtomicBool::new(true)),
            admitting: Arc::new(AtomicBool::new(true)),
            fleet: peers.fleet(),
            leaving: Arc::default(),
            metrics: metrics.clone(),
            beside: Some(beside),
        };
        let (listener, ear) = (self.health, shutdown.clone());
        parts.spawn(async move {
            health.serve(listener, ear).await;
            Ok("health")
        });
        let consumers = Consumers::of_one_process();
        let api = api::Api::new(index.clone(), consumers.clone(), self.logs, REPLICA);
        for listener in self.read {
            let (api, ear) = (api.clone(), shutdown.clone());
            parts.spawn(async move {
                api.serve(listener, ear).await;
                Ok("read API")
            });
        }
        let sessions =
            Sessions::shown_by(&consumers, peers, REPLICA.to_owned(), index, self.residents, metrics, told);
        let (door, ear) = (self.door, shutdown.clone());
        parts.spawn(async move {
            sessions.serve(door, tls, ear).await?;
            Ok("sessions")
        });
        let ended = tokio::select! {
            ended = parts.join_next() => ended,
            () = shutdown.requested() => None,
        };
        let result = match ended {
            None => Ok(()),
            Some(Ok(Ok(part))) => Err(anyhow::anyhow!("{part} ended by itself; this is a bug")),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error.into()),
        };
        // The word to end reaches all parts at once.
        let _ = timeout(END_MAX, async { while parts.join_next().await.is_some() {} }).await;
        result
    }
}

/// What only a cluster has is listed, and is nothing: so that what is not there is known not to be.
async fn list_what_is_not_here(index: &IndexHandle, home: Namespace) -> Result<(), OwnerGone> {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Registration) {
        index.apply(Change::ListBegins(kind)).await?;
        if kind == Kind::Namespace {
            index.apply(Change::Namespace(home.clone(), Default::default())).await?;
        }
        index.apply(Change::ListEnds(kind)).await?;
    }
    Ok(())
}

/// Watches of what is in this process never fail.
async fn prove(metrics: Metrics) -> Result<(), OwnerGone> {
    loop {
        metrics.watches_work();
        sleep(PROOF_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
