use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The address of this number: 0 is the configured one.
fn at(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 7310).into()
}

fn number(address: SocketAddr) -> u8 {
    (0..=u8::MAX).find(|number| at(*number) == address).unwrap()
}

const GOOD: Loss = Loss { was_good: true, was_long: true, dismissed: false, named: None, superseded: false };

fn sent_to(named: u8) -> Loss {
    Loss { dismissed: true, named: Some(at(named)), ..GOOD }
}

fn all(numbers: &[u8]) -> Vec<SocketAddr> {
    numbers.iter().map(|number| at(*number)).collect()
}

/// The next ones that are dialled in vain: of each its number, and whether there was a pause before it.
fn dialled(plan: &mut Plan, jitter: &mut Jitter, count: usize) -> Vec<(u8, bool)> {
    let dial = |_| {
        let Dial { address, pause } = plan.next(jitter);
        plan.failed(Failure::default());
        (number(address), pause > Duration::ZERO)
    };
    (0..count).map(dial).collect()
}

#[test]
fn a_lost_session_is_looked_for_at_the_others_first() {
    // Where it was, what was told, what was its end; and who is dialled then, those of the middle in any order.
    type Row<'a> = (u8, &'a [u8], Loss, &'a [u8]);
    let table: [Row<'_>; 8] = [
        (0, &[], GOOD, &[0]),
        (0, &[1], GOOD, &[1, 0]),
        (0, &[1, 2], GOOD, &[2, 1, 0]),
        (2, &[2, 1], GOOD, &[1, 2, 0]),
        // One that is no more in the list, and the configured one as a replica.
        (3, &[1], GOOD, &[1, 3, 0]),
        (0, &[0, 1], GOOD, &[1, 0]),
        (1, &[0, 1], GOOD, &[1, 0]),
        // Who has named another one may have left nobody else to ask.
        (1, &[1, 2], sent_to(2), &[2, 1, 0]),
    ];
    for (lost, replicas, loss, expected) in table {
        let mut jitter = Jitter::new(7);
        let mut plan = Plan::new(at(0));
        plan.lost(at(lost), loss, &all(replicas), &mut jitter);
        let dialled = dialled(&mut plan, &mut jitter, expected.len());
        let who: Vec<_> = dialled.iter().map(|(who, _)| *who).collect();
        assert_eq!(who, expected, "{replicas:?}");
        let pauses: Vec<_> = dialled.iter().map(|(_, paused)| *paused).collect();
        let first = usize::from(loss.named.is_some());
        let expected: Vec<_> = (0..expected.len()).map(|place| place == first).collect();
        assert_eq!(pauses, expected, "one pause, before the first that nobody named");
    }
}

#[test]
fn what_a_controller_said_before_is_not_dialled_in_the_place_of_what_it_says_now() {
    let mut jitter = Jitter::new(7);
    let mut plan = Plan::new(at(0));
    // As by a process that reads from its disk what the one before was told.
    plan.configure(at(5));
    assert_eq!(dialled(&mut plan, &mut jitter, 1), [(5, false)]);
    plan.lost(at(5), GOOD, &all(&[1]), &mut jitter);
    plan.configure(at(6));
    let who: Vec<_> = dialled(&mut plan, &mut jitter, 3).into_iter().map(|(who, _)| who).collect();
    assert!(who.contains(&6) && !who.contains(&5), "{who:?}");
}

#[test]
fn the_first_address_is_the_configured_one_without_a_pause_and_replicas_are_drawn() {
    let mut jitter = Jitter::new(1);
    let mut plan = Plan::new(at(0));
    assert_eq!(plan.next(&mut jitter), Dial { address: at(0), pause: Duration::ZERO });
    let firsts: BTreeSet<_> = (0..100)
        .map(|_| {
            plan.lost(at(1), GOOD, &all(&[1, 2, 3, 4]), &mut jitter);
            let Dial { address, pause } = plan.next(&mut jitter);
            assert!(pause <= Duration::from_secs(1), "{pause:?}");
            number(address)
        })
        .collect();
    assert_eq!(firsts, [2, 3, 4].into());
}

