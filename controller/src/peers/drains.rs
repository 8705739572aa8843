//! Who still calls a pod that goes: asked of the other replicas, and answered to them.

use std::{collections::BTreeMap, sync::Arc};

use rollcall_catalogue::{PodUid, ServiceKey};
use rollcall_wire::{
    limits::DRAIN_MAX,
    peer::{Frame, Version},
};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::{
    handle::{Ask, Subscribers},
    link::LinkId,
};
use crate::{
    owner::{Going, IndexHandle, OwnerGone},
    sessions::roster::Outcome,
};

/// Names that an answer holds: enough for a person to see which.
const LATE_MAX: usize = 32;

/// Holds what we asked the others, and how far the answers have come.
#[derive(Debug, Default)]
pub(super) struct Asked {
    given: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    reply: oneshot::Sender<Outcome>,
    deadline: Instant,
    /// Those that have not answered, by the names of their replicas.
    awaited: BTreeMap<LinkId, Arc<str>>,
    outcome: Outcome,
}

/// Holds what another replica asks us.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: u64,
    pub(super) pod: PodUid,
    pub(super) version: Option<Version>,
    pub(super) services: Vec<ServiceKey>,
    pub(super) deadline: Instant,
}

// === impl Asked ===

impl Asked {
    /// Asks these; gives what they are to be told.
    pub(super) fn begin(
        &mut self,
        ask: Ask,
        others: BTreeMap<LinkId, Arc<str>>,
        now: Instant,
    ) -> Option<Frame> {
        let Ask { pod, version, services, deadline, reply } = ask;
        if others.is_empty() {
            // Whoever asked may have gone away meanwhile, here as below.
            let _ = reply.send(Outcome::default());
            return None;
        }
        self.given += 1;
        let open = Open { reply, deadline, awaited: others, outcome: Outcome::default() };
        self.open.insert(self.given, open);
        let left = deadline.saturating_duration_since(now);
        let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Some(Frame::Drain { ask: self.given, pod, version, services, deadline_ms })
    }

    pub(super) fn answered(&mut self, by: LinkId, ask: u64, outcome: Outcome) {
        if let Some(open) = self.open.get_mut(&ask)
            && open.awaited.remove(&by).is_some()
        {
            open.add(outcome);
            self.close(ask);
        }
    }

    /// There is no such link any more, and with it no answer.
    pub(super) fn lost(&mut self, link: LinkId) {
        let asks: Vec<u64> = self.open.keys().copied().collect();
        for ask in asks {
            let Some(open) = self.open.get_mut(&ask) else { continue };
            if let Some(replica) = open.awaited.remove(&link) {
                open.add(late(&replica));
                self.close(ask);
            }
        }
    }

    /// Ends what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        let due = self.open.iter().filter(|(_, open)| open.deadline <= now || open.reply.is_closed());
        let due: Vec<u64> = due.map(|(ask, _)| *ask).collect();
        for ask in due {
            let Some(open) = self.open.get_mut(&ask) else { continue };
            let awaited = std::mem::take(&mut open.awaited);
            awaited.values().for_each(|replica| open.add(late(replica)));
            self.close(ask);
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.open.values().map(|open| open.deadline).min()
    }

    fn close(&mut self, ask: u64) {
        if self.open.get(&ask).is_some_and(|open| open.awaited.is_empty())
            && let Some(Open { reply, outcome, .. }) = self.open.remove(&ask)
        {
            let _ = reply.send(outcome);
        }
    }
}

// === impl Open ===

impl Open {
    fn add(&mut self, outcome: Outcome) {
        let held = &mut self.outcome;
        held.acked = held.acked.saturating_add(outcome.acked);
        held.subscribers = held.subscribers.saturating_add(outcome.subscribers);
        let room = LATE_MAX.saturating_sub(held.late.len());
        held.late.extend(outcome.late.into_iter().take(room));
    }
}

/// What a replica is that has not answered: nobody knows who calls the pod there, but somebody may.
fn late(replica: &str) -> Outcome {
    Outcome { acked: 0, subscribers: 1, late: vec![format!("replica {replica}")] }
}

/// Waits until nobody in session with us calls this pod any more, or until the deadline.
pub(super) async fn answer(question: Question, index: IndexHandle, subscribers: Subscribers) -> Frame {
    let Question { ask, pod, version, mut services, deadline } = question;
    let within = deadline.saturating_duration_since(Instant::now());
    let outcome = match subscribers.get() {
        // Nobody was ever in session with us.
        None => Outcome::default(),
        Some(subscribers) => match index.going(pod, version, within).await {
            Ok(Some(Going { number, services: ours })) => {
                services.extend(ours);
                services.sort();
                services.dedup();
                subscribers.drained(services, number, deadline).await
            }
            // We have not heard that it goes, and so has nobody here.
            Ok(None) | Err(OwnerGone) => subscribers.drained(services, u64::MAX, Instant::now()).await,
        },
    };
    let Outcome { acked, subscribers, late } = outcome;
    Frame::Drained { ask, acked, subscribers, late }
}

// === impl Question ===

impl Question {
    /// How long anybody may have us wait.
    pub(super) fn deadline(deadline_ms: u64, now: Instant) -> Instant {
        now + Duration::from_millis(deadline_ms).min(DRAIN_MAX)
    }
}
