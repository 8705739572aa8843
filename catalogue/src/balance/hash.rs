//! Numbers that look random: fingerprints of ids and keys, and a small generator. Every build and platform must
//! get the same ones, or two sidecars would send one key to two instances; std's hashers promise no such thing.

/// The odd number nearest to 2^64 divided by the golden ratio: steps of it spread evenly over all 64 bits.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Holds the state of a SplitMix64 generator: good enough to spread load, and one addition and one [`mix`] a draw.
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

/// Spreads a number over all 64 bits, one to one: the finalizer of SplitMix64.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The fingerprint of a text. It spreads load and defends nothing.
pub(super) fn fingerprint(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    // The length keeps a text apart from the same text with zero bytes at its end.
    let start = mix(STEP ^ text.len() as u64);
    let hash =
        words.iter().fold(start, |hash, word| mix(hash.wrapping_add(STEP) ^ u64::from_le_bytes(*word)));
    let rest = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
    mix(hash.wrapping_add(STEP) ^ rest)
}

// === impl Draws ===

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`, all equally likely; 0 where there is none. The high half of a product instead of a
    /// remainder: faster, and the bias is at most `end` in 2^64.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A change of these numbers moves every key of every service during a rolling upgrade.
    #[test]
    fn fingerprints_are_the_same_in_every_build() {
        let table = [
            ("", 0xa706_dd2f_4d19_7e6f),
            ("a", 0x61ee_1be1_4d22_1812),
            ("12345678", 0x29f4_3acc_5e47_2dc2),
            ("orders-1", 0x065d_8c2a_9f1c_2697),
            ("b2a9a6de-5b0c-4a6f-9d2e-0f7a6c1d2e3f-8080", 0x2bc0_022b_ae87_1bcf),
        ];
        for (text, expected) in table {
            assert_eq!(fingerprint(text), expected, "{text:?}: {:#x}", fingerprint(text));
        }
    }

    #[test]
    fn texts_that_differ_little_differ_in_their_fingerprint() {
        let mut texts: Vec<String> = (0..10_000).map(|n| format!("orders-{n}")).collect();
        texts.extend((0..40).map(|zeros| "\0".repeat(zeros)));
        texts.extend((1..40).map(|letters| "a".repeat(letters)));
        let distinct: HashSet<_> = texts.iter().map(|text| fingerprint(text)).collect();
        assert_eq!(distinct.len(), texts.len());
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut draws = Draws::new(7);
        assert_eq!(draws.below(0), 0);
        let seen: HashSet<_> = (0..200).map(|_| draws.below(6)).collect();
        assert_eq!(seen, (0..6).collect());
    }
}
