//! Chance: what happens to whom, drawn from one seed.

use std::ops::RangeInclusive;

use rollcall_net::Jitter;

/// Holds the generator of a story.
#[derive(Debug, Clone)]
pub struct Chance(Jitter);

// === impl Chance ===

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Jitter::new(seed))
    }

    /// One of these, all equally likely (but for a bias of less than 1 in 2^32).
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.0.next_u64() % (high.saturating_sub(low) + 1)
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.within(0..=99) < of_a_hundred
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.within(0..=all.len().saturating_sub(1) as u64);
        all.get(usize::try_from(place).unwrap_or_default())
    }

    pub fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }
}
