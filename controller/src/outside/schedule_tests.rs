use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use proptest::prelude::*;
use rollcall_catalogue::{ProbeCheck, ProbeSpec};
use rollcall_net::probe::HttpMethod;

use super::*;
use crate::outside::{
    lanes::{IN_FLIGHT_MAX, IN_FLIGHT_OF_NAMESPACE_MAX},
    pace::{ATTEMPTS_PER_SECOND, BURST},
    peer::{ATTEMPT_MS_MAX, ATTEMPT_PAUSE_MS},
};

/// Later than everything that is due at first.
const LATER_MS: u64 = 1_000;

fn target(service: &str, last: u8) -> OutsideTarget {
    OutsideTarget {
        id: OutsideId { service: service.parse().unwrap(), address: IpAddr::from([10, 0, 0, last]) },
        probe: ProbeSpec::new(ProbeCheck::Tcp { port: None }),
        port: 5_432,
        epoch: 0,
    }
}

fn jitter() -> Jitter {
    Jitter::new(1)
}

fn schedule(targets: &[OutsideTarget]) -> Schedule {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.replace(targets, 0, &mut jitter()), []);
    schedule
}

/// Everything that may be asked now.
fn ask_all(schedule: &mut Schedule, now_ms: u64) -> Vec<Question> {
    std::iter::from_fn(|| schedule.next(now_ms)).collect()
}

fn last(question: &Question) -> u8 {
    match question.target.ip() {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => panic!("{address}"),
    }
}

#[test]
fn a_question_is_what_the_registration_says() {
    let mut http = target("orders.shop", 7);
    http.port = 8_443;
    http.probe.check = ProbeCheck::Http { path: "/up".into(), port: None };
    http.probe.timeout_ms = 250;
    let question = schedule(&[http]).next(LATER_MS).unwrap();
    assert_eq!(question.target, (Ipv4Addr::new(10, 0, 0, 7), 8_443).into());
    assert_eq!(question.check, Check::Http { method: HttpMethod::Head, path: "/up".parse().unwrap() });
    assert_eq!(question.limit, Duration::from_millis(250));
    let mut patient = target("orders.shop", 7);
    patient.probe.timeout_ms = 300_000;
    let question = schedule(&[patient]).next(LATER_MS).unwrap();
    assert_eq!(question.limit, Duration::from_millis(ATTEMPT_MS_MAX.into()), "not longer than that");
}

#[test]
fn namespaces_take_turns_and_within_one_whoever_is_due_for_longest_is_next() {
    let targets: Vec<_> =
        (0..6).map(|n| target(if n % 2 == 0 { "orders.shop" } else { "bills.pay" }, n)).collect();
    let mut schedule = schedule(&targets);
    let mut began = Vec::new();
    let mut now_ms = 0;
    // The first round brings them into an order of its own; each ends a while after it began.
    while began.len() < targets.len() {
        now_ms = schedule.next_due_ms().unwrap();
        assert!(now_ms <= 500, "somebody waits for the first answer");
        let question = schedule.next(now_ms).unwrap();
        began.push((now_ms, last(&question)));
        assert_eq!(schedule.ended(question.ticket, Answer::Unasked, now_ms, &mut jitter()), []);
    }
    assert!(began.is_sorted());
    // All are overdue: of each namespace, the one that waits for longest comes first. The draw is the same for all.
    let again: Vec<_> = ask_all(&mut schedule, now_ms + LATER_MS).iter().map(last).collect();
    let before: Vec<_> = began.iter().map(|(_, last)| *last).collect();
    assert!(again.windows(2).all(|pair| pair[0] % 2 != pair[1] % 2), "{again:?}");
    for rest in [0, 1] {
        let of = |all: &[u8]| all.iter().copied().filter(|n| n % 2 == rest).collect::<Vec<_>>();
        assert_eq!(of(&again), of(&before));
    }
    assert_eq!(schedule.next_due_ms(), None, "each is asked once at a time");
}

