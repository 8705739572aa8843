//! How the rest of the process speaks with the other replicas.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use rollcall_catalogue::{PodUid, ServiceKey};
use rollcall_wire::peer::{Standing, Version};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{fleet::Fleet, hub::Door, link::Moving, links::LINKS_MAX};
use crate::{
    auth::{KnownTokens, Renews},
    sessions::roster::Outcome,
};

/// Asks that wait for the task of the peers: as many pods may drain at once as the index lets wait for their end. Who comes
/// when all places are taken waits for one.
const ASKS_MAX: usize = 1_024;

/// Replicas that have opened a link and wait to be let in: as many as there may be links.
const DOORS_MAX: usize = LINKS_MAX;

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
    hub: Option<Hub>,
    subscribers: Subscribers,
    tokens: Arc<KnownTokens>,
    reviewer: Reviewer,
}

/// Holds the ways to the task that knows all links.
#[derive(Clone)]
struct Hub {
    asks: mpsc::Sender<Ask>,
    doors: mpsc::Sender<Door>,
}

/// Holds what we tell the others of ourselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) sessions: u32,
    pub(super) standing: Standing,
}

/// Holds who answers the others' drains; nobody before the sessions are served.
pub(super) type Subscribers = Arc<OnceLock<Arc<dyn AwaitsSubscribers>>>;

/// Holds who reviews the others' tokens; nobody before the sessions are served.
pub(super) type Reviewer = Arc<OnceLock<Arc<dyn Renews>>>;

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
    pub(super) doors: mpsc::Receiver<Door>,
    pub(super) subscribers: Subscribers,
    pub(super) tokens: Arc<KnownTokens>,
    pub(super) reviewer: Reviewer,
}

pub(super) fn handle() -> (PeersHandle, Ends) {
    let (told, fleet) = watch::channel(Arc::<Fleet>::default());
    let (own, stands) = watch::channel(Own::default());
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (doors, opened) = mpsc::channel(DOORS_MAX);
    let (subscribers, tokens) = (Subscribers::default(), Arc::<KnownTokens>::default());
    let reviewer = Reviewer::default();
    let ends = Ends {
        fleet: told,
        own: stands,
        asks: asked,
        doors: opened,
        subscribers: subscribers.clone(),
        tokens: tokens.clone(),
        reviewer: reviewer.clone(),
    };
    let hub = Some(Hub { asks, doors });
    (PeersHandle { fleet, own: Arc::new(own), hub, subscribers, tokens, reviewer }, ends)
}

// === impl PeersHandle ===

impl PeersHandle {
    /// Those of a process that has no others beside it, and never will.
    pub fn alone() -> Self {
        let fleet = Fleet { is_met: true, ..Fleet::default() };
        let (own, _) = watch::channel(Own::default());
        let fleet = watch::channel(Arc::new(fleet)).1;
        let (subscribers, tokens) = (Subscribers::default(), Arc::default());
        let reviewer = Reviewer::default();
        Self { fleet, own: Arc::new(own), hub: None, subscribers, tokens, reviewer }
    }

    /// Those of a process whose others somebody else looks after: they are asked nothing.
    pub fn watching(fleet: watch::Receiver<Arc<Fleet>>) -> Self {
        Self { fleet, ..Self::alone() }
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

    /// Who reviews the tokens that the others show over their links. Only the first one counts.
    pub(crate) fn renew_by(&self, reviewer: Arc<dyn Renews>) {
        // A process has one door.
        let _ = self.reviewer.set(reviewer);
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
        let Some(Hub { asks, .. }) = &self.hub else { return Outcome::default() };
        let (reply, answer) = oneshot::channel();
        let ask = Ask { pod, version, services, deadline, reply };
        match asks.send(ask).await {
            Ok(()) => answer.await.unwrap_or_default(),
            // The process ends, and so do all drains that it was asked for.
            Err(_) => Outcome::default(),
        }
    }

    /// The tokens that are known to be good, here or by another replica's word.
    pub(crate) fn tokens(&self) -> &Arc<KnownTokens> {
        &self.tokens
    }

    /// A link for another replica that has opened this request; none where there are too many, or none are wanted.
    pub(crate) async fn link(
        &self,
        incoming: Incoming,
        outgoing: mpsc::Sender<Bytes>,
    ) -> Option<Box<Moving>> {
        let (reply, answer) = oneshot::channel();
        let door = Door { incoming, outgoing, reply };
        // A hub that does not come to it has too much to do.
        self.hub.as_ref()?.doors.try_send(door).ok()?;
        answer.await.ok()?
    }
}

impl fmt::Debug for PeersHandle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PeersHandle").field("fleet", &*self.fleet.borrow()).finish_non_exhaustive()
    }
}
