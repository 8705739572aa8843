//! Other replicas as tests play them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rollcall_catalogue::{PodUid, ServiceKey};
use rollcall_wire::peer::{Standing, Version};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    fleet::{Fleet, Other},
    handle::{Ask, Ends, Own, PeersHandle, Subscribers, handle},
};
use crate::sessions::roster::Outcome;

/// Holds the other replicas' part. They answer that nobody there calls a pod, but where the test has them say something else.
pub(crate) struct Played {
    fleet: watch::Sender<Arc<Fleet>>,
    own: watch::Receiver<Own>,
    subscribers: Subscribers,
    answers: Arc<Mutex<VecDeque<Outcome>>>,
    asked: mpsc::UnboundedReceiver<Asked>,
    _answering: JoinSet<()>,
}

/// Says what the others are asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) pod: PodUid,
    pub(crate) version: Option<Version>,
    pub(crate) services: Vec<ServiceKey>,
    pub(crate) deadline: Instant,
}

/// A process beside none that it has met yet.
pub(crate) fn played() -> (PeersHandle, Played) {
    let (handle, Ends { fleet, own, mut asks, subscribers, .. }) = handle();
    let (answers, (heard, asked)) = (Arc::<Mutex<VecDeque<Outcome>>>::default(), mpsc::unbounded_channel());
    let mut answering = JoinSet::new();
    let given = answers.clone();
    answering.spawn(async move {
        while let Some(Ask { pod, version, services, deadline, reply }) = asks.recv().await {
            let outcome = given.lock().unwrap().pop_front().unwrap_or_default();
            let _ = (heard.send(Asked { pod, version, services, deadline }), reply.send(outcome));
        }
    });
    let played = Played { fleet, own, subscribers, answers, asked, _answering: answering };
    (handle, played)
}

/// One that serves so many sessions.
pub(crate) fn other(replica: &str, sessions_at: SocketAddr, sessions: u32) -> Other {
    Other { replica: replica.into(), sessions_at, sessions, serves: true }
}

// === impl Played ===

impl Played {
    pub(crate) fn tell(&self, fleet: Fleet) {
        self.fleet.send_replace(Arc::new(fleet));
    }

    /// All of them are met.
    pub(crate) fn are(&self, others: Vec<Other>) {
        self.tell(Fleet { is_met: true, others, ..Fleet::default() });
    }

    /// How many sessions we tell the others, and how we stand.
    pub(crate) fn own(&self) -> (u32, Standing) {
        let own = *self.own.borrow();
        (own.sessions, own.standing)
    }

    /// The next ask is answered with this.
    pub(crate) fn will_answer(&self, outcome: Outcome) {
        self.answers.lock().unwrap().push_back(outcome);
    }

    /// What they are asked next.
    pub(crate) async fn asked(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    /// Asks as another replica does.
    pub(crate) async fn ask(&self, services: Vec<ServiceKey>, number: u64, deadline: Instant) -> Outcome {
        self.subscribers.get().unwrap().drained(services, number, deadline).await
    }
}
