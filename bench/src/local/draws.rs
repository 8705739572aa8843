//! Numbers that look like chance and come again with the same seed, and the order that they put things in.

/// Draws numbers by SplitMix64: nobody's fortune hangs on them, and no crate is needed for them.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

// === impl Draws ===

impl Draws {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed.into())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, and less than 1.
    pub(crate) fn share(&mut self) -> f64 {
        const BITS_OF_A_FRACTION: u32 = 53;
        (self.next() >> (u64::BITS - BITS_OF_A_FRACTION)) as f64 / (1_u64 << BITS_OF_A_FRACTION) as f64
    }

    /// The places of so many things, in an order of their own.
    pub(crate) fn order(&mut self, things: usize) -> Vec<usize> {
        let mut places: Vec<_> = (0..things).collect();
        for last in (1..things).rev() {
            places.swap(last, (self.share() * (last + 1) as f64) as usize);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_each_once_and_comes_again_with_its_seed() {
        let orders = |seed| {
            let mut draws = Draws::new(seed);
            [draws.order(16), draws.order(16)]
        };
        let [first, second] = orders(7);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..16).collect::<Vec<_>>());
        assert_ne!(first, second, "another one in each round");
        assert_eq!(orders(7), [first.clone(), second]);
        assert_ne!(orders(8)[0], first);
        assert!(Draws::new(1).order(0).is_empty());
    }

    #[test]
    fn each_thing_comes_to_each_place() {
        let mut draws = Draws::new(1);
        let mut seen = [[0_u32; 3]; 3];
        for _ in 0..3_000 {
            for (place, thing) in draws.order(3).into_iter().enumerate() {
                seen[place][thing] += 1;
            }
        }
        assert!(seen.iter().flatten().all(|times| (900..1_100).contains(times)), "{seen:?}");
    }
}
