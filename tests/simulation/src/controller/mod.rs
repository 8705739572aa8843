//! The controller's process: the real index, feed and session machines, and in a few lines what its tasks do around
//! them: the owner, which takes its inputs in order and publishes, and a stream for each session.

mod drains;
mod owner;
mod peers;
mod stream;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

pub(crate) use drains::Answered;
use drains::Drains;
use owner::Reply;
pub(crate) use owner::{DrainAsked, Input};
use peers::Peers;
use rollcall_catalogue::{
    PodUid, Snapshot,
    changes::{Position, Reading},
};
use rollcall_controller::{Progress, index::Index};
use rollcall_wire::Feed;
pub(crate) use stream::Stream;

use crate::{
    agenda::Millis,
    ether::Ether,
    kubernetes::PodNo,
    network::{ConnectionId, End, Farewell, ReplicaNo},
    world::Event,
};

/// Holds one process of the controller.
#[derive(Debug)]
pub(crate) struct Controller {
    /// Counts the processes of all replicas: what was noted for an earlier one is not for this one.
    pub(crate) life: u64,
    pub(crate) replica: ReplicaNo,
    pub(crate) peers: Peers,
    pub(crate) index: Index,
    pub(crate) feed: Arc<Feed>,
    pub(crate) catalogue: Snapshot,
    pub(crate) number: u64,
    /// How far Kubernetes is read, and how far what is published goes.
    progress: Progress,
    reading: Arc<Reading>,
    happened: Position,
    pub(crate) complete: bool,
    pub(crate) streams: BTreeMap<ConnectionId, Stream>,
    /// The session that is each pod's.
    pub(crate) open: BTreeMap<PodUid, ConnectionId>,
    pub(crate) paused: bool,
    /// What was for it while it was paused.
    pub(crate) deferred: Vec<Event>,
    pub(crate) faults: Vec<String>,
    pub(crate) answered: Vec<Answered>,
    /// Sessions whose digest did not fit.
    pub(crate) digest_resyncs: u64,
    /// When a session's time was over last: that is a change of its services, since it counts as lost until it is back.
    pub(crate) expired_ms: Option<Millis>,
    /// Kubernetes was last heard then.
    pub(crate) kubernetes_heard_ms: Millis,
    /// Its clock is ahead by this.
    skew_ms: u64,
    inputs: VecDeque<Input>,
    drains: Drains,
    /// To be said once what they are about is published.
    replies: Vec<(ConnectionId, Reply)>,
    published_ms: Option<Millis>,
    publish_noted: bool,
    wake_noted_ms: Option<Millis>,
    /// Open sessions that are doubted: their next frame is news.
    doubted: std::collections::BTreeSet<PodUid>,
}

// === impl Controller ===

impl Controller {
    pub(crate) fn start(life: u64, replica: ReplicaNo, ether: &mut Ether) -> Self {
        // Clocks of two machines differ, and the next process may be behind the one before.
        let skew_ms = ether.chance.within(0..=60_000);
        ether.note(format!("controller {life} of replica {replica} starts, its clock {skew_ms} ms ahead"));
        ether.agenda.after(0, Event::ControllerWakes(life));
        ether.agenda.after(0, Event::LooksAtPeers(life));
        let epoch = Arc::<str>::from(format!("epoch-{life}"));
        Self {
            life,
            replica,
            peers: Peers::new(epoch.clone(), ether.now_ms() + skew_ms),
            index: Index::default().of_process(epoch.clone()),
            feed: Arc::new(Feed::new(epoch)),
            catalogue: Snapshot::default(),
            number: 0,
            progress: Progress::default(),
            reading: Arc::default(),
            happened: Position::default(),
            complete: false,
            streams: BTreeMap::new(),
            open: BTreeMap::new(),
            paused: false,
            deferred: Vec::new(),
            faults: Vec::new(),
            answered: Vec::new(),
            digest_resyncs: 0,
            expired_ms: None,
            kubernetes_heard_ms: ether.now_ms(),
            skew_ms,
            inputs: VecDeque::new(),
            drains: Drains::default(),
            replies: Vec::new(),
            published_ms: None,
            publish_noted: false,
            wake_noted_ms: None,
            doubted: std::collections::BTreeSet::new(),
        }
    }

    /// The process ends; each of its connections as its kernel or its machine does it.
    pub(crate) fn crash(mut self, how: Farewell, ether: &mut Ether) {
        self.drop_links(how, ether);
        for id in self.streams.into_keys() {
            ether.leave(id, End::Listener, how);
        }
    }

    /// By its own clock.
    pub(crate) fn clock_ms(&self, ether: &Ether) -> Millis {
        ether.now_ms() + self.skew_ms
    }

    /// When the pod's open session was heard last, in the time of all.
    pub(crate) fn heard_ms(&self, pod: PodNo) -> Option<Millis> {
        let stream = self.streams.get(self.open.get(&pod.uid())?)?;
        Some(stream.heard_ms.saturating_sub(self.skew_ms))
    }

    /// Whether it takes sessions.
    pub(crate) fn serves(&self) -> bool {
        self.complete && self.peers.met && !self.paused
    }

    /// Nothing waits to be taken in.
    pub(crate) fn idle(&self) -> bool {
        self.inputs.is_empty()
    }
}
