mod sharing;

use std::{collections::BTreeMap, time::Duration};

use rollcall_catalogue::{
    Attributes, PodFacts, Port, Registration, ServiceName, Source, State, Target,
    liveness::{PodLife, ProbeWitness},
};
use rollcall_net::{Trigger, shutdown};
use rollcall_wire::{Drain, HealthOf, RegistrationKey, SelfRegistration, peer::Record};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::index::{Key, NodeFacts, PeerStanding};

/// Holds an owner that runs, with `p1` to `p3` of service `orders`, each on a node of its own.
struct Running {
    index: IndexHandle,
    owner: JoinHandle<()>,
    _trigger: Trigger,
}

fn uid(number: u8) -> PodUid {
    format!("u{number}").as_str().into()
}

fn key(name: &str) -> RegistrationKey {
    RegistrationKey { service: service(name), port: None }
}

fn pod(number: u8, deleting: bool) -> Change {
    let registration = Registration {
        key: "orders.shop".parse().unwrap(),
        source: Source::Annotation,
        target: Target::Own,
        attributes: Attributes { ports: vec![Port::tcp(None, 8080)], ..Attributes::default() },
        policy: None,
        visibility: None,
    };
    let facts = PodFacts {
        uid: uid(number),
        namespace: "shop".parse().unwrap(),
        name: format!("p{number}").into(),
        node: Some(format!("n{number}").into()),
        addresses: [[10, 0, 0, number].into()].into_iter().collect(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: Some(Arc::new(registration)),
        life: PodLife { deleting, ..PodLife::READY },
    };
    Change::Pod(Box::new(facts.into()))
}

impl Running {
    async fn start() -> Self {
        Self::of(Index::default()).await
    }

    async fn of(index: Index) -> Self {
        let metrics = Metrics::new();
        let (owner, index) = owner(index, metrics.clone());
        let (trigger, ear) = shutdown();
        let owner = tokio::spawn(owner.run(ear));
        for kind in Kind::ALL {
            index.apply(Change::ListBegins(kind)).await.unwrap();
            for number in 1..=3 {
                let node =
                    NodeFacts { zone: None, unknown: false, pod_ranges: Vec::new(), addresses: Vec::new() };
                match kind {
                    Kind::Pod => index.apply(pod(number, false)).await.unwrap(),
                    Kind::Node => {
                        index.apply(Change::Node(format!("n{number}").into(), node)).await.unwrap();
                    }
                    _ => {}
                }
            }
            index.apply(Change::ListEnds(kind)).await.unwrap();
        }
        // The watches prove that they work, for as long as the test runs.
        tokio::spawn(async move {
            loop {
                Kind::ALL.into_iter().for_each(|kind| metrics.watch_ages().proven(kind));
                sleep(Duration::from_secs(10)).await;
            }
        });
        let mut view = index.view();
        view.wait_for(|view| view.complete && view.catalogue.len() == 1).await.unwrap();
        Self { index, owner, _trigger: trigger }
    }

    async fn open(&self, number: u8, incarnation: &str, sequence: u64) -> Opened {
        let opened = self.index.open_session(uid(number), incarnation.to_owned(), sequence, Vec::new());
        opened.await.unwrap()
    }

    async fn present(&self, number: u8) -> Presence {
        match self.open(number, "i", 1).await {
            Opened::Open(presence) => presence,
            other => panic!("{other:?}"),
        }
    }

    /// Holds a session that speaks every three seconds, until the task is aborted.
    async fn speaking(&self, number: u8) -> JoinHandle<()> {
        let presence = self.present(number).await;
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(3)).await;
                presence.heard();
            }
        })
    }

    fn stands(&self, number: u8) -> Option<(State, String)> {
        let view = self.index.view().borrow().clone();
        let service = view.catalogue.get(&"orders.shop".parse().unwrap())?;
        let name = format!("p{number}");
        let mut all = service.instances.iter();
        let one = all.find(|instance| instance.pod.as_deref() == Some(name.as_str()))?;
        Some((one.state, one.reason.to_string()))
    }

    /// Waits until the pod stands so; gives how long that took.
    async fn until(&self, number: u8, reason: &str) -> Duration {
        let began = Instant::now();
        let mut view = self.index.view();
        let stands = async {
            while self.stands(number).is_none_or(|(_, held)| held != reason) {
                view.changed().await.unwrap();
            }
        };
        if timeout(Duration::from_secs(60), stands).await.is_err() {
            panic!("{reason}: {:?}", self.stands(number));
        }
        began.elapsed()
    }
}

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

