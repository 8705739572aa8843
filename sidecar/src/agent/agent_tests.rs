//! What the agent says for those who want something, and what they are told: without a link, in virtual time.

use std::time::SystemTime;

use clap::Parser;
use rollcall_catalogue::{
    ContentHash, Policy, Service,
    changes::{Head, Position},
};
use rollcall_net::Kernel;
use rollcall_wire::{
    Down, Drain, PodIdentity, Question, RegistrationKey, ServiceSummary, Token,
    limits::{SUBSCRIPTIONS_MAX, TOKEN_SHOWN_EVERY, USAGE_EVERY},
};
use tokio::time::advance;

use super::*;
use crate::{
    interest::KNOWN_FOR,
    own::{Doubt, Settled},
    prestop::prestop,
    session::Shown,
    store::{Dialect, Known, Store, store},
};

struct Bench {
    agent: Agent,
    errands: Errands,
    store: Store,
}

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn orders(revision: u64) -> Service {
    let head = Head { revision, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let empty = Service::of(head, vec![]);
    Service { hash: empty.content_hash(&key("orders.shop")), ..empty }
}

fn position(pods: u64) -> Position {
    let mut position = Position::default();
    position.saw("pods", pods);
    position
}

fn welcome() -> Down {
    let pod: PodIdentity = serde_json::from_str(r#"{"namespace":"shop","name":"web-1","uid":"u1"}"#).unwrap();
    Down::Welcome {
        protocol: rollcall_wire::PROTOCOL.to_owned(),
        replica: "r".to_owned(),
        epoch: "e".to_owned(),
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position: Default::default(),
        changed: Default::default(),
    }
}

fn synced(cursor: u64, services: &[&str], summary: bool) -> Down {
    Down::Synced {
        cursor,
        services: services.iter().map(|name| key(name)).collect(),
        summary,
        position: Default::default(),
        changed: Default::default(),
    }
}

// === impl Bench ===

impl Bench {
    fn new(flags: &[&str]) -> Self {
        let args = ["sidecar", "--controller=10.0.0.1:7310"];
        let args = Args::parse_from(args.iter().chain(flags));
        let (writer, store) = store();
        let (errands, inbox) = errands();
        let (_, hooks) = prestop(store.clone());
        Self {
            agent: Agent::new(args, Arc::new(Kernel), Trust::default(), writer, inbox, hooks, Own::default()),
            errands,
            store,
        }
    }

    /// The next thing that somebody wants, as frames.
    async fn said(&mut self) -> Vec<Up> {
        let mut said = self.agent.hear_us().await;
        said.extend(self.agent.client.take_up());
        said.extend(self.agent.ask_for_drains());
        said
    }

    fn hear(&mut self, frame: Down) {
        for event in self.agent.client.hear(frame, 0).unwrap() {
            self.agent.apply(event);
        }
        self.agent.writer.heard();
    }

    /// A session that is welcome; what was said in it first.
    fn open(&mut self) -> Vec<Up> {
        let said = self.agent.client.open(0);
        self.hear(welcome());
        said
    }

    fn known(&self, text: &str) -> Option<Known> {
        self.store.names().find(text).map(|slot| Known::clone(&slot.known()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_left_is_answered_from_and_offered() {
    let mut bench = Bench::new(&[]);
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let state = State {
        pod: Some(serde_json::from_str(r#"{"namespace":"shop","name":"web-1","uid":"u1"}"#).unwrap()),
        current_at_ms: an_hour_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64,
        names: vec![key("orders.shop"), key("billing.shop")],
        services: vec![(key("orders.shop"), Arc::new(orders(7)))],
        position: position(7),
        of_another_build: false,
    };
    bench.agent.restore(state);
    let Some(Known::Service(held)) = bench.known("orders") else { panic!("it is held") };
    assert!(bench.store.is_from_disk(&held) && !bench.store.in_step());
    assert!((3_600..3_602).contains(&bench.store.age()), "{}", bench.store.age());
    assert!(matches!(bench.known("billing"), Some(Known::Awaited)), "there was one, which is not held");
    assert_eq!(bench.store.around().pod.as_ref().unwrap().name, "web-1");

    assert_eq!((bench.agent.client.position(), bench.store.position()), (&position(7), position(7)));

    let said = bench.open();
    let [Up::Hello { held: offered, .. }, Up::Subscribe { services, .. }, ..] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(offered[&key("orders.shop")], orders(7).hash);
    assert_eq!(services.len(), 2);
    assert!(bench.store.is_from_disk(&held) && bench.store.age() >= 3_600, "nobody has confirmed it yet");
    bench.hear(synced(1, &["billing.shop", "orders.shop"], false));
    assert!(!bench.store.is_from_disk(&held) && bench.store.age() == 0 && bench.store.in_step());
    assert!(matches!(bench.known("billing"), Some(Known::Unknown)));
    assert!(matches!(bench.known("orders"), Some(Known::Service(held)) if held.service.revision == 7));
}

#[tokio::test(start_paused = true)]
async fn what_another_build_left_is_answered_from_and_asked_for_anew() {
    let mut bench = Bench::new(&["--namespace=shop"]);
    bench.agent.restore(State {
        names: vec![key("orders.shop")],
        services: vec![(key("orders.shop"), Arc::new(orders(7)))],
        of_another_build: true,
        ..State::default()
    });
    assert!(matches!(bench.known("orders"), Some(Known::Service(_))));
    let said = bench.open();
    let [Up::Hello { held, .. }, Up::Subscribe { services, .. }, ..] = &said[..] else { panic!("{said:?}") };
    assert_eq!((held.len(), services.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_flag_says_where_we_are_before_anybody_else_does() {
    let mut bench = Bench::new(&["--namespace=shop"]);
    assert_eq!(bench.store.home(), Some("shop".parse().unwrap()));
    let elsewhere = State {
        pod: Some(serde_json::from_str(r#"{"namespace":"bank","name":"web-1","uid":"u1"}"#).unwrap()),
        ..State::default()
    };
    bench.agent.restore(elsewhere);
    assert_eq!(bench.store.home(), Some("shop".parse().unwrap()));
    // A clock that went back says nothing of how old the state is.
    let ahead = State { current_at_ms: u64::MAX, ..State::default() };
    bench.agent.restore(ahead);
    assert_eq!(bench.store.age(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_renewed_is_shown_once() {
    let token = |text: &str| Token::read(text.as_bytes()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let mut bench = Bench::new(&[]);
    write("first\n");
    let mut shown = Shown::new(file.path().to_owned(), token("first"), &mut bench.agent.jitter);
    let begun = Instant::now();
    shown.due().await;
    assert!((20..=30).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    write("second\n");
    assert_eq!(bench.agent.show_token(&mut shown), None, "nobody is there to be shown it");
    bench.open();
    let said = bench.agent.show_token(&mut shown);
    assert_eq!(said, Some(Up::Token { token: token("second") }));
    let told = Instant::now();
    shown.due().await;
    assert!(told.elapsed() >= TOKEN_SHOWN_EVERY, "the next one is looked at");
    assert_eq!(bench.agent.show_token(&mut shown), None, "once");
    for odd in ["", "two words"] {
        write(odd);
        assert_eq!(bench.agent.show_token(&mut shown), None, "{odd}");
    }
    write("third");
    let Down::Welcome { replica, epoch, replicas, ca, controller, pod, position, changed, .. } = welcome()
    else {
        panic!()
    };
    bench.agent.client.open(0);
    let protocol = "1.0".to_owned();
    bench.hear(Down::Welcome { protocol, replica, epoch, replicas, ca, controller, pod, position, changed });
    assert_eq!(bench.agent.show_token(&mut shown), None, "an older controller does not know of it");
    bench.open();
    assert_eq!(bench.agent.show_token(&mut shown), Some(Up::Token { token: token("third") }));
}

#[tokio::test(start_paused = true)]
async fn how_services_are_used_is_told_in_sessions_that_know_of_it() {
    let mut bench = Bench::new(&[]);
    bench.open();
    bench.errands.wish(&key("orders.shop"));
    bench.said().await;
    let look_up = |bench: &Bench| {
        let slot = bench.store.names().find("orders").cloned().unwrap();
        bench.store.looked_up(&slot, Dialect::Native);
    };
    look_up(&bench);
    let begin = Instant::now();
    let said = bench.said().await;
    let [Up::Usage { services }] = &said[..] else { panic!("{said:?}") };
    assert!(matches!(&services[..], [one] if one.service == key("orders.shop") && one.lookups == 1));
    assert_eq!(begin.elapsed(), USAGE_EVERY);

    bench.agent.lost();
    look_up(&bench);
    let nothing = tokio::time::timeout(Duration::from_secs(60), bench.said()).await;
    assert!(nothing.is_err(), "there is nobody to be told");
    bench.open();
    let said = bench.said().await;
    let [Up::Usage { services }] = &said[..] else { panic!("{said:?}") };
    assert!(
        matches!(&services[..], [one] if one.lookups == 2 && one.last_lookup_ago_ms >= Some(50_000)),
        "{services:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_list_of_all_services_is_kept_for_a_while_after_it_was_wished_for() {
    let mut bench = Bench::new(&[]);
    bench.open();
    assert!(bench.store.in_step() && bench.errands.wish_summary());
    let said = bench.said().await;
    assert!(
        matches!(&said[..], [Up::Subscribe { services, summary: true }] if services.is_empty()),
        "{said:?}"
    );
    assert!(!bench.store.in_step(), "something is awaited");
    let one = ServiceSummary { service: key("orders.shop"), versions: vec![], serving: 1, total: 2 };
    bench.hear(Down::Summary { services: vec![one], removed: vec![], whole: true });
    assert!(bench.store.around().summary.is_none(), "not before it is whole");
    bench.hear(synced(1, &[], true));
    assert!(bench.store.in_step());
    assert_eq!(bench.store.around().summary.as_ref().unwrap().len(), 1);

    advance(SUMMARY_FOR / 2).await;
    assert!(
        bench.errands.wish_summary() && bench.said().await.iter().all(|said| matches!(said, Up::Ack { .. }))
    );
    advance(SUMMARY_FOR / 2).await;
    assert!(bench.agent.expire().is_empty(), "it was wished for since");
    advance(SUMMARY_FOR / 2).await;
    let said = bench.agent.expire();
    assert!(matches!(&said[..], [Up::Unsubscribe { summary: true, .. }]), "{said:?}");
    bench.agent.writer.heard();
    assert!(bench.store.around().summary.is_none() && bench.store.in_step());
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_answered_in_the_session_or_at_its_end() {
    let mut bench = Bench::new(&[]);
    let ask = |errands: &Errands| {
        let errands = errands.clone();
        tokio::spawn(async move { errands.ask(Question::Address([10, 0, 0, 1].into())).await })
    };
    let alone = ask(&bench.errands);
    assert!(bench.said().await.is_empty());
    assert_eq!(alone.await.unwrap(), None, "there is no session");

    bench.open();
    let (answered, left) = (ask(&bench.errands), ask(&bench.errands));
    let numbers: Vec<_> = [bench.said().await, bench.said().await]
        .concat()
        .iter()
        .filter_map(|said| match said {
            Up::Ask { ask, .. } => Some(*ask),
            _ => None,
        })
        .collect();
    let [first, _] = numbers[..] else { panic!("{numbers:?}") };
    bench.hear(Down::Told { ask: first, unknown: None, explained: vec![], found: vec![], more: false });
    assert_eq!(answered.await.unwrap(), Some(Told::Found(vec![])));
    let begin = Instant::now();
    bench.agent.lost();
    assert_eq!(left.await.unwrap(), None);
    assert_eq!(begin.elapsed(), Duration::ZERO, "at once, not after its time");
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_said_again_in_each_session_and_its_answer_finds_who_asked() {
    let mut bench = Bench::new(&[]);
    let (errands, store) = (bench.errands.clone(), bench.store.clone());
    let waits =
        tokio::spawn(async move { errands.drain(&store, Drain::Start, Duration::from_secs(10)).await });
    assert!(bench.said().await.is_empty(), "there is no session to say it in");
    let said = |said: Vec<Up>| match &said[..] {
        [Up::Drain { drain: Drain::Start, deadline_ms, ask: Some(ask) }] => (*deadline_ms, *ask),
        _ => panic!("{said:?}"),
    };
    bench.open();
    let (deadline_ms, ask) = said(bench.agent.ask_for_drains());
    assert_eq!(deadline_ms, 9_750);
    bench.hear(Down::Drained {
        ask: Some(ask),
        complete: true,
        terminating: false,
        acked: 2,
        subscribers: 2,
        late: vec![],
        elapsed_ms: 3,
    });
    assert_eq!(waits.await.unwrap().unwrap().unwrap().acked, 2);
    bench.agent.lost();
    bench.open();
    assert_eq!(said(bench.agent.ask_for_drains()).0, 0, "the next controller may not know");
}

#[tokio::test(start_paused = true)]
async fn a_drain_outlives_the_process_that_heard_it() {
    let mut before = Bench::new(&[]);
    let (errands, store) = (before.errands.clone(), before.store.clone());
    let waits =
        tokio::spawn(async move { errands.drain(&store, Drain::Start, Duration::from_secs(1)).await });
    before.said().await;
    assert_eq!(waits.await.unwrap(), Ok(None), "there is no session to say it in");

    let kept = |bench: &Bench| bench.agent.own.saved();
    let mut after = Bench::new(&[]);
    after.agent.restore_words(&kept(&before), Doubt::None);
    after.open();
    let said = after.agent.ask_for_drains();
    assert!(matches!(said[..], [Up::Drain { drain: Drain::Start, deadline_ms: 0, .. }]), "{said:?}");

    let (errands, store) = (after.errands.clone(), after.store.clone());
    let stops = tokio::spawn(async move { errands.drain(&store, Drain::Stop, Duration::from_secs(1)).await });
    let said = after.said().await;
    let [Up::Drain { drain: Drain::Stop, ask: Some(ask), .. }] = said[..] else { panic!("{said:?}") };
    let mut unheard = Bench::new(&[]);
    unheard.agent.restore_words(&kept(&after), Doubt::None);
    unheard.open();
    let said = unheard.agent.ask_for_drains();
    assert!(matches!(said[..], [Up::Drain { drain: Drain::Stop, .. }]), "nobody has said that it was heard");
    after.hear(Down::Drained {
        ask: Some(ask),
        complete: true,
        terminating: false,
        acked: 0,
        subscribers: 0,
        late: vec![],
        elapsed_ms: 0,
    });
    assert!(stops.await.unwrap().unwrap().is_some());
    let mut last = Bench::new(&[]);
    last.agent.restore_words(&kept(&after), Doubt::None);
    last.open();
    assert_eq!(last.agent.ask_for_drains(), []);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_looked_up_keeps_its_place_and_one_that_is_not_gives_it_up() {
    let mut bench = Bench::new(&["--namespace=shop"]);
    let names: Vec<_> = (0..SUBSCRIPTIONS_MAX).map(|n| key(&format!("s{n}.shop"))).collect();
    bench.agent.restore(State { names, ..State::default() });
    bench.open();
    advance(KNOWN_FOR).await;
    // All but one are asked for, in the way that does not pass the agent.
    for n in (0..SUBSCRIPTIONS_MAX).filter(|n| *n != 7) {
        assert!(bench.known(&format!("s{n}")).is_some());
    }
    bench.errands.wish(&key("new.shop"));
    bench.said().await;
    assert!(bench.known("new").is_some() && bench.known("s7").is_none());
    bench.errands.wish(&key("newer.shop"));
    bench.said().await;
    assert!(bench.known("newer").is_some() && bench.known("new").is_none(), "nothing is known of it");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_refuses_at_length_is_cut_short_and_logged_seldom() {
    let mut bench = Bench::new(&[]);
    bench.open();
    let said = serde_json::from_str(r#"{"service":"orders"}"#).unwrap();
    let ticket = bench.agent.own.put(said).unwrap();
    bench.said().await;
    bench.hear(Down::Rejected {
        key: RegistrationKey { service: "orders".parse().unwrap(), port: None },
        reason: "ä".repeat(100_000),
        field: Some("f".repeat(100_000)),
    });
    let Settled::Rejected(refusal) = bench.agent.own.word(&ticket).await else { panic!("it is refused") };
    assert_eq!(refusal.reason, "ä".repeat(512));
    assert_eq!(refusal.field.map(|field| field.len()), Some(1_024));
    let warned = |agent: &mut Agent| (0..100).filter(|_| agent.may_warn()).count();
    assert_eq!(warned(&mut bench.agent), 0, "that was one");
    advance(WARN_EVERY).await;
    assert_eq!(warned(&mut bench.agent), 1);
}
