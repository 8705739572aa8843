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

/// What an answer gets to reach us: the others are asked to give theirs so long before the deadline, with what they know then.
const ON_THE_WAY: Duration = Duration::from_millis(250);

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
    /// Those that cannot be asked, by their processes, with the names of their replicas: they live, for all that is known.
    missed: BTreeMap<Arc<str>, Arc<str>>,
    pod: PodUid,
    version: Option<Version>,
    services: Vec<ServiceKey>,
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
    /// Asks these; gives what they are to be told. Whoever is missed and not lost may have callers in session: it is asked
    /// when it is met again, and late where that does not come to pass.
    pub(super) fn begin(
        &mut self,
        ask: Ask,
        others: BTreeMap<LinkId, Arc<str>>,
        missed: BTreeMap<Arc<str>, Arc<str>>,
        now: Instant,
    ) -> Option<Frame> {
        let Ask { pod, version, services, deadline, reply } = ask;
        if others.is_empty() && missed.is_empty() {
            // Whoever asked may have gone away meanwhile, here as below.
            let _ = reply.send(Outcome::default());
            return None;
        }
        self.given += 1;
        let outcome = Outcome::default();
        let open = Open { reply, deadline, awaited: others, missed, pod, version, services, outcome };
        let question = open.question(self.given, now);
        self.open.insert(self.given, open);
        Some(question)
    }

    /// There is a link again with this process: gives what it is to be asked.
    pub(super) fn met(&mut self, link: LinkId, epoch: &str, now: Instant) -> Vec<Frame> {
        let asked = self.open.iter_mut().filter_map(|(ask, open)| {
            let replica = open.missed.remove(epoch)?;
            open.awaited.insert(link, replica);
            Some(open.question(*ask, now))
        });
        asked.collect()
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
            let (awaited, missed) = (std::mem::take(&mut open.awaited), std::mem::take(&mut open.missed));
            awaited.values().chain(missed.values()).for_each(|replica| open.add(late(replica)));
            self.close(ask);
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.open.values().map(|open| open.deadline).min()
    }

    fn close(&mut self, ask: u64) {
        if self.open.get(&ask).is_some_and(|open| open.awaited.is_empty() && open.missed.is_empty())
            && let Some(Open { reply, outcome, .. }) = self.open.remove(&ask)
        {
            let _ = reply.send(outcome);
        }
    }
}

// === impl Open ===

impl Open {
    fn question(&self, ask: u64, now: Instant) -> Frame {
        let left = self.deadline.saturating_duration_since(now).saturating_sub(ON_THE_WAY);
        Frame::Drain {
            ask,
            pod: self.pod.clone(),
            version: self.version.clone(),
            services: self.services.clone(),
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(deadline: Instant) -> (Ask, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let (version, services) = (None, vec!["orders.shop".parse().unwrap()]);
        (Ask { pod: "u1".into(), version, services, deadline, reply }, outcome)
    }

    fn missed() -> BTreeMap<Arc<str>, Arc<str>> {
        [("b1".into(), "b".into())].into()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_missed_and_not_lost_is_late_at_the_deadline() {
        for linked in [false, true] {
            let now = Instant::now();
            let deadline = now + Duration::from_secs(10);
            let (ask, mut outcome) = asks(deadline);
            let mut asked = Asked::default();
            let links = linked.then(|| (LinkId(1), "c".into())).into_iter().collect();
            asked.begin(ask, links, missed(), now);
            asked.answered(LinkId(1), 1, Outcome { acked: 2, subscribers: 2, late: vec![] });
            asked.tick(deadline - Duration::from_millis(1));
            assert!(outcome.try_recv().is_err(), "it may be met again");
            assert_eq!(asked.wakes_at(), Some(deadline));
            asked.tick(deadline);
            let outcome = outcome.try_recv().unwrap();
            assert!(!outcome.is_complete());
            assert_eq!(outcome.late, ["replica b"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_met_again_is_asked() {
        let now = Instant::now();
        let (ask, mut outcome) = asks(now + Duration::from_secs(10));
        let mut asked = Asked::default();
        asked.begin(ask, BTreeMap::new(), missed(), now);
        assert!(asked.met(LinkId(6), "c1", now).is_empty());
        let frames = asked.met(LinkId(7), "b1", now + Duration::from_secs(4));
        assert!(matches!(&frames[..], [Frame::Drain { ask: 1, deadline_ms: 5_750, .. }]), "{frames:?}");
        assert!(asked.met(LinkId(8), "b1", now).is_empty(), "once");
        asked.answered(LinkId(7), 1, Outcome { acked: 1, subscribers: 1, late: vec![] });
        assert!(outcome.try_recv().unwrap().is_complete());
    }
}
