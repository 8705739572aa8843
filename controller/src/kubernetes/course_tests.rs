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
    course.listed("10".into(), false, now);
    assert!(course.listed_once());
    assert_eq!(watching(&mut course, now).as_deref(), Some("10"));
    course.advanced("11".into());
    assert_eq!(watching(&mut course, now).as_deref(), Some("11"));
}

#[test]
fn rare_failures_of_a_watch_are_not_added_up() {
    let (mut course, now) = (course(), Instant::now());
    course.listed("10".into(), false, now);
    for _ in 0..100 {
        assert!(course.watch_failed(FAILED, Duration::ZERO) <= Duration::from_secs(1));
        assert_eq!(course.watch_ended(45, LONG), (Ended::InTime, Duration::ZERO));
        assert!(watching(&mut course, now).is_some(), "and no version is given up");
    }
}

#[test]
fn a_proxy_that_ends_every_call_after_half_a_minute_leaves_no_gaps() {
    let (mut course, now) = (course(), Instant::now());
    course.listed("10".into(), false, now);
    for _ in 0..100 {
        assert_eq!(course.watch_ended(45, Duration::from_secs(30)), (Ended::Early, Duration::ZERO));
        let pause = course.watch_failed(FAILED, Duration::from_secs(30));
        assert!(pause <= Duration::from_millis(1_500), "{pause:?}");
        course.listed("10".into(), false, now);
    }
}

#[test]
fn a_list_that_is_doubted_is_made_anew_soon_and_ever_more_rarely() {
    let (mut course, now) = (course(), Instant::now());
    course.listed("10".into(), false, now);
    let pause = course.doubted();
    assert!((DOUBT_PAUSE..=DOUBT_PAUSE * 2).contains(&pause), "{pause:?}");
    assert!(course.is_in_doubt());
    assert_eq!(course.step(now), Step::List { at: None, page_objects: PAGE_OBJECTS_MAX });
    let waited: Duration = (0..200).map(|_| course.doubted()).sum();
    assert!(waited >= Duration::from_secs(100 * 10), "{waited:?}");
    course.listed("20".into(), false, now);
    assert!(!course.is_in_doubt());
    assert_eq!(watching(&mut course, now).as_deref(), Some("20"));
}

/// How long after a list the next one is due, if each watch call takes its time.
fn audit_after(course: &mut Course, listed: Instant) -> Duration {
    let mut now = listed;
    while let Step::Watch { seconds, .. } = course.step(now) {
        assert!((10..=WATCH_SECONDS_MAX).contains(&seconds), "{seconds}");
        now += Duration::from_secs(seconds.into());
    }
    now - listed
}

#[test]
fn after_a_list_by_which_something_was_wrong_the_next_is_soon_and_not_for_ever() {
    let (mut course, now) = (course(), Instant::now());
    let late = Duration::from_secs(11);
    let usual = AUDIT_AFTER..AUDIT_AFTER * 2 + late;
    course.listed("10".into(), false, now);
    assert!(usual.contains(&audit_after(&mut course, now)));
    course.doubted();
    let mut expected = AUDIT_SOON_AFTER;
    for _ in 0..20 {
        course.listed("10".into(), true, now);
        let after = audit_after(&mut course, now);
        assert!((expected..expected * 3 / 2 + late).contains(&after), "{after:?}, not {expected:?}");
        expected = (expected * 2).min(AUDIT_AFTER);
    }
    course.listed("10".into(), false, now);
    assert!(usual.contains(&audit_after(&mut course, now)));
    course.listed("10".into(), true, now);
    assert!(audit_after(&mut course, now) < AUDIT_SOON_AFTER * 2, "it begins anew");
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
                    course.listed("10".into(), false, now);
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
