//! Each promise finds the lie that is planted for it, and nothing in a story that is true.

use super::{promises::*, *};

fn address(number: u8) -> IpAddr {
    [198, 18, 0, number].into()
}

fn pod(number: u8) -> Arc<str> {
    format!("u{number}").into()
}

fn known(revision: u64, pods: &[u8]) -> Answer {
    let shown = pods.iter().map(|number| Shown { pod: pod(*number), address: address(*number) }).collect();
    Answer::Known { revision, shown, from_disk: false }
}

fn run(from_ms: Millis, until_ms: Millis, answer: Answer) -> Run {
    Run { reader: "web-1".into(), life: 1, service: "orders.shop".into(), answer, from_ms, until_ms }
}

fn life(number: u8) -> Life {
    Life {
        pod: pod(number),
        address: address(number),
        service: "orders.shop".into(),
        well: vec![(0, None)],
        leaves: Vec::new(),
        gone_ms: None,
    }
}

/// Two pods; one is deleted at 10 s, out at 10.5 s, and gone at 12 s.
fn true_story() -> History {
    let leaving = Life {
        well: vec![(0, Some(10_000))],
        leaves: vec![Leave { at_ms: 10_000, within_ms: 1_000, until_ms: None }],
        gone_ms: Some(12_000),
        ..life(2)
    };
    let runs = vec![
        run(100, 900, Answer::Refused(503)),
        run(1_000, 10_500, known(5, &[1, 2])),
        run(10_700, 30_000, known(6, &[1])),
    ];
    let step = |in_step, from_ms, until_ms| Step { reader: "web-1".into(), in_step, from_ms, until_ms };
    let steps = vec![step(true, 900, 15_000), step(false, 15_200, 18_000), step(true, 18_200, 30_000)];
    let losses = vec![Loss { at_ms: 15_000, within_ms: 5_000 }];
    History { runs, steps, lives: vec![life(1), leaving], troubles: Vec::new(), losses }
}

/// What is found where the story is told otherwise in one point.
fn found(lie: impl FnOnce(&mut History), promise: fn(&History) -> Vec<String>) -> usize {
    let mut history = true_story();
    lie(&mut history);
    let (found, all) = (promise(&history).len(), broken(&history).len());
    assert_eq!(found, all, "another promise is broken too: {:?}", broken(&history));
    found
}

#[test]
fn what_is_true_breaks_nothing() {
    assert_eq!(broken(&true_story()), [""; 0]);
}

#[test]
fn a_well_pod_that_is_out_for_one_answer_is_found() {
    for lie in [known(6, &[]), Answer::Unknown, Answer::Refused(503)] {
        let plant = |history: &mut History| {
            history.runs[2].until_ms = 20_000;
            history.runs.push(run(20_100, 20_100, lie));
            history.runs.push(run(20_200, 30_000, known(7, &[1])));
        };
        let mut history = true_story();
        plant(&mut history);
        let is_revision = |line: &String| line.contains("at revision");
        let lines: Vec<_> = broken(&history).into_iter().filter(|line| !is_revision(line)).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("20100 ms: web-1 is not told of u1"), "{lines:?}");
    }
    // Who never knew of it is told of it when that is known.
    let found = found(|history| history.runs[1].answer = known(5, &[2]), nobody_well_is_taken_out);
    assert_eq!(found, 0);
}

#[test]
fn one_that_was_not_well_may_be_out_and_is_not_missed_when_it_is_back() {
    let story = |well: Vec<(Millis, Option<Millis>)>| {
        let mut history = true_story();
        history.lives[0].well = well;
        history.runs[2].until_ms = 20_000;
        history.runs.push(run(20_100, 22_000, known(7, &[])));
        history.runs.push(run(22_100, 30_000, known(8, &[1])));
        nobody_well_is_taken_out(&history).len()
    };
    assert_eq!(story(vec![(0, Some(20_050)), (21_000, None)]), 0);
    assert_eq!(story(vec![(0, Some(20_150))]), 1);
}

