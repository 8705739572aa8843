//! What everyone else may know of the lease: whether we hold it at this moment.

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::info;

/// Counts the times that this process came to hold the lease. What one term began, no other goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term(u64);

/// Tells whether we hold the lease. The clock is looked at whenever it is asked: a process that was stopped for a while
/// knows, when it goes on, that its time is over.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Held>);

/// Holds the right to say that we hold the lease.
#[derive(Debug)]
pub struct Seat(watch::Sender<Held>);

#[derive(Debug, Clone, Copy)]
struct Held {
    term: Term,
    until: Option<Instant>,
}

/// A seat that is not taken yet, and the way to know of it.
pub fn leadership() -> (Seat, Leadership) {
    let (sender, receiver) = watch::channel(Held { term: Term(0), until: None });
    (Seat(sender), Leadership(receiver))
}

// === impl Leadership ===

impl Leadership {
    pub fn is_holder_now(&self) -> bool {
        self.term_now().is_some()
    }

    /// The term that lasts at this moment.
    pub fn term_now(&self) -> Option<Term> {
        self.0.borrow().term_at(Instant::now())
    }

    /// Whether this term still lasts.
    pub fn lasts(&self, term: Term) -> bool {
        self.term_now() == Some(term)
    }

    /// Returns when another answer is due than at the time of the call: a term began or ended.
    pub async fn changed(&mut self) {
        let before = self.term_now();
        loop {
            let held = *self.0.borrow_and_update();
            let now = Instant::now();
            if held.term_at(now) != before {
                return;
            }
            tokio::select! {
                Ok(()) = self.0.changed() => {}
                () = sleep_until(held.until.unwrap_or(now)), if held.until.is_some_and(|until| until > now) => {}
                // Nobody keeps the lease any more, and what was held is over.
                else => std::future::pending().await,
            }
        }
    }

    /// Returns at once while we hold the lease, and else when we come to.
    pub async fn held(&mut self) -> Term {
        loop {
            if let Some(term) = self.term_now() {
                return term;
            }
            self.changed().await;
        }
    }

    /// Tells whether we hold the lease to those who need no more than that, for as long as anybody listens.
    pub(crate) async fn tell(mut self, told: watch::Sender<bool>) {
        loop {
            let term = tokio::select! {
                term = self.held() => term,
                () = told.closed() => return,
            };
            told.send_replace(true);
            self.over(term).await;
            told.send_replace(false);
        }
    }

    /// Returns when this term has ended.
    pub async fn over(&mut self, term: Term) {
        while self.lasts(term) {
            self.changed().await;
        }
    }
}

// === impl Seat ===

impl Seat {
    /// We hold the lease until then, unless another word comes; a new term begins where the last one has ended.
    pub fn publish(&self, until: Option<Instant>) {
        let now = Instant::now();
        let before = *self.0.borrow();
        if before.until == until {
            return;
        }
        let until = until.filter(|until| *until > now);
        let Term(number) = before.term;
        let begins = until.is_some() && before.term_at(now).is_none();
        let term = Term(if begins { number + 1 } else { number });
        if begins {
            info!(term = term.0, "we hold the lease: this replica writes to Kubernetes");
        } else if until.is_none() && before.until.is_some() {
            info!(term = number, "we no longer hold the lease");
        }
        self.0.send_replace(Held { term, until });
    }
}

// === impl Held ===

impl Held {
    fn term_at(&self, now: Instant) -> Option<Term> {
        self.until.filter(|until| now < *until).map(|_| self.term)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_looked_at_whenever_it_is_asked() {
        let (seat, leadership) = leadership();
        assert!(!leadership.is_holder_now());
        seat.publish(Some(Instant::now() + SECOND));
        assert!(leadership.is_holder_now());
        advance(SECOND).await;
        assert!(!leadership.is_holder_now(), "and nobody had to say so");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_goes_on_with_the_term_and_a_gap_begins_another() {
        let (seat, mut leadership) = leadership();
        seat.publish(Some(Instant::now() + 2 * SECOND));
        let first = leadership.held().await;
        advance(SECOND).await;
        seat.publish(Some(Instant::now() + 2 * SECOND));
        assert!(leadership.lasts(first));
        advance(2 * SECOND).await;
        seat.publish(Some(Instant::now() + 2 * SECOND));
        assert!(leadership.is_holder_now() && !leadership.lasts(first));
        let second = leadership.held().await;
        seat.publish(None);
        leadership.over(second).await;
        assert!(!leadership.is_holder_now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_when_the_time_runs_out_and_not_before() {
        let (seat, mut leadership) = leadership();
        seat.publish(Some(Instant::now() + 2 * SECOND));
        let begin = Instant::now();
        let mut other = leadership.clone();
        let (renewed, _) = tokio::join!(other.changed(), async {
            tokio::time::sleep(SECOND).await;
            seat.publish(Some(Instant::now() + 2 * SECOND));
        });
        assert_eq!((renewed, begin.elapsed()), ((), 3 * SECOND), "a renewal is no change");
        drop(seat);
        assert!(timeout(SECOND, leadership.changed()).await.is_err(), "nothing changes without a keeper");
    }
}
