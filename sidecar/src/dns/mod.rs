//! DNS for the zone `rollcall.`, on localhost: queries in, answers out, and between the two what [`rollcall_dns`] needs of the
//! store.
//!
//! ```text
//!  udp, tcp ─► read ─► meaning ─┬─ known, or nobody is to be asked ─► the answer, at once
//!                               └─ a first lookup, an address, another zone ─► one of a bounded set that waits
//! ```

mod counts;
mod forward;
mod search;
mod servers;
mod sockets;
mod tcp;
mod udp;
mod unread;
mod whose;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::FutureExt;
use rollcall_catalogue::{Instance, ServiceKey, ServiceRef, State};
use rollcall_dns::{Answer, Carrier, Choice, Meaning, Query, Read, read};
use rollcall_net::Jitter;
use rollcall_wire::Slug;

pub use self::servers::{Servers, ServersError};
pub(crate) use self::{
    counts::{Counts, Outcome},
    forward::Forwarder,
    search::{Search, resolv_conf},
    sockets::{ListenError, Sockets},
};
use self::{
    forward::Heard,
    whose::{Owner, Whose},
};
use crate::{
    api::Api,
    store::{Dialect, Held, Known},
};

/// Holds what answers need.
#[derive(Debug)]
pub(crate) struct Dns {
    api: Arc<Api>,
    forwarder: Option<Forwarder>,
    whose: Whose,
    counts: Counts,
    /// Of this process alone: sidecars that learn of a change at the same time do not begin with the same instance.
    seed: u64,
}

/// Says what became of a packet that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The answer is written.
    Answered,
    /// Whoever sent it is told nothing.
    Ignored,
    /// Somebody has to be asked, or to be waited for.
    Waits,
}

// === impl Dns ===

impl Dns {
    pub(crate) fn new(api: Arc<Api>, forwarder: Option<Forwarder>, counts: Counts) -> Self {
        Self {
            whose: Whose::new(api.errands.clone()),
            api,
            forwarder,
            counts,
            seed: Jitter::from_entropy().next_u64(),
        }
    }

    /// Answers into `out`, if nobody has to be asked.
    fn at_once(&self, packet: &[u8], carrier: Carrier, out: &mut Vec<u8>) -> Turn {
        let query = match read(packet) {
            Read::Query(query) => query,
            Read::Refused(refusal) => {
                self.counts.count(Outcome::of_code(refusal.code()));
                refusal.write(out);
                return Turn::Answered;
            }
            Read::Nothing => {
                self.counts.count(Outcome::Dropped);
                return Turn::Ignored;
            }
        };
        let meaning = query.meaning();
        let asks = match meaning {
            Meaning::Outside => self.forwarder.is_some(),
            Meaning::Address(address) => self.held_at(address).is_empty(),
            _ => false,
        };
        // A lookup that does not end with its first step waits for a session, or for its subscription.
        let answered = !asks && self.answer(&query, meaning, carrier, out).now_or_never().is_some();
        if answered { Turn::Answered } else { Turn::Waits }
    }

    /// The answer, whoever has to be asked for it. All that is waited for has a limit of its own, of some 2 s.
    async fn in_time(&self, packet: &[u8], carrier: Carrier) -> Vec<u8> {
        let mut out = Vec::new();
        if let Read::Query(query) = read(packet) {
            self.answer(&query, query.meaning(), carrier, &mut out).await;
        }
        out
    }

    /// Answers who would have to wait, and finds that too many do.
    fn turn_away(&self, packet: &[u8], carrier: Carrier, out: &mut Vec<u8>) {
        if let Read::Query(query) = read(packet) {
            self.say(&query, &Answer::NotKnown, carrier, out);
        }
    }

