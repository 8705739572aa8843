//! Who may come in, and how many at a time: so that a fleet that comes back at once is served in turn, and no address
//! takes the places of all others.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sessions of one replica, so that two of them serve 10,000 pods and one of the two may be lost. An idle one has 64 KiB
/// at most, as is promised: 640 MiB, and 20 MiB for as many instances twice, which is what the chart's memory limit is for.
/// All come at once when the other is lost, and a core makes some thousand handshakes in a second.
pub(super) const SESSIONS_MAX: usize = 10_000;
/// Connections: some room above the sessions, so that one more is told so instead of left waiting.
const CONNECTIONS_MAX: usize = SESSIONS_MAX + 256;
/// Files that all of this takes: one a connection, and some for everything else (the API server, other replicas, doors for
/// people and probes). A container may have 2^20 as a rule, or 2^19, once it has raised what it begins with.
pub(crate) const DESCRIPTORS: u64 = CONNECTIONS_MAX as u64 + 1_024;
/// Connections of one address that have no session yet, by the owner's word. A pod has one or two; where the network
/// hides a node's pods behind its address, these come in turn. Once in session they are counted by their pods.
const STRANGERS_MAX: usize = 32;
/// Sessions that are told their first state at a time: each holds one service's frames meanwhile, and with 128 a fleet
/// of 2,000 has its turns within a second.
const FIRST_SYNCS_MAX: usize = 128;

/// Holds the places that there are for peers.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    first_syncs: Arc<Semaphore>,
    signatures: Semaphore,
    strangers: Arc<Strangers>,
}

/// Holds how many connections without a session each address has.
#[derive(Debug, Default)]
struct Strangers(Mutex<HashMap<IpAddr, usize>>);

/// Holds a connection's place among those of its address, until it is in session.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    address: IpAddr,
    is_known: AtomicBool,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new() -> Self {
        Self {
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            sessions: Arc::new(Semaphore::new(SESSIONS_MAX)),
            first_syncs: Arc::new(Semaphore::new(FIRST_SYNCS_MAX)),
            signatures: Semaphore::new(signatures_max()),
            strangers: Arc::default(),
        }
    }

    /// A place for one more connection, as soon as there is one: until then it waits in the kernel's backlog.
    pub(crate) async fn connection(&self) -> OwnedSemaphorePermit {
        permit(self.connections.clone().acquire_owned().await).await
    }

    /// A place for a connection of this address; none while it has too many without a session.
    pub(crate) fn stranger(&self, address: IpAddr) -> Option<Stranger> {
        let address = address.to_canonical();
        let mut known = self.strangers.known();
        let count = known.get(&address).copied().unwrap_or(0);
        if count >= STRANGERS_MAX {
            return None;
        }
        known.insert(address, count + 1);
        drop(known);
        Some(Stranger { strangers: self.strangers.clone(), address, is_known: AtomicBool::default() })
    }

    /// A session's place; none while all are taken.
    pub(crate) fn session(&self) -> Option<OwnedSemaphorePermit> {
        self.sessions.clone().try_acquire_owned().ok()
    }

    /// A turn to be told everything, in the order of asking.
    pub(crate) fn first_sync(&self) -> impl Future<Output = OwnedSemaphorePermit> + Send + use<> {
        let first_syncs = self.first_syncs.clone();
        async move { permit(first_syncs.acquire_owned().await).await }
    }

    /// Does a handshake's costly step in its turn.
    pub(crate) async fn sign<T>(&self, step: impl FnOnce() -> T) -> T {
        let turn = self.signatures.acquire().await;
        let done = step();
        drop(turn);
        // The next one's step is behind whatever else waits for this core.
        tokio::task::yield_now().await;
        done
    }
}

/// A signature takes a core and waits for nothing: with half of them, heartbeats and the owner keep the rest.
fn signatures_max() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// None of our semaphores is ever closed.
async fn permit<T, E>(acquired: Result<T, E>) -> T {
    match acquired {
        Ok(permit) => permit,
        Err(_) => std::future::pending().await,
    }
}

// === impl Strangers ===

impl Strangers {
    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A map stays whole whoever panicked while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Stranger ===

impl Stranger {
    /// It is in session, and gives its place back.
    pub(crate) fn becomes_known(&self) {
        if self.is_known.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut known = self.strangers.known();
        if let Some(count) = known.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                known.remove(&self.address);
            }
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.becomes_known();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_address_has_few_strangers_and_their_places_come_back() {
        let admission = Admission::new();
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let mut held: Vec<_> =
            (0..STRANGERS_MAX).map(|_| admission.stranger(address.into()).unwrap()).collect();
        assert!(admission.stranger(address.into()).is_none());
        assert!(
            admission.stranger(address.to_ipv6_mapped().into()).is_none(),
            "the same in another spelling"
        );
        assert!(admission.stranger(Ipv4Addr::new(10, 0, 0, 2).into()).is_some(), "others come in");
        held.pop();
        assert!(admission.stranger(address.into()).is_some());
        held[0].becomes_known();
        held[0].becomes_known();
        let known = admission.strangers.known().values().sum::<usize>();
        assert_eq!(known, STRANGERS_MAX - 2, "each place is given back once");
        drop(held);
        assert!(admission.strangers.known().is_empty(), "no address is remembered for nothing");
    }

    #[tokio::test]
    async fn sessions_beyond_the_limit_are_told_so_and_turns_are_in_order() {
        let admission = Admission::new();
        let mut sessions: Vec<_> = (0..SESSIONS_MAX).map(|_| admission.session().unwrap()).collect();
        assert!(admission.session().is_none());
        sessions.pop();
        assert!(admission.session().is_some());

        let mut turns = Vec::new();
        for _ in 0..FIRST_SYNCS_MAX {
            turns.push(admission.first_sync().await);
        }
        let mut second = Box::pin(admission.first_sync());
        let mut third = Box::pin(admission.first_sync());
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        turns.pop();
        assert!(futures::poll!(&mut third).is_pending());
        drop(second.await);
    }
}