#[test]
fn a_namespace_cannot_take_the_places_of_others() {
    let mut targets: Vec<_> = (0..200).map(|n| target("hole.black", n)).collect();
    targets.push(target("orders.shop", 201));
    let mut schedule = schedule(&targets);
    let asked = ask_all(&mut schedule, LATER_MS);
    assert_eq!(asked.len(), IN_FLIGHT_OF_NAMESPACE_MAX + 1);
    let orders = asked.iter().find(|question| last(question) == 201).unwrap();
    // Nobody else may go, and nothing is due until somebody is done.
    assert_eq!(schedule.next_due_ms(), None);
    let news = schedule.ended(orders.ticket, Answer::Passing, LATER_MS, &mut jitter());
    assert_eq!(news, [(targets[200].id.clone(), ProbeWitness::Passing)]);
    let due_ms = schedule.next_due_ms().unwrap();
    assert_eq!(last(&schedule.next(due_ms).unwrap()), 201);
    // A place that is given back goes to the next of the same namespace.
    let hole = asked.iter().find(|question| last(question) != 201).unwrap();
    schedule.ended(hole.ticket, Answer::TimedOut, 3_000, &mut jitter());
    assert_eq!(ask_all(&mut schedule, 3_000).len(), 1);
}

#[test]
fn all_together_have_their_limit_too() {
    let targets: Vec<_> = (0..200).map(|n| target(&format!("orders.shop{}", n % 100), n)).collect();
    let mut schedule = schedule(&targets);
    let asked = ask_all(&mut schedule, LATER_MS);
    assert_eq!(asked.len(), IN_FLIGHT_MAX);
    assert_eq!(schedule.next_due_ms(), None);
    schedule.ended(asked[0].ticket, Answer::Passing, LATER_MS, &mut jitter());
    assert_eq!(ask_all(&mut schedule, LATER_MS + 1).len(), 1);
}

/// How many attempts begin from here to there, if each passes at once; and who was told of.
fn pass_all(schedule: &mut Schedule, from_ms: u64, to_ms: u64) -> (u64, BTreeSet<OutsideId>) {
    let (mut count, mut told) = (0, BTreeSet::new());
    let mut now_ms = from_ms;
    while let Some(due_ms) = schedule.next_due_ms().filter(|due_ms| *due_ms < to_ms) {
        now_ms = now_ms.max(due_ms);
        let question = schedule.next(now_ms).unwrap();
        count += 1;
        let news = schedule.ended(question.ticket, Answer::Passing, now_ms, &mut jitter());
        told.extend(news.into_iter().map(|(id, _)| id));
    }
    (count, told)
}

#[test]
fn however_many_register_one_address_it_is_asked_once_for_all() {
    let mut targets: Vec<_> = (0..1_000).map(|n| target(&format!("s{n}.ns{}", n % 100), 1)).collect();
    for target in &mut targets {
        target.probe.interval_ms = 100;
    }
    let mut schedule = schedule(&targets);
    let (asked, told) = pass_all(&mut schedule, 0, 10_000);
    assert!(asked <= 10_000 / ATTEMPT_PAUSE_MS, "{asked}");
    assert!(asked >= 45, "as often as it may be: {asked}");
    assert_eq!(told.len(), targets.len(), "and all hear of it");
    // With all but one of them gone, it is asked for that one alone.
    assert_eq!(schedule.replace(&targets[..1], 10_000, &mut jitter()).len(), 999);
    assert!(pass_all(&mut schedule, 10_000, 11_000).0 >= 4);
    schedule.replace(&[], 11_000, &mut jitter());
    assert!(schedule.peers.is_empty() && schedule.by_key.is_empty() && schedule.lanes.is_empty());
}