fn registration(name: &str, probe: Option<&str>) -> SelfRegistration {
    let port = serde_json::json!([{ "port": 9090 }]);
    let said = serde_json::json!({ "service": name, "ports": port, "probe": probe });
    serde_json::from_value(said).unwrap()
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn who_is_not_heard_is_doubted_and_out_and_its_next_frame_is_news_at_once() {
    let running = Running::start().await;
    let _others = [running.speaking(2).await, running.speaking(3).await];
    let silent = running.present(1).await;
    let took = running.until(1, "SessionQuiet").await;
    assert!((secs(6)..Duration::from_millis(6_100)).contains(&took), "{took:?}");
    silent.heard();
    let took = running.until(1, "Ready").await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    let took = running.until(1, "SessionSilent").await;
    // Counted from its frame, which the catalogue told a moment later.
    assert!((Duration::from_millis(8_950)..Duration::from_millis(9_100)).contains(&took), "{took:?}");
    silent.heard();
    let took = running.until(1, "Ready").await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert_eq!(running.stands(2), Some((State::Serving, "Ready".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn frames_of_a_session_that_is_not_doubted_are_no_messages() {
    let running = Running::start().await;
    let present = running.present(1).await;
    running.until(1, "Ready").await;
    let places = running.index.inputs.capacity();
    (0..1_000).for_each(|_| present.heard());
    assert_eq!(running.index.inputs.capacity(), places);
}

#[tokio::test(start_paused = true)]
async fn how_a_session_ends_is_told_apart() {
    let running = Running::start().await;
    let _others = [running.speaking(2).await, running.speaking(3).await];
    let mut closed = running.present(1).await;
    running.until(1, "Ready").await;
    closed.ended_by_peer();
    drop(closed);
    running.until(1, "SidecarLost").await;
    let hung_up = running.present(1).await;
    running.until(1, "Ready").await;
    drop(hung_up);
    let took = running.until(1, "SessionQuiet").await;
    assert!(took >= secs(5), "{took:?}");
}

async fn dismissed(presence: &mut Presence) -> Dismissal {
    let dismissed = async {
        loop {
            if let News::Dismissed(dismissal) = presence.news().await {
                return dismissal;
            }
        }
    };
    timeout(secs(60), dismissed).await.unwrap()
}

async fn duties(presence: &mut Presence) -> Vec<(String, u16)> {
    match presence.news().await {
        News::Duties(duties) => duties.iter().map(|one| (one.service.to_string(), one.port)).collect(),
        News::Dismissed(dismissal) => panic!("{dismissal:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_what_its_pod_is_whenever_that_changes() {
    let running = Running::start().await;
    let mut present = running.present(1).await;
    let orders = ("orders".to_owned(), 8080);
    assert_eq!(duties(&mut present).await, std::slice::from_ref(&orders));
    let say = |present: &Presence, word| present.voice().say(word);
    // What changes nothing of it is no news: the next is what comes after.
    say(&present, Word::Drain(Drain::Start)).await.unwrap();
    say(&present, Word::Register(registration("billing", None))).await.unwrap();
    assert_eq!(duties(&mut present).await, [("billing".to_owned(), 9090), orders.clone()]);
    say(&present, Word::Deregister(key("billing"))).await.unwrap();
    say(&present, Word::Register(registration("billing", Some("none")))).await.unwrap();
    assert_eq!(duties(&mut present).await.len(), 2, "only the newest");
    // The next session is told all of it at once.
    let Opened::Open(mut next) = running.open(1, "j", 1).await else { panic!() };
    assert_eq!(duties(&mut next).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_has_one_session() {
    let running = Running::start().await;
    let mut first = running.present(1).await;
    assert!(matches!(running.open(1, "i", 0).await, Opened::Stale));
    let Opened::Open(mut second) = running.open(1, "i", 2).await else { panic!("the newer one") };
    assert_eq!(dismissed(&mut first).await, Dismissal::Superseded);
    // What the first still says is of nobody, and its end is no loss.
    let answer = first.voice().say(Word::Register(registration("billing", None))).await.unwrap();
    assert!(matches!(answer, Answer::Rejected { .. }), "{answer:?}");
    first.ended_by_peer();
    drop(first);
    sleep(secs(1)).await;
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())));
    running.index.apply(Change::Gone(Key::Pod(uid(1)))).await.unwrap();
    assert_eq!(dismissed(&mut second).await, Dismissal::PodGone);
    assert!(matches!(running.open(1, "i", 3).await, Opened::PodGone));
}

/// A change that comes alone is seen at once; those that come while the owner rests are seen together, soon.
#[tokio::test(start_paused = true)]
async fn what_comes_close_together_becomes_one_snapshot() {
    let running = Running::start().await;
    // Between two looks of the guard, which are no snapshots of ours.
    sleep(Duration::from_millis(1_500)).await;
    let mut view = running.index.view();
    let before = view.borrow_and_update().generation;
    let began = Instant::now();
    running.index.apply(pod(1, true)).await.unwrap();
    view.changed().await.unwrap();
    assert_eq!((view.borrow_and_update().generation, began.elapsed()), (before + 1, Duration::ZERO));
    for number in [2, 3] {
        running.index.apply(pod(number, true)).await.unwrap();
    }
    view.changed().await.unwrap();
    assert_eq!(view.borrow_and_update().generation, before + 2);
    let rested = began.elapsed();
    assert!((Duration::from_millis(1)..Duration::from_millis(3)).contains(&rested), "{rested:?}");
    let stand = [1, 2, 3].map(|number| running.stands(number).map(|(state, _)| state));
    assert_eq!(stand, [Some(State::Draining); 3]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_when_everyone_may_see_what_came_of_the_word() {
    let running = Running::start().await;
    let present = running.present(1).await;
    let view = running.index.view();
    let answer = present.voice().say(Word::Register(registration("billing", None))).await.unwrap();
    assert_eq!(answer, Answer::Registered(key("billing")));
    let billing = "billing.shop".parse().unwrap();
    assert!(view.borrow().catalogue.get(&billing).is_some());
    let answer = present.voice().say(Word::Register(registration("billing", Some("ping")))).await.unwrap();
    let Answer::Rejected { key: named, field, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((named, field.as_deref()), (key("billing"), Some("probe")));
    let health = Word::Health {
        of: Some(HealthOf { service: service("billing"), port: None }),
        probe: ProbeWitness::Dead,
    };
    assert_eq!(present.voice().say(health).await.unwrap(), Answer::Done);
    let state = |view: &View| view.catalogue.get(&billing).unwrap().instances.iter().next().unwrap().state;
    assert_eq!(state(&view.borrow()), State::Failing);
    assert_eq!(present.voice().say(Word::Deregister(key("billing"))).await.unwrap(), Answer::Done);
    assert!(view.borrow().catalogue.get(&billing).is_none());
    // What comes with hello is judged as well.
    let with = vec![registration("billing", None), registration("bad", Some("ping"))];
    let opened = running.index.open_session(uid(1), "j".to_owned(), 1, with).await.unwrap();
    let Opened::Open(mut present) = opened else { panic!("{opened:?}") };
    let rejected = present.take_rejected();
    assert!(matches!(&rejected[..], [Answer::Rejected { key, .. }] if key.service.as_str() == "bad"));
    assert!(present.take_rejected().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_names_whom_and_what_to_wait_for() {
    let running = Running::start().await;
    let present = running.present(1).await;
    running.until(1, "Ready").await;
    let before = running.index.view().borrow().number;
    let orders = vec!["orders.shop".parse().unwrap()];
    let answer = present.voice().say(Word::Drain(Drain::Start)).await.unwrap();
    let number = running.index.view().borrow().number;
    assert!(number > before);
    assert_eq!(answer, Answer::Drained { terminating: false, number, services: orders });
    assert_eq!(running.stands(1), Some((State::Draining, "DrainRequested".to_owned())));
    let answer = present.voice().say(Word::Drain(Drain::Stop)).await.unwrap();
    assert!(matches!(answer, Answer::Drained { services, .. } if services.is_empty()));
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_end_waits_a_second_for_the_watch() {
    let running = Running::start().await;
    let present = running.present(1).await;
    running.until(1, "Ready").await;
    let began = Instant::now();
    let answer = present.voice().say(Word::Drain(Drain::Wait)).await.unwrap();
    assert!(matches!(answer, Answer::Drained { terminating: false, services, .. } if services.is_empty()));
    assert!((secs(1)..Duration::from_millis(1_100)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(running.stands(1), Some((State::Serving, "Ready".to_owned())), "nothing changed");

    let began = Instant::now();
    let (answer, ()) = tokio::join!(present.voice().say(Word::Drain(Drain::Wait)), async {
        sleep(Duration::from_millis(300)).await;
        running.index.apply(pod(1, true)).await.unwrap();
    });
    assert!(began.elapsed() < Duration::from_millis(350), "{:?}", began.elapsed());
    let number = running.index.view().borrow().number;
    let services = vec!["orders.shop".parse().unwrap()];
    assert_eq!(answer.unwrap(), Answer::Drained { terminating: true, number, services });
    assert_eq!(running.stands(1).unwrap().1, "Terminating", "the answer comes with the snapshot that has it");
    let began = Instant::now();
    present.voice().say(Word::Drain(Drain::Wait)).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(50), "it ends already");
}

#[tokio::test(start_paused = true)]
async fn watches_that_prove_nothing_freeze_what_sessions_say() {
    let metrics = Metrics::new();
    let (owner, index) = owner(Index::default(), metrics.clone());
    let (_trigger, ear) = shutdown();
    let _owner = tokio::spawn(owner.run(ear));
    for kind in Kind::ALL {
        index.apply(Change::ListBegins(kind)).await.unwrap();
        index.apply(Change::ListEnds(kind)).await.unwrap();
    }
    let frozen = || index.ask(|index| index.freezes().next().is_some());
    sleep(WATCH_STALE_AFTER - secs(1)).await;
    assert!(!frozen().await.unwrap());
    sleep(secs(3)).await;
    assert!(frozen().await.unwrap());
    Kind::ALL.into_iter().for_each(|kind| metrics.watch_ages().proven(kind));
    sleep(secs(2)).await;
    assert!(!frozen().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_nobody_can_tell_anything_ends() {
    let running = Running::start().await;
    let present = running.present(1).await;
    let Running { index, owner, _trigger } = running;
    drop(index);
    sleep(secs(30)).await;
    assert!(!owner.is_finished(), "a session can");
    drop(present);
    timeout(secs(5), owner).await.unwrap().unwrap();
}
