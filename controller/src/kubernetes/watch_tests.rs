use rollcall_net::{Trigger, shutdown};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{advance, timeout},
};

use super::*;
use crate::{
    kubernetes::{
        call::PAGE_MAX,
        course::AUDIT_AFTER,
        fake_api::{Call, FakeApi, WatchReply, fake_api},
    },
    owner::owner,
};

/// Longer than any watch call that works, shorter than anything that a test waits for in vain.
const MINUTE: Duration = Duration::from_secs(60);

/// Holds a watch of one kind, with a scripted API server on its one side and a real owner on the other.
struct Rig {
    api: FakeApi,
    index: IndexHandle,
    ages: WatchAges,
    drift: Drift,
    watch: JoinHandle<Result<(), OwnerGone>>,
    owner: Trigger,
}

fn rig<W: Watched>() -> Rig {
    let (owner, index) = owner();
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let (client, api) = fake_api();
    let (ages, drift) = (WatchAges::new(), Drift::default());
    let follower = Follower { client, index: index.clone(), ages: ages.clone(), drift: drift.clone() };
    Rig { api, index, ages, drift, watch: tokio::spawn(follower.run::<W>()), owner: trigger }
}

/// A rig whose first list is done, with these pods at version 10, and its first watch call.
async fn listed(pods: &[Value]) -> (Rig, Call) {
    let mut rig = rig::<Pods>();
    rig.api.list().await.page("10", None, pods);
    let call = rig.api.watch("10").await;
    (rig, call)
}

fn pod(uid: &str, version: &str) -> Value {
    json!({"metadata": {"name": uid, "namespace": "shop", "uid": uid, "resourceVersion": version}})
}

