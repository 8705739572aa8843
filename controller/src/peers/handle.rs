//! How the rest of the process speaks with the other replicas.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use futures::future::BoxFuture;
use rollcall_catalogue::{PodUid, ServiceKey};
use rollcall_wire::peer::{Standing, Version};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::fleet::Fleet;
use crate::sessions::roster::Outcome;

/// Asks that wait for the task of the peers: as many pods may drain at once as the index lets wait for their end. Who comes
/// when all places are taken waits for one.
const ASKS_MAX: usize = 1_024;

/// Says when nobody in session with us calls these services any more as they were before this number of the feed.
pub trait AwaitsSubscribers: Send + Sync + 'static {
    fn drained(
        &self,
        services: Vec<ServiceKey>,
        number: u64,
        deadline: Instant,
    ) -> BoxFuture<'static, Outcome>;
}

/// Holds the way to the other replicas.
#[derive(Clone)]
pub struct PeersHandle {
    fleet: watch::Receiver<Arc<Fleet>>,
    own: Arc<watch::Sender<Own>>,
    asks: Option<mpsc::Sender<Ask>>,
    subscribers: Subscribers,
}

/// Holds what we tell the others of ourselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) sessions: u32,
    pub(super) standing: Standing,
}

/// Holds who answers the others' drains; nobody before the sessions are served.
pub(super) type Subscribers = Arc<OnceLock<Arc<dyn AwaitsSubscribers>>>;

/// Asks all others when nobody in session with them calls this pod any more.
pub(super) struct Ask {
    pub(super) pod: PodUid,
    pub(super) version: Option<Version>,
    pub(super) services: Vec<ServiceKey>,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Outcome>,
}

/// Holds the other ends of a handle's channels.
pub(super) struct Ends {
    pub(super) fleet: watch::Sender<Arc<Fleet>>,
    pub(super) own: watch::Receiver<Own>,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) subscribers: Subscribers,
}

pub(super) fn handle() -> (PeersHandle, Ends) {
    let (told, fleet) = watch::channel(Arc::<Fleet>::default());
    let (own, stands) = watch::channel(Own::default());
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let subscribers = Subscribers::default();
    let ends = Ends { fleet: told, own: stands, asks: asked, subscribers: subscribers.clone() };
    (PeersHandle { fleet, own: Arc::new(own), asks: Some(asks), subscribers }, ends)
}

// === impl PeersHandle ===

impl PeersHandle {
    /// Those of a process that has no others beside it, and never will.
    pub fn alone() -> Self {
        let fleet = Fleet { is_met: true, ..Fleet::default() };
        let (own, _) = watch::channel(Own::default());
        let fleet = watch::channel(Arc::new(fleet)).1;
        Self { fleet, own: Arc::new(own), asks: None, subscribers: Subscribers::default() }
    }

    /// The other replicas as they are, now and later.
    pub fn fleet(&self) -> watch::Receiver<Arc<Fleet>> {
        self.fleet.clone()
    }

    /// How we stand, which the others are told at once where it is another standing, and else with the next beat.
    pub fn set_own(&self, sessions: u32, standing: Standing) {
        let own = Own { sessions, standing };
        self.own.send_if_modified(|held| std::mem::replace(held, own) != own);
    }

    /// Who is asked by the others who calls a pod here. Only the first one counts.
    pub fn answer_drains_by(&self, subscribers: Arc<dyn AwaitsSubscribers>) {
        // A process has one board.
        let _ = self.subscribers.set(subscribers);
    }

    /// How far those in session with the other replicas have let go of this pod, by the deadline at the latest. A replica
    /// that does not answer counts as one that is late, by its name.
    pub async fn drained(
        &self,
        pod: PodUid,
        version: Option<Version>,
        services: Vec<ServiceKey>,
        deadline: Instant,
    ) -> Outcome {
        let Some(asks) = &self.asks else { return Outcome::default() };
        let (reply, answer) = oneshot::channel();
        let ask = Ask { pod, version, services, deadline, reply };
        match asks.send(ask).await {
            Ok(()) => answer.await.unwrap_or_default(),
            // The process ends, and so do all drains that it was asked for.
            Err(_) => Outcome::default(),
        }
    }
}

impl fmt::Debug for PeersHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PeersHandle").field("fleet", &*self.fleet.borrow()).finish_non_exhaustive()
    }
}
