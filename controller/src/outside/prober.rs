//! The prober: the one task in which all attempts run, for as long as the Lease is held.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    future::{AbortHandle, Fuse, FusedFuture, FutureExt, abortable},
    stream::FuturesUnordered,
};
use rollcall_catalogue::liveness::{Answer, ProbeWitness};
use rollcall_net::{Jitter, probe::Outcome};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use crate::{
    index::{OutsideId, OutsideTarget},
    outside::{
        dialer::Ask,
        peer::Ticket,
        schedule::{Question, Schedule},
    },
    owner::{OwnerGone, View},
};

/// The least time between two warnings that we cannot ask: the same fault meets every attempt.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What is new, at most one word for each address: whoever is slow to hear it misses only what is over.
pub(super) type Words = BTreeMap<OutsideId, ProbeWitness>;

/// Holds where the targets come from, how they are asked, who is told of them, and that we ask or do no more.
#[derive(Debug)]
pub(super) struct Prober<A, T, G> {
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) ask: A,
    pub(super) tell: T,
    pub(super) begin_or_end: G,
}

/// Holds what is known since the Lease was taken, and nothing from before.
struct Term {
    began: Instant,
    jitter: Jitter,
    schedule: Schedule,
    /// The list as it was taken over.
    listed: Arc<[OutsideTarget]>,
    /// The ends of the attempts under way.
    aborts: HashMap<Ticket, AbortHandle>,
    untold: Words,
    warned: Option<Instant>,
}

// === impl Prober ===

impl<A, T, F, G, H> Prober<A, T, G>
where
    A: Ask,
    T: Fn(Words) -> F,
    F: Future<Output = Result<(), OwnerGone>>,
    G: Fn(bool) -> H,
    H: Future<Output = Result<(), OwnerGone>>,
{
    /// Probes whenever the Lease is held; returns only when the owner is gone.
    pub(super) async fn run(mut self, mut holds_lease: watch::Receiver<bool>) -> Result<(), OwnerGone> {
        while holds_lease.wait_for(|held| *held).await.is_ok() {
            info!("the Lease is held: addresses outside the cluster are probed from here");
            (self.begin_or_end)(true).await?;
            let lost = tokio::select! {
                biased;
                lost = holds_lease.wait_for(|held| !*held) => lost.is_ok(),
                Err(gone) = self.term() => return Err(gone),
            };
            info!("the Lease is lost: addresses outside the cluster are no longer probed from here");
            // After the last word of the term, which is either on its way or dropped.
            (self.begin_or_end)(false).await?;
            if !lost {
                break;
            }
        }
        // Nobody is left to say that the Lease is held: its part has ended, which is seen where it was started.
        pending().await
    }

    /// One term of the Lease. Dropping it ends all attempts and forgets all answers.
    async fn term(&mut self) -> Result<Infallible, OwnerGone> {
        let mut term = Term::new();
        let mut attempts = FuturesUnordered::new();
        let mut telling = pin!(Fuse::<F>::terminated());
        self.view.mark_changed();
        loop {
            while let Some(Question { ticket, target, check, limit }) = term.schedule.next(term.now_ms()) {
                let (attempt, abort) = abortable(self.ask.ask(target, check, limit));
                term.aborts.insert(ticket, abort);
                attempts.push(async move { (ticket, attempt.await.ok()) });
            }
            if telling.is_terminated() && !term.untold.is_empty() {
                telling.set((self.tell)(std::mem::take(&mut term.untold)).fuse());
            }
            tokio::select! {
                changed = self.view.changed() => {
                    changed.map_err(|_| OwnerGone)?;
                    let listed = self.view.borrow_and_update().outside.clone();
                    term.replace(listed);
                }
                Some((ticket, outcome)) = attempts.next() => term.ended(ticket, outcome),
                () = term.somebody_is_due() => {}
                told = telling.as_mut(), if !telling.is_terminated() => told?,
            }
        }
    }
}

// === impl Term ===

impl Term {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            jitter: Jitter::from_entropy(),
            schedule: Schedule::default(),
            listed: Arc::default(),
            aborts: HashMap::new(),
            untold: Words::new(),
            warned: None,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn somebody_is_due(&self) {
        match self.schedule.next_due_ms().and_then(|ms| self.began.checked_add(Duration::from_millis(ms))) {
            Some(at) => sleep_until(at).await,
            // Somebody will be when an attempt ends or the list changes.
            None => pending().await,
        }
    }

    fn replace(&mut self, listed: Arc<[OutsideTarget]>) {
        // Most views differ in something else.
        if Arc::ptr_eq(&listed, &self.listed) {
            return;
        }
        let now_ms = self.now_ms();
        for forgotten in self.schedule.replace(&listed, now_ms, &mut self.jitter) {
            self.untold.remove(&forgotten.id);
            if let Some(abort) = forgotten.ticket.and_then(|ticket| self.aborts.remove(&ticket)) {
                abort.abort();
            }
        }
        self.listed = listed;
    }

    /// An attempt ended; without an outcome it was broken off.
    fn ended(&mut self, ticket: Ticket, outcome: Option<Outcome>) {
        self.aborts.remove(&ticket);
        if let Some(Outcome::Unasked { why }) = outcome {
            self.warn(why);
        }
        let now_ms = self.now_ms();
        let answer = outcome.map_or(Answer::Unasked, Answer::from);
        for (id, witness) in self.schedule.ended(ticket, answer, now_ms, &mut self.jitter) {
            debug!(service = %id.service, address = %id.address, %witness, "an address outside has changed");
            self.untold.insert(id, witness);
        }
    }

    fn warn(&mut self, why: std::io::ErrorKind) {
        let now = Instant::now();
        if self.warned.is_none_or(|before| now.duration_since(before) >= WARNING_PAUSE) {
            self.warned = Some(now);
            warn!(%why, "addresses outside the cluster cannot be asked, and keep their last state");
        }
    }
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
