//! The links that there are, and which of two with the same process stays. Values and functions.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use rollcall_wire::peer::{Beat, Frame, Introduction};
use tokio::sync::mpsc;

use super::link::{LinkId, Order};

/// Links at a time: replicas are three, and rarely five; two with each while they find each other, and some more while one
/// is replaced.
pub(super) const LINKS_MAX: usize = 16;

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

    /// The other end has said hello. Of two links with it one stays. Says whether the link is there still: its last words may
    /// be read after its end was found.
    #[must_use]
    pub(super) fn met(&mut self, id: LinkId, who: &Introduction, beat: Beat) -> bool {
        let Some(held) = self.held.get_mut(&id) else { return false };
        held.met = Some(Met { replica: who.replica.as_str().into(), epoch: who.epoch.clone(), beat });
        let same = |held: &Held| held.met.as_ref().is_some_and(|met| met.epoch == who.epoch) && !held.ends;
        let mut stays = id;
        for other in self
            .held
            .iter()
            .filter(|(other, held)| **other != id && same(held))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
        {
            let ends = if self.first_stays(other, stays, who) {
                std::mem::replace(&mut stays, other)
            } else {
                other
            };
            self.order(ends, Order::GoAway(DOUBLED));
        }
        true
    }

    /// Whether the first of two links with this process stays. Both ends must come to the same answer, so it goes by what both
    /// know alike, which is who dialled, and no end's own clock: the one that the smaller dialled. Of two that the same one
    /// dialled it has lost the first, and knows of one alone. Should the one that stays be dead, its silence ends it, and
    /// the other end dials anew.
    fn first_stays(&self, first: LinkId, second: LinkId, who: &Introduction) -> bool {
        let (Some(first), Some(second)) = (self.held.get(&first), self.held.get(&second)) else {
            return false;
        };
        if first.dialled.is_some() == second.dialled.is_some() {
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

    /// Ends all that are met; whoever was linked dials anew, and tells all that he knows.
    pub(super) fn end_all(&mut self, reason: &'static str) {
        let met: Vec<LinkId> = self.one_each().map(|(id, _)| id).collect();
        met.into_iter().for_each(|id| self.order(id, Order::GoAway(reason)));
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

#[cfg(test)]
mod tests {
    use rollcall_wire::PROTOCOL;

    use super::*;

    fn who(replica: &str) -> Introduction {
        let epoch = format!("{replica}1").into();
        Introduction { protocol: PROTOCOL.to_owned(), replica: replica.to_owned(), epoch }
    }

    /// One end, with what its links are told.
    struct End {
        links: Links,
        orders: Vec<(LinkId, mpsc::Receiver<Order>)>,
    }

    impl End {
        fn new(replica: &str) -> Self {
            Self { links: Links::new(who(replica)), orders: Vec::new() }
        }

        fn open(&mut self, dialled: bool) -> LinkId {
            let (orders, taken) = mpsc::channel(4);
            let address = dialled.then(|| ([10, 0, 0, 1], 7310).into());
            let id = self.links.open(address, orders).unwrap();
            self.orders.push((id, taken));
            id
        }

        /// Those that were told to end.
        fn ended(&mut self) -> Vec<LinkId> {
            let ended = self.orders.iter_mut().filter_map(|(id, taken)| match taken.try_recv() {
                Ok(Order::GoAway(DOUBLED)) => Some(*id),
                _ => None,
            });
            ended.collect()
        }
    }

    #[test]
    fn of_two_links_both_ends_keep_the_same_one_whichever_comes_first() {
        for swapped in [[false, false], [false, true], [true, false], [true, true]] {
            // By a, the smaller one, and by b.
            let ends = [("a", "b"), ("b", "a")].into_iter().zip(swapped).map(|((own, other), swapped)| {
                let mut end = End::new(own);
                let by_a = end.open(own == "a");
                let by_b = end.open(own == "b");
                let order = if swapped { [by_b, by_a] } else { [by_a, by_b] };
                for id in order {
                    assert!(end.links.met(id, &who(other), Beat::default()));
                }
                assert_eq!(end.links.one_each().map(|(id, _)| id).collect::<Vec<_>>(), [by_a]);
                assert!(end.links.has_named(other) && end.links.has(&who(other).epoch));
                (end.ended(), by_b)
            });
            assert!(ends.into_iter().all(|(ended, by_b)| ended == [by_b]), "{swapped:?}");
        }
    }

    #[test]
    fn who_dials_twice_has_lost_the_first_link() {
        for (own, other) in [("a", "b"), ("b", "a")] {
            for dialled in [true, false] {
                let mut end = End::new(own);
                let [old, new] = [end.open(dialled), end.open(dialled)];
                assert!(end.links.met(old, &who(other), Beat::default()));
                assert!(end.links.met(new, &who(other), Beat::default()));
                assert_eq!(end.ended(), [old]);
            }
        }
    }

    #[test]
    fn a_hello_of_a_link_that_is_gone_meets_nobody_and_ends_no_other() {
        let mut end = End::new("b");
        let [by_b, by_a] = [end.open(true), end.open(false)];
        assert!(end.links.met(by_b, &who("a"), Beat::default()));
        end.links.close(by_a);
        assert!(!end.links.met(by_a, &who("a"), Beat::default()));
        assert_eq!(end.ended(), []);
        assert_eq!(end.links.one_each().map(|(id, _)| id).collect::<Vec<_>>(), [by_b]);
    }

    #[test]
    fn there_are_so_many_links_and_one_that_nobody_moves_is_known() {
        let mut end = End::new("a");
        for _ in 0..LINKS_MAX {
            end.open(false);
        }
        assert!(end.links.open(None, mpsc::channel(1).0).is_none());
        let (gone, _) = end.orders.swap_remove(3);
        assert_eq!(end.links.dropped(), [gone]);
        end.links.close(gone);
        end.open(true);
        // One that does not take its orders is given up.
        let (slow, _) = &end.orders[0];
        let slow = *slow;
        for ask in 0..5 {
            end.links.order(slow, Order::Say(Frame::Drained { ask, acked: 0, subscribers: 0, late: vec![] }));
        }
        assert_eq!(end.links.dropped(), [slow]);
    }
}