#[test]
fn all_together_keep_to_the_pace_and_nobody_waits_behind_a_whole_namespace() {
    let mut targets: Vec<_> = (0..10_000u16)
        .map(|port| OutsideTarget { port: 1 + port, ..target(&format!("s{port}.greedy"), 1) })
        .collect();
    let mut schedule = schedule(&targets);
    let (asked, _) = pass_all(&mut schedule, 0, 2_000);
    assert!(asked <= BURST + 2 * ATTEMPTS_PER_SECOND, "{asked}");
    // It is seconds behind, and that is its own affair.
    targets.push(target("orders.shop", 2));
    schedule.replace(&targets, 2_000, &mut jitter());
    let (asked, told) = pass_all(&mut schedule, 2_000, 2_600);
    assert!(told.contains(&targets[10_000].id));
    assert!((590..=600).contains(&asked), "and the pace is made use of: {asked}");
}

#[test]
fn a_list_that_says_the_same_changes_nothing() {
    let targets = [target("orders.shop", 1), target("orders.shop", 2)];
    let mut schedule = schedule(&targets);
    let mut now_ms = LATER_MS;
    let mut told = Vec::new();
    for _ in 0..3 {
        for question in ask_all(&mut schedule, now_ms) {
            assert_eq!(schedule.replace(&targets, now_ms, &mut jitter()), []);
            told.extend(schedule.ended(question.ticket, Answer::TimedOut, now_ms, &mut jitter()));
        }
        now_ms += LATER_MS;
    }
    // Three in a row: none was lost count of.
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(_, witness)| *witness == ProbeWitness::Unwell));
}

#[test]
fn what_is_gone_or_changed_is_forgotten_and_its_late_answer_ignored() {
    let (stays, goes, changes) = (target("o.shop", 1), target("o.shop", 2), target("o.shop", 3));
    let waits = target("o.pay", 4);
    let mut schedule = schedule(&[stays.clone(), goes.clone(), changes.clone()]);
    let asked = ask_all(&mut schedule, LATER_MS);
    schedule.replace(&[stays.clone(), goes.clone(), changes.clone(), waits.clone()], LATER_MS, &mut jitter());
    let changed = OutsideTarget { port: 1, ..changes.clone() };
    let mut forgotten = schedule.replace(&[stays.clone(), changed.clone()], LATER_MS, &mut jitter());
    forgotten.sort_by_key(|forgotten| forgotten.id.address);
    let ticket = |number| asked.iter().find(|question| last(question) == number).map(|q| q.ticket);
    let expected = [(&goes, ticket(2)), (&changes, ticket(3)), (&waits, None)];
    assert_eq!(forgotten, expected.map(|(target, ticket)| Forgotten { id: target.id.clone(), ticket }));

    // The changed one is asked anew, beside the attempt that is over for us; the old answer counts for neither.
    let anew = ask_all(&mut schedule, 2 * LATER_MS);
    assert_eq!(anew.iter().map(|question| question.target.port()).collect::<Vec<_>>(), [1]);
    for number in [2, 3] {
        let late = schedule.ended(ticket(number).unwrap(), Answer::Passing, 2 * LATER_MS, &mut jitter());
        assert_eq!(late, []);
    }
    let news = schedule.ended(anew[0].ticket, Answer::Passing, 2 * LATER_MS, &mut jitter());
    assert_eq!(news, [(changed.id, ProbeWitness::Passing)]);
    let news = schedule.ended(ticket(1).unwrap(), Answer::Passing, 2 * LATER_MS, &mut jitter());
    assert_eq!(news, [(stays.id, ProbeWitness::Passing)]);
    // With the last of them, nothing is kept of them at all.
    schedule.replace(&[], 3 * LATER_MS, &mut jitter());
    assert!(schedule.targets.is_empty() && schedule.lanes.is_empty());
    assert!(schedule.peers.is_empty() && schedule.by_key.is_empty());
    assert!(schedule.in_flight.is_empty());
}

