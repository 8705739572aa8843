//! Lists that lack what is known, and what becomes of it.

use super::{audit::next_list, *};

fn abc() -> [Value; 3] {
    [pod("a", "1"), pod("b", "2"), pod("c", "3")]
}

/// The list that follows one which was not believed: at once, and of everything as it is.
async fn second(rig: &mut Rig) -> Call {
    let begin = Instant::now();
    let list = rig.api.list().await;
    assert_eq!(list.parameter("resourceVersion"), None, "as it is, not as it was");
    let waited = begin.elapsed();
    assert!((DOUBT_PAUSE..DOUBT_PAUSE * 3).contains(&waited), "{waited:?}");
    list
}

#[tokio::test(start_paused = true)]
async fn one_empty_list_takes_nothing_out_whatever_it_was_made_for() {
    for is_audit in [true, false] {
        let (mut rig, call) = listed(&abc()).await;
        let list = if is_audit {
            drop(call);
            next_list(&mut rig.api, "60").await.0
        } else {
            call.refuse(410);
            rig.api.list().await
        };
        let age = rig.age();
        list.page("70", None, &[]);
        let list = second(&mut rig).await;
        rig.has("abc").await;
        assert!(rig.age() >= age, "it proves nothing");
        list.page("71", None, &abc());
        rig.api.watch("71").await;
        rig.has("abc").await;
        assert_eq!((rig.doubts(), rig.drift.total(Kind::Pod)), (1, 0));
        assert_eq!(rig.drift.lists(Kind::Pod), u64::from(is_audit));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_truly_deleted_goes_with_the_second_list() {
    let (mut rig, call) = listed(&abc()).await;
    call.refuse(410);
    let begin = Instant::now();
    rig.api.list().await.page("70", None, &[]);
    second(&mut rig).await.page("71", None, &[]);
    rig.api.watch("71").await;
    rig.has("").await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_doubted_list_has_counts_at_once() {
    let (mut rig, call) = listed(&[labelled("a", "1", "old"), pod("b", "2")]).await;
    let many: Vec<_> = (0..20).map(|number| pod(&format!("p{number}"), "3")).collect();
    let stream = call.stream();
    many.iter().for_each(|pod| stream.event("ADDED", pod));
    stream.refuse(410);
    rig.api.list().await.page("70", Some("token"), &[labelled("a", "60", "new")]);
    rig.api.list().await.page("70", None, &[pod("d", "61")]);
    let list = second(&mut rig).await;
    rig.has("abd").await;
    assert_eq!(rig.app("a").await.as_deref(), Some("new"));
    // The second lacks less, which is no more than may be.
    let rest = [&many[..], &[labelled("a", "60", "new"), pod("d", "61")]].concat();
    list.page("71", None, &rest);
    rig.api.watch("71").await;
    rig.has("ad").await;
}

#[tokio::test(start_paused = true)]
async fn lists_that_contradict_each_other_remove_nothing_and_come_ever_more_rarely() {
    let all: Vec<_> = (0..40).map(|number| pod(&format!("p{number}"), "1")).collect();
    let (mut rig, call) = listed(&all).await;
    call.refuse(410);
    let begin = Instant::now();
    for turn in 0..60 {
        let half = if turn % 2 == 0 { &all[..20] } else { &all[20..] };
        rig.api.list().await.page("70", None, half);
    }
    assert!(begin.elapsed() > Duration::from_secs(60 * 5), "{:?}", begin.elapsed());
    let known = rig.index.ask(|index| index.known(Kind::Pod)).await.unwrap();
    assert_eq!(known, all.len());
    rig.api.list().await.page("71", None, &all[1..]);
    rig.api.watch("71").await;
    assert_eq!(rig.index.ask(|index| index.known(Kind::Pod)).await.unwrap(), all.len() - 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_list_that_fails_is_none() {
    let (mut rig, call) = listed(&abc()).await;
    call.refuse(410);
    rig.api.list().await.page("70", None, &[]);
    second(&mut rig).await.refuse(500);
    rig.api.list().await.page("71", Some("token"), &[]);
    rig.api.list().await.refuse(410);
    let list = rig.api.list().await;
    rig.has("abc").await;
    list.page("72", None, &abc());
    rig.api.watch("72").await;
    rig.has("abc").await;
}

#[tokio::test(start_paused = true)]
async fn what_two_wrong_lists_took_away_is_back_within_two_minutes_although_the_watch_says_nothing() {
    let (mut rig, call) = listed(&abc()).await;
    drop(call);
    let (list, _) = next_list(&mut rig.api, "60").await;
    list.page("60", None, &[]);
    second(&mut rig).await.page("60", None, &[]);
    rig.has("").await;
    let (list, waited) = next_list(&mut rig.api, "60").await;
    assert!(waited < AUDIT_SOON_AFTER * 2, "{waited:?}");
    list.page("60", None, &abc());
    rig.has("abc").await;
    // It found something again, and is followed by another one; which finds nothing.
    let (list, waited) = next_list(&mut rig.api, "60").await;
    assert!(waited < AUDIT_SOON_AFTER * 4, "{waited:?}");
    list.page("60", None, &abc());
    let (_, waited) = next_list(&mut rig.api, "60").await;
    assert!(waited >= AUDIT_AFTER, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_kind_that_every_cluster_has_is_asked_for_twice_before_it_is_served() {
    let mut rig = rig::<Pods>();
    rig.api.list().await.page("10", None, &[]);
    let list = second(&mut rig).await;
    assert!(rig.index.ask(|index| index.awaited().contains(&Kind::Pod)).await.unwrap());
    list.page("11", None, &abc());
    rig.api.watch("11").await;
    rig.has("abc").await;
    let mut rig = super::rig::<Registrations>();
    rig.api.list().await.page("10", None, &[]);
    rig.api.watch("10").await;
}
