//! Whose words are heard on the port for apps: in a pod there is one who speaks, on a machine one for each of its addresses.

use std::net::IpAddr;

use futures::future::join_all;
use rollcall_catalogue::ServiceName;
use rollcall_wire::{Drain, client::Drained};
use thiserror::Error;
use tokio::time::Duration;

use crate::{
    agent::{Errands, TooMany},
    local::{ADDRESSES_MAX, Machine},
    own::{AppWord, Own, is_local},
    store::Store,
};

/// Holds one who speaks: what he says of himself, and the way to his session.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) own: Own,
    pub(crate) errands: Errands,
    pub(crate) store: Store,
}

/// Holds all who speak, and knows who is meant by an address.
#[derive(Debug)]
pub(crate) enum Owners {
    Pod(Owner),
    Machine(Machine),
}

/// Says why nobody speaks for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NoOwner {
    #[error("address: not one of this pod's")]
    NotOfPod,
    #[error("address: not an address of this machine")]
    NotOfMachine,
    #[error(
        "address: {ADDRESSES_MAX} addresses of this machine are taken, and something is registered at each"
    )]
    TooMany,
    #[error("address: there is no session for it now")]
    NotNow,
}

// === impl Owners ===

impl Owners {
    /// Who is meant where no address is said.
    pub(crate) const fn first(&self) -> &Owner {
        match self {
            Self::Pod(owner) => owner,
            Self::Machine(machine) => machine.first(),
        }
    }

    /// Those of the other addresses, in the order of these.
    pub(crate) fn others(&self) -> Vec<(IpAddr, Owner)> {
        match self {
            Self::Pod(_) => Vec::new(),
            Self::Machine(machine) => machine.others(),
        }
    }

    /// Who registers at this address; on a machine it is one from now on, where it was none.
    pub(crate) async fn to_register(&self, said: Option<IpAddr>) -> Result<Owner, NoOwner> {
        match (self, said) {
            (Self::Pod(owner), None) => Ok(owner.clone()),
            (Self::Pod(owner), Some(address)) if is_of_pod(address) => Ok(owner.clone()),
            (Self::Pod(_), Some(_)) => Err(NoOwner::NotOfPod),
            (Self::Machine(machine), None) => Ok(machine.first().clone()),
            (Self::Machine(machine), Some(address)) => machine.at(address).await,
        }
    }

    /// Who may have something registered at this address; none where nobody has.
    pub(crate) fn registered(&self, said: Option<IpAddr>) -> Result<Option<Owner>, NoOwner> {
        match (self, said) {
            (Self::Pod(owner), None) => Ok(Some(owner.clone())),
            (Self::Pod(owner), Some(address)) if is_of_pod(address) => Ok(Some(owner.clone())),
            (Self::Pod(_), Some(_)) => Err(NoOwner::NotOfPod),
            (Self::Machine(machine), None) => Ok(Some(machine.first().clone())),
            (Self::Machine(machine), Some(address)) => machine.known(address),
        }
    }

    /// Who beats at this address, and where none is said, all.
    pub(crate) fn to_beat(&self, said: Option<IpAddr>) -> Vec<Owner> {
        match said {
            None => self.all().collect(),
            // Nothing is registered here under another machine's address.
            Some(_) => self.registered(said).ok().flatten().into_iter().collect(),
        }
    }

    /// The app is well, or is not: all that it is.
    pub(crate) fn app_says(&self, word: &AppWord) {
        self.all().for_each(|owner| owner.own.app_says(word.clone()));
    }

    /// Takes back what the app has registered, wherever that was.
    pub(crate) fn remove(&self, service: Option<&ServiceName>) {
        for owner in self.all() {
            owner.own.remove(service);
        }
    }

    /// All that the app is drains, or does not any more: what comes of it everywhere; none where it is not known of one.
    pub(crate) async fn drain(&self, drain: Drain, deadline: Duration) -> Result<Option<Drained>, TooMany> {
        let all: Vec<_> = self.all().collect();
        let drains = all.iter().map(|owner| owner.errands.drain(&owner.store, drain, deadline));
        Ok(together(join_all(drains).await.into_iter().collect::<Result<_, _>>()?))
    }