#[test]
fn a_path_that_nobody_can_ask_for_is_left_out_alone() {
    let mut bad = target("orders.shop", 1);
    bad.probe.check = ProbeCheck::Http { path: "no path".into(), port: None };
    let mut schedule = schedule(&[bad, target("orders.shop", 2)]);
    assert_eq!(ask_all(&mut schedule, LATER_MS).iter().map(last).collect::<Vec<_>>(), [2]);
}

proptest! {
    /// Whatever order things happen in: the limits hold, no target is asked twice at a time, places are given back,
    /// and nobody is lost.
    #[test]
    fn nobody_is_lost_and_nobody_takes_more(
        steps in proptest::collection::vec((0u8..4, any::<u32>(), 0u64..700), 1..80), seed: u64,
    ) {
        let mut chance = Jitter::new(seed);
        let mut schedule = Schedule::default();
        let mut list: Vec<OutsideTarget> = Vec::new();
        let mut in_flight: Vec<(Question, OutsideTarget, bool)> = Vec::new();
        let mut now_ms = 0;
        for (step, pick, wait_ms) in steps {
            now_ms += wait_ms;
            match step {
                0 => {
                    // 80 addresses of 3 namespaces; some left out, some with another port than before.
                    list = (0..80u8).filter(|n| pick.rotate_left((*n).into()) & 3 != 0).map(|n| {
                        let port = 1 + u16::from(pick & (1 << (n % 32)) != 0);
                        OutsideTarget { port, ..target(&format!("s.ns{}", n % 3), n) }
                    }).collect();
                    let forgotten = schedule.replace(&list, now_ms, &mut chance);
                    for (question, asked, awaited) in &mut in_flight {
                        let stays = list.contains(asked);
                        let is_named = forgotten.iter().any(|f| f.ticket == Some(question.ticket));
                        prop_assert_eq!(is_named, *awaited && !stays);
                        *awaited &= stays;
                    }
                }
                1 if !in_flight.is_empty() => {
                    let (question, asked, awaited) = in_flight.swap_remove(pick as usize % in_flight.len());
                    let answer = [Answer::Passing, Answer::Refused, Answer::TimedOut][pick as usize % 3];
                    let news = schedule.ended(question.ticket, answer, now_ms, &mut chance);
                    prop_assert!(news.iter().all(|(id, _)| awaited && *id == asked.id));
                }
                _ => for question in ask_all(&mut schedule, now_ms) {
                    let asked = list.iter().find(|target| target.id.address == question.target.ip());
                    let asked = asked.unwrap().clone();
                    prop_assert!(!in_flight.iter().any(|(_, other, awaited)| *awaited && other.id == asked.id));
                    in_flight.push((question, asked, true));
                },
            }
            prop_assert!(in_flight.len() <= IN_FLIGHT_MAX);
            for namespace in 0..3 {
                let namespace: Namespace = format!("ns{namespace}").parse().unwrap();
                let taken = in_flight.iter().filter(|(_, of, _)| of.id.service.namespace == namespace).count();
                prop_assert!(taken <= IN_FLIGHT_OF_NAMESPACE_MAX);
            }
        }
        // All attempts end, and then each target is asked within an interval or two.
        for (question, ..) in in_flight {
            schedule.ended(question.ticket, Answer::Passing, now_ms, &mut chance);
        }
        let mut asked = BTreeSet::new();
        let end_ms = now_ms + 1_200;
        while let Some(due_ms) = schedule.next_due_ms().filter(|due_ms| *due_ms <= end_ms) {
            now_ms = now_ms.max(due_ms);
            let question = schedule.next(now_ms).unwrap();
            schedule.ended(question.ticket, Answer::Passing, now_ms, &mut chance);
            asked.insert(question.target.ip());
        }
        prop_assert_eq!(asked, list.iter().map(|target| target.id.address).collect::<BTreeSet<_>>());
    }
}
