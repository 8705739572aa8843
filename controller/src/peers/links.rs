//! The links that there are, and which of two with the same process stays. Values and functions.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use rollcall_wire::peer::{Beat, Frame, Introduction};
use tokio::sync::mpsc;

use super::link::{LinkId, Order};

/// Links at a time: replicas are three, and rarely five; two with each while they find each other, and some more while one
/// is replaced.
pub(super) const LINKS_MAX: usize = 16;

/// Two that find each other dial at the same time, within the limit of a try. Who dials later than that has no link with
/// us any more, and ours is dead.
const FOUND_WITHIN_MS: u64 = 2_500;

/// Says why one of two links ends.
pub(super) const DOUBLED: &str = "doubled";

/// Holds the links by their names.
#[derive(Debug)]
pub(super) struct Links {
    own: Introduction,
    held: BTreeMap<LinkId, Held>,
    given: u64,
}

/// Holds what is known of one link.
#[derive(Debug)]
pub(super) struct Held {
    orders: mpsc::Sender<Order>,
    /// The address, where we dialled.
    pub(super) dialled: Option<SocketAddr>,
    /// After its hello.
    pub(super) met: Option<Met>,
    /// It was told to end.
    ends: bool,
}

/// Holds who is at the other end of a link.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) replica: Arc<str>,
    pub(super) epoch: Arc<str>,
    pub(super) at_ms: u64,
    pub(super) beat: Beat,
}

// === impl Links ===

impl Links {
    pub(super) fn new(own: Introduction) -> Self {
        Self { own, held: BTreeMap::new(), given: 0 }
    }

    /// One more link, which takes its orders here; none where there are too many.
    pub(super) fn open(
        &mut self,
        dialled: Option<SocketAddr>,
        orders: mpsc::Sender<Order>,
    ) -> Option<LinkId> {
        if self.held.len() >= LINKS_MAX {
            return None;
        }
        self.given += 1;
        let id = LinkId(self.given);
        self.held.insert(id, Held { orders, dialled, met: None, ends: false });
        Some(id)
    }

    pub(super) fn close(&mut self, id: LinkId) -> Option<Held> {
        self.held.remove(&id)
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// Those whose end nobody tells, as of a request that was given up before it was let in.
    pub(super) fn dropped(&self) -> Vec<LinkId> {
        self.held.iter().filter(|(_, held)| held.orders.is_closed()).map(|(id, _)| *id).collect()
    }

    /// The other end has said hello. Of two links with it one stays.
    pub(super) fn met(&mut self, id: LinkId, who: &Introduction, beat: Beat, now_ms: u64) {
        let met = Met { replica: who.replica.as_str().into(), epoch: who.epoch.clone(), at_ms: now_ms, beat };
        if let Some(held) = self.held.get_mut(&id) {
            held.met = Some(met);
        }
        let same = |held: &Held| held.met.as_ref().is_some_and(|met| met.epoch == who.epoch) && !held.ends;
        let mut stays = id;
        for other in self
            .held
            .iter()
            .filter(|(other, held)| **other != id && same(held))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
        {
            let ends = if self.first_stays(other, stays, who, now_ms) {
                std::mem::replace(&mut stays, other)
            } else {
                other
            };
            self.order(ends, Order::GoAway(DOUBLED));
        }
    }

    /// Whether the first of two links with this process stays: both ends must come to the same answer.
    fn first_stays(&self, first: LinkId, second: LinkId, who: &Introduction, now_ms: u64) -> bool {
        let (Some(first), Some(second)) = (self.held.get(&first), self.held.get(&second)) else {
            return false;
        };
        let found_ms = first.met.as_ref().map_or(now_ms, |met| met.at_ms);
        if now_ms.saturating_sub(found_ms) > FOUND_WITHIN_MS
            || first.dialled.is_some() == second.dialled.is_some()
        {
            return false;
        }
        let ours_stays = (&self.own.replica, &self.own.epoch) < (&who.replica, &who.epoch);
        first.dialled.is_some() == ours_stays
    }

    pub(super) fn beat(&mut self, id: LinkId, beat: Beat) {
        if let Some(met) = self.held.get_mut(&id).and_then(|held| held.met.as_mut()) {
            met.beat = beat;
        }
    }

    pub(super) fn order(&mut self, id: LinkId, order: Order) {
        let Some(held) = self.held.get_mut(&id) else { return };
        held.ends |= matches!(order, Order::GoAway(_));
        // Whoever takes no orders is dead or has ended: dropping their sender ends it.
        if held.orders.try_send(order).is_err() {
            held.orders = mpsc::channel(1).0;
            held.ends = true;
        }
    }

    /// Says this to all that are met.
    pub(super) fn say(&mut self, frame: &Frame) {
        let met: Vec<LinkId> = self.one_each().map(|(id, _)| id).collect();
        met.into_iter().for_each(|id| self.order(id, Order::Say(frame.clone())));
    }

    /// One link with each process that is met.
    pub(super) fn one_each(&self) -> impl Iterator<Item = (LinkId, &Met)> {
        let met = self.held.iter().filter(|(_, held)| !held.ends);
        let by_epoch: BTreeMap<_, _> = met
            .filter_map(|(id, held)| Some((held.met.as_ref()?, *id)))
            .map(|(met, id)| (&met.epoch, (id, met)))
            .collect();
        by_epoch.into_values()
    }

    /// Whether there is a link with this process, or with one of this name, whatever becomes of it.
    pub(super) fn has(&self, epoch: &str) -> bool {
        self.held.values().filter_map(|held| held.met.as_ref()).any(|met| *met.epoch == *epoch)
    }

    /// Whether there is a link that stays with the process or the replica of this name.
    pub(super) fn has_named(&self, name: &str) -> bool {
        let met = self.held.values().filter(|held| !held.ends).filter_map(|held| held.met.as_ref());
        met.into_iter().any(|met| *met.epoch == *name || *met.replica == *name)
    }
}
