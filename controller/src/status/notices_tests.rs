use super::*;
use crate::status::script::key;

fn notices() -> Notices {
    Notices::new(Jitter::new(7))
}

fn notice(name: &str, message: &str) -> Notice {
    let about = About::Pod { object: key(name), uid: format!("u-{name}").into() };
    Notice { about, reason: NoticeReason::AnnotationInvalid, message: message.to_owned() }
}

/// Written, if it is its turn.
fn tell(notices: &mut Notices, now: Instant) -> Option<Form> {
    let letter = notices.next(now)?;
    let form = letter.form.clone();
    assert!(notices.done(letter, &Ok(()), now));
    Some(form)
}

#[test]
fn equal_ones_are_one_event_that_counts() {
    let (mut notices, now) = (notices(), Instant::now());
    for _ in 0..3 {
        notices.offer(notice("a", "weight"), now);
    }
    notices.offer(notice("a", "tags"), now);
    notices.offer(notice("b", "weight"), now);
    let Some(Form::New { name }) = tell(&mut notices, now) else { panic!("the first of its kind") };
    assert!(name.starts_with("a."), "{name}");
    let others = [tell(&mut notices, now), tell(&mut notices, now)];
    assert!(others.iter().all(|form| matches!(form, Some(Form::New { .. }))), "other words, another object");

    notices.offer(notice("a", "weight"), now);
    assert!(tell(&mut notices, now + SERIES_EVERY - Duration::from_millis(1)).is_none());
    notices.offer(notice("a", "weight"), now);
    let counted = tell(&mut notices, now + SERIES_EVERY).unwrap();
    assert_eq!(counted, Form::CountOn { name, count: 5 });
    notices.offer(notice("a", "weight"), now + SERIES_EVERY + TOLD_FOR);
    let anew = tell(&mut notices, now + SERIES_EVERY + TOLD_FOR).unwrap();
    assert!(matches!(anew, Form::New { .. }), "long forgotten");
}

#[test]
fn so_many_in_a_second_and_so_many_wait() {
    let (mut notices, now) = (notices(), Instant::now());
    let kept = (0..1_000).filter(|number| notices.offer(notice(&format!("p{number}"), "x"), now)).count();
    assert_eq!(kept, WAITING_MAX);
    let told = |notices: &mut Notices, now| (0..1_000).map_while(|_| tell(notices, now)).count();
    assert_eq!(told(&mut notices, now), EVENTS_MAX);
    assert_eq!(told(&mut notices, now + Duration::from_millis(999)), 0);
    assert_eq!(told(&mut notices, now + Duration::from_secs(1)), EVENTS_MAX);
}

#[test]
fn missing_sidecars_leave_room_for_everything_else() {
    let (mut notices, now) = (notices(), Instant::now());
    let skipped = |number: usize| Notice {
        reason: NoticeReason::InjectionSkipped,
        ..notice(&format!("s{number}"), "no sidecar")
    };
    let kept = (0..1_000).filter(|number| notices.offer(skipped(*number), now)).count();
    assert_eq!(kept, WAITING_MAX / 4);
    assert!(notices.offer(skipped(0), now), "it waits already");
    let others = (0..1_000).filter(|number| notices.offer(notice(&format!("p{number}"), "x"), now)).count();
    assert_eq!(others, WAITING_MAX - kept);
    assert!(tell(&mut notices, now).is_some() && notices.offer(skipped(1_000), now), "room for one more");
}

#[test]
fn each_time_that_an_app_stays_failing_is_an_event_of_its_own() {
    let (mut notices, now) = (notices(), Instant::now());
    let failing = |since: &str| Notice {
        reason: NoticeReason::AppFailing,
        ..notice("a", &format!("ProbeRefused in `orders.shop` since {since}"))
    };
    notices.offer(failing("2026-01-02T03:04:05Z"), now);
    let first = tell(&mut notices, now);
    notices.offer(failing("2026-01-02T04:04:05Z"), now);
    let second = tell(&mut notices, now);
    assert!(matches!((&first, &second), (Some(Form::New { .. }), Some(Form::New { .. }))) && first != second);
    assert_eq!(NoticeReason::AppFailing.as_str(), "AppFailing");
}

