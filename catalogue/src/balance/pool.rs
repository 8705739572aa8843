//! The members that a pick chooses among.

use super::{
    hash::Draws,
    in_flight::COUNTED_MS,
    latency::Typical,
    member::{Member, Side},
    policy::Policy,
    ring::{Holder, Ring},
};

/// A member whose part of the weight has grown by more than this is new, as one that has come: what it has under
/// way says little of what it should have. The fraction keeps those old beside whom a light one leaves.
const GROWN: (u64, u64) = (5, 4);

/// Holds the members of one side that may be picked, none of them with weight 0.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) side: Side,
    /// Their numbers, in the order of the round robin: the one whose turn is longest ago comes first.
    pub(super) seats: Vec<u32>,
    /// The sum of the weights up to and including each seat.
    pub(super) weight_sums: Vec<u32>,
    /// The seat whose turn is next.
    pub(super) next: usize,
    /// The latest turn it has given; before its first, the latest of any member when it was made, near or far.
    pub(super) latest_turn: u64,
    /// Picks under way at all of them.
    pub(super) in_flight: u64,
    /// From when on none of them is new.
    pub(super) new_until_ms: u64,
    /// Made by the first pick that needs it.
    pub(super) ring: Option<Ring>,
}

/// Holds what a policy may want to know of a pick.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) policy: Policy,
    pub(super) key: u64,
    pub(super) now_ms: u64,
    pub(super) typical: &'a Typical,
    /// Whether the loads are known, so that a hash pick may go by them.
    pub(super) loads_known: bool,
}

// === impl Pool ===

impl Pool {
    pub(super) fn empty(side: Side) -> Self {
        Self {
            side,
            seats: Vec::new(),
            weight_sums: Vec::new(),
            next: 0,
            latest_turn: 0,
            in_flight: 0,
            new_until_ms: 0,
            ring: None,
        }
    }

    /// The pool of the members on a side. It takes over the ring of the one before, if that fits.
    pub(super) fn new(members: &mut [Member], side: Side, ring: Option<Ring>, now_ms: u64) -> Self {
        let number = |(number, member): (usize, &Member)| (member.side == side).then_some(number as u32);
        let mut seats: Vec<u32> = members.iter().enumerate().filter_map(number).collect();
        seats.sort_by_key(|seat| members.get(*seat as usize).map(|member| (member.turn, member.lot)));
        let seated = || seats.iter().filter_map(|seat| members.get(*seat as usize));
        let weight_sums: Vec<u32> = seated()
            .scan(0, |sum, member| {
                *sum += u32::from(member.weight);
                Some(*sum)
            })
            .collect();
        let in_flight = seated().map(|member| u64::from(member.in_flight.total())).sum();
        let latest_turn = members.iter().map(|member| member.turn).max().unwrap_or_default();
        let ring = ring.filter(|ring| ring.is_of(holders(members, side)));
        let mut pool =
            Self { side, seats, weight_sums, next: 0, latest_turn, in_flight, new_until_ms: 0, ring };
        pool.settle(members);
        pool.welcome(members, now_ms);
        pool
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight_sums.last().copied().unwrap_or_default()
    }

    /// Counts anew, after some picks have expired.
    pub(super) fn recount(&mut self, members: &[Member]) {
        let loads = self.seats.iter().filter_map(|seat| members.get(*seat as usize));
        self.in_flight = loads.map(|member| u64::from(member.in_flight.total())).sum();
    }

    pub(super) fn pick(&mut self, ask: &Ask<'_>, members: &mut [Member], draws: &mut Draws) -> Option<u32> {
        match ask.policy {
            Policy::Random => self.random(draws),
            Policy::RoundRobin => self.round_robin(members),
            Policy::Weighted => self.weighted(members),
            Policy::LeastLoaded => self.least_loaded(ask, members, draws),
            Policy::PowerOfTwo => self.power_of_two(ask, members, draws),
            Policy::ConsistentHash => self.consistent_hash(ask, members),
        }
    }

    /// Notes who is new beside the others: who has come or returned, and whose weight has grown against that of those
    /// who stay. Where nobody stays, all begin alike.
    fn welcome(&mut self, members: &mut [Member], now_ms: u64) {
        let seated = self.seats.iter().filter_map(|seat| members.get(*seat as usize));
        let stay = seated.filter(|member| member.weight_before > 0);
        let (before, after) = stay.fold((0, 0), |(before, after), member| {
            (before + u64::from(member.weight_before), after + u64::from(member.weight))
        });
        for seat in &self.seats {
            let Some(member) = members.get_mut(*seat as usize) else { continue };
            let due = u64::from(member.weight_before) * after;
            if u64::from(member.weight) * before * GROWN.1 > due * GROWN.0 {
                member.new_until_ms = now_ms.saturating_add(COUNTED_MS);
            }
            member.weight_before = member.weight;
            self.new_until_ms = self.new_until_ms.max(member.new_until_ms);
        }
    }

    /// Balances the credits of the weighted round robin, whose sum must be 0: each goes on with what it was owed,
    /// but not with a debt from when the weights were larger.
    fn settle(&self, members: &mut [Member]) {
        let most = i64::from(self.weight());
        let mut sum = 0;
        for seat in &self.seats {
            if let Some(member) = members.get_mut(*seat as usize) {
                member.credit = member.credit.clamp(-most, most);
                sum += member.credit;
            }
        }
        let mut left = self.len() as i64;
        for seat in &self.seats {
            if let Some(member) = members.get_mut(*seat as usize) {
                let part = sum / left;
                member.credit -= part;
                sum -= part;
                left -= 1;
            }
        }
    }
}

/// What a ring needs to know of the members on a side, in the order of their numbers.
pub(super) fn holders(members: &[Member], side: Side) -> impl Iterator<Item = Holder> {
    let on_side = move |(_, member): &(usize, &Member)| member.side == side;
    members.iter().enumerate().filter(on_side).map(|(number, member)| Holder {
        number: number as u32,
        fingerprint: member.fingerprint,
        weight: member.weight,
    })
}