fn labelled(uid: &str, version: &str, app: &str) -> Value {
    let mut pod = pod(uid, version);
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

fn garbage(uid: &str, version: &str) -> Value {
    let mut pod = pod(uid, version);
    pod["spec"] = json!({"containers": "none"});
    pod
}

impl Rig {
    async fn app(&self, uid: &str) -> Option<String> {
        self.index.pod(uid.into()).await.unwrap()?.labels.get("app").cloned()
    }

    /// Waits until the index has exactly these of the pods a, b, c, d.
    async fn has(&self, expected: &str) {
        let all = timeout(MINUTE, async {
            loop {
                let mut has = String::new();
                for uid in ["a", "b", "c", "d"] {
                    if self.index.pod(uid.into()).await.unwrap().is_some() {
                        has.push_str(uid);
                    }
                }
                if has == expected {
                    return;
                }
                sleep(Duration::from_millis(1)).await;
            }
        });
        all.await.unwrap_or_else(|_| panic!("not {expected:?} within a minute"));
    }

    fn age(&self) -> Duration {
        self.ages.age(Kind::Pod)
    }
}

/// A watch that works, and ends in time.
async fn ends_in_time(call: Call) -> WatchReply {
    let seconds = call.parameter("timeoutSeconds").unwrap().parse().unwrap();
    let reply = call.stream();
    sleep(Duration::from_secs(seconds)).await;
    reply
}

#[tokio::test(start_paused = true)]
async fn a_list_of_pages_and_a_watch_from_its_version() {
    let mut rig = rig::<Pods>();
    let first = rig.api.list().await;
    assert_eq!((first.path.as_str(), first.parameter("limit")), ("/api/v1/pods", Some("500")));
    assert_eq!(first.parameter("resourceVersion"), None, "as they are, not as some replica remembers them");
    first.page("10", Some("token"), &[pod("a", "3"), pod("b", "4")]);
    let second = rig.api.list().await;
    assert_eq!((second.parameter("continue"), second.parameter("limit")), (Some("token"), Some("500")));
    second.page("10", None, &[pod("c", "5")]);
    let call = rig.api.watch("10").await;
    assert_eq!(call.parameter("allowWatchBookmarks"), Some("true"));
    assert_eq!(call.headers["accept-encoding"], "identity");
    rig.has("abc").await;
    let stream = call.stream();
    stream.event("ADDED", &pod("d", "11"));
    stream.event("MODIFIED", &labelled("a", "12", "new"));
    stream.event("DELETED", &pod("b", "13"));
    rig.has("acd").await;
    assert_eq!(rig.app("a").await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn an_event_may_come_in_pieces_and_a_cut_one_comes_again() {
    let (mut rig, call) = listed(&[]).await;
    let stream = call.stream();
    let line = json!({"type": "ADDED", "object": pod("a", "11")}).to_string();
    let (begin, end) = line.split_at(40);
    stream.bytes(begin);
    sleep(Duration::from_secs(1)).await;
    stream.bytes(&format!("{end}\n\n{begin}"));
    rig.has("a").await;
    drop(stream);
    rig.api.watch("11").await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_shows_that_it_works_by_ending_in_time() {
    let (mut rig, call) = listed(&[]).await;
    let seconds: u64 = call.parameter("timeoutSeconds").unwrap().parse().unwrap();
    assert!((40..=50).contains(&seconds));
    let ending = ends_in_time(call).await;
    assert!(rig.age() >= Duration::from_secs(40));
    drop(ending);
    let next = rig.api.watch("10").await;
    assert!(rig.age() < Duration::from_secs(1), "the next call follows at once: {:?}", rig.age());
    let stream = next.stream();
    sleep(Duration::from_secs(20)).await;
    stream.bookmark("20");
    sleep(Duration::from_secs(1)).await;
    assert!(rig.age() <= Duration::from_secs(1), "a bookmark is a proof");
    drop(stream);
    rig.api.watch("20").await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_proves_nothing() {
    let (mut rig, call) = listed(&[]).await;
    let mut ending = ends_in_time(call).await;
    for _ in 0..3 {
        ending.cut();
        ending = ends_in_time(rig.api.watch("10").await).await;
    }
    assert!(rig.age() >= Duration::from_secs(4 * 40), "{:?}", rig.age());
}

#[tokio::test(start_paused = true)]
async fn a_dead_watch_is_noticed_within_a_minute() {
    let (mut rig, never_answered) = listed(&[]).await;
    let begin = Instant::now();
    let silent = rig.api.watch("10").await.stream();
    assert!(begin.elapsed() <= MINUTE + Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(!never_answered.is_awaited(), "its connection is given up");
    let begin = Instant::now();
    let next = rig.api.watch("10").await;
    assert!(begin.elapsed() <= MINUTE + Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(rig.age() >= begin.elapsed(), "an answer of nothing but headers proves nothing");
    next.stream().event("ADDED", &pod("a", "11"));
    rig.has("a").await;
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_forgotten_is_listed_anew_whoever_says_so() {
    let (mut rig, call) = listed(&[pod("a", "1"), pod("b", "2")]).await;
    let stream = call.stream();
    stream.refuse(410);
    let relist = rig.api.list().await;
    assert_eq!(relist.parameter("resourceVersion"), None);
    relist.page("20", None, &[pod("b", "2")]);
    let call = rig.api.watch("20").await;
    rig.has("b").await;
    call.refuse(410);
    rig.api.list().await.page("30", None, &[pod("c", "25")]);
    rig.api.watch("30").await;
    rig.has("c").await;
    assert_eq!((rig.drift.total(Kind::Pod), rig.drift.lists(Kind::Pod)), (0, 0), "that was no drift");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_stream_ends_it_and_errors_in_a_row_end_the_version() {
    let (mut rig, call) = listed(&[]).await;
    let mut stream = call.stream();
    stream.event("ADDED", &pod("a", "11"));
    stream.refuse(500);
    for _ in 0..4 {
        stream = rig.api.watch("11").await.stream();
        stream.refuse(500);
    }
    rig.api.list().await.page("30", None, &[]);
    rig.api.watch("30").await;
    rig.has("").await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_stops_nothing_and_stays_as_it_was() {
    let (mut rig, call) =
        listed(&[pod("a", "1"), garbage("b", "2"), json!({"metadata": 7}), pod("c", "3")]).await;
    rig.has("ac").await;
    let stream = call.stream();
    stream.event("MODIFIED", &garbage("a", "11"));
    stream.event("ADDED", &pod("d", "12"));
    rig.has("acd").await;
    stream.event("DELETED", &garbage("c", "13"));
    rig.has("ad").await;
    stream.refuse(410);
    rig.api.list().await.page("20", None, &[garbage("a", "11"), pod("d", "12")]);
    rig.api.watch("20").await;
    rig.has("ad").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_event_is_an_error_as_any() {
    let (mut rig, call) = listed(&[]).await;
    let stream = call.stream();
    stream.bytes("<html>Bad gateway</html>\n");
    rig.api.watch("10").await.stream().event("ADDED", &pod("a", "11"));
    rig.has("a").await;
}

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
        let (mut rig, call) = listed(&[]).await;
        call.refuse(410);
        let answer = |call: Call| match (call.is_watch(), in_stream) {
            (false, _) => call.page("10", None, &[]),
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
    let (mut rig, call) = listed(&[]).await;
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
        (PAGE_MAX..PAGE_MAX + Duration::from_secs(3)).contains(&begin.elapsed()),
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
    let (mut rig, call) = listed(&[pod("a", "1")]).await;
    call.refuse(410);
    rig.api.list().await.page("", None, &[]);
    let anew = rig.api.list().await;
    rig.has("a").await;
    anew.page("20", None, &[]);
    rig.has("").await;
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
        "metadata": {"name": "orders", "namespace": "shop", "uid": "r1", "resourceVersion": "1"},
        "spec": {"target": {"selector": {"matchLabels": {"app": "orders"}}}, "ports": [{"port": 8080}]},
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
    rig.api.list().await.refuse(404);
    rig.api.list().await;
    assert!(rig.ages.age(Kind::Pod) > Duration::ZERO, "a proxy's 404 proves nothing");
}

/// Answers watch calls until a list comes, and says how long that took.
async fn next_list(api: &mut FakeApi, bookmark: &str) -> (Call, Duration) {
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
    let (list, _) = next_list(&mut rig.api, "70").await;
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

#[tokio::test(start_paused = true)]
async fn all_kinds_are_listed_at_the_same_time_and_the_death_of_any_is_seen() {
    let (owner, index) = owner();
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let (client, mut api) = fake_api();
    let watches = watch_all(&client, &index);
    let tasks: Vec<_> = watches.tasks.into_iter().map(|(_, task)| tokio::spawn(task)).collect();
    let mut calls = Vec::new();
    while calls.len() < Kind::ALL.len() {
        calls.push(api.list().await);
    }
    let mut asked: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.path.as_str(),
                call.headers
                    .get("accept")
                    .is_some_and(|accept| accept.to_str().unwrap().contains("PartialObjectMetadata")),
            )
        })
        .collect();
    asked.sort_unstable();
    let expected = [
        ("/api/v1/namespaces", true),
        ("/api/v1/nodes", false),
        ("/api/v1/pods", false),
        ("/api/v1/services", false),
        ("/apis/discovery.k8s.io/v1/endpointslices", false),
        ("/apis/rollcall.dev/v1alpha1/serviceregistrations", false),
    ];
    assert_eq!(asked, expected);
    trigger.pull();
    advance(Duration::from_secs(1)).await;
    calls.into_iter().for_each(|call| call.page("10", None, &[]));
    for task in tasks {
        assert_eq!(task.await.unwrap(), Err(OwnerGone));
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_owner() {
    let (rig, call) = listed(&[]).await;
    rig.owner.pull();
    sleep(Duration::from_secs(1)).await;
    call.stream().event("ADDED", &pod("a", "11"));
    assert_eq!(rig.watch.await.unwrap(), Err(OwnerGone));
}
