//! Complete lists now and then, and what they show.

use super::*;

/// Answers watch calls until a list comes, and says how long that took.
pub(super) async fn next_list(api: &mut FakeApi, bookmark: &str) -> (Call, Duration) {
    let begin = Instant::now();
    loop {
        let call = api.call().await;
        if !call.is_watch() {
            return (call, begin.elapsed());
        }
        let ending = ends_in_time(call).await;
        ending.bookmark(bookmark);
    }
}

#[tokio::test(start_paused = true)]
async fn now_and_then_everything_is_listed_and_what_was_missed_is_counted() {
    let (mut rig, call) = listed(&[labelled("a", "1", "old"), pod("b", "2"), pod("c", "3")]).await;
    call.stream().bookmark("50");
    let (list, waited) = next_list(&mut rig.api, "60").await;
    assert!((AUDIT_AFTER..AUDIT_AFTER * 2 + MINUTE).contains(&waited), "{waited:?}");
    assert_eq!(list.parameter("resourceVersion"), Some("60"), "as it was where the watch is");
    assert_eq!(list.parameter("resourceVersionMatch"), Some("Exact"));
    // The watch missed three: a has changed, b is gone, d has come.
    list.page("60", Some("token"), &[labelled("a", "40", "new"), pod("c", "3")]);
    let rest = rig.api.list().await;
    assert_eq!((rest.parameter("continue"), rest.parameter("resourceVersion")), (Some("token"), None));
    rest.page("60", None, &[pod("d", "41")]);
    let call = rig.api.watch("60").await;
    rig.has("acd").await;
    assert_eq!(rig.app("a").await.as_deref(), Some("new"));
    assert_eq!((rig.drift.total(Kind::Pod), rig.drift.lists(Kind::Pod)), (3, 1));

    drop(call);
    let (list, waited) = next_list(&mut rig.api, "70").await;
    assert!(waited < AUDIT_SOON_AFTER * 2, "who found something looks again soon: {waited:?}");
    list.page("70", None, &[labelled("a", "40", "new"), pod("c", "3"), pod("d", "41")]);
    rig.api.watch("70").await;
    assert_eq!((rig.drift.total(Kind::Pod), rig.drift.lists(Kind::Pod)), (3, 2), "nothing more was missed");
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_is_refused_becomes_a_list_that_is_not_counted() {
    let (mut rig, call) = listed(&[pod("a", "1"), pod("b", "2")]).await;
    drop(call);
    let (list, _) = next_list(&mut rig.api, "60").await;
    list.refuse(410);
    let anew = rig.api.list().await;
    assert_eq!(anew.parameter("resourceVersion"), None);
    anew.page("80", None, &[pod("b", "2")]);
    rig.api.watch("80").await;
    rig.has("b").await;
    assert_eq!((rig.drift.total(Kind::Pod), rig.drift.lists(Kind::Pod)), (0, 0));
}