    /// Returns once all that was said until now is on the disk. Nobody waits for one that is broken, or slow.
    pub(crate) async fn kept(&self) {
        let all: Vec<_> = self.all().collect();
        join_all(all.iter().map(|owner| owner.own.kept())).await;
    }

    /// Returns once the controller has said what becomes of all that is registered now.
    pub(crate) async fn answered(&self) {
        let all: Vec<_> = self.all().collect();
        join_all(all.iter().map(|owner| owner.own.answered())).await;
    }

    /// The answer of `GET /v1/self`.
    pub(crate) fn shown(&self) -> Vec<u8> {
        let first = self.first();
        let others: Vec<_> = self.others().into_iter().map(|(address, owner)| (address, owner.own)).collect();
        let around = first.store.around();
        first.own.shown(&others, around.pod.as_ref(), first.store.home().as_ref())
    }

    fn all(&self) -> impl Iterator<Item = Owner> {
        let others = self.others().into_iter().map(|(_, owner)| owner);
        std::iter::once(self.first().clone()).chain(others)
    }
}

/// Whether a caller may name this address in a pod: it must be as others reach it.
fn is_of_pod(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified() && is_local(address)
}

/// What several drains come to; none where one of them has no answer.
fn together(all: Vec<Option<Drained>>) -> Option<Drained> {
    all.into_iter().reduce(|one, other| one.zip(other).map(|(one, other)| both(one, other))).flatten()
}

fn both(one: Drained, other: Drained) -> Drained {
    let mut late = one.late;
    late.extend(other.late);
    late.sort_unstable();
    late.dedup();
    Drained {
        complete: one.complete && other.complete,
        terminating: one.terminating || other.terminating,
        acked: one.acked.saturating_add(other.acked),
        subscribers: one.subscribers.saturating_add(other.subscribers),
        late,
        elapsed_ms: one.elapsed_ms.max(other.elapsed_ms),
    }
}

// === impl NoOwner ===

impl NoOwner {
    /// What the caller can do about it.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::NotOfPod => "leave it out",
            Self::NotOfMachine => {
                "use one that this machine has, as 127.0.0.1 or 127.0.0.2, or leave it out for 127.0.0.1"
            }
            Self::TooMany => "deregister all that is at one of them first",
            Self::NotNow => "try again in a second",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::errands, store::store};

    #[test]
    fn in_a_pod_an_address_is_its_own_or_left_out() {
        let owner = Owner { own: Own::default(), errands: errands().0, store: store().1 };
        let owners = Owners::Pod(owner);
        assert!(owners.registered(None).is_ok_and(|owner| owner.is_some()));
        assert_eq!(owners.to_beat(None).len(), 1);
        for foreign in ["198.51.100.7", "127.0.0.1", "::1", "0.0.0.0", "::"] {
            let foreign = foreign.parse().unwrap();
            assert_eq!(owners.registered(Some(foreign)).unwrap_err(), NoOwner::NotOfPod, "{foreign}");
            assert!(owners.to_beat(Some(foreign)).is_empty(), "{foreign}");
        }
    }

    #[test]
    fn several_drains_are_over_when_the_last_one_is() {
        let drained = |complete, acked, late: &[&str], elapsed_ms| {
            let late = late.iter().map(|pod| (*pod).to_owned()).collect();
            Some(Drained { complete, terminating: false, acked, subscribers: 2, late, elapsed_ms })
        };
        let one = drained(true, 2, &[], 80);
        assert_eq!(together(vec![one.clone()]), one, "one alone is as it was told");
        assert_eq!(together(vec![one.clone(), None]), None, "nobody knows of the other");
        assert_eq!(together(vec![None, one.clone()]), None);
        let late = drained(false, 1, &["shop/b", "shop/a"], 50);
        let Some(all) = together(vec![one, late.clone(), late]) else { panic!("all have answered") };
        assert_eq!((all.complete, all.acked, all.subscribers, all.elapsed_ms), (false, 4, 6, 80));
        assert_eq!(all.late, ["shop/a", "shop/b"], "each once");
    }
}
