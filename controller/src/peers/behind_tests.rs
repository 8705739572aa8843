use std::sync::Arc;

use proptest::prelude::*;

use super::{super::book::TICK_MS, *};
use crate::peers::standing::{Line, Sign};

fn position(kinds: &[(&str, u64)]) -> Position {
    let mut position = Position::default();
    kinds.iter().for_each(|(kind, revision)| position.saw(kind, *revision));
    position
}

fn pods(revision: u64) -> Position {
    position(&[("Pod", revision)])
}

/// One that is heard, or was.
fn process(is_up: bool, words: Words) -> Process {
    let line = match is_up {
        true => Line::Up { since_ms: 0, is_synced: true, hears: vec![] },
        false => Line::Broken { since_ms: 0 },
    };
    Process {
        replica: None,
        line,
        named_ms: None,
        sign: Sign::default(),
        has_pod: true,
        words,
        leaves: false,
        met_ms: Some(0),
        is_over: false,
        unheard_ms: None,
        lost_ms: None,
    }
}

fn words(said: &[(u64, u64)]) -> Words {
    let mut words = Words::default();
    said.iter().for_each(|(heard_ms, revision)| words.hear(&pods(*revision), *heard_ms));
    words
}

#[test]
fn what_another_one_knew_for_long_is_lacked_by_who_has_not_read_it() {
    let said = [(1_000, 5), (2_000, 7), (3_000, 9)];
    let table: [(u64, u64, bool); 8] = [
        (3_999, 0, false),
        (4_000, 4, true),
        (4_000, 5, false),
        (4_999, 5, false),
        (5_000, 5, true),
        (5_000, 7, false),
        (6_000, 7, true),
        (60_000, 9, false),
    ];
    for (now_ms, reach, lacked) in table {
        let known = |is_up| Processes::from([(Arc::from("b1"), process(is_up, words(&said)))]);
        assert_eq!(lacks(&known(true), &pods(reach), now_ms), lacked, "{reach} at {now_ms}");
        assert!(!lacks(&known(false), &pods(reach), now_ms), "nobody says so any more");
    }
    let known = Processes::from([
        (Arc::from("b1"), process(true, words(&[(0, 3)]))),
        (Arc::from("c1"), process(true, words(&[(0, 8)]))),
    ]);
    assert!(lacks(&known, &pods(7), 9_000), "one of them is enough");
    assert!(!lacks(&known, &position(&[("Node", 1)]), 9_000), "of a kind that is not followed here");
    assert!(!lacks(&known, &Position::default(), 9_000), "before everything is listed");
}

#[test]
fn who_was_behind_is_until_it_has_read_on_for_long() {
    let mut lag = Lag::default();
    assert!(!lag.look(false, 0));
    assert!(lag.look(true, 1_000));
    assert!(lag.look(false, 1_000 + READS_ON_FOR_MS - 1));
    assert!(lag.look(true, 5_000 + READS_ON_FOR_MS));
    assert!(lag.look(false, 14_999 + READS_ON_FOR_MS));
    assert!(!lag.look(false, 15_000 + READS_ON_FOR_MS));
    assert!(!lag.look(false, 16_000 + READS_ON_FOR_MS));
}

#[test]
fn who_gives_way_has_somebody_to_give_it_to() {
    use Standing::{Behind, Leaving, Other, Serving, Starting};
    let table: [(bool, &[Standing], bool); 8] = [
        (false, &[Serving], false),
        (true, &[], false),
        (true, &[Behind], false),
        (true, &[Starting, Leaving, Other, Behind], false),
        (true, &[Serving], true),
        (true, &[Behind, Serving], true),
        (true, &[Serving, Serving], true),
        (true, &[Starting, Serving], true),
    ];
    for (is_behind, others, gives) in table {
        let mut way = Way::default();
        assert!(!way.look(is_behind, others, 500), "not before the others know");
        assert!(!way.look(is_behind, others, 499 + TOLD_FOR_MS));
        assert_eq!(way.look(is_behind, others, 500 + TOLD_FOR_MS), gives, "{is_behind} {others:?}");
        assert!(!way.look(is_behind, &[Behind], 501 + TOLD_FOR_MS), "at once");
        assert!(!way.look(is_behind, others, 502 + TOLD_FOR_MS), "and from then on anew");
    }
}