#[test]
fn hints_are_followed_at_once_and_two_that_name_each_other_do_not_spin() {
    let mut jitter = Jitter::new(1);
    let mut plan = Plan::new(at(0));
    let hint = |to| Failure { named: Some(at(to)), ..Failure::default() };
    let mut next = |plan: &mut Plan| {
        let Dial { address, pause } = plan.next(&mut jitter);
        (number(address), pause > Duration::ZERO)
    };
    for paused in [false, true, true] {
        assert_eq!(next(&mut plan), (0, paused));
        for to in [1, 2] {
            plan.failed(hint(to));
            assert_eq!(next(&mut plan), (to, false));
        }
        plan.failed(hint(1));
    }
    // Sessions that are in step for a moment, and sent on.
    let mut jitter = Jitter::new(1);
    let brief = |to| Loss { was_long: false, ..sent_to(to) };
    let mut pauses = 0;
    for turn in 0..30 {
        let at = plan.next(&mut jitter);
        pauses += usize::from(at.pause > Duration::ZERO);
        plan.lost(at.address, brief(1 + turn % 2), &all(&[1, 2]), &mut jitter);
    }
    assert!(pauses >= 9, "{pauses}");
    // After one that lasted, the next hint counts as the first.
    plan.lost(at(1), sent_to(2), &all(&[1, 2]), &mut jitter);
    assert_eq!(plan.next(&mut jitter), Dial { address: at(2), pause: Duration::ZERO });
}

#[test]
fn who_has_no_place_does_not_keep_us_from_the_others() {
    let full = |named: Option<u8>| Failure {
        named: named.map(at),
        retry_after: Some(Duration::from_secs(10)),
        ..Failure::default()
    };
    let mut jitter = Jitter::new(1);
    // One that has just begun is led to another one.
    let mut plan = Plan::new(at(0));
    let _ = plan.next(&mut jitter);
    plan.failed(full(Some(2)));
    assert_eq!(plan.next(&mut jitter), Dial { address: at(2), pause: Duration::ZERO });
    // One that knows the others asks them, and waits when all were asked.
    plan.lost(at(1), GOOD, &all(&[1, 2, 3]), &mut jitter);
    let _ = plan.next(&mut jitter);
    for _ in 0..3 {
        plan.failed(full(None));
        assert_eq!(plan.next(&mut jitter).pause, Duration::ZERO);
    }
    plan.failed(full(None));
    assert!(plan.next(&mut jitter).pause >= Duration::from_secs(10));
}

#[test]
fn what_is_asked_of_us_and_our_own_failures_end_in_a_pause() {
    let mut jitter = Jitter::new(1);
    let mut plan = Plan::new(at(0));
    plan.lost(at(1), GOOD, &all(&[1, 2, 3]), &mut jitter);
    let _ = plan.next(&mut jitter);
    plan.failed(Failure { retry_after: Some(Duration::from_secs(20)), ..Failure::default() });
    let rest: Vec<_> = (0..3).map(|_| plan.next(&mut jitter)).collect();
    assert!(rest.iter().all(|dial| dial.pause.is_zero()), "another replica may take us");
    plan.failed(Failure { retry_after: Some(Duration::from_secs(2)), ..Failure::default() });
    let again = plan.next(&mut jitter);
    assert_eq!(again.address, at(0));
    assert!((20..=21).contains(&again.pause.as_secs()), "{:?}", again.pause);
    plan.failed(Failure { is_ours: true, named: Some(at(3)), ..Failure::default() });
    let alone = plan.next(&mut jitter);
    assert!(alone.address == at(0) && alone.pause > Duration::ZERO, "without a token nobody is asked");
}

#[test]
fn sessions_that_are_not_good_come_back_later_and_later() {
    let table = [
        ("good ones", GOOD, true),
        ("brief ones", Loss::default(), false),
        ("superseded", Loss { superseded: true, dismissed: true, ..GOOD }, false),
        // The first of them counts as good, since a controller that goes has not left anybody's session in step.
        ("sent away", Loss { dismissed: true, ..Loss::default() }, false),
    ];
    for (what, loss, soon) in table {
        let mut jitter = Jitter::new(3);
        let mut plan = Plan::new(at(0));
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let dial = plan.next(&mut jitter);
            longest = longest.max(dial.pause);
            plan.lost(dial.address, loss, &[], &mut jitter);
        }
        assert_eq!(longest <= Duration::from_secs(1), soon, "{what}: {longest:?}");
    }
    let mut jitter = Jitter::new(3);
    let mut plan = Plan::new(at(0));
    dialled(&mut plan, &mut jitter, 100);
    plan.lost(at(0), Loss { dismissed: true, ..Loss::default() }, &[], &mut jitter);
    assert!(plan.next(&mut jitter).pause <= Duration::from_secs(1), "after a long outage, too");
}

