//! What replicas share, as the owner keeps it, and what else of them its views have.

use std::net::IpAddr;

use rollcall_catalogue::liveness::Phase;
use rollcall_wire::peer::{Note, Said, SessionNote, SessionWord};

use super::*;
use crate::index::{
    ObjectKey, SliceEndpoint, SliceFacts,
    testing::{outside, registered},
};

fn version(sequence: u64, count: u64) -> Version {
    Version { generation: 1, incarnation: "i".into(), sequence, count }
}

/// Of pod 1, in session with process `other`.
fn record(version: Version, drains: bool) -> Record {
    let (session, said) = (SessionWord::Open { unheard_ms: None }, Said { drains, ..Said::default() });
    Record { pod: uid(1), version, origin: "other".into(), session, said }
}

/// As it comes over a link.
async fn hears(running: &Running, record: Record) -> Result<(), OwnerGone> {
    let note = Note::of(record, running.index.now_ms());
    running.index.hear_notes(vec![note.into()]).await
}

async fn other_is_heard(running: &Running) {
    let peers = [("other".into(), PeerStanding::Heard)].into();
    running.index.set_peers(peers).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_sessions_bring_is_in_the_ledger_after_the_turn() {
    let running = Running::start().await;
    let (changes, ledger) = (running.index.ledger_changes(), running.index.ledger().clone());
    assert!(ledger.is_empty());
    let _others = [running.speaking(2).await, running.speaking(3).await];
    let mut present = running.present(1).await;
    let session = || ledger.get(&uid(1)).map(|note| note.session);
    let told = |wanted: fn(&SessionNote) -> bool| {
        let mut changes = changes.clone();
        async move {
            while !session().is_some_and(|held| wanted(&held)) {
                changes.changed().await.unwrap();
            }
        }
    };
    told(|held| *held == SessionNote::Open { unheard_since_ms: None }).await;
    assert_eq!(ledger.get(&uid(1)).unwrap().origin, *running.index.feed().epoch());
    let began = Instant::now();
    told(|held| matches!(held, SessionNote::Open { unheard_since_ms: Some(_) })).await;
    assert!((secs(3)..secs(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    present.heard();
    let began = Instant::now();
    told(|held| *held == SessionNote::Open { unheard_since_ms: None }).await;
    assert!(began.elapsed() < Duration::from_millis(50), "its next frame is news");
    present.voice().say(Word::Drain(Drain::Start)).await.unwrap();
    assert!(ledger.get(&uid(1)).unwrap().said.drains, "no later than everybody sees it");
    present.ended_by_peer();
    drop(present);
    told(|held| matches!(held, SessionNote::Ended { by_peer: true, .. })).await;
    running.index.apply(Change::Gone(Key::Pod(uid(1)))).await.unwrap();
    running.index.pod(uid(1)).await.unwrap();
    sleep(secs(1)).await;
    assert_eq!((ledger.get(&uid(1)), ledger.len()), (None, 2));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_newer_elsewhere_is_dismissed_and_its_end_is_no_loss() {
    let running = Running::start().await;
    other_is_heard(&running).await;
    let mut present = running.present(1).await;
    running.until(1, "Ready").await;
    hears(&running, record(version(1, 0), false)).await.unwrap();
    assert!(timeout(secs(1), dismissed(&mut present)).await.is_err(), "an older one is none");
    hears(&running, record(version(2, 1), false)).await.unwrap();
    assert_eq!(dismissed(&mut present).await, Dismissal::Superseded);
    present.ended_by_peer();
    drop(present);
    sleep(secs(30)).await;
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())));
    let noted = running.index.ledger().get(&uid(1)).unwrap();
    assert_eq!((&*noted.origin, noted.version.sequence), ("other", 2), "told on as it came");
    assert!(matches!(running.open(1, "i", 1).await, Opened::Stale));
    let Opened::Open(_back) = running.open(1, "i", 3).await else { panic!("the newest one") };
    // Its process is gone, and that is nobody's loss any more.
    running.index.set_peers(BTreeMap::new()).await.unwrap();
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_the_same_turn_is_not_dismissed_for_the_session_that_it_lost() {
    let running = Running::start().await;
    other_is_heard(&running).await;
    let mut lost = running.present(1).await;
    let heard = hears(&running, record(version(2, 1), false));
    let (heard, opened) = tokio::join!(heard, running.open(1, "i", 3));
    heard.unwrap();
    let Opened::Open(mut back) = opened else { panic!("the newest one") };
    assert_eq!(dismissed(&mut lost).await, Dismissal::Superseded);
    assert!(timeout(secs(1), dismissed(&mut back)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_sent_away_stays_as_it_was_until_it_is_heard_elsewhere() {
    let running = Running::start().await;
    other_is_heard(&running).await;
    let _others = [running.speaking(2).await, running.speaking(3).await];
    let present = running.present(1).await;
    running.until(1, "Ready").await;
    let number = running.index.view().borrow().number;
    present.moved();
    drop(present);
    sleep(secs(2)).await;
    hears(&running, record(version(2, 1), false)).await.unwrap();
    sleep(secs(30)).await;
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())));
    assert_eq!(running.index.view().borrow().number, number, "nobody was told of anything");
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_away_counts_as_heard_in_that_moment_unless_it_was_late() {
    // How long it was silent before, and until when after that nobody is told of anything.
    for (silent_ms, well_ms) in [(0, 5_900), (3_000, 5_900), (3_400, 5_900), (4_000, 1_900)] {
        let running = Running::start().await;
        other_is_heard(&running).await;
        let _others = [running.speaking(2).await, running.speaking(3).await];
        let present = running.present(1).await;
        running.until(1, "Ready").await;
        present.heard();
        sleep(Duration::from_millis(silent_ms)).await;
        present.moved();
        drop(present);
        sleep(Duration::from_millis(well_ms)).await;
        assert_eq!(running.stands(1).unwrap().1, "Ready", "{silent_ms}");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(running.stands(1).unwrap().1, "SessionQuiet", "{silent_ms}: it is nowhere");
    }
}

#[tokio::test(start_paused = true)]
async fn another_replicas_drain_waits_for_what_that_one_knows() {
    let running = Running::start().await;
    other_is_heard(&running).await;
    let _present = running.present(1).await;
    running.until(1, "Ready").await;
    let going = |version| running.index.going(uid(1), version, secs(60));
    let orders = vec!["orders.shop".parse().unwrap()];
    // It is not known here, and does not become so.
    let began = Instant::now();
    assert_eq!(going(Some(version(2, 1))).await.unwrap(), None);
    assert!((secs(1)..Duration::from_millis(1_100)).contains(&began.elapsed()), "{:?}", began.elapsed());
    // It comes.
    let began = Instant::now();
    let (answer, ()) = tokio::join!(going(Some(version(2, 1))), async {
        sleep(Duration::from_millis(300)).await;
        hears(&running, record(version(2, 1), true)).await.unwrap();
    });
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
    let number = running.index.view().borrow().number;
    assert_eq!(answer.unwrap(), Some(Going { number, services: orders.clone() }));
    assert_eq!(running.stands(1).unwrap().1, "DrainRequested", "the number has it");
    // It is there already; so is whatever is older.
    let began = Instant::now();
    assert!(going(Some(version(2, 0))).await.unwrap().is_some());
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    // Kubernetes ends it.
    let (answer, ()) = tokio::join!(going(None), async {
        sleep(Duration::from_millis(300)).await;
        running.index.apply(pod(1, true)).await.unwrap();
    });
    let number = running.index.view().borrow().number;
    assert_eq!(answer.unwrap(), Some(Going { number, services: orders }));
    running.index.apply(Change::Gone(Key::Pod(uid(1)))).await.unwrap();
    let answer = going(None).await.unwrap().unwrap();
    assert!(answer.services.is_empty(), "what is gone is known by others");
}

#[tokio::test(start_paused = true)]
async fn a_view_says_how_far_kubernetes_was_read_and_wakes_nobody_for_it() {
    let metrics = Metrics::new();
    let (owner, index) = owner(Index::default(), metrics);
    let (_trigger, ear) = shutdown();
    let _owner = tokio::spawn(owner.run(ear));
    let mut view = index.view();
    let position = || index.view().borrow().reading.reach.clone();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        index.apply(Change::ListBegins(kind)).await.unwrap();
        // One kind's are no numbers.
        let revision = (kind != Kind::Registration).then_some(100 + number as u64);
        sleep(secs(1)).await;
        assert_eq!(position(), Position::default(), "half of what there is is nothing");
        index.apply_at(Change::ListEnds(kind), revision).await.unwrap();
    }
    view.wait_for(|view| view.complete).await.unwrap();
    let mut expected = Position::default();
    for (kind, revision) in
        [("Pod", 100), ("Service", 102), ("EndpointSlice", 103), ("Namespace", 104), ("Node", 105)]
    {
        expected.saw(kind, revision);
    }
    assert_eq!(position(), expected);
    // An event that changes nothing, and a bookmark.
    view.borrow_and_update();
    index.apply_at(Change::Gone(Key::Pod(uid(9))), Some(110)).await.unwrap();
    index.advanced(Kind::Node, 120).await.unwrap();
    sleep(secs(1)).await;
    expected.saw("Pod", 110);
    expected.saw("Node", 120);
    assert_eq!(position(), expected);
    assert!(!view.has_changed().unwrap());
    // One that is seen comes with what it has changed.
    index.apply_at(pod(1, false), Some(111)).await.unwrap();
    view.changed().await.unwrap();
    expected.saw("Pod", 111);
    let now = view.borrow().clone();
    assert_eq!((now.catalogue.len(), &now.reading.reach), (1, &expected));
    // A list that takes nothing away is no change; one that does is, and nobody saw when.
    for (holds, changed) in [(true, 111), (false, 300)] {
        index.apply(Change::ListBegins(Kind::Pod)).await.unwrap();
        if holds {
            index.apply(pod(1, false)).await.unwrap();
        }
        index.apply_at(Change::ListEnds(Kind::Pod), Some(if holds { 200 } else { 300 })).await.unwrap();
        sleep(secs(1)).await;
        let mut pods = Position::default();
        pods.saw("Pod", changed);
        assert_eq!(index.view().borrow().reading.changed, pods);
        pods = Position::default();
        pods.saw("Pod", 111);
        assert_eq!(*index.view().borrow().happened, pods, "seen to happen");
    }
}

fn slice(numbers: &[u8]) -> Change {
    let endpoint = |number: &u8| SliceEndpoint {
        addresses: vec![[10, 0, 0, *number].into()],
        pod: Some(uid(*number)),
        zone: None,
        node: None,
        ready: false,
        terminating: false,
    };
    let endpoints = numbers.iter().map(endpoint).collect();
    let key = ObjectKey { namespace: "shop".parse().unwrap(), name: "replicas-x".into() };
    Change::Slice(key, Box::new(SliceFacts { service: "replicas".into(), ports: Vec::new(), endpoints }))
}

#[tokio::test(start_paused = true)]
async fn a_view_has_the_pods_behind_our_own_service() {
    let service = ObjectKey { namespace: "shop".parse().unwrap(), name: "replicas".into() };
    let running = Running::of(Index::default().behind(service)).await;
    let mut view = running.index.view();
    assert!(view.borrow_and_update().replicas.is_empty());
    let mut names = async |change: Change| {
        running.index.apply(change).await.unwrap();
        timeout(secs(1), view.changed()).await.unwrap().unwrap();
        let now = view.borrow_and_update().clone();
        let flags = |one: &Replica| {
            format!(
                "{}{}{}",
                one.name,
                if one.is_ready { "" } else { " unready" },
                if one.is_ending { " ending" } else { "" }
            )
        };
        now.replicas.iter().map(flags).collect::<Vec<_>>()
    };
    // One of them nobody has seen.
    assert_eq!(names(slice(&[1, 2, 7])).await, ["p1", "p2"], "whether their endpoints are ready or not");
    let turned = |change: fn(&mut PodFacts)| {
        let Change::Pod(mut seen) = pod(2, false) else { unreachable!() };
        change(&mut seen.facts);
        Change::Pod(seen)
    };
    assert_eq!(names(turned(|facts| facts.life.containers_ready = false)).await, ["p1", "p2 unready"]);
    assert_eq!(names(turned(|facts| facts.life.deleting = true)).await, ["p1", "p2 ending"]);
    assert_eq!(names(turned(|facts| facts.life.phase = Phase::Failed)).await, ["p1"], "it has ended");
    assert_eq!(names(pod(7, false)).await, ["p1", "p7"]);
    assert_eq!(names(slice(&[7])).await, ["p7"]);
    assert_eq!(names(Change::Gone(Key::Pod(uid(7)))).await, [""; 0]);
    let shown = running.index.view().borrow().replicas.clone();
    assert!(shown.is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_of_addresses_outside_are_shared_with_those_who_tell_them() {
    let running = Running::start().await;
    let mut words = running.index.outside_words();
    assert!(words.borrow_and_update().is_empty());
    let address = IpAddr::from([198, 51, 100, 7]);
    let key: ServiceKey = "db.shop".parse().unwrap();
    running.index.apply(registered("db", outside(&[7]))).await.unwrap();
    let mut view = running.index.view();
    view.wait_for(|view| !view.outside.is_empty()).await.unwrap();
    let word = OutsideWord { service: key.clone(), address, probe: ProbeWitness::Passing };
    running.index.outside_told(vec![word.clone()], false).await.unwrap();
    words.changed().await.unwrap();
    assert_eq!(**words.borrow_and_update(), *std::slice::from_ref(&word));
    let state =
        |view: &View| view.catalogue.get(&key).and_then(|db| db.instances.iter().next().map(|one| one.state));
    view.wait_for(|view| state(view) == Some(State::Serving)).await.unwrap();
    running.index.ask(|index| index.asks_outside(true)).await.unwrap();
    let other = OutsideWord { probe: ProbeWitness::Unwell, ..word };
    running.index.outside_told(vec![other], true).await.unwrap();
    sleep(secs(1)).await;
    assert!(!words.has_changed().unwrap(), "we ask ourselves");
}
