//! Whose an address is: the controller is asked, few times at once, and what is nobody's is remembered for a moment.
//!
//! Who asked us does not wait for long, but a question stays open in the session until it is answered: its place is taken for
//! as long, whether anybody still waits or not.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rollcall_catalogue::ServiceKey;
use rollcall_wire::{Question, Told};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{Duration, Instant, timeout},
};
use tracing::warn;

use super::may_be_called;
use crate::agent::Errands;

/// Questions to the controller at a time, of the 16 that a session may have open. It answers one at a time for all of its
/// sidecars, and each of its answers is for people.
pub(super) const ASKING_MAX: usize = 4;
/// What they wait for an answer: a resolver asks again after 2 s or more, and another server is to be asked meanwhile.
pub(super) const ASKING_FOR: Duration = Duration::from_millis(500);
/// Programs that log who called them ask for the same few addresses in a row. A pod that is given one of them is found
/// this much later.
const NOBODYS_FOR: Duration = Duration::from_secs(5);
/// Addresses that are remembered: more than can be asked for meanwhile where each answer takes 80 ms, and some 10 KiB.
const NOBODYS_MAX: usize = 256;

/// Says whose an address is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// An instance's of these services, which may be called.
    Services(Vec<ServiceKey>),
    /// Nobody's who may be called, as the controller says.
    Nobody,
    /// The controller did not say in time, or too many ask.
    NotKnown,
}

/// Holds what is asked of the controller, and what it has said.
#[derive(Debug)]
pub(super) struct Whose {
    errands: Errands,
    places: Arc<Semaphore>,
    nobodys: Arc<Mutex<Nobodys>>,
    /// The questions without an answer, one for each place; those that ended are reaped by the next.
    under_way: Mutex<JoinSet<()>>,
}

/// Holds addresses that nobody had when they were asked for, the oldest first.
#[derive(Debug, Default)]
struct Nobodys(VecDeque<(Instant, IpAddr)>);

// === impl Whose ===

impl Whose {
    pub(super) fn new(errands: Errands) -> Self {
        Self {
            errands,
            places: Arc::new(Semaphore::new(ASKING_MAX)),
            nobodys: Arc::default(),
            under_way: Mutex::default(),
        }
    }

    pub(super) async fn ask(&self, address: IpAddr) -> Owner {
        if lock(&self.nobodys, |nobodys| nobodys.has(address, Instant::now())) {
            return Owner::Nobody;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else { return Owner::NotKnown };
        let (errands, nobodys) = (self.errands.clone(), self.nobodys.clone());
        let (tell, told) = oneshot::channel();
        let question = async move {
            let answer = errands.ask(Question::Address(address)).await;
            // Who has it and cannot be called yet is soon another's to tell.
            if matches!(&answer, Some(Told::Found(found)) if found.is_empty()) {
                lock(&nobodys, |nobodys| nobodys.add(address, Instant::now()));
            }
            drop(place);
            // Nobody may wait any more.
            let _ = tell.send(Owner::of(answer));
        };
        lock(&self.under_way, |under_way| {
            while let Some(ended) = under_way.try_join_next() {
                if let Err(error) = ended {
                    warn!(%error, "a question's task died");
                }
            }
            under_way.spawn(question);
        });
        match timeout(ASKING_FOR, told).await {
            Ok(Ok(owner)) => owner,
            _ => Owner::NotKnown,
        }
    }
}

#[cfg(test)]
impl Whose {
    /// Questions that find a place now.
    pub(super) fn places(&self) -> usize {
        self.places.available_permits()
    }
}

/// Whole whoever panicked while holding it: each change is one step.
fn lock<T, R>(of: &Mutex<T>, does: impl FnOnce(&mut T) -> R) -> R {
    does(&mut of.lock().unwrap_or_else(PoisonError::into_inner))
}

// === impl Owner ===

impl Owner {
    fn of(answer: Option<Told>) -> Self {
        let Some(Told::Found(found)) = answer else { return Self::NotKnown };
        let callable = found.into_iter().filter(|found| may_be_called(&found.instance));
        let mut services: Vec<_> = callable.map(|found| found.service).collect();
        services.sort();
        services.dedup();
        if services.is_empty() { Self::Nobody } else { Self::Services(services) }
    }
}

// === impl Nobodys ===

impl Nobodys {
    fn has(&self, address: IpAddr, now: Instant) -> bool {
        self.0.iter().any(|(since, one)| *one == address && now.duration_since(*since) < NOBODYS_FOR)
    }

    fn add(&mut self, address: IpAddr, now: Instant) {
        self.0.retain(|(since, one)| *one != address && now.duration_since(*since) < NOBODYS_FOR);
        if self.0.len() >= NOBODYS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_nobodys_addresses_are_remembered_for_a_moment() {
        let (mut nobodys, begin) = (Nobodys::default(), Instant::now());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..=256 {
            nobodys.add(address(number), begin);
        }
        let just_before = begin + NOBODYS_FOR - Duration::from_millis(1);
        assert!(!nobodys.has(address(0), begin), "the oldest made room");
        assert!(nobodys.has(address(1), just_before) && nobodys.has(address(256), just_before));
        assert!(!nobodys.has(address(256), begin + NOBODYS_FOR));
        nobodys.add(address(256), just_before);
        assert!(nobodys.0.len() == NOBODYS_MAX && nobodys.has(address(256), begin + NOBODYS_FOR));
        nobodys.add(address(7), begin + NOBODYS_FOR);
        assert_eq!(nobodys.0.len(), 2, "what is too old is gone");
    }
}
