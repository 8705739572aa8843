//! Chance: everything that is not decided by the code under test is drawn from one seed.

use std::ops::RangeInclusive;

use rollcall_net::Jitter;

/// Holds the generator of a run.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Jitter);

// === impl Chance ===

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Jitter::new(seed))
    }

    /// A generator of its own, for somebody whose draws must not move those of others.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.draw())
    }

    /// One of these, all equally likely (but for a bias of less than 1 in 2^32).
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.draw() % (high.saturating_sub(low) + 1)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.within(0..=count.saturating_sub(1) as u64)).unwrap_or_default()
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub(crate) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.within(0..=99) < of_a_hundred
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.below(all.len());
        all.get(place)
    }

    pub(crate) fn jitter(&mut self) -> Jitter {
        Jitter::new(self.draw())
    }

    fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_all_of_a_range() {
        let draws = |seed| {
            let mut chance = Chance::new(seed);
            (0..1_000).map(|_| chance.within(3..=7)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!((3..=7).all(|number| draws(1).contains(&number)), "each comes");
        assert!(draws(1).iter().all(|number| (3..=7).contains(number)), "no other does");
    }
}