/// What may become of a dial.
#[derive(Debug, Clone)]
enum End {
    Failed { named: Option<u8>, retry_after: Option<u8>, is_ours: bool },
    Lost { loss: [bool; 4], named: Option<u8>, replicas: Vec<u8> },
}

fn any_end() -> impl Strategy<Value = End> {
    let named = || proptest::option::weighted(0.3, 0u8..6);
    let failed = (named(), proptest::option::weighted(0.2, 0u8..20), proptest::bool::weighted(0.1));
    let lost = (any::<[bool; 4]>(), named(), proptest::collection::vec(0u8..6, 0..6));
    prop_oneof![
        3 => failed.prop_map(|(named, retry_after, is_ours)| End::Failed { named, retry_after, is_ours }),
        1 => lost.prop_map(|(loss, named, replicas)| End::Lost { loss, named, replicas }),
    ]
}

proptest! {
    /// Between two pauses each address is dialled once, but for hints; whatever is told and asked.
    #[test]
    fn no_address_is_dialled_more_often_than_the_back_off_allows(
        ends in proptest::collection::vec(any_end(), 0..80), seed in any::<u64>(),
    ) {
        let mut jitter = Jitter::new(seed);
        let mut plan = Plan::new(at(0));
        let (mut since_pause, mut hops) = (BTreeMap::new(), 0);
        for end in ends {
            let asked = plan.asked;
            let dial = plan.next(&mut jitter);
            if dial.pause > Duration::ZERO {
                (since_pause, hops) = (BTreeMap::new(), 0);
                prop_assert!(asked.is_none_or(|asked| dial.pause >= asked));
            }
            let count: &mut u32 = since_pause.entry(number(dial.address)).or_default();
            *count += 1;
            prop_assert!(*count <= 1 + hops, "{} of {}", *count, number(dial.address));
            let named = match end {
                End::Failed { named, retry_after, is_ours } => {
                    let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                    plan.failed(Failure { named: named.map(at), retry_after, is_ours });
                    named
                }
                End::Lost { loss: [was_good, long, dismissed, superseded], named, replicas } => {
                    let was_long = was_good && long;
                    let loss = Loss { was_good, was_long, dismissed, named: named.map(at), superseded };
                    plan.lost(dial.address, loss, &all(&replicas), &mut jitter);
                    // One that lasted is as good as a pause.
                    if was_long { (since_pause, hops) = (BTreeMap::new(), 0); }
                    named
                }
            };
            hops += u32::from(named.is_some());
            hops = hops.min(HOPS_MAX);
        }
    }

    /// Whatever was before, every address that is known is tried, and the first of all that can be.
    #[test]
    fn every_known_address_is_tried_within_a_round(
        ends in proptest::collection::vec(any_end(), 0..20),
        replicas in proptest::collection::vec(0u8..20, 0..16),
        seed in any::<u64>(),
    ) {
        let mut jitter = Jitter::new(seed);
        let mut plan = Plan::new(at(0));
        for end in ends {
            let _ = plan.next(&mut jitter);
            if let End::Failed { named, is_ours, .. } = end {
                plan.failed(Failure { named: named.map(at), is_ours, ..Failure::default() });
            }
        }
        plan.lost(at(0), GOOD, &all(&replicas), &mut jitter);
        let known: BTreeSet<_> = replicas.iter().copied().chain([0]).collect();
        for turn in 0..2 {
            let round = dialled(&mut plan, &mut jitter, known.len());
            let (who, pauses): (Vec<_>, Vec<_>) = round.into_iter().unzip();
            prop_assert_eq!(&who.iter().copied().collect::<BTreeSet<_>>(), &known);
            prop_assert!(pauses[0] && pauses[1..].iter().all(|paused| !paused));
            prop_assert_eq!(if turn == 0 { who.last() } else { who.first() }, Some(&0));
        }
    }
}
