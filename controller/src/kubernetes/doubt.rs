//! Whether a list is believed as to what it lacks: a function of what it comes to.
//!
//! A list is the dearest word of the API server, and a wrong one would take everything out at once: an aggregator, a
//! cache, or a proxy between has answered `200` with nothing, or with half, before. The watch would not bring it back,
//! since it goes on from that list's version. So a list that lacks much is made anew, and removes nothing before another
//! says the same. What it has counts at once.

use crate::index::Tally;

/// What may be gone between two lists that follow each other's version, without a second look: of large kinds a share, which
/// an outage of ours and a deployment meanwhile come to seldom; of small kinds some objects, since there a share is nothing.
const LACKING_PERCENT_MAX: usize = 30;
const LACKING_MAX: usize = 10;

/// Whether the list is to be made once more before its end is believed. `expects_some`: nothing was ever listed of a kind
/// that every cluster has objects of.
pub(super) fn is_doubtful(tally: &Tally, expects_some: bool) -> bool {
    if tally.known == 0 {
        return expects_some && !tally.is_second;
    }
    let leaves_nothing = tally.lacking == tally.known;
    let share = tally.known.saturating_mul(LACKING_PERCENT_MAX) / 100;
    // What two lists lack is gone; a second that lacks more than the first is itself a first as to that.
    tally.unconfirmed > share.max(LACKING_MAX) || (leaves_nothing && tally.unconfirmed > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(known: usize, lacking: usize) -> Tally {
        Tally { known, lacking, unconfirmed: lacking, is_second: false }
    }

    #[test]
    fn a_first_list_is_doubted_for_a_share_or_for_everything() {
        for (known, lacking, doubtful) in [
            (0, 0, false),
            (1, 0, false),
            (1, 1, true),
            (2, 1, false),
            (2, 2, true),
            (10, 9, false),
            (11, 10, false),
            (10, 10, true),
            (12, 11, true),
            (33, 10, false),
            (40, 12, false),
            (40, 13, true),
            (1_000, 300, false),
            (1_000, 301, true),
            (150_000, 0, false),
            (150_000, 150_000, true),
            (usize::MAX, usize::MAX, true),
        ] {
            assert_eq!(is_doubtful(&first(known, lacking), false), doubtful, "{lacking} of {known}");
        }
    }

    #[test]
    fn a_second_list_is_doubted_for_what_the_first_had() {
        for (known, lacking, unconfirmed, doubtful) in [
            (100, 100, 0, false),
            (100, 0, 0, false),
            // Between the two some more went.
            (100, 60, 10, false),
            (100, 60, 30, false),
            (100, 60, 31, true),
            (100, 100, 1, true),
            (3, 3, 1, true),
            (3, 2, 2, false),
        ] {
            let tally = Tally { known, lacking, unconfirmed, is_second: true };
            assert_eq!(is_doubtful(&tally, false), doubtful, "{tally:?}");
        }
    }

    #[test]
    fn nothing_where_there_must_be_something_is_asked_for_twice() {
        let nothing = |is_second| Tally { is_second, ..Tally::default() };
        assert!(is_doubtful(&nothing(false), true));
        assert!(!is_doubtful(&nothing(true), true));
        assert!(!is_doubtful(&nothing(false), false));
        assert!(!is_doubtful(&first(7, 0), true));
    }

    proptest! {
        /// Who says the same twice is believed, whatever it is; and whoever lacks nothing is, too.
        #[test]
        fn a_list_that_is_confirmed_ends(known in 0_usize..2_000, lacking in 0_usize..2_000, expects_some: bool) {
            let lacking = lacking.min(known);
            let confirmed = Tally { known, lacking, unconfirmed: 0, is_second: true };
            prop_assert!(!is_doubtful(&confirmed, expects_some));
            prop_assert!(known == 0 || !is_doubtful(&first(known, 0), expects_some));
        }
    }
}
