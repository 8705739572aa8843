use proptest::prelude::*;

use super::*;
use crate::{
    index::StatusDigest,
    status::{
        pace::REST,
        script::{key, report},
    },
};

const TICK: Duration = Duration::from_millis(1);

fn queue() -> Queue {
    Queue::new(Jitter::new(7))
}

/// The same, and the object's status says so already.
fn told(mut report: Report) -> Report {
    report.told = digest(&report);
    report
}

#[test]
fn what_the_object_says_already_is_not_written() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(told(report("orders", 1)), now);
    assert!(queue.next(now).is_none() && queue.wake_at(now).is_none());
    queue.offer(report("orders", 2), now);
    assert_eq!(queue.next(now).unwrap().serving, 2);
}

#[test]
fn the_newest_wins_and_a_way_back_is_no_change() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(report("orders", 1), now);
    queue.offer(report("orders", 2), now);
    assert_eq!(queue.next(now).unwrap().serving, 2);
    assert!(queue.next(now).is_none(), "one place for each object");

    queue.offer(report("billing", 1), now);
    queue.offer(told(report("billing", 0)), now);
    assert!(queue.next(now).is_none(), "it came back to what its status says");
}

#[test]
fn an_object_rests_after_a_write_and_what_it_says_is_not_believed_meanwhile() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(report("orders", 1), now);
    let one = queue.next(now).unwrap();
    // Back at what the index believes to be told, while the opposite is on its way there.
    queue.offer(told(report("orders", 0)), now);
    assert!(queue.next(now).is_none(), "never two at a time for one object");
    queue.done(&one.object, Outcome::Written, now);
    assert!(queue.next(now + EACH_EVERY - TICK).is_none());
    assert_eq!(queue.wake_at(now), Some(now + EACH_EVERY));
    assert_eq!(queue.next(now + EACH_EVERY).unwrap().serving, 0);
    queue.done(&one.object, Outcome::Settled, now + EACH_EVERY);

    queue.offer(told(report("orders", 0)), now + HEARD_AFTER - TICK);
    assert!(queue.next(now + HEARD_AFTER).is_some(), "the watch may not have shown our write");
    queue.done(&one.object, Outcome::Settled, now + HEARD_AFTER);
    queue.offer(told(report("orders", 0)), now + HEARD_AFTER);
    assert!(queue.next(now + HEARD_AFTER).is_none(), "by now it has");
}

#[test]
fn failures_keep_the_report_and_come_ever_more_rarely() {
    let (mut queue, mut now) = (queue(), Instant::now());
    queue.offer(report("orders", 1), now);
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let report = queue.next(now).unwrap();
        queue.done(&report.object, Outcome::Failed, now);
        let wake = queue.wake_at(now).unwrap();
        assert!(queue.next(wake - TICK).is_none());
        pauses.push(wake - now);
        now = wake;
    }
    assert!(pauses.iter().all(|pause| *pause >= EACH_EVERY && *pause <= Duration::from_secs(31)));
    assert!(pauses.iter().rev().take(10).sum::<Duration>() > Duration::from_secs(80), "{pauses:?}");
    queue.offer(report("orders", 2), now);
    assert_eq!(queue.next(now).unwrap().serving, 2, "and the newest is what is tried");
}

#[test]
fn one_that_fails_holds_up_the_others_only_while_the_server_does() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(report("orders", 1), now);
    let failing = queue.next(now).unwrap();
    queue.offer(report("billing", 1), now);
    queue.done(&failing.object, Outcome::Failed, now);
    let soon = now + Duration::from_secs(1);
    let next = queue.next(soon).unwrap();
    assert_eq!(next.object, key("billing"), "its own pause is longer than everybody's");
    queue.done(&next.object, Outcome::Written, soon);
    assert_eq!(queue.next(soon + Duration::from_secs(1)).unwrap().object, key("orders"));
}

#[test]
fn a_conflict_is_looked_at_again_and_the_end_of_an_object_is_not() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.offer(report("orders", 1), now);
    let one = queue.next(now).unwrap();
    queue.done(&one.object, Outcome::Again, now);
    let wake = queue.wake_at(now).unwrap();
    assert!(wake <= now + Duration::from_secs(1) && queue.next(wake).is_some());
    queue.done(&one.object, Outcome::Settled, wake);
    assert!(queue.wake_at(wake).is_none());
}

