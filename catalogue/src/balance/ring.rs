//! Consistent hashing: which member a key belongs to, told from the ids and weights alone.
//!
//! Each member has points on a circle of 2^64 places, and a key has probes on it. Going up from each probe to each
//! point, the shortest way wins, where the way to a point of twice the weight counts half. So the owner is the
//! minimum of a number that each (key, point) pair has for itself: whatever comes or goes, a key moves only to a
//! member that came or from one that left, and where a weight grows, only to that member. And since ways are only
//! compared by their quotients, no key moves where all weights grow or shrink alike.
//!
//! An ordinary ring is the case of one probe, and uneven: a member's share is the sum of the gaps before its
//! points. With `k` probes a gap counts less the wider it is: no gap, however wide, makes more than (k + 1) / k of
//! a mean one.

use crate::limits::WEIGHT_MAX;

use super::hash::Draws;

/// Points of a member, whatever its weight: were they fewer for a light one, services whose members are all light
/// would be uneven.
///
/// The largest share of any member over the mean, with 8 probes, over many seeds and 20,000 keys a member
/// (`cargo bench -p rollcall-catalogue --bench balance` prints it for 64):
///
/// | points | 10 members | 100 | 1,000 |
/// |---|---|---|---|
/// | 32 | 1.11 | 1.11 | 1.12 |
/// | 64 | 1.10 | 1.09 | 1.09 |
/// | 96 | 1.07 | 1.08 | 1.08 |
///
/// A point takes 24 to 32 bytes with its part of the index: 26 KiB for 10 members, and 14 MB for as many as a
/// service can have.
const POINTS: usize = 96;

/// Probes of a key. With 64 points, the largest share of 1,000 members is 1.15 with 4 probes, 1.11 with 6, 1.09 with
/// 8 and little less with 10; each costs about 8 ns.
const PROBES: u32 = 8;

/// Buckets of the index per point, at least: with two, three probes in four find their first point at once.
const BUCKETS_PER_POINT: usize = 2;

/// Holds one place of a member on the circle.
#[derive(Debug, Clone, Copy)]
struct Point {
    position: u64,
    member: u32,
    weight: u16,
}

/// Holds what a ring needs to know of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) number: u32,
    /// Of its id.
    pub(super) fingerprint: u64,
    /// Above 0.
    pub(super) weight: u16,
}

/// Holds the points of all members in the order of their positions.
#[derive(Debug)]
pub(super) struct Ring {
    holders: Vec<Holder>,
    points: Vec<Point>,
    /// For each bucket of the circle, the first point in it or after it.
    first: Vec<u32>,
    /// A position's bucket is what is left of it after this shift.
    shift: u32,
    /// The largest weight of any point: a way that is too long with it is too long for all points beyond.
    heaviest: u16,
}

/// Holds a way up the circle as it counts: its length divided by the weight of the point it leads to. Two of them
/// are compared crosswise, in whole numbers, so that nothing but the ratio of the weights can decide.
#[derive(Debug, Clone, Copy)]
struct Way {
    length: u64,
    weight: u16,
}

// === impl Ring ===

impl Ring {
    pub(super) fn new(holders: Vec<Holder>) -> Self {
        let mut points = Vec::with_capacity(holders.len() * POINTS);
        for holder in &holders {
            let mut positions = Draws::new(holder.fingerprint);
            points.extend((0..POINTS).map(|_| Point {
                position: positions.next(),
                member: holder.number,
                weight: holder.weight,
            }));
        }
        let buckets = (points.len() * BUCKETS_PER_POINT).next_power_of_two().max(2);
        let shift = u64::BITS - buckets.trailing_zeros();
        let (points, first) = sorted(&points, buckets, shift);
        let heaviest = holders.iter().map(|holder| holder.weight).max().unwrap_or_default();
        Self { holders, points, first, shift, heaviest }
    }

    /// Whether it is the ring of exactly these, given in the order in which it got its own.
    pub(super) fn is_of(&self, holders: impl Iterator<Item = Holder>) -> bool {
        self.holders.iter().copied().eq(holders)
    }

    /// The member that a key belongs to among those that `admits` lets in.
    pub(super) fn owner(&self, key: u64, admits: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut owner, mut best) = (None, Way::ENDLESS);
        // Turned over, so that a key that happens to be the id of an instance is a key like any other.
        let mut probes = Draws::new(!key);
        for _ in 0..PROBES {
            let probe = probes.next();
            for point in self.upwards(probe) {
                let way = Way::new(probe, point);
                if !(Way { weight: self.heaviest, ..way }).is_shorter(best) {
                    break;
                }
                if way.is_shorter(best) && admits(point.member) {
                    (owner, best) = (Some(point.member), way);
                }
            }
        }
        owner
    }

    /// All points, once around the circle from a position upwards.
    fn upwards(&self, position: u64) -> impl Iterator<Item = &Point> {
        let bucket = self.first.get((position >> self.shift) as usize).copied().unwrap_or_default();
        let mut start = bucket as usize;
        while self.points.get(start).is_some_and(|point| point.position < position) {
            start += 1;
        }
        let (before, after) = self.points.split_at_checked(start).unwrap_or_default();
        after.iter().chain(before)
    }
}

// === impl Way ===

impl Way {
    /// Longer than any other.
    const ENDLESS: Self = Self { length: 1, weight: 0 };

    /// The lowest bits of a length, left out so that a length times a weight fits into 64 bits. Ways so nearly equal
    /// are met once in 2^30 keys, and then every sidecar decides alike.
    const LEFT_OUT: u32 = u16::BITS - WEIGHT_MAX.leading_zeros();

    fn new(probe: u64, point: &Point) -> Self {
        Self { length: point.position.wrapping_sub(probe) >> Self::LEFT_OUT, weight: point.weight }
    }

    fn is_shorter(self, than: Self) -> bool {
        self.length * u64::from(than.weight) < than.length * u64::from(self.weight)
    }
}

/// The points in the order of their positions, and for each bucket its first. The positions spread evenly, so that
/// few buckets have more than one, and sorting by buckets takes a third of the time of sorting at large.
fn sorted(points: &[Point], buckets: usize, shift: u32) -> (Vec<Point>, Vec<u32>) {
    let bucket_of = |point: &Point| (point.position >> shift) as usize;
    let mut first = vec![0; buckets];
    for point in points {
        if let Some(count) = first.get_mut(bucket_of(point)) {
            *count += 1;
        }
    }
    let mut before = 0;
    for count in &mut first {
        before += std::mem::replace(count, before);
    }
    let mut sorted = points.to_vec();
    let mut free = first.clone();
    for point in points {
        if let Some(place) = free.get_mut(bucket_of(point))
            && let Some(slot) = sorted.get_mut(*place as usize)
        {
            *slot = *point;
            *place += 1;
        }
    }
    for bucket in sorted.chunk_by_mut(|one, other| bucket_of(one) == bucket_of(other)) {
        bucket.sort_unstable_by_key(|point| point.position);
    }
    (sorted, first)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
