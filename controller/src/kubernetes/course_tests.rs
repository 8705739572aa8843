use proptest::prelude::*;

use super::*;

const LONG: Duration = Duration::from_secs(45);
const FAILED: Failure = Failure::Other(None);

fn course() -> Course {
    Course::new(Jitter::new(7), Instant::now())
}

fn watching(course: &mut Course, now: Instant) -> Option<String> {
    match course.step(now) {
        Step::Watch { from, .. } => Some(from),
        Step::List { .. } => None,
    }
}

#[test]
fn nothing_is_watched_before_a_list_came_to_its_end() {
    let (mut course, now) = (course(), Instant::now());
    assert_eq!(course.step(now), Step::List { at: None, page_objects: PAGE_OBJECTS_MAX });
    course.list_failed(FAILED);
    assert!(!course.listed_once() && watching(&mut course, now).is_none());
    course.listed("10".into(), now);
    assert!(course.listed_once());
    assert_eq!(watching(&mut course, now).as_deref(), Some("10"));
    course.advanced("11".into());
    assert_eq!(watching(&mut course, now).as_deref(), Some("11"));
}

#[test]
fn rare_failures_of_a_watch_are_not_added_up() {
    let (mut course, now) = (course(), Instant::now());
    course.listed("10".into(), now);
    for _ in 0..100 {
        assert!(course.watch_failed(FAILED, Duration::ZERO) <= Duration::from_secs(1));
        assert_eq!(course.watch_ended(45, LONG), (Ended::InTime, Duration::ZERO));
        assert!(watching(&mut course, now).is_some(), "and no version is given up");
    }
}

#[test]
fn a_proxy_that_ends_every_call_after_half_a_minute_leaves_no_gaps() {
    let (mut course, now) = (course(), Instant::now());
    course.listed("10".into(), now);
    for _ in 0..100 {
        assert_eq!(course.watch_ended(45, Duration::from_secs(30)), (Ended::Early, Duration::ZERO));
        let pause = course.watch_failed(FAILED, Duration::from_secs(30));
        assert!(pause <= Duration::from_millis(1_500), "{pause:?}");
        course.listed("10".into(), now);
    }
}

#[test]
fn pages_shrink_to_one_object_and_not_to_none() {
    let mut course = course();
    let sizes = std::iter::repeat_with(|| {
        course.list_failed(Failure::TooLarge);
        match course.step(Instant::now()) {
            Step::List { page_objects, .. } => page_objects,
            Step::Watch { .. } => 0,
        }
    });
    assert_eq!(sizes.take(6).collect::<Vec<_>>(), [125, 31, 7, 1, 1, 1]);
}

proptest! {
    /// Whatever happens in whatever order: no two calls that fail follow each other for ever without a pause, and
    /// nothing is watched from a version that was given up.
    #[test]
    fn calls_that_fail_are_spread(events in prop::collection::vec(0_u8..4, 200), seed in any::<u64>()) {
        let now = Instant::now();
        let mut course = Course::new(Jitter::new(seed), now);
        let mut waited = Duration::ZERO;
        for event in &events {
            let pause = match (course.step(now), event) {
                (Step::List { .. }, 0) => course.list_failed(FAILED),
                (Step::List { .. }, 1) => course.list_failed(Failure::Gone),
                (Step::List { .. }, _) => {
                    course.listed("10".into(), now);
                    continue;
                }
                (Step::Watch { .. }, 0) => course.watch_failed(FAILED, Duration::ZERO),
                (Step::Watch { seconds, .. }, 1) => course.watch_ended(seconds, Duration::ZERO).1,
                (Step::Watch { .. }, _) => {
                    let pause = course.watch_failed(Failure::Gone, Duration::ZERO);
                    prop_assert!(watching(&mut course, now).is_none());
                    prop_assert!(pause >= LIST_PAUSE_MIN);
                    pause
                }
            };
            prop_assert!(pause <= LIST_PAUSE_MIN + Duration::from_secs(30));
            waited += pause;
        }
        // At least every second event is a failure, and a failure costs 15 s on average after the first ten seconds.
        prop_assert!(waited >= Duration::from_secs(5 * 100), "{waited:?}");
    }
}
