use proptest::prelude::*;

use super::*;
use crate::registration::ProbeCheck;

/// The draw that leaves the interval as it is.
const MIDDLE: u32 = u32::MAX / 2 + 1;

fn spec(failure_threshold: u8, success_threshold: u8) -> ProbeSpec {
    let usual = ProbeSpec::new(ProbeCheck::Tcp { port: None });
    ProbeSpec { failure_threshold, success_threshold, ..usual }
}

fn instant(answer: Answer, at_ms: u64) -> Attempt {
    Attempt { answer, began_ms: at_ms, ended_ms: at_ms }
}

/// What the judge says after each of these letters: p(assing), r(efused), t(imed out), b(ad reply), u(nasked).
fn run(judge: &mut Judge, answers: &str) -> String {
    let witness = |letter| {
        let answer = match letter {
            'p' => Answer::Passing,
            'r' => Answer::Refused,
            't' => Answer::TimedOut,
            'b' => Answer::BadReply,
            _ => Answer::Unasked,
        };
        match judge.outcome(instant(answer, 0), MIDDLE).witness {
            ProbeWitness::Pending => '?',
            ProbeWitness::Passing => 'P',
            ProbeWitness::Dead => 'D',
            ProbeWitness::Unwell => 'U',
            other => panic!("a prober cannot know {other}"),
        }
    };
    answers.chars().map(witness).collect()
}

#[test]
fn answers_become_words() {
    let table = [
        // (failure threshold, success threshold), answers, words
        ((3, 1), "p", "P"),
        ((3, 1), "uuup", "???P"),
        // Refused: once more, then dead at once, whatever the threshold is.
        ((3, 1), "prr", "PPD"),
        ((10, 1), "rr", "?D"),
        ((1, 1), "prp", "PPP"),
        ((1, 1), "prprp", "PPPPP"),
        // A fault of our own neither confirms nor denies.
        ((3, 1), "prur", "PPPD"),
        ((3, 1), "pttut", "PPPPU"),
        // Timeouts and bad replies: as many in a row as the threshold says, from the first one on.
        ((3, 1), "ttt", "??U"),
        ((3, 1), "ptbt", "PPPU"),
        ((3, 1), "pttpttp", "PPPPPPP"),
        ((1, 1), "b", "U"),
        // Bad answers of both kinds are in a row together: none of them was a good one.
        ((3, 1), "prtrt", "PPPPU"),
        ((3, 1), "prtt", "PPPU"),
        ((1, 1), "prt", "PPU"),
        // From bad to bad: dead at once, unwell by the threshold.
        ((3, 1), "rrtttp", "?DDDUP"),
        ((3, 1), "rrttrrttt", "?DDDDDDDU"),
        ((3, 1), "rrtrtrt", "?DDDUUU"),
        ((3, 1), "tttrrt", "??UUDD"),
        // Back by as many good ones in a row.
        ((3, 2), "pp", "?P"),
        ((3, 2), "ptpp", "???P"),
        ((3, 3), "rrpppr", "?DDDPP"),
        ((3, 3), "rrppupp", "?DDDDPP"),
        ((3, 2), "tttpbpp", "??UUUUP"),
        // Nobody checked this spec.
        ((0, 0), "ptp", "PUP"),
    ];
    for ((failures, successes), answers, words) in table {
        assert_eq!(run(&mut Judge::new(&spec(failures, successes)), answers), words, "{answers}");
    }
}

#[test]
fn the_next_attempt_is_due_an_interval_after_the_last_one_began() {
    let mut judge = Judge::new(&spec(3, 1));
    let next = |judge: &mut Judge, answer, began_ms, ended_ms, draw| {
        judge.outcome(Attempt { answer, began_ms, ended_ms }, draw).next_at_ms
    };
    assert_eq!(next(&mut judge, Answer::Passing, 1_000, 1_003, MIDDLE), 1_500);
    assert_eq!(next(&mut judge, Answer::Passing, 1_000, 1_003, 0), 1_450);
    assert_eq!(next(&mut judge, Answer::Passing, 1_000, 1_003, u32::MAX), 1_550);
    assert_eq!(next(&mut judge, Answer::Unasked, 1_000, 1_000, MIDDLE), 1_500);
    // One that hangs for longer than the interval is asked again at once, and never before it has ended.
    assert_eq!(next(&mut judge, Answer::TimedOut, 1_000, 2_000, MIDDLE), 2_000);
    // A refusal is confirmed; one of the dead is no news.
    assert_eq!(next(&mut judge, Answer::Refused, 3_000, 3_001, MIDDLE), 3_021);
    assert_eq!(next(&mut judge, Answer::Refused, 3_021, 3_021, MIDDLE), 3_521);
    assert_eq!(next(&mut judge, Answer::TimedOut, 3_521, 4_521, MIDDLE), 4_521);
    assert_eq!(next(&mut judge, Answer::Refused, 4_521, 4_521, MIDDLE), 5_021);
    // Not even while it is unwell does a refusal wait.
    for _ in 0..3 {
        next(&mut judge, Answer::BadReply, 6_000, 6_000, MIDDLE);
    }
    assert_eq!(judge.witness(), ProbeWitness::Unwell);
    assert_eq!(next(&mut judge, Answer::Refused, 7_000, 7_000, MIDDLE), 7_020);
}