#[test]
fn there_is_a_place_for_so_many() {
    let (mut queue, now) = (queue(), Instant::now());
    for number in 0..WAITING_MAX {
        assert_eq!(queue.room(), WAITING_MAX - number);
        queue.offer(report(&format!("s{number}"), 1), now);
    }
    assert_eq!(queue.room(), 0);
    let under_way = (0..100).filter_map(|_| queue.next(now)).count();
    assert_eq!(under_way, CONCURRENT_MAX);
    assert!(queue.wake_at(now).is_none(), "something must end first");
}

#[derive(Debug, Clone)]
enum Doing {
    Offer(u8, u8),
    Pass(u64),
    Done(Outcome),
}

fn doings() -> impl Strategy<Value = Vec<Doing>> {
    let outcome = prop_oneof![
        Just(Outcome::Written),
        Just(Outcome::Denied),
        Just(Outcome::Failed),
        Just(Outcome::Again)
    ];
    let doing = prop_oneof![
        (0_u8..4, 0_u8..9).prop_map(|(object, serving)| Doing::Offer(object, serving)),
        (0_u64..2_000).prop_map(Doing::Pass),
        outcome.prop_map(Doing::Done),
    ];
    prop::collection::vec(doing, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The object's status is a number; the index hears of our writes at once or late.
    #[test]
    fn in_the_end_each_status_says_what_was_true_last(doings in doings(), hears: bool) {
        let (mut queue, mut now) = (queue(), Instant::now());
        let name = |object: u8| format!("s{object}");
        let (mut truth, mut server) = ([0_u8; 4], [0_u8; 4]);
        // What the index believes is told: of the last time that it heard.
        let mut believed = [digest(&report("s0", 0)); 4];
        let mut last_write = [None; 4];
        let mut under_way: Vec<Report> = Vec::new();
        let place = |report: &Report| usize::from(report.object.name.as_bytes()[1] - b'0');
        // Whatever happened, then everything works for long enough, the longest rest among it.
        let calm = std::iter::repeat_n([Doing::Done(Outcome::Written), Doing::Pass(20_000)], 40).flatten();
        for doing in doings.into_iter().chain(calm) {
            match doing {
                Doing::Offer(object, serving) => {
                    let at = usize::from(object);
                    truth[at] = serving;
                    let told = if hears { digest(&report("s0", server[at])) } else { believed[at] };
                    queue.offer(Report { told, ..report(&name(object), serving) }, now);
                }
                Doing::Pass(ms) => now += Duration::from_millis(ms),
                Doing::Done(outcome) if !under_way.is_empty() => {
                    let done = under_way.remove(0);
                    let at = place(&done);
                    if outcome == Outcome::Written {
                        prop_assert!(last_write[at].is_none_or(|last: Instant| now >= last + EACH_EVERY));
                        server[at] = u8::try_from(done.serving).unwrap();
                        last_write[at] = Some(now);
                    }
                    queue.done(&done.object, outcome, now);
                }
                Doing::Done(_) => {}
            }
            for at in 0..4 {
                // Within the time that the queue allows it, the watch brings our writes.
                if last_write[at].is_some_and(|last| now >= last + HEARD_AFTER - TICK) {
                    believed[at] = digest(&report("s0", server[at]));
                }
            }
            while let Some(report) = queue.next(now) {
                prop_assert!(under_way.iter().all(|other| other.object != report.object));
                under_way.push(report);
                prop_assert!(under_way.len() <= CONCURRENT_MAX);
            }
        }
        prop_assert_eq!(server, truth);
        prop_assert!(queue.wake_at(now).is_none() && StatusDigest::default() != believed[0]);
    }
}

#[test]
fn what_is_denied_rests_alone_and_takes_no_room() {
    let (mut queue, now) = (queue(), Instant::now());
    for number in 0..DENIED_MAX + 10 {
        queue.offer(report(&format!("s{number}"), 1), now);
        let denied = queue.next(now).unwrap();
        queue.done(&denied.object, Outcome::Denied, now);
        assert_eq!(queue.room(), WAITING_MAX);
    }
    assert_eq!(queue.waiting.len(), DENIED_MAX);
    queue.offer(report("orders", 1), now);
    assert_eq!(queue.next(now).unwrap().object, key("orders"), "at once");
    // Its rest stays, whatever becomes true of it.
    queue.offer(report("s0", 2), now + EACH_EVERY);
    assert!(queue.next(now + EACH_EVERY).is_none());
    let again: Vec<_> = (0..2).map(|_| queue.next(now + REST).unwrap()).collect();
    assert!(again.iter().all(|report| report.object != key("orders")));
}
