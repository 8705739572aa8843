//! Consistent hashing: which member a key belongs to, told from the ids and weights alone.
//!
//! Each member has points on a circle of 2^64 places, and a key has probes on it. Going up from each probe to each
//! point, the shortest way wins, where the way to a point of twice the strength counts half. So the owner is the
//! minimum of a number that each (key, point) pair has for itself: whatever comes or goes, a key moves only to a
//! member that came or from one that left, and where a weight grows, only to that member.
//!
//! An ordinary ring is the case of one probe, and uneven: a member's share is the sum of the gaps before its
//! points. With `k` probes a gap counts less the wider it is: no gap, however wide, makes more than (k + 1) / k of
//! a mean one.

use crate::limits::WEIGHT_DEFAULT;

use super::hash::Draws;

/// Points of a member of the default weight or more, fewer below it.
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
/// A point takes 24 to 32 bytes with its part of the index: 18 KiB for 10 members, and 9 MB for as many as a
/// service can have.
const POINTS: u32 = 64;

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
    /// How much longer the way to it counts: 2^32 divided by its strength.
    stretch: u32,
}

/// Holds the points of all members in the order of their positions.
#[derive(Debug)]
pub(super) struct Ring {
    points: Vec<Point>,
    /// For each bucket of the circle, the first point in it or after it.
    first: Vec<u32>,
    /// A position's bucket is what is left of it after this shift.
    shift: u32,
    /// The least stretch of any point: a way that is too long with it is too long for all points beyond.
    least_stretch: u32,
}

// === impl Ring ===

impl Ring {
    /// The ring of these members, each with its number, the fingerprint of its id, and its weight above 0.
    pub(super) fn new(members: impl Iterator<Item = (u32, u64, u16)>) -> Self {
        let mut points = Vec::new();
        for (member, fingerprint, weight) in members {
            let mut positions = Draws::new(fingerprint);
            points.extend(strengths(weight).map(|strength| Point {
                position: positions.next(),
                member,
                stretch: u32::MAX / strength,
            }));
        }
        let buckets = (points.len() * BUCKETS_PER_POINT).next_power_of_two().max(2);
        let shift = u64::BITS - buckets.trailing_zeros();
        let (points, first) = sorted(&points, buckets, shift);
        let least_stretch = points.iter().map(|point| point.stretch).min().unwrap_or(u32::MAX);
        Self { points, first, shift, least_stretch }
    }

    /// The member that a key belongs to among those that `admits` lets in.
    pub(super) fn owner(&self, key: u64, admits: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut owner, mut best) = (None, u64::MAX);
        // Turned over, so that a key that happens to be the id of an instance is a key like any other.
        let mut probes = Draws::new(!key);
        for _ in 0..PROBES {
            let probe = probes.next();
            for point in self.upwards(probe) {
                let way = point.position.wrapping_sub(probe);
                if stretched(way, self.least_stretch) >= best {
                    break;
                }
                let way = stretched(way, point.stretch);
                if way < best && admits(point.member) {
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

/// The strengths of a member's points, which add up to its weight times [`POINTS`]. Below the default weight a
/// member has fewer points instead of weak ones: no point is so strong beside the others that a search for it has
/// far to go. Each strength only ever grows with the weight.
fn strengths(weight: u16) -> impl Iterator<Item = u32> {
    let (weight, full) = (u32::from(weight), u32::from(WEIGHT_DEFAULT));
    let strong = (0..POINTS).map(move |nth| match weight < full {
        true => (weight * POINTS).saturating_sub(nth * full).min(full),
        false => weight,
    });
    strong.take_while(|strength| *strength > 0)
}

fn stretched(way: u64, stretch: u32) -> u64 {
    ((u128::from(way) * u128::from(stretch)) >> 32) as u64
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