#[test]
fn first_attempts_are_spread_and_none_waits_long() {
    let judge = |interval_ms| Judge::new(&ProbeSpec { interval_ms, ..spec(3, 1) });
    assert_eq!(judge(500).first_at_ms(1_000, 0), 1_000);
    assert_eq!(judge(100).first_at_ms(1_000, u32::MAX), 1_100);
    assert_eq!(judge(300_000).first_at_ms(1_000, u32::MAX), 1_500);
    assert_eq!(judge(500).first_at_ms(1_000, MIDDLE), 1_250);
}

/// The design's promise, step by step: a crashed app is out an interval and a confirmation after it died, a hung one
/// in less than four seconds.
#[test]
fn the_worst_cases_are_in_time() {
    let mut crashed = Judge::new(&spec(3, 1));
    // It dies right after it has answered.
    let due = crashed.outcome(instant(Answer::Passing, 0), u32::MAX).next_at_ms;
    let due = crashed.outcome(instant(Answer::Refused, due), u32::MAX).next_at_ms;
    assert_eq!(crashed.outcome(instant(Answer::Refused, due), u32::MAX).witness, ProbeWitness::Dead);
    assert_eq!(due, 550 + CONFIRM_AFTER_MS);

    let mut hung = Judge::new(&spec(3, 1));
    let mut now_ms = hung.outcome(instant(Answer::Passing, 0), u32::MAX).next_at_ms;
    while hung.witness() != ProbeWitness::Unwell {
        let attempt = Attempt { answer: Answer::TimedOut, began_ms: now_ms, ended_ms: now_ms + 1_000 };
        now_ms = hung.outcome(attempt, u32::MAX).next_at_ms;
    }
    assert_eq!(now_ms, 3_550);
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Passing),
        Just(Answer::Refused),
        Just(Answer::TimedOut),
        Just(Answer::BadReply),
        Just(Answer::Unasked),
    ]
}

proptest! {
    /// Whatever comes: no panic, nothing is due in the past, nobody is asked more than twice in the shortest
    /// interval, and the clock may stand at its end.
    #[test]
    fn any_spec_any_answers_any_clock(
        interval_ms: u32, failure_threshold: u8, success_threshold: u8, draws: (u32, u32),
        began_ms in prop_oneof![0u64..1_000_000, Just(u64::MAX)], took_ms in 0u64..400_000,
        answers in proptest::collection::vec(answers(), 1..40),
    ) {
        let mut judge =
            Judge::new(&ProbeSpec { interval_ms, ..spec(failure_threshold, success_threshold) });
        prop_assert!(judge.first_at_ms(began_ms, draws.0) >= began_ms);
        let mut hurried = false;
        for answer in answers {
            let ended_ms = began_ms.saturating_add(took_ms);
            let judged = judge.outcome(Attempt { answer, began_ms, ended_ms }, draws.1);
            prop_assert!(judged.next_at_ms >= ended_ms);
            let rest = judged.next_at_ms - began_ms;
            let hurries = rest < 90 && judged.next_at_ms < u64::MAX;
            prop_assert!(!hurries || (answer == Answer::Refused && !hurried), "{answer:?} {judged:?}");
            prop_assert!(rest <= 330_000.max(took_ms + CONFIRM_AFTER_MS));
            hurried = hurries;
        }
    }

    /// What is said can be read off the end of the history: good words need good answers, bad words bad ones.
    #[test]
    fn a_word_that_changes_has_its_reason(
        failures in 1u8..=10, successes in 1u8..=10, answers in proptest::collection::vec(answers(), 1..60),
    ) {
        let mut judge = Judge::new(&spec(failures, successes));
        let mut before = judge.witness();
        let mut heard = Vec::new();
        for answer in answers {
            let now = judge.outcome(instant(answer, 0), MIDDLE).witness;
            if answer != Answer::Unasked {
                heard.push(answer);
            }
            let tail = |count: u8| heard.len().checked_sub(count.into()).map(|from| &heard[from..]);
            if now != before {
                match now {
                    ProbeWitness::Passing => {
                        prop_assert!(tail(successes).unwrap().iter().all(|a| *a == Answer::Passing));
                    }
                    ProbeWitness::Dead => prop_assert!(tail(2).unwrap().iter().all(|a| *a == Answer::Refused)),
                    ProbeWitness::Unwell => {
                        prop_assert!(tail(failures).unwrap().iter().all(|a| *a != Answer::Passing));
                        prop_assert!(matches!(answer, Answer::TimedOut | Answer::BadReply));
                    }
                    other => prop_assert!(false, "{other}"),
                }
            }
            // And it does change when it must.
            if tail(successes).is_some_and(|tail| tail.iter().all(|a| *a == Answer::Passing)) {
                prop_assert_eq!(now, ProbeWitness::Passing);
            }
            if tail(2).is_some_and(|tail| tail.iter().all(|a| *a == Answer::Refused)) {
                prop_assert_eq!(now, ProbeWitness::Dead);
            }
            if tail(failures.max(2)).is_some_and(|tail| tail.iter().all(|a| *a == Answer::TimedOut)) {
                prop_assert_eq!(now, ProbeWitness::Unwell);
            }
            before = now;
        }
    }
}
