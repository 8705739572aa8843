//! Who is measured when: each server once in each round, in an order of the round's own, and again where the host disturbed it.

use std::time::SystemTime;

use anyhow::Context;

use super::{
    draws::Draws,
    steal::{STOLEN_PERCENT_MAX, Ticks},
};

/// Holds what is drawn, and how many more turns may be repeated.
pub(crate) struct Turns {
    seed: u32,
    draws: Draws,
    repeats_left: u32,
    discarded: u32,
    /// Turns that count though the host took too much, since there were no repeats left.
    disturbed: u32,
}

/// A server's turn is measured so often at most.
const TRIES: u32 = 3;

// === impl Turns ===

impl Turns {
    /// So many turns may be repeated in all: on a host that is busy all day, a measurement ends all the same.
    pub(crate) fn new(seed: u32, repeats: u32) -> Self {
        Self { seed, draws: Draws::new(seed), repeats_left: repeats, discarded: 0, disturbed: 0 }
    }

    /// Another one each time, for who has no wish.
    pub(crate) fn seed() -> anyhow::Result<u32> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(now.context("the clock is not set")?.subsec_nanos())
    }

    /// What else is drawn.
    pub(crate) fn draws(&mut self) -> &mut Draws {
        &mut self.draws
    }

    /// The places of so many servers in the next round.
    pub(crate) fn order(&mut self, servers: usize) -> Vec<usize> {
        self.draws.order(servers)
    }

    /// What one turn came to, and the share in percent that the host took of it.
    pub(crate) async fn undisturbed<T>(
        &mut self,
        mut turn: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, f64)> {
        for tries in 1.. {
            let before = Ticks::now()?;
            let measured = turn().await?;
            let stolen_percent = Ticks::now()?.stolen_percent_since(before);
            if self.counts(stolen_percent, tries) {
                return Ok((measured, stolen_percent));
            }
        }
        None.context("a turn was never measured")
    }

    /// Whether a turn counts of which the host took so much; if not, it is measured again.
    fn counts(&mut self, stolen_percent: f64, tries: u32) -> bool {
        if stolen_percent <= STOLEN_PERCENT_MAX {
            return true;
        }
        if tries < TRIES && self.repeats_left > 0 {
            self.repeats_left -= 1;
            self.discarded += 1;
            return false;
        }
        self.disturbed += 1;
        true
    }

    /// Says what a reader must know of it.
    pub(crate) fn told(&self) -> String {
        let Self { seed, discarded, disturbed, .. } = self;
        format!(
            "orders drawn with --seed {seed}; {discarded} turns in which the host took more than {STOLEN_PERCENT_MAX} % were discarded and repeated, {disturbed} such count since repeating them did not help"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbed_turns_are_repeated_within_bounds() {
        let mut turns = Turns::new(1, 3);
        assert!(turns.counts(0.0, 1) && turns.counts(STOLEN_PERCENT_MAX, 1));
        // Twice repeated, and the third one counts.
        assert_eq!([1, 2, 3].map(|tries| turns.counts(9.0, tries)), [false, false, true]);
        assert_eq!((turns.discarded, turns.disturbed), (2, 1));
        // One repeat is left in all.
        assert_eq!([1, 2].map(|tries| turns.counts(9.0, tries)), [false, true]);
        assert!(turns.counts(9.0, 1));
        assert_eq!((turns.discarded, turns.disturbed), (3, 3));
        assert!(turns.told().contains("--seed 1; 3 turns"), "{}", turns.told());
    }
}
