//! The steward: opens an address of the machine as a pod of its own when something is to be registered there, takes up those of
//! the process before, and lets go of one with nothing registered where another one needs its room.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, bail};
use rollcall_catalogue::Namespace;
use rollcall_net::{Network, Trigger, shutdown};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Duration, timeout},
};
use tracing::{info, warn};

use super::{
    END_MAX, Pods, folders,
    machine::{ADDRESSES_MAX, FIRST, Others, Wish},
};
use crate::{
    args::Args,
    core::{Core, Legacy},
    owners::{NoOwner, Owner},
    session::Trust,
    store::{Store, Writer, store},
};

/// What is dialled; the network knows that the controller of this process is meant, whatever it says.
const CONTROLLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7310);
/// The controller of this process says who an address is within milliseconds; a start that waits longer has failed.
const TOKEN_MAX: Duration = Duration::from_secs(5);

/// Holds what is the same at all addresses.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) state_dir: PathBuf,
    pub(super) ca_pem: String,
    pub(super) namespace: Namespace,
    pub(super) network: Arc<dyn Network>,
    pub(super) pods: Arc<dyn Pods>,
}

/// Holds the sessions of all addresses.
pub(super) struct Steward {
    ground: Ground,
    /// Who speaks for the first one, once it is open.
    first: Option<Owner>,
    others: Others,
    wishes: mpsc::Receiver<Wish>,
    open: BTreeMap<IpAddr, Post>,
    running: JoinSet<(IpAddr, anyhow::Result<()>)>,
}

/// Holds the session of one address, which ends with this.
struct Post {
    _trigger: Trigger,
    /// Resolves when it has ended.
    ended: oneshot::Receiver<()>,
}

// === impl Steward ===

impl Steward {
    pub(super) fn new(ground: Ground, wishes: mpsc::Receiver<Wish>) -> Self {
        let (others, open, running) = Default::default();
        Self { ground, first: None, others, wishes, open, running }
    }

    pub(super) fn others(&self) -> Others {
        self.others.clone()
    }

    /// Opens the first address over this store, and those that the process before this one has left.
    pub(super) async fn begin(&mut self, stored: (Writer, Store)) -> anyhow::Result<Owner> {
        let first = self.open(FIRST, stored).await?;
        self.first = Some(first.clone());
        let path = self.ground.state_dir.display().to_string();
        let found =
            folders::found(&self.ground.state_dir).with_context(|| format!("{path}: cannot be read"))?;
        for address in found {
            if self.is_full() {
                warn!(%address, path, "more addresses than {ADDRESSES_MAX}; what was registered at this one is left out");
                continue;
            }
            match self.open(address, store()).await {
                Ok(owner) => self.others.insert(address, owner),
                Err(error) => {
                    warn!(%address, error = format!("{error:#}"), "what was registered there is left out");
                }
            }
        }
        Ok(first)
    }

    /// Opens addresses as they are wished for, until a session ends by itself.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                Some(Wish { address, answer }) = self.wishes.recv() => {
                    let opened = self.opened(address).await;
                    // It may have given up meanwhile; the address stays open for its next try.
                    let _ = answer.send(opened);
                }
                Some(ended) = self.running.join_next() => {
                    let (address, ended) = ended?;
                    if self.open.contains_key(&address) {
                        ended.with_context(|| format!("{address}: its session ended by itself"))?;
                        bail!("{address}: its session ended by itself; this is a bug");
                    }
                }
            }
        }
    }

    /// Ends all sessions; what is to be kept is on the disk then.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.open.clear();
        let ended = timeout(END_MAX, async {
            while let Some(ended) = self.running.join_next().await {
                ended?.1?;
            }
            Ok(())
        });
        ended.await.unwrap_or_else(|_| {
            warn!("some sessions were cut off");
            Ok(())
        })
    }

    /// Who speaks for this address from now on.
    async fn opened(&mut self, address: IpAddr) -> Result<Owner, NoOwner> {
        // Two may have wished for it at the same time.
        if let Some(owner) = self.others.get(address) {
            return Ok(owner);
        }
        if self.is_full() {
            let free = self.others.close_one().ok_or(NoOwner::TooMany)?;
            self.let_go(free).await;
        }
        let opened = self.open(address, store()).await.map_err(|error| {
            warn!(%address, error = format!("{error:#}"), "nothing can be registered there now");
            NoOwner::NotNow
        })?;
        info!(%address, "something is registered at another address of this machine");
        self.others.insert(address, opened.clone());
        Ok(opened)
    }

    async fn open(&mut self, address: IpAddr, stored: (Writer, Store)) -> anyhow::Result<Owner> {
        let Ground { state_dir, ca_pem, namespace, network, pods } = &self.ground;
        let token = timeout(TOKEN_MAX, pods.token_of(address)).await;
        let token = token.context("the controller does not say who it is")??;
        let folder = folders::folder_of(state_dir, address);
        folders::put_token(state_dir, address, &token)
            .with_context(|| format!("{}: cannot be written; use another folder", folder.display()))?;
        let trust = Trust::new(ca_pem).context("the authority of the controller")?;
        let token_file = folders::token_file_of(state_dir, address);
        let args = Args::of_machine(CONTROLLER, namespace.clone(), folder, token_file);
        let said_of_all = self.first.as_ref().map(|first| first.own.said_of_all());
        let core = Core::over(stored, args, network.clone(), trust, Legacy::Machine { said_of_all });
        let owner = core.owner.clone();
        let ((trigger, ear), (running, ended)) = (shutdown(), oneshot::channel());
        self.open.insert(address, Post { _trigger: trigger, ended });
        self.running.spawn(async move {
            let _running = running;
            (address, core.run(ear).await)
        });
        Ok(owner)
    }

    /// Ends the session of an address that takes nothing any more, and forgets it.
    async fn let_go(&mut self, address: IpAddr) {
        self.others.remove(address);
        let ended = self.open.remove(&address).map(|post| post.ended);
        if let Some(ended) = ended
            && timeout(END_MAX, ended).await.is_err()
        {
            warn!(%address, "its session takes long to end");
        }
        if let Err(error) = folders::remove(&self.ground.state_dir, address) {
            warn!(%address, %error, "its folder cannot be removed");
        }
        self.ground.pods.let_go(address).await;
        info!(%address, "nothing is registered there any more, and another address needed its room");
    }

    fn is_full(&self) -> bool {
        // The first is not among them.
        self.others.count() >= ADDRESSES_MAX - 1
    }
}
