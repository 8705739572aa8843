//! The addresses of a machine at which apps register: who speaks for each of them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, timeout},
};

use crate::{
    own::is_local,
    owners::{NoOwner, Owner},
};

/// Who is meant where a caller names no address.
pub(super) const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Addresses at which something may be registered at a time, the first one included. Each has a session; a machine on which
/// people develop has a handful, and a loop over 127.0.0.0/8 must come to an end.
pub(crate) const ADDRESSES_MAX: usize = 16;
/// Those who wait for an address that is about to be opened: as many as there can be.
pub(super) const WISHES_MAX: usize = ADDRESSES_MAX;
/// An address is opened within milliseconds; who registers waits for that no longer than for the controller's word.
const OPENED_MAX: Duration = Duration::from_secs(2);

/// Holds who speaks for which address of the machine, and the way to one who speaks for another one.
#[derive(Debug)]
pub(crate) struct Machine {
    first: Owner,
    others: Others,
    wishes: mpsc::Sender<Wish>,
}

/// Holds those who speak for all addresses but the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Others(Arc<Mutex<BTreeMap<IpAddr, Owner>>>);

/// Wants somebody to speak for this address.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) address: IpAddr,
    pub(super) answer: oneshot::Sender<Result<Owner, NoOwner>>,
}

/// Says whose an address is that a caller names.
#[derive(Debug)]
enum Whose {
    First,
    Other(Owner),
    /// The machine has it, and nothing is registered there.
    Nobodys(IpAddr),
    Foreign,
}

// === impl Machine ===

impl Machine {
    pub(super) const fn new(first: Owner, others: Others, wishes: mpsc::Sender<Wish>) -> Self {
        Self { first, others, wishes }
    }

    pub(crate) const fn first(&self) -> &Owner {
        &self.first
    }

    /// In the order of their addresses.
    pub(crate) fn others(&self) -> Vec<(IpAddr, Owner)> {
        self.others.all().iter().map(|(address, owner)| (*address, owner.clone())).collect()
    }

    /// Who speaks for this address, from now on if nobody did.
    pub(crate) async fn at(&self, address: IpAddr) -> Result<Owner, NoOwner> {
        match self.whose(address) {
            Whose::First => Ok(self.first.clone()),
            Whose::Other(owner) => Ok(owner),
            Whose::Foreign => Err(NoOwner::NotOfMachine),
            Whose::Nobodys(address) => {
                let (answer, opened) = oneshot::channel();
                self.wishes.try_send(Wish { address, answer }).map_err(|_| NoOwner::NotNow)?;
                let opened = timeout(OPENED_MAX, opened).await;
                opened.map_err(|_| NoOwner::NotNow)?.unwrap_or(Err(NoOwner::NotNow))
            }
        }
    }

    /// Who speaks for this address; none where it is the machine's, and nobody does.
    pub(crate) fn known(&self, address: IpAddr) -> Result<Option<Owner>, NoOwner> {
        match self.whose(address) {
            Whose::First => Ok(Some(self.first.clone())),
            Whose::Other(owner) => Ok(Some(owner)),
            Whose::Nobodys(_) => Ok(None),
            Whose::Foreign => Err(NoOwner::NotOfMachine),
        }
    }

    fn whose(&self, address: IpAddr) -> Whose {
        // What listens at an address of IPv4 is reached by its form in IPv6 too: that is the same one.
        let address = address.to_canonical();
        if address == FIRST {
            return Whose::First;
        }
        // Also where the machine has lost it meanwhile: what is registered there can still be taken back.
        match self.others.get(address) {
            Some(owner) => Whose::Other(owner),
            None if !address.is_unspecified() && is_local(address) => Whose::Nobodys(address),
            None => Whose::Foreign,
        }
    }
}

// === impl Others ===

impl Others {
    pub(super) fn get(&self, address: IpAddr) -> Option<Owner> {
        self.all().get(&address).cloned()
    }

    pub(super) fn insert(&self, address: IpAddr, owner: Owner) {
        self.all().insert(address, owner);
    }

    pub(super) fn remove(&self, address: IpAddr) {
        self.all().remove(&address);
    }

    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// One at which nothing is registered, and nothing can be from now on.
    pub(super) fn close_one(&self) -> Option<IpAddr> {
        self.all().iter().find(|(_, owner)| owner.own.close()).map(|(address, _)| *address)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Owner>> {
        // A panic ends the process; where it does not, as in a test, each change leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::errands,
        own::{Own, classic},
        store::store,
    };

    fn owner() -> Owner {
        Owner { own: Own::default(), errands: errands().0, store: store().1 }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_the_machines_own_or_nobodys() {
        let (wishes, mut inbox) = mpsc::channel(WISHES_MAX);
        let others = Others::default();
        // One that the machine has no more.
        others.insert(address("198.51.100.7"), owner());
        others.insert(address("127.0.0.2"), owner());
        let machine = Machine::new(owner(), others, wishes);
        for (said, known) in [
            ("127.0.0.1", Ok(true)),
            ("::ffff:127.0.0.1", Ok(true)),
            ("127.0.0.2", Ok(true)),
            ("::ffff:127.0.0.2", Ok(true)),
            ("198.51.100.7", Ok(true)),
            ("127.0.0.3", Ok(false)),
            ("198.51.100.8", Err(NoOwner::NotOfMachine)),
            ("2001:db8::7", Err(NoOwner::NotOfMachine)),
            ("0.0.0.0", Err(NoOwner::NotOfMachine)),
            ("::", Err(NoOwner::NotOfMachine)),
            ("224.0.0.1", Err(NoOwner::NotOfMachine)),
        ] {
            let found = machine.known(address(said)).map(|owner| owner.is_some());
            assert_eq!(found, known, "{said}");
        }
        let foreign = machine.at(address("198.51.100.8")).await;
        assert_eq!(foreign.unwrap_err(), NoOwner::NotOfMachine);
        assert!(machine.at(address("127.0.0.2")).await.is_ok() && inbox.try_recv().is_err());
        // Nobody opens it.
        assert_eq!(machine.at(address("127.0.0.3")).await.unwrap_err(), NoOwner::NotNow);
        assert_eq!(inbox.try_recv().unwrap().address, address("127.0.0.3"));
        drop(inbox);
        assert_eq!(machine.at(address("127.0.0.3")).await.unwrap_err(), NoOwner::NotNow);
    }

    #[test]
    fn only_one_with_nothing_registered_makes_room_and_it_takes_nothing_any_more() {
        let others = Others::default();
        let [busy, free] = [owner(), owner()];
        let said = || {
            let body = serde_json::from_str(r#"{"port": 8080}"#).unwrap();
            let body = classic(body).unwrap();
            body.registration("orders".parse().unwrap(), "1.4.2".to_owned()).unwrap()
        };
        busy.own.put_classic(said()).unwrap();
        others.insert(address("127.0.0.2"), busy.clone());
        assert_eq!(others.close_one(), None);
        others.insert(address("127.0.0.3"), free.clone());
        assert_eq!(others.close_one(), Some(address("127.0.0.3")));
        assert!(free.own.put_classic(said()).is_err());
        assert!(busy.own.remove(None) == 1 && !busy.own.close(), "that is to be said first");
        busy.own.take();
        assert!(busy.own.close());
    }
}
