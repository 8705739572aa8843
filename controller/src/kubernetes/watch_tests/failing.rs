//! What fails is tried again, ever more rarely, and takes nothing out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;
use crate::{index::Key, kubernetes::watched::NoMeta};

/// The pauses between calls to an API server that answers each of them so.
async fn pauses(api: &mut FakeApi, calls: usize, mut answer: impl FnMut(Call)) -> Vec<Duration> {
    let mut pauses = Vec::new();
    for _ in 0..calls {
        let begin = Instant::now();
        let call = api.call().await;
        pauses.push(begin.elapsed());
        answer(call);
    }
    pauses
}

fn rate_falls(pauses: &[Duration]) -> bool {
    let late = &pauses[pauses.len() / 2..];
    late.iter().sum::<Duration>() / u32::try_from(late.len()).unwrap() > Duration::from_secs(5)
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_for_ever_is_tried_ever_more_rarely() {
    let mut rig = rig::<Pods>();
    let pauses = pauses(&mut rig.api, 60, |call| call.refuse(500)).await;
    assert!(rate_falls(&pauses), "{pauses:?}");
    assert!(pauses.iter().skip(1).all(|pause| *pause <= Duration::from_secs(31)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_do_not_chase_each_other_where_every_watch_fails() {
    for in_stream in [false, true] {
        let (mut rig, call) = listed(&[pod("x", "1")]).await;
        call.refuse(410);
        let answer = |call: Call| match (call.is_watch(), in_stream) {
            (false, _) => call.page("10", None, &[pod("x", "1")]),
            (true, false) => call.refuse(410),
            (true, true) => call.stream().refuse(410),
        };
        let pauses = pauses(&mut rig.api, 120, answer).await;
        let lists: Vec<_> = pauses.chunks(2).map(|pair| pair.iter().sum()).collect();
        assert!(rate_falls(&lists), "in the stream: {in_stream}: {lists:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_ended_at_once_do_not_chase_each_other() {
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
    drop(call.stream());
    let pauses = pauses(&mut rig.api, 60, |call| drop(call.stream())).await;
    assert!(rate_falls(&pauses), "{pauses:?}");
    assert!(rig.age() >= MINUTE, "and prove nothing: {:?}", rig.age());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_asks_for_a_pause_gets_it() {
    for (asked, least, most) in [(20, 20, 22), (86_400, 60, 62)] {
        let mut rig = rig::<Pods>();
        let status = json!({"kind": "Status", "code": 429, "details": {"retryAfterSeconds": asked}});
        rig.api.list().await.text(429, status.to_string());
        let begin = Instant::now();
        rig.api.list().await;
        let range = Duration::from_secs(least)..Duration::from_secs(most);
        assert!(range.contains(&begin.elapsed()), "{asked}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_is_given_up_and_half_a_list_removes_nothing() {
    let (mut rig, call) = listed(&[pod("a", "1"), pod("b", "2")]).await;
    call.refuse(410);
    rig.api.list().await.page("20", Some("token"), &[pod("c", "15")]);
    let stuck = rig.api.list().await;
    assert_eq!(stuck.parameter("continue"), Some("token"));
    let begin = Instant::now();
    let anew = rig.api.list().await;
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(33)).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(anew.parameter("continue"), None, "from its beginning");
    assert!(!stuck.is_awaited());
    rig.has("abc").await;
    anew.page("30", None, &[pod("c", "15")]);
    rig.has("c").await;
}

#[tokio::test(start_paused = true)]
async fn a_next_page_that_is_refused_or_cut_breaks_the_list_and_removes_nothing() {
    let answers: [fn(Call); 4] =
        [|call| call.refuse(410), |call| call.refuse(500), |call| call.text(200, "<html>".to_owned()), drop];
    for answer in answers {
        let (mut rig, call) = listed(&[pod("a", "1"), pod("b", "2")]).await;
        call.refuse(410);
        rig.api.list().await.page("20", Some("token"), &[pod("c", "15")]);
        let next = rig.api.list().await;
        assert_eq!(next.parameter("continue"), Some("token"));
        sleep(MINUTE / 4).await;
        answer(next);
        let anew = rig.api.list().await;
        assert_eq!(anew.parameter("continue"), None, "from its beginning");
        rig.has("abc").await;
        assert!(rig.age() >= MINUTE / 4, "half a list proves nothing");
        anew.page("30", None, &[pod("c", "15")]);
        rig.api.watch("30").await;
        rig.has("c").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_death_of_whoever_reads_a_page_is_an_error_as_any() {
    /// Pods that nobody survives the reading of.
    struct Deadly;

    impl Watched for Deadly {
        type Object = <Pods as Watched>::Object;
        const KIND: Kind = Kind::Pod;

        fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
            Pods::key(meta)
        }

        fn seen(_: Self::Object) -> Result<Change, NoMeta> {
            panic!("by the test");
        }
    }

    let mut rig = rig::<Deadly>();
    rig.api.list().await.page("10", None, &[pod("a", "1")]);
    // And once more: no pod at all is doubted.
    rig.api.list().await.page("10", None, &[]);
    rig.api.list().await.page("10", None, &[]);
    rig.api.watch("10").await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let mut rig = rig::<Pods>();
    rig.api.list().await.text(200, " ".repeat(33 * 1024 * 1024));
    let smaller = rig.api.list().await;
    assert_eq!(smaller.parameter("limit"), Some("125"));
    smaller.page("10", None, &[pod("a", "1")]);
    rig.has("a").await;
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_version_is_none() {
    let (mut rig, call) = listed(&[pod("a", "1"), pod("b", "2")]).await;
    call.refuse(410);
    rig.api.list().await.page("", None, &[pod("b", "2")]);
    let anew = rig.api.list().await;
    rig.has("ab").await;
    anew.page("20", None, &[pod("b", "2")]);
    rig.has("b").await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_is_empty_only_before_its_first_list() {
    let mut rig = rig::<Registrations>();
    let call = rig.api.list().await;
    assert_eq!(call.path, "/apis/rollcall.dev/v1alpha1/serviceregistrations");
    call.refuse(404);
    let again = rig.api.list().await;
    assert!(rig.ages.age(Kind::Registration) <= Duration::from_secs(10), "it was answered");
    let registration = json!({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "r1", "resourceVersion": "1",
            "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"target": {"selector": {"matchLabels": {"app": "orders"}}},
            "ports": [{"name": "http", "port": 8080}]},
    });
    again.page("10", None, &[registration]);
    rig.api.watch("10").await.refuse(410);
    let known = |index: &mut Index| index.known(Kind::Registration);
    assert_eq!(rig.index.ask(known).await.unwrap(), 1);
    rig.api.list().await.refuse(404);
    rig.api.list().await;
    assert_eq!(rig.index.ask(known).await.unwrap(), 1, "an API server that is starting took nothing out");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_always_there_is_never_taken_for_absent() {
    let mut rig = rig::<Pods>();
    let begin = Instant::now();
    for _ in 0..3 {
        rig.api.list().await.refuse(404);
    }
    rig.api.list().await;
    assert_eq!(rig.age(), begin.elapsed(), "a proxy's 404 proves nothing");
}