#[test]
fn who_is_behind_serves_where_nobody_serves_better() {
    use Standing::{Behind, Leaving, Other, Serving, Starting};
    let table: [(Standing, Standing, &[Standing], bool); 9] = [
        (Serving, Serving, &[Serving], true),
        (Serving, Behind, &[Serving], true),
        (Behind, Serving, &[Behind], false),
        (Behind, Behind, &[Behind], true),
        (Behind, Leaving, &[Behind], true),
        (Behind, Starting, &[Behind], true),
        (Behind, Behind, &[Behind, Serving], false),
        (Other, Behind, &[Other], false),
        (Leaving, Behind, &[Leaving, Behind], false),
    ];
    for (other, ours, all, is_served) in table {
        assert_eq!(serves(other, ours, all), is_served, "{other:?} for {ours:?} among {all:?}");
    }
}

const REPLICAS: usize = 3;

/// Holds replicas that tell each other how they stand, each word after a while.
struct Fleet {
    now_ms: u64,
    ways: [Way; REPLICAS],
    /// Of each, since when it stands so.
    told: [Vec<(u64, Standing)>; REPLICAS],
    gives: [bool; REPLICAS],
}

impl Fleet {
    fn step(&mut self, behind: [bool; REPLICAS], delay_ms: u64) {
        self.now_ms += TICK_MS;
        for (told, is_behind) in self.told.iter_mut().zip(behind) {
            let standing = if is_behind { Standing::Behind } else { Standing::Serving };
            if told.last().is_none_or(|(_, last)| *last != standing) {
                told.push((self.now_ms, standing));
            }
        }
        for (one, is_behind) in behind.into_iter().enumerate() {
            let heard = |other: usize| {
                let mut told = self.told[other].iter().rev();
                told.find(|(at_ms, _)| at_ms + delay_ms <= self.now_ms).map(|(_, standing)| *standing)
            };
            let others: Vec<_> = (0..REPLICAS).filter(|other| *other != one).filter_map(heard).collect();
            self.gives[one] = self.ways[one].look(is_behind, &others, self.now_ms);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However much was said meanwhile.
    #[test]
    fn what_counts_is_the_newest_of_all_that_was_said_long_enough_ago(
        steps in proptest::collection::vec((1u64..2_000, 0u64..3), 0..80), looks_after in 0u64..5_000,
    ) {
        let (mut words, mut all) = (Words::default(), vec![]);
        let (mut now_ms, mut revision) = (0, 1);
        for (passes_ms, more) in steps {
            (now_ms, revision) = (now_ms + passes_ms.max(250), revision + more);
            words.hear(&pods(revision), now_ms);
            all.push((now_ms, revision));
            let looked_ms = now_ms + looks_after;
            let expected = all.iter().rev().find(|(at_ms, _)| at_ms + KNOWN_FOR_MS <= looked_ms);
            let known = words.known(looked_ms).cloned();
            prop_assert_eq!(known, expected.map(|(_, revision)| pods(*revision)));
            prop_assert!(words.0.len() <= WORDS_MAX);
        }
    }

    /// Words are under way for less than anybody waits before it gives way.
    #[test]
    fn never_does_everybody_give_way(
        turns in proptest::collection::vec((0..REPLICAS, any::<bool>(), 0u64..9), 0..60),
        delay in 0u64..TOLD_FOR_MS / TICK_MS,
    ) {
        let mut fleet = Fleet {
            now_ms: 0,
            ways: [Way::default(); REPLICAS],
            told: std::array::from_fn(|_| vec![]),
            gives: [false; REPLICAS],
        };
        let mut behind = [false; REPLICAS];
        for (one, is_behind, ticks) in turns {
            behind[one] = is_behind;
            for _ in 0..ticks {
                fleet.step(behind, delay * TICK_MS);
                prop_assert!(fleet.gives.contains(&false), "{behind:?}");
                prop_assert!((0..REPLICAS).all(|one| behind[one] || !fleet.gives[one]));
            }
        }
        (0..9).for_each(|_| fleet.step(behind, delay * TICK_MS));
        prop_assert_eq!(fleet.gives, if behind == [true; REPLICAS] { [false; REPLICAS] } else { behind });
    }
}