#[test]
fn a_lost_answer_makes_no_second_event() {
    let (mut notices, now) = (notices(), Instant::now());
    notices.offer(notice("a", "x"), now);
    let first = notices.next(now).unwrap();
    assert!(notices.done(first.clone(), &Err(Failure::Unavailable("timeout".to_owned())), now));
    assert!(notices.next(now).is_none(), "the API server is left alone for a moment");
    let later = now + Duration::from_secs(1);
    let second = notices.next(later).unwrap();
    assert_eq!(second.form, first.form, "under the same name");
    assert!(notices.done(second, &Err(Failure::Conflict), later), "it was there: the first try did it");
    notices.offer(notice("a", "x"), later);
    assert!(matches!(tell(&mut notices, later + SERIES_EVERY), Some(Form::CountOn { count: 2, .. })));
}

#[test]
fn what_cannot_be_told_is_dropped_after_a_few_tries() {
    let (mut notices, mut now) = (notices(), Instant::now());
    notices.offer(notice("a", "x"), now);
    let mut tries = 0;
    loop {
        let letter = notices.next(now).unwrap();
        tries += 1;
        if !notices.done(letter, &Err(Failure::Unavailable("down".to_owned())), now) {
            break;
        }
        now += Duration::from_secs(60);
    }
    assert_eq!(tries, TRIES_MAX);
    now += Duration::from_secs(60);
    for failure in [Failure::Gone, Failure::Refused("no".to_owned()), Failure::Denied("no".to_owned())] {
        notices.offer(notice("b", "y"), now);
        let letter = notices.next(now).unwrap();
        assert!(!notices.done(letter, &Err(failure), now));
        assert!(notices.next(now).is_none());
    }
}

#[test]
fn an_event_that_ran_out_is_begun_anew() {
    let (mut notices, now) = (notices(), Instant::now());
    notices.offer(notice("a", "x"), now);
    tell(&mut notices, now);
    notices.offer(notice("a", "x"), now);
    let later = now + SERIES_EVERY;
    let letter = notices.next(later).unwrap();
    assert!(matches!(letter.form, Form::CountOn { .. }));
    assert!(notices.done(letter, &Err(Failure::Gone), later));
    assert!(matches!(tell(&mut notices, later), Some(Form::New { .. })));
}

#[test]
fn names_and_texts_fit_and_memory_is_bounded() {
    let (mut notices, mut now) = (notices(), Instant::now());
    let long = "a-".repeat(126);
    notices.offer(notice(&long, &"é".repeat(5_000)), now);
    let letter = notices.next(now).unwrap();
    let Form::New { name } = &letter.form else { panic!("new") };
    assert!(name.len() <= 253 && !name.contains("-."), "{name}");
    assert!(letter.notice.message.len() <= NOTE_BYTES_MAX && letter.notice.message.ends_with('é'));
    now += Duration::from_secs(1);
    for number in 0..2 * TOLD_MAX {
        notices.offer(notice(&format!("p{number}"), "x"), now);
        assert!(tell(&mut notices, now).is_some());
        now += Duration::from_millis(200);
    }
    assert!(notices.told.len() <= TOLD_MAX);
}

#[test]
fn those_who_only_listen_forget() {
    let (mut notices, now) = (notices(), Instant::now());
    notices.offer(notice("a", "x"), now);
    notices.offer(notice("b", "x"), now + KEPT_FOR / 2);
    notices.forget_old(now + KEPT_FOR);
    assert!(matches!(tell(&mut notices, now + KEPT_FOR), Some(Form::New { name }) if name.starts_with("b.")));
    assert!(notices.next(now + 2 * KEPT_FOR).is_none());
}
