//! Lists, watches, and the ways in which a watch ends.

use rollcall_catalogue::changes::Position;

use super::*;
use crate::owner::Owner;

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

/// The watch of all pods, whose owner takes nothing in as yet; and its first page, of more than may wait for the owner.
struct Unheard {
    owner: Owner,
    index: IndexHandle,
    api: FakeApi,
    watch: JoinHandle<Result<(), OwnerGone>>,
    first: Vec<Value>,
}

impl Unheard {
    fn new() -> Self {
        let (owner, index) = owner(Index::default(), Metrics::new());
        let (client, api) = fake_api();
        let (ages, drift) = (WatchAges::new(), Drift::default());
        let watch = tokio::spawn(
            Follower { client, index: index.clone(), ages, drift, reading: Reading::default() }.run::<Pods>(),
        );
        let first = (0..5_000).map(|number| pod(&format!("p{number}"), "1")).collect();
        Self { owner, index, api, watch, first }
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_page_is_asked_for_before_this_one_is_taken_in() {
    let Unheard { owner, index, mut api, watch: _watch, first } = Unheard::new();
    api.list().await.page("10", Some("token"), &first);
    let next = timeout(MINUTE, api.list()).await.expect("it would wait for the owner");
    assert_eq!(next.parameter("continue"), Some("token"));
    next.page("10", None, &[pod("last", "1")]);
    let (_trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    api.watch("10").await;
    assert_eq!(index.ask(|index| index.known(Kind::Pod)).await.unwrap(), first.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_page_is_given_up_with_its_list() {
    let Unheard { owner: _owner, mut api, watch, first, .. } = Unheard::new();
    api.list().await.page("10", Some("token"), &first);
    let next = timeout(MINUTE, api.list()).await.expect("it would wait for the owner");
    watch.abort();
    let given_up = async {
        while next.is_awaited() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    // Its own time would end too, but later.
    timeout(Duration::from_secs(1), given_up).await.expect("somebody still waits for it");
}

#[tokio::test(start_paused = true)]
async fn beside_a_large_page_no_other_is_held() {
    let Unheard { owner, mut api, watch: _watch, first, .. } = Unheard::new();
    let space = " ".repeat(9 * 1024 * 1024);
    let metadata = json!({"resourceVersion": "10", "continue": "token"});
    let text = format!(r#"{space}{{"metadata":{metadata},"items":{}}}"#, Value::from(first));
    api.list().await.text(200, text);
    assert!(timeout(MINUTE, api.list()).await.is_err(), "the owner has not taken in the first");
    let (_trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    assert_eq!(api.list().await.parameter("continue"), Some("token"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_says_behind_its_objects_what_follows_is_followed_too() {
    let mut rig = rig::<Pods>();
    let metadata = json!({"resourceVersion": "10", "continue": "token"});
    let text = format!(r#"{{"items":[{}],"metadata":{metadata}}}"#, pod("a", "1"));
    rig.api.list().await.text(200, text);
    let next = rig.api.list().await;
    assert_eq!(next.parameter("continue"), Some("token"));
    rig.has("a").await;
    next.page("10", None, &[pod("b", "2")]);
    rig.api.watch("10").await;
    rig.has("ab").await;
}

#[tokio::test(start_paused = true)]
async fn an_event_may_come_in_pieces_and_a_cut_one_comes_again() {
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
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
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
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
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
    let mut ending = ends_in_time(call).await;
    for _ in 0..3 {
        ending.cut();
        ending = ends_in_time(rig.api.watch("10").await).await;
    }
    assert!(rig.age() >= Duration::from_secs(4 * 40), "{:?}", rig.age());
}

#[tokio::test(start_paused = true)]
async fn a_dead_watch_is_noticed_within_a_minute() {
    let (mut rig, never_answered) = listed(&[pod("x", "1")]).await;
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
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
    let mut stream = call.stream();
    stream.event("ADDED", &pod("a", "11"));
    stream.refuse(500);
    for _ in 0..4 {
        stream = rig.api.watch("11").await.stream();
        stream.refuse(500);
    }
    rig.api.list().await.page("30", None, &[pod("b", "25")]);
    rig.api.watch("30").await;
    rig.has("b").await;
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
    let (mut rig, call) = listed(&[pod("x", "1")]).await;
    let stream = call.stream();
    stream.bytes("<html>Bad gateway</html>\n");
    rig.api.watch("10").await.stream().event("ADDED", &pod("a", "11"));
    rig.has("a").await;
}

#[tokio::test(start_paused = true)]
async fn all_kinds_are_listed_at_the_same_time_and_the_death_of_any_is_seen() {
    let (owner, index) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let (client, mut api) = fake_api();
    let ages = WatchAges::new();
    let watches = watch_all(&client, &index, &ages, &Drift::default());
    let tasks: Vec<_> = watches.into_iter().map(|(_, task)| tokio::spawn(task)).collect();
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
    let (rig, call) = listed(&[pod("x", "1")]).await;
    rig.owner.pull();
    sleep(Duration::from_secs(1)).await;
    call.stream().event("ADDED", &pod("a", "11"));
    assert_eq!(rig.watch.await.unwrap(), Err(OwnerGone));
}

#[tokio::test(start_paused = true)]
async fn how_far_a_kind_was_read_follows_lists_events_and_bookmarks() {
    let mut rig = rig::<Pods>();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pod) {
        rig.index.apply(Change::ListBegins(kind)).await.unwrap();
        rig.index.apply(Change::ListEnds(kind)).await.unwrap();
    }
    rig.api.list().await.page("10", None, &[pod("a", "3")]);
    let stream = rig.api.watch("10").await.stream();
    let at = async |revision| {
        let mut expected = Position::default();
        expected.saw("Pod", revision);
        let reached = async {
            while rig.index.view().borrow().reading.reach != expected {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(MINUTE, reached).await.unwrap_or_else(|_| panic!("{:?}", rig.index.view().borrow().reading));
    };
    at(10).await;
    let mut listed = Position::default();
    listed.saw("Pod", 3);
    assert_eq!(rig.index.view().borrow().reading.changed, listed, "the newest that is in the list");
    stream.event("ADDED", &pod("b", "12"));
    at(12).await;
    stream.event("BOOKMARK", &json!({"metadata": {"resourceVersion": "20"}}));
    at(20).await;
    // What tells the index nothing is a step on the way all the same.
    stream.event("MODIFIED", &json!({"metadata": {"resourceVersion": "21"}}));
    at(21).await;
    stream.event("ADDED", &pod("c", "not-a-number"));
    stream.event("DELETED", &pod("b", "23"));
    at(23).await;
}
