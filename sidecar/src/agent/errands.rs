//! What the other parts want of the agent: to know a name, to ask the controller, to drain.

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{Drain, Question, Told, client::Drained};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, timeout, timeout_at},
};

use crate::store::Store;

/// Errands that wait for the agent: as many as lookups may wait. A wish that finds no room is made again by the next
/// lookup.
const ERRANDS_MAX: usize = 256;
/// A controller that is there answers in milliseconds, and a person waits no longer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Who drains waits so long for a session: without one, nobody is told anything, however long it takes.
const SESSION_MAX: Duration = Duration::from_secs(3);

/// Holds the way to the agent.
#[derive(Debug, Clone)]
pub(crate) struct Errands(mpsc::Sender<Errand>);

/// Says what the agent is to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// A lookup wants this name.
    Wish(ServiceKey),
    /// Somebody wants the list of all services.
    WishSummary,
    Ask {
        question: Question,
        answer: oneshot::Sender<Told>,
    },
    Drain {
        drain: Drain,
        until: Instant,
        answer: oneshot::Sender<Result<Drained, TooMany>>,
    },
}

/// Says that too many wait already for what comes of a drain. What was said counts all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many wait already for what comes of a drain")]
pub(crate) struct TooMany;

/// Holds what the agent is still to hear.
#[derive(Debug)]
pub(crate) struct Inbox(pub(super) mpsc::Receiver<Errand>);

pub(crate) fn errands() -> (Errands, Inbox) {
    let (sender, receiver) = mpsc::channel(ERRANDS_MAX);
    (Errands(sender), Inbox(receiver))
}

/// Returns once there was no session for too long.
pub(crate) async fn without_session(store: &Store) {
    let mut changes = store.changes();
    loop {
        let _ = changes.wait_for(|()| !store.in_session()).await;
        let back = changes.wait_for(|()| store.in_session());
        if timeout(SESSION_MAX, back).await.is_err() {
            return;
        }
    }
}

// === impl Inbox ===

#[cfg(test)]
impl Inbox {
    /// The names that are wished for, of all that it is still to hear.
    pub(crate) fn wishes(&mut self) -> Vec<ServiceKey> {
        let errands = std::iter::from_fn(|| self.0.try_recv().ok());
        errands.filter_map(|errand| if let Errand::Wish(key) = errand { Some(key) } else { None }).collect()
    }

    /// The next question, once it is there, and the way to its answer; what else comes before it is not heard.
    pub(crate) async fn question(&mut self) -> (Question, oneshot::Sender<Told>) {
        loop {
            if let Errand::Ask { question, answer } = self.0.recv().await.expect("nobody asks any more") {
                return (question, answer);
            }
        }
    }
}

// === impl Errands ===

impl Errands {
    /// The name is wanted: it is subscribed to, and kept while it is wished for. False where there is no room; the next
    /// lookup wishes again.
    pub(crate) fn wish(&self, key: &ServiceKey) -> bool {
        self.0.try_send(Errand::Wish(key.clone())).is_ok()
    }

    /// The list of all services is wanted, and kept for a minute from now on.
    pub(crate) fn wish_summary(&self) -> bool {
        self.0.try_send(Errand::WishSummary).is_ok()
    }

    /// Asks the controller; none without a session, or where it does not answer in time.
    pub(crate) async fn ask(&self, question: Question) -> Option<Told> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Errand::Ask { question, answer }).ok()?;
        timeout(ANSWER_MAX, answered).await.ok()?.ok()
    }

    /// Says that the pod drains, or no more; who still calls it then, where that is known before the deadline. It is said
    /// in each session from now on, whether this one waits for the answer or not. Without a session, nobody waits for long.
    pub(crate) async fn drain(
        &self,
        store: &Store,
        drain: Drain,
        deadline: Duration,
    ) -> Result<Option<Drained>, TooMany> {
        let until = Instant::now() + deadline;
        let (answer, answered) = oneshot::channel();
        let answered = timeout_at(until, async {
            self.0.send(Errand::Drain { drain, until, answer }).await.ok()?;
            tokio::select! {
                answer = answered => answer.ok(),
                () = without_session(store) => None,
            }
        });
        answered.await.ok().flatten().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::store::{Contact, store};

    const LIVE: Contact = Contact::Live { caught_up: true, synced: true };

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_its_deadline_in_session_and_not_for_a_session() {
        let (errands, mut inbox) = errands();
        let (writer, store) = store();
        let timed = async |deadline| {
            let begin = Instant::now();
            assert_eq!(errands.drain(&store, Drain::Start, Duration::from_secs(deadline)).await, Ok(None));
            begin.elapsed()
        };
        assert_eq!(timed(60).await, Duration::from_secs(3));
        assert_eq!(timed(2).await, Duration::from_secs(2));
        writer.set_contact(LIVE);
        assert_eq!(timed(60).await, Duration::from_secs(60));
        let (loses, waits) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_secs(10)).await;
                writer.set_contact(Contact::Lost);
            },
            timed(60)
        );
        assert_eq!((loses, waits), ((), Duration::from_secs(10) + SESSION_MAX), "and did not come back");
        for _ in 0..4 {
            let Ok(Errand::Drain { drain: Drain::Start, .. }) = inbox.0.try_recv() else {
                panic!("not heard")
            };
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_an_agent_that_does_not_come() {
        let (errands, mut inbox) = errands();
        let (_, store) = store();
        let address: IpAddr = [10, 0, 0, 1].into();
        assert_eq!(errands.ask(Question::Address(address)).await, None, "no answer in time");
        let drained = errands.drain(&store, Drain::Start, Duration::from_secs(3)).await;
        assert!(drained == Ok(None) && inbox.0.len() == 2, "and both are still heard");
        while inbox.0.try_recv().is_ok() {}

        let name: ServiceKey = "orders.shop".parse().unwrap();
        assert!((0..ERRANDS_MAX).all(|_| errands.wish(&name)));
        assert!(!errands.wish(&name) && !errands.wish_summary());
        let begin = Instant::now();
        assert_eq!(errands.ask(Question::Address(address)).await, None);
        assert_eq!(begin.elapsed(), Duration::ZERO, "there is no room to wait in");
        drop(inbox);
        assert_eq!(errands.drain(&store, Drain::Stop, Duration::from_secs(60)).await, Ok(None));
        assert_eq!(begin.elapsed(), Duration::ZERO, "nobody is there any more");
    }
}
