//! For how long everything is good: what whoever installs may say, and what follows from it.

use std::time::Duration;

use thiserror::Error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two looks at the Secret: what somebody took away is back within so long.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// What was put there by hand is used after so long: sidecars in session hear of it in milliseconds, those that are just
/// being started, moved or cut off in minutes.
const HAND_OVER_MAX: Duration = Duration::from_secs(10 * 60);
/// Shorter terms would be over before the looks that they take. Nobody but a test wants seconds.
const LEAF_MIN: Duration = Duration::from_secs(6);
const OVERLAP_MIN: Duration = Duration::from_secs(4);
/// Of an authority's life, an overlap is this part at most: it is announced for one, believed for another after the next
/// one signs, and between two rotations there is a steady time.
const OVERLAPS_MIN: u32 = 4;
/// A certificate of a hundred years is good enough, and every calendar can hold it.
const TERM_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// Holds for how long each part is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// An authority that we make.
    pub authority: Duration,
    /// From an authority's announcement to its first signature, and from there until the one before is believed no more.
    pub overlap: Duration,
    /// A certificate of one process.
    pub leaf: Duration,
}

/// Says which term makes no sense.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TermsError {
    #[error("`{0}` is no time; write a number with its unit, as 3650d, 12h, 30m or 90s")]
    Text(String),
    #[error("--leaf-lifetime: less than {LEAF_MIN:?}; use more, as 30d")]
    Leaf,
    #[error("--authority-overlap: less than {OVERLAP_MIN:?}; use more, as 30d")]
    Overlap,
    #[error(
        "--authority-lifetime: less than {OVERLAPS_MIN} times --authority-overlap, so that one rotation would run into the next; use a longer lifetime or a shorter overlap"
    )]
    Authority,
    #[error("a term is longer than a hundred years; use a shorter one")]
    Long,
}

// === impl Terms ===

impl Terms {
    /// What the flags say, if it fits together.
    pub fn checked(self) -> Result<Self, TermsError> {
        let Self { authority, overlap, leaf } = self;
        if [authority, overlap, leaf].into_iter().any(|term| term > TERM_MAX) {
            return Err(TermsError::Long);
        }
        if leaf < LEAF_MIN {
            return Err(TermsError::Leaf);
        }
        if overlap < OVERLAP_MIN {
            return Err(TermsError::Overlap);
        }
        if authority < overlap * OVERLAPS_MIN {
            return Err(TermsError::Authority);
        }
        Ok(self)
    }

    /// How often the Secret is looked at.
    pub(super) fn look_every(self) -> Duration {
        LOOK_MAX.min(self.overlap / 8).min(self.leaf / 12)
    }

    /// So long after its start or its first telling, whatever is said has reached everyone who looks: two looks and some calls.
    pub(super) fn heard_within(self) -> Duration {
        self.look_every() * 5 / 2
    }

    /// From the moment in which an authority that we did not make is seen to its first signature.
    pub(super) fn hand_over(self) -> Duration {
        HAND_OVER_MAX.min(self.overlap)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self { authority: DAY * 3_650, overlap: DAY * 30, leaf: DAY * 30 }
    }
}

/// A time as flags and chart values have it.
pub fn term(text: &str) -> Result<Duration, TermsError> {
    let bad = || TermsError::Text(text.to_owned());
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(bad()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| bad())?;
    let term = number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)?;
    if term > TERM_MAX { Err(TermsError::Long) } else { Ok(term) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_number_with_its_unit() {
        for (text, seconds) in [("3650d", 315_360_000), ("12h", 43_200), ("30m", 1_800), ("90s", 90)] {
            assert_eq!(term(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "d", "30", "30 d", "-1d", "1.5h", "30D", "1w", "ä", "99999999999999999999d"] {
            assert!(matches!(term(bad), Err(TermsError::Text(_))), "{bad}");
        }
        assert_eq!(term("36501d"), Err(TermsError::Long));
        assert_eq!(term("300000000000d"), Err(TermsError::Long));
    }

    #[test]
    fn terms_that_do_not_fit_are_refused_with_the_flag_and_the_remedy() {
        let good = Terms::default();
        assert_eq!(good.checked(), Ok(good));
        let seconds = |authority, overlap, leaf| {
            let [authority, overlap, leaf] = [authority, overlap, leaf].map(Duration::from_secs);
            Terms { authority, overlap, leaf }.checked()
        };
        assert!(seconds(16, 4, 6).is_ok());
        for (bad, flag) in [
            (seconds(15, 4, 6), "--authority-lifetime"),
            (seconds(16, 3, 6), "--authority-overlap"),
            (seconds(16, 4, 5), "--leaf-lifetime"),
        ] {
            let text = bad.unwrap_err().to_string();
            assert!(text.contains(flag) && text.contains("; use "), "{text}");
        }
        assert_eq!(Terms { authority: TERM_MAX * 2, ..good }.checked(), Err(TermsError::Long));
    }

    #[test]
    fn whatever_is_announced_is_heard_long_before_it_signs() {
        for seconds in [4, 60, 3_600, 30 * 86_400] {
            let overlap = Duration::from_secs(seconds);
            let terms = Terms { authority: overlap * 4, overlap, leaf: overlap.max(LEAF_MIN) };
            assert!(terms.heard_within() <= terms.hand_over() / 2, "{overlap:?}");
            assert!(terms.look_every() <= LOOK_MAX && terms.look_every() <= terms.leaf / 6);
        }
    }
}
