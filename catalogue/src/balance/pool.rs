//! The members that a pick chooses among.

use super::{
    hash::Draws,
    latency::Typical,
    member::{Member, Side},
    policy::Policy,
    ring::Ring,
};

/// Holds the members of one side that may be picked, none of them with weight 0.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Their numbers, in the order of the round robin: the one whose turn is longest ago comes first.
    pub(super) seats: Vec<u32>,
    /// The sum of the weights up to and including each seat.
    pub(super) weight_sums: Vec<u32>,
    /// The seat whose turn is next.
    pub(super) next: usize,
    /// The latest turn of any member, near or far.
    pub(super) latest_turn: u64,
    /// Picks under way at all of them.
    pub(super) in_flight: u64,
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
    pub(super) fn new(members: &mut [Member], side: Side) -> Self {
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
        let pool = Self { seats, weight_sums, next: 0, latest_turn, in_flight, ring: None };
        pool.settle(members);
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
            Policy::LeastLoaded => self.least_loaded(members, draws),
            Policy::PowerOfTwo => self.power_of_two(ask, members, draws),
            Policy::ConsistentHash => self.consistent_hash(ask, members),
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