#[test]
fn who_stays_too_long_is_found_unless_trouble_explains_it() {
    let stays = |history: &mut History| {
        history.runs[1].until_ms = 11_500;
        history.runs[2].from_ms = 11_700;
    };
    assert_eq!(found(stays, who_is_to_leave_leaves_in_time), 1);
    let trouble = |readers: Option<Vec<Reader>>, from_ms, until_ms| Trouble { readers, from_ms, until_ms };
    for (trouble, explains) in [
        (trouble(None, 9_000, 10_600), true),
        (trouble(None, 10_900, 11_000), true),
        (trouble(Some(vec!["web-1".into()]), 9_000, 10_600), true),
        (trouble(Some(vec!["web-2".into()]), 9_000, 10_600), false),
        (trouble(None, 5_000, 9_000), false),
        (trouble(None, 11_100, 20_000), false),
    ] {
        let told = format!("{trouble:?}");
        let plant = |history: &mut History| {
            stays(history);
            history.troubles.push(trouble);
        };
        assert_eq!(found(plant, who_is_to_leave_leaves_in_time), usize::from(!explains), "{told}");
    }
}

#[test]
fn who_comes_back_from_the_dead_is_found() {
    let back = |from_disk| {
        move |history: &mut History| {
            history.runs[2].until_ms = 20_000;
            history.lives[1].leaves.clear();
            let Answer::Known { revision, shown, .. } = known(7, &[1, 2]) else { unreachable!() };
            history.runs.push(run(20_100, 30_000, Answer::Known { revision, shown, from_disk }));
        }
    };
    assert_eq!(found(back(false), nobody_who_is_gone_comes_back), 1);
    assert_eq!(found(back(true), nobody_who_is_gone_comes_back), 0);
}

#[test]
fn a_new_address_under_an_old_name_is_found() {
    let plant = |history: &mut History| {
        let shown = [Shown { pod: pod(1), address: address(9) }].into();
        history.runs[2].answer = Answer::Known { revision: 6, shown, from_disk: false };
    };
    assert_eq!(found(plant, addresses_are_of_those_who_have_them), 1);
}

#[test]
fn a_revision_that_falls_or_means_two_things_is_found() {
    let falls = |history: &mut History| history.runs[2].answer = known(4, &[1]);
    assert_eq!(found(falls, revisions_grow_and_stand_for_one_content), 1);
    let repeats = |history: &mut History| history.runs[2].answer = known(5, &[1]);
    assert_eq!(found(repeats, revisions_grow_and_stand_for_one_content), 1);
    let in_another_life = |history: &mut History| {
        history.runs[2].answer = known(4, &[1]);
        history.runs[2].life = 2;
    };
    assert_eq!(found(in_another_life, revisions_grow_and_stand_for_one_content), 0);
}

#[test]
fn who_is_out_of_step_for_too_long_after_a_loss_is_found() {
    let late = |history: &mut History| {
        history.steps[1].until_ms = 22_000;
        history.steps[2].from_ms = 22_200;
    };
    assert_eq!(found(late, a_lost_replica_is_replaced_in_time), 1);
}

#[test]
fn the_journal_joins_what_is_alike() {
    let (journal, reader, service) = (Journal::default(), Reader::from("web-1"), Arc::from("orders.shop"));
    for (at_ms, life, answer) in
        [(1, 1, known(5, &[1])), (2, 1, known(5, &[1])), (3, 1, known(6, &[])), (4, 2, known(6, &[]))]
    {
        journal.note(at_ms, &reader, life, &service, answer);
        journal.note_step(at_ms, &reader, at_ms < 3);
    }
    let runs: Vec<_> = journal.runs().iter().map(|run| (run.from_ms, run.until_ms, run.life)).collect();
    assert_eq!(runs, [(1, 2, 1), (3, 3, 1), (4, 4, 2)]);
    assert_eq!(journal.last(&reader, &service).unwrap().life, 2);
    let steps: Vec<_> = journal.steps().iter().map(|step| (step.from_ms, step.until_ms)).collect();
    assert_eq!(steps, [(1, 2), (3, 4)]);
}
