//! How each policy chooses among the members of a pool.

use std::cmp::Ordering;

use super::{
    hash::Draws,
    member::Member,
    pool::{Ask, Pool, holders},
    ring::Ring,
};

/// How much of its due of all picks under way a member gets from hash picks, as a fraction. 5/4 leaves the keys at
/// home under ordinary unevenness, and a key that everyone wants spills over before its owner drowns.
const BOUND: (u64, u64) = (5, 4);

// === impl Pool: the policies ===

impl Pool {
    /// Any, all equally likely, whatever their weights.
    pub(super) fn random(&self, draws: &mut Draws) -> Option<u32> {
        self.seats.get(draws.below(self.len() as u64) as usize).copied()
    }

    /// The one whose turn is longest ago. A new pool has its members in this order, so no change of the members
    /// gives anyone a second turn before the others have had theirs.
    pub(super) fn round_robin(&mut self, members: &mut [Member]) -> Option<u32> {
        let seat = self.seats.get(self.next).copied()?;
        self.next = if self.next + 1 < self.len() { self.next + 1 } else { 0 };
        self.latest_turn += 1;
        members.get_mut(seat as usize)?.turn = self.latest_turn;
        Some(seat)
    }

    /// The one that is owed the most: each pick owes every member its weight, and the chosen one pays for them all.
    /// After as many picks as the weights add up to, everyone has had exactly its weight, and in no burst; in the
    /// first such round after a change up to two more or less, since what was owed before is still paid. To forget it
    /// would let the heaviest begin anew at every change, and starve the others where changes are frequent.
    pub(super) fn weighted(&self, members: &mut [Member]) -> Option<u32> {
        let mut chosen: Option<(i64, u32)> = None;
        for seat in &self.seats {
            let member = members.get_mut(*seat as usize)?;
            member.credit += i64::from(member.weight);
            if chosen.is_none_or(|(most, _)| member.credit > most) {
                chosen = Some((member.credit, *seat));
            }
        }
        let (_, seat) = chosen?;
        members.get_mut(seat as usize)?.credit -= i64::from(self.weight());
        Some(seat)
    }

    /// The least loaded. A new one has little under way only because it has just come: it takes its turn when
    /// chance proposes it, by weight, if nobody has less to do. So it gets its share and no flood, whether picks
    /// are reported or not.
    pub(super) fn least_loaded(&self, ask: &Ask<'_>, members: &[Member], draws: &mut Draws) -> Option<u32> {
        if ask.now_ms >= self.new_until_ms {
            return self.least_of(members, draws, |_| true);
        }
        let (proposed, ..) = self.holder(draws.below(self.weight().into()) as u32)?;
        let is_new = |member: &Member| ask.now_ms < member.new_until_ms;
        let Some(least) = self.least_of(members, draws, |member| !is_new(member)) else {
            return Some(proposed);
        };
        let (one, other) = (members.get(proposed as usize)?, members.get(least as usize)?);
        Some(if is_new(one) && one.load_against(other).is_le() { proposed } else { least })
    }

    /// The one with the fewest picks in flight for its weight, of those that count. Among equals chance decides, by
    /// weight: an idle service would otherwise send everything to the first.
    fn least_of(
        &self,
        members: &[Member],
        draws: &mut Draws,
        counts: impl Fn(&Member) -> bool,
    ) -> Option<u32> {
        let mut chosen: Option<(&Member, u32)> = None;
        let mut weight_of_equals = 0;
        for seat in &self.seats {
            let member = members.get(*seat as usize)?;
            if !counts(member) {
                continue;
            }
            let weight = u64::from(member.weight);
            let order = chosen.map_or(Ordering::Less, |(least, _)| member.load_against(least));
            if order.is_gt() {
                continue;
            }
            weight_of_equals = if order.is_lt() { weight } else { weight_of_equals + weight };
            if order.is_lt() || draws.below(weight_of_equals) < weight {
                chosen = Some((member, *seat));
            }
        }
        chosen.map(|(_, seat)| seat)
    }

    /// The better of two that chance proposes by weight: never the worst of all, and no crowd at the best.
    pub(super) fn power_of_two(&self, ask: &Ask<'_>, members: &[Member], draws: &mut Draws) -> Option<u32> {
        let weight = self.weight();
        let (one, first, last) = self.holder(draws.below(weight.into()) as u32)?;
        let others = weight - (last - first);
        if others == 0 {
            return Some(one);
        }
        let ticket = draws.below(others.into()) as u32;
        let (two, ..) = self.holder(if ticket < first { ticket } else { ticket + (last - first) })?;
        let mean_weight = f64::from(weight) / self.len() as f64;
        let cost = |seat: u32| {
            let member = members.get(seat as usize)?;
            let load = f64::from(member.in_flight.total()) * mean_weight / f64::from(member.weight);
            Some(member.latency.estimate_ms(ask.typical, ask.now_ms) * (1.0 + load))
        };
        Some(if cost(two)? < cost(one)? { two } else { one })
    }

    /// The one that the key belongs to among those with room left.
    pub(super) fn consistent_hash(&mut self, ask: &Ask<'_>, members: &[Member]) -> Option<u32> {
        let ring = self.ring.get_or_insert_with(|| Ring::new(holders(members, self.side).collect()));
        let weight = u64::from(self.weight_sums.last().copied().unwrap_or_default());
        let after = self.in_flight + 1;
        // In whole numbers: a load below `ceil(x)` is a load below `x`. Not all can be full, since together they
        // hold less than the bounds add up to.
        let has_room = |member: &Member| {
            let (load, due) = (u64::from(member.in_flight.total()), u64::from(member.weight) * after);
            load * BOUND.1 * weight < due * BOUND.0
        };
        ring.owner(ask.key, |seat| !ask.loads_known || members.get(seat as usize).is_some_and(has_room))
    }

    /// Who holds a ticket, where each member holds as many as its weight: the member, its first ticket, and the
    /// first after its last.
    fn holder(&self, ticket: u32) -> Option<(u32, u32, u32)> {
        let seat = self.weight_sums.partition_point(|sum| *sum <= ticket);
        let first = seat.checked_sub(1).and_then(|before| self.weight_sums.get(before)).copied();
        Some((*self.seats.get(seat)?, first.unwrap_or_default(), *self.weight_sums.get(seat)?))
    }
}