    async fn answer(&self, query: &Query<'_>, meaning: Meaning<'_>, carrier: Carrier, out: &mut Vec<u8>) {
        let held = |name| self.held(name);
        match meaning {
            Meaning::Apex => self.say(query, &Answer::Apex, carrier, out),
            Meaning::Nothing => self.say(query, &Answer::NoSuchName, carrier, out),
            Meaning::Service { name, choice } => match held(name).await {
                Ok(held) => self.say(query, &Answer::Records(&held.records(choice, self.seed)), carrier, out),
                Err(answer) => self.say(query, &answer, carrier, out),
            },
            Meaning::Host { name, address } => match held(name).await {
                Ok(held) => {
                    let records = held.records(Choice::default(), self.seed);
                    let answer = records.host(address).map_or(Answer::NoSuchName, Answer::Host);
                    self.say(query, &answer, carrier, out);
                }
                Err(answer) => self.say(query, &answer, carrier, out),
            },
            Meaning::Between { name } => {
                let answer = held(name).await.map_or_else(|answer| answer, |_| Answer::Empty);
                self.say(query, &answer, carrier, out);
            }
            Meaning::Address(address) => match self.services_at(address).await {
                Owner::Services(services) => {
                    self.say(query, &Answer::Pointers(address, &services), carrier, out);
                }
                // It may be one of ours, and nobody else is there who could say whose it is.
                Owner::NotKnown if self.forwarder.is_none() => {
                    self.say(query, &Answer::NotKnown, carrier, out);
                }
                Owner::Nobody | Owner::NotKnown => self.outside(query, carrier, out).await,
            },
            Meaning::Outside => self.outside(query, carrier, out).await,
        }
    }

    /// The service of this name, or what is said where there is none to tell of.
    async fn held(&self, name: &str) -> Result<Arc<Held>, Answer<'static>> {
        self.api.known_service(name, Dialect::Dns).await.map_err(|refusal| match refusal.slug {
            Slug::UnknownService => Answer::NoSuchName,
            _ => Answer::NotKnown,
        })
    }

    /// The services of which an instance that may be called has this address: of those that are held, or, where none is, of those
    /// that the controller knows. Without a session there are no others.
    async fn services_at(&self, address: IpAddr) -> Owner {
        let held = self.held_at(address);
        if !held.is_empty() {
            return Owner::Services(held);
        }
        let in_session = || self.api.store.in_session();
        if !in_session() {
            return Owner::Nobody;
        }
        match self.whose.ask(address).await {
            Owner::NotKnown if !in_session() => Owner::Nobody,
            owner => owner,
        }
    }

    fn held_at(&self, address: IpAddr) -> Vec<ServiceKey> {
        let names = self.api.store.names();
        let here = names.iter().filter(|slot| match &**slot.known() {
            Known::Service(held) => {
                let mut instances = held.service.instances.iter();
                instances.any(|one| one.addresses.iter().any(|at| at == address) && may_be_called(one))
            }
            _ => false,
        });
        here.map(|slot| slot.key.clone()).collect()
    }

    /// What another server says; of a zone that is not ours, nobody here knows anything.
    async fn outside(&self, query: &Query<'_>, carrier: Carrier, out: &mut Vec<u8>) {
        let Some(forwarder) = &self.forwarder else {
            return self.say(query, &Answer::NotOurs, carrier, out);
        };
        if let Some(service) = forwarder.announced(query) {
            self.expect(&service);
        }
        // In a box, so that the way of a name that is known stays small.
        match Box::pin(forwarder.forward(query, carrier)).await {
            Heard::Reply(reply) => {
                self.counts.count(Outcome::Forwarded);
                *out = reply;
            }
            Heard::NoSuchName => self.say(query, &Answer::NoSuchName, carrier, out),
            Heard::Nothing => self.say(query, &Answer::NotKnown, carrier, out),
        }
    }

    /// This service is asked for in a moment, and known by then. That matters to musl, which asks all of its servers at once
    /// and believes the first: another one says that there is no such name while we would still wait for the first answer.
    fn expect(&self, service: &ServiceRef) {
        let Some(key) = self.api.store.home().map(|home| service.resolve(&home)) else { return };
        if self.api.store.names().get(&key).is_none() {
            // Where there is no room, the name is asked for all the same, a moment later.
            self.api.errands.wish(&key);
        }
    }

    fn say(&self, query: &Query<'_>, answer: &Answer<'_>, carrier: Carrier, out: &mut Vec<u8>) {
        self.counts.count(Outcome::of(answer));
        query.answer(answer, carrier, self.forwarder.is_some(), out);
    }
}

/// Whether a lookup of any kind may hand it out: then its name has an address.
fn may_be_called(instance: &Instance) -> bool {
    matches!(instance.state, State::Serving | State::Suspect)
}

/// Nobody but this machine is answered: who else could send here has forged where he is.
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
