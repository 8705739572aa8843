use proptest::prelude::*;
use rollcall_catalogue::changes::Position;
use rollcall_wire::{
    PROTOCOL,
    peer::{Beat, Introduction, Standing},
};

use super::{
    super::book::{Answer, Book, Look, TICK_MS, Turn},
    *,
};

const REPLICAS: [&str; 3] = ["a", "b", "c"];

/// Holds a book, and a clock that goes on as its owner's does. Processes are called by their replica and a number; ours is
/// `a1`.
struct Watcher {
    book: Book,
    now_ms: u64,
    replicas: Option<Vec<Replica>>,
    /// The API server answers.
    api: bool,
    /// What it has of each process's sign.
    signs: BTreeMap<&'static str, u64>,
    look: Look,
    turns: Vec<(Arc<str>, Turn)>,
    /// How far we have read Kubernetes.
    reach: Position,
}

fn pod(name: &str) -> Replica {
    let address = [10, 0, 0, 1].into();
    Replica { name: name.into(), uid: name.into(), address, is_ready: true, is_ending: false }
}

fn beat(hears: &[&str], standing: Standing) -> Beat {
    Beat {
        sessions: 0,
        hears: hears.iter().map(|epoch| Arc::from(*epoch)).collect(),
        standing,
        changed: Position::default(),
    }
}

impl Watcher {
    fn new() -> Self {
        let mut watcher = Self {
            book: Book::new("a1".into(), 1_000),
            now_ms: 1_000,
            replicas: Some(REPLICAS.map(pod).to_vec()),
            api: true,
            signs: BTreeMap::new(),
            look: Look::default(),
            turns: Vec::new(),
            reach: Position::default(),
        };
        watcher.look();
        watcher
    }

    fn link(&mut self, epoch: &str, hears: &[&str]) {
        let replica = epoch.chars().take(1).collect();
        let who = Introduction { protocol: PROTOCOL.to_owned(), replica, epoch: epoch.into() };
        self.book.linked(&who, &beat(hears, Standing::Serving), self.now_ms);
        self.look();
    }

    fn beat(&mut self, epoch: &str, hears: &[&str], standing: Standing) {
        self.book.beat(epoch, &beat(hears, standing), self.now_ms);
        self.look();
    }

    /// Its sign is asked for at once.
    fn breaks(&mut self, epoch: &str) {
        self.book.broken(epoch, self.now_ms);
        self.look();
        if self.api {
            self.ask();
        }
    }

    fn look(&mut self) {
        self.look = self.book.look(self.replicas.as_deref(), &self.reach, self.now_ms);
        self.turns.extend(self.look.turns.clone());
    }

    /// Kubernetes has these pods.
    fn pods(&mut self, names: &[&str]) {
        self.replicas = Some(names.iter().map(|name| pod(name)).collect());
        self.look();
    }

    /// Time goes on; those who are alive give their signs each second, and whoever is missed is asked about.
    fn wait(&mut self, ms: u64, alive: &[&'static str]) {
        for _ in 0..ms / TICK_MS {
            self.now_ms += TICK_MS;
            if self.now_ms.is_multiple_of(1_000) && self.api {
                alive.iter().for_each(|epoch| *self.signs.entry(epoch).or_default() += 1);
                self.ask();
            }
            self.look();
        }
    }

    fn ask(&mut self) {
        for missed in &self.look.lookout.reads {
            let answer = match self.signs.get(&*missed.epoch) {
                Some(version) => Answer::Sign { version: version.to_string().into() },
                None => Answer::NoSign,
            };
            self.book.sign(&missed.epoch, answer, self.now_ms, self.now_ms);
        }
        if self.look.lookout.gives {
            self.book.answered(self.now_ms);
        }
    }

    /// An answer comes to what was asked so long ago.
    fn answered_late(&mut self, epoch: &str, after_ms: u64) {
        let version = self.signs.get(epoch).copied().unwrap_or_default().to_string().into();
        self.book.sign(epoch, Answer::Sign { version }, self.now_ms.saturating_sub(after_ms), self.now_ms);
        self.look();
    }

    fn lost_ms(&self, epoch: &str) -> Option<u64> {
        match self.look.standings.get(epoch) {
            Some(PeerStanding::Lost { at_ms }) => Some(*at_ms),
            _ => None,
        }
    }

    fn is_lost(&self, epoch: &str) -> bool {
        self.lost_ms(epoch).is_some()
    }
}

#[test]
fn who_is_killed_is_lost_after_two_and_a_half_seconds_and_stays_so() {
    // A round that was under way is waited for.
    for asked_after_ms in [250, 1_000] {
        let mut ours = Watcher::new();
        ours.link("b1", &["a1"]);
        ours.wait(1_000 - asked_after_ms, &[]);
        ours.api = false;
        ours.breaks("b1");
        let broke_ms = ours.now_ms;
        ours.api = true;
        ours.wait(6_000, &[]);
        let after_ms = ours.lost_ms("b1").expect("lost by now") - broke_ms;
        assert!((2_500..=asked_after_ms + 3_000).contains(&after_ms), "{asked_after_ms}: {after_ms}");
    }
    let mut ours = Watcher::new();
    ours.link("b1", &["a1"]);
    let broke_ms = ours.now_ms;
    ours.breaks("b1");
    assert!(ours.look.lookout.gives && ours.look.lookout.reads.len() == 1);
    ours.wait(2_250, &[]);
    assert!(!ours.is_lost("b1"));
    ours.wait(750, &[]);
    let lost_ms = ours.lost_ms("b1").expect("lost by now");
    assert!((broke_ms + 2_500..=broke_ms + 3_000).contains(&lost_ms), "{lost_ms}");
    ours.wait(20_000, &[]);
    assert_eq!(ours.lost_ms("b1"), Some(lost_ms), "since then, and not anew");
    assert_eq!(ours.turns, [("b".into(), Turn::Lost)]);
    ours.link("b1", &[]);
    assert!(!ours.is_lost("b1"), "it was not dead");
    assert_eq!(ours.turns.last(), Some(&("b".into(), Turn::Back)));
}

#[test]
fn who_is_heard_by_another_one_or_gives_a_sign_is_not_lost() {
    let mut ours = Watcher::new();
    ours.link("b1", &["a1"]);
    ours.link("c1", &["a1", "b1"]);
    ours.breaks("b1");
    ours.wait(60_000, &[]);
    assert!(!ours.is_lost("b1"), "c1 hears it");
    ours.beat("c1", &["a1"], Standing::Serving);
    ours.wait(2_250, &[]);
    assert!(!ours.is_lost("b1"), "it may have fallen silent just now");
    ours.wait(750, &[]);
    assert!(ours.is_lost("b1"));
    // Two that miss each other, and nobody else.
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.breaks("b1");
    ours.wait(60_000, &["b1"]);
    assert!(!ours.is_lost("b1") && ours.look.lookout.gives, "each gives its sign");
    ours.wait(4_750, &[]);
    assert!(!ours.is_lost("b1"), "one that is late");
    ours.wait(500, &[]);
    assert!(ours.is_lost("b1"), "and one that has stopped");
    ours.wait(2_000, &["b1"]);
    assert!(!ours.is_lost("b1"), "it goes on");
}

#[test]
fn a_sign_of_an_earlier_need_is_none_and_hearsay_goes_one_step() {
    let mut ours = Watcher::new();
    ours.signs.insert("b1", 7);
    ours.link("b1", &[]);
    ours.breaks("b1");
    ours.wait(3_000, &[]);
    assert!(ours.is_lost("b1"), "what stood there before says nothing");
    // b1 is not heard by us: what it said of c1 is over.
    let mut ours = Watcher::new();
    ours.link("b1", &["c1"]);
    ours.link("c1", &["b1"]);
    ours.breaks("b1");
    ours.breaks("c1");
    ours.wait(3_000, &["b1"]);
    assert!(ours.is_lost("c1") && !ours.is_lost("b1"));
}

/// Who stood still misses all others when it wakes, asks about them, and has its links back before the answers come; or misses
/// them again by then.
#[test]
fn an_answer_of_an_earlier_need_is_none() {
    for linked_ms in [1_000, 4_000, 19_000] {
        for comes_at_once in [true, false] {
            let mut ours = Watcher::new();
            ours.link("b1", &["a1"]);
            ours.api = false;
            ours.breaks("b1");
            ours.link("b1", &["a1"]);
            if comes_at_once {
                ours.answered_late("b1", 0);
            }
            ours.wait(linked_ms, &[]);
            ours.api = true;
            ours.breaks("b1");
            let broke_ms = ours.now_ms;
            if !comes_at_once {
                ours.answered_late("b1", linked_ms);
            }
            ours.wait(4_000, &[]);
            let after_ms = ours.lost_ms("b1").expect("lost by now") - broke_ms;
            assert!(after_ms <= LOST_AFTER_MS + 1_000, "{linked_ms}, {comes_at_once}: {after_ms}");
        }
    }
}

#[test]
fn an_api_server_that_is_away_proves_nothing() {
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.link("c1", &[]);
    ours.api = false;
    ours.breaks("b1");
    ours.wait(600_000, &[]);
    assert!(!ours.is_lost("b1") && !ours.look.is_cut, "c1 is there");
    ours.api = true;
    ours.wait(7_750, &[]);
    assert!(!ours.is_lost("b1"), "nobody could give a sign before");
    ours.wait(1_250, &[]);
    assert!(ours.is_lost("b1"), "now it says that there is none");
    ours.api = false;
    ours.wait(60_000, &[]);
    assert!(ours.is_lost("b1"), "what was known stays");
}

/// Whoever lives may have given its sign all the while, where we were cut off; or gives it again some seconds later, where the
/// API server was away for it as well, or where it had given us up.
#[test]
fn who_lives_is_not_lost_by_the_first_answers_after_long() {
    for away_ms in [2_000, 3_000, 4_000, 5_000, 6_000, 25_000, 90_000] {
        for signs_after_ms in [0, 1_000, 3_000, 6_000] {
            for had_sign in [true, false] {
                let mut ours = Watcher::new();
                if had_sign {
                    ours.signs.insert("b1", 7);
                }
                ours.link("b1", &["a1"]);
                ours.book.synced("b1");
                ours.wait(1_000, &[]);
                ours.api = false;
                ours.breaks("b1");
                ours.wait(away_ms, &[]);
                let gave_all_along = signs_after_ms == 0;
                if gave_all_along {
                    ours.signs.insert("b1", 7 + away_ms / 1_000);
                }
                ours.api = true;
                let what = format!("away for {away_ms} ms, {signs_after_ms} ms, {had_sign}");
                // One that was away for a short time is none that whoever lives waits for: it is asked a second later.
                let waits_ms =
                    if away_ms < AWAY_AFTER_MS { signs_after_ms.min(1_000) } else { signs_after_ms };
                ours.wait(waits_ms, &[]);
                assert!(!ours.is_lost("b1"), "{what}");
                ours.wait(20_000, &["b1"]);
                assert!(!ours.is_lost("b1"), "{what}");
                assert!(ours.turns.is_empty(), "{what}: {:?}", ours.turns);
                // And it is lost as ever when it gives none any more.
                ours.wait(8_000, &[]);
                assert!(ours.is_lost("b1"), "{what}");
            }
        }
    }
}

/// The API server answers until a sign has moved for long, and then not for a time, after which it moves on or has stopped.
#[test]
fn an_answer_of_before_a_sign_moved_says_nothing_of_what_became_of_it() {
    for away_ms in [0, 3_000, 4_000, 5_250, 8_000, 60_000] {
        for lives in [true, false] {
            let mut ours = Watcher::new();
            ours.link("b1", &[]);
            ours.breaks("b1");
            ours.wait(10_000, &["b1"]);
            ours.api = false;
            ours.wait(away_ms, &[]);
            assert!(!ours.is_lost("b1"), "{away_ms} ms: nobody could see a sign");
            ours.api = true;
            let what = format!("away for {away_ms} ms, {lives}");
            if lives {
                ours.wait(20_000, &["b1"]);
                assert!(ours.turns.is_empty(), "{what}: {:?}", ours.turns);
            }
            let most_ms = if away_ms >= AWAY_AFTER_MS && !lives { BACK_FOR_MS + 1_000 } else { 6_000 };
            ours.wait(most_ms, &[]);
            assert!(ours.is_lost("b1"), "{what}");
        }
    }
}

/// It answers, but never twice within the time after which it counts as having been away.
#[test]
fn an_api_server_that_answers_now_and_then_keeps_nobody_unheard_for_ever() {
    for every_ms in [5_250, 6_000, 7_000] {
        for (lives, most_ms) in [(true, 600_000), (false, 30_000)] {
            let mut ours = Watcher::new();
            ours.link("b1", &[]);
            ours.api = false;
            ours.breaks("b1");
            for round in 0..most_ms / every_ms {
                ours.wait(every_ms - TICK_MS, &[]);
                ours.now_ms += TICK_MS;
                if lives {
                    ours.signs.insert("b1", round);
                }
                ours.ask();
                ours.look();
                assert!(
                    !ours.is_lost("b1") || round >= 3,
                    "{every_ms} ms: each time there is time for a sign"
                );
            }
            ours.wait(2_000, &[]);
            assert_eq!(ours.is_lost("b1"), !lives, "{every_ms} ms, {lives}");
            assert!(ours.turns.is_empty() || !lives, "{every_ms} ms: {:?}", ours.turns);
        }
    }
}

#[test]
fn who_hears_nobody_and_no_api_server_is_cut_off() {
    let mut ours = Watcher::new();
    ours.wait(60_000, &[]);
    assert!(!ours.look.is_cut, "there never was anybody");
    ours.link("b1", &[]);
    ours.link("c1", &[]);
    ours.api = false;
    ours.breaks("b1");
    ours.wait(10_000, &[]);
    ours.breaks("c1");
    ours.wait(4_750, &[]);
    assert!(!ours.look.is_cut);
    ours.wait(250, &[]);
    assert!(ours.look.is_cut);
    let mut answered = Watcher { api: true, ..ours };
    answered.wait(1_000, &[]);
    assert!(!answered.look.is_cut, "an API server answers");
    // Who said goodbye leaves nobody cut off.
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.beat("b1", &[], Standing::Leaving);
    ours.api = false;
    ours.breaks("b1");
    ours.wait(60_000, &[]);
    assert!(!ours.look.is_cut);
}

#[test]
fn a_pod_that_is_gone_and_a_process_that_is_replaced_are_lost_at_once() {
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.pods(&["a", "c"]);
    assert!(!ours.is_lost("b1"), "we hear it, whatever Kubernetes has");
    ours.breaks("b1");
    assert_eq!(ours.lost_ms("b1"), Some(ours.now_ms));
    assert_eq!(ours.look.lookout, Lookout::default(), "nobody looks for it");
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.breaks("b1");
    ours.wait(250, &[]);
    ours.link("b2", &[]);
    assert_eq!(ours.lost_ms("b1"), Some(ours.now_ms));
    assert!(!ours.is_lost("b2") && ours.look.lookout == Lookout::default());
    // A process outside the cluster has no pod that could be gone.
    let mut ours = Watcher::new();
    ours.link("z1", &[]);
    ours.breaks("z1");
    assert!(!ours.is_lost("z1"));
}

#[test]
fn a_process_that_was_replaced_is_over_whatever_becomes_of_the_one_after() {
    let mut ours = Watcher::new();
    for epoch in ["b1", "b2", "b3"] {
        ours.link(epoch, &[]);
        ours.wait(1_000, &[]);
        ours.breaks(epoch);
    }
    let sought = |ours: &Watcher| -> Vec<_> {
        ours.look.lookout.reads.iter().map(|missed| missed.epoch.to_string()).collect()
    };
    assert_eq!(sought(&ours), ["b3"]);
    ours.wait(5_000, &[]);
    assert!(["b1", "b2", "b3"].iter().all(|epoch| ours.is_lost(epoch)));
    assert_eq!(sought(&ours), ["b3"], "its pod is there");
    // The newer one is met before the end of the older one's link is noticed, and breaks first.
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.wait(1_000, &[]);
    ours.link("b2", &[]);
    ours.breaks("b2");
    assert!(!ours.is_lost("b2"), "it is the newer one");
    ours.link("b2", &[]);
    ours.breaks("b1");
    assert!(ours.is_lost("b1"));
}

/// What happens to the links of us, with b and c; and how b stands then.
#[test]
fn who_lives_and_tells_nothing_is_unheard_until_all_is_told() {
    let unheard = |ours: &Watcher, epoch| match ours.look.standings.get(epoch) {
        Some(PeerStanding::Unheard { since_ms }) => Some(*since_ms),
        _ => None,
    };
    let mut ours = Watcher::new();
    ours.link("b1", &["a1"]);
    assert_eq!(unheard(&ours, "b1"), None, "nothing was known of it that could be old");
    ours.book.synced("b1");
    ours.wait(1_000, &[]);
    let broke_ms = ours.now_ms;
    ours.breaks("b1");
    assert_eq!(unheard(&ours, "b1"), Some(broke_ms), "at once");
    ours.wait(60_000, &["b1"]);
    assert_eq!(unheard(&ours, "b1"), Some(broke_ms), "it gives its sign");
    // Who says that he hears it has not told what he heard of it.
    ours.link("c1", &["b1"]);
    assert_eq!(unheard(&ours, "b1"), Some(broke_ms));
    ours.book.synced("c1");
    ours.look();
    assert_eq!(ours.look.standings.get("b1"), Some(&PeerStanding::Heard));
    ours.breaks("c1");
    assert!(unheard(&ours, "b1").is_some() && unheard(&ours, "c1").is_some());
    let since_ms = unheard(&ours, "b1");
    ours.wait(1_000, &["b1", "c1"]);
    ours.link("b1", &[]);
    assert_eq!(unheard(&ours, "b1"), since_ms, "there is a link, and nothing was told over it yet");
    ours.book.synced("b1");
    ours.look();
    assert_eq!(unheard(&ours, "b1"), None);
    assert!(unheard(&ours, "c1").is_some(), "b1 does not hear it");
    ours.wait(10_000, &["b1"]);
    assert!(ours.is_lost("c1"));

    // The API server is away: undecided.
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.api = false;
    ours.breaks("b1");
    ours.wait(600_000, &[]);
    assert!(unheard(&ours, "b1").is_some());
    ours.api = true;
    ours.wait(9_000, &[]);
    assert!(ours.is_lost("b1") && unheard(&ours, "b1").is_none());

    // Whoever said goodbye has nothing more to tell.
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.beat("b1", &[], Standing::Leaving);
    ours.breaks("b1");
    assert_eq!(unheard(&ours, "b1"), None);
}

#[test]
fn who_stood_still_waits_before_it_judges() {
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.wait(1_000, &[]);
    ours.now_ms += 10_000;
    ours.look();
    ours.breaks("b1");
    ours.ask();
    ours.wait(2_750, &[]);
    assert!(!ours.is_lost("b1"));
    ours.wait(1_000, &[]);
    assert!(ours.is_lost("b1"));
}

#[test]
fn who_is_lost_is_looked_for_while_its_pod_is_there() {
    let mut ours = Watcher::new();
    ours.link("b1", &[]);
    ours.link("z1", &[]);
    ours.breaks("b1");
    ours.breaks("z1");
    ours.wait(70_000, &[]);
    let sought: Vec<_> = ours.look.lookout.reads.iter().map(|missed| &*missed.epoch).collect();
    assert_eq!(sought, ["b1"], "z1 has no pod");
    assert!(!ours.look.lookout.gives, "nobody waits for our sign");
    let (missed, lost) = (ours.look.counts.missed, ours.look.counts.lost);
    assert_eq!((ours.look.counts.linked, missed, lost), (0, 0, 1));
    ours.wait(3_000, &["b1"]);
    assert!(!ours.is_lost("b1") && ours.look.lookout.gives, "it was cut off, and is back");
    // One whom only others named is forgotten in the end.
    ours.link("c1", &["x1"]);
    assert!(ours.look.standings.contains_key("x1") && !ours.is_lost("x1"));
    ours.beat("c1", &[], Standing::Serving);
    ours.wait(3_000, &[]);
    assert!(ours.is_lost("x1"));
    ours.wait(SOUGHT_FOR_MS, &[]);
    assert!(!ours.look.standings.contains_key("x1"));
}

#[test]
fn all_is_met_when_the_ready_others_have_told_everything() {
    let mut ours = Watcher::new();
    let replicas = |ready: bool, ending: bool| {
        let mut replicas = REPLICAS.map(pod).to_vec();
        replicas[2].is_ready = ready;
        replicas[2].is_ending = ending;
        replicas
    };
    ours.link("b1", &[]);
    assert!(!is_met(ours.book.known(), &replicas(false, false), "a", true), "b1 has not told");
    ours.book.synced("b1");
    for (ready, ending, met) in [(true, false, false), (false, false, true), (true, true, true)] {
        assert_eq!(is_met(ours.book.known(), &replicas(ready, ending), "a", true), met, "{ready} {ending}");
    }
    assert!(!is_met(ours.book.known(), &replicas(false, false), "a", false), "a flag names another one");
    assert!(is_met(&Processes::new(), &[pod("a")], "a", true), "we are the only one");
}

/// Says what happens to one that watches.
#[derive(Debug, Clone)]
enum Event {
    Link(usize, Vec<usize>),
    Beat(usize, Vec<usize>),
    Break(usize),
    AnsweredLate(usize, u64),
    Api(bool),
    Pods(Vec<usize>),
    Wait(u64, Vec<usize>),
    StandStill(u64),
}

const EPOCHS: [&str; 5] = ["b1", "b2", "c1", "c2", "d1"];

fn event() -> impl Strategy<Value = Event> {
    let one = || 0..EPOCHS.len();
    let some = || proptest::collection::vec(0..EPOCHS.len(), 0..3);
    prop_oneof![
        3 => (one(), some()).prop_map(|(epoch, hears)| Event::Link(epoch, hears)),
        2 => (one(), some()).prop_map(|(epoch, hears)| Event::Beat(epoch, hears)),
        3 => one().prop_map(Event::Break),
        1 => (one(), 0_u64..20_000).prop_map(|(epoch, after_ms)| Event::AnsweredLate(epoch, after_ms)),
        1 => any::<bool>().prop_map(Event::Api),
        1 => proptest::collection::vec(0..REPLICAS.len(), 0..3).prop_map(Event::Pods),
        6 => (0_u64..8_000, some()).prop_map(|(ms, alive)| Event::Wait(ms, alive)),
        1 => (2_000_u64..20_000).prop_map(Event::StandStill),
    ]
}

fn named(epochs: &[usize]) -> Vec<&'static str> {
    epochs.iter().map(|number| EPOCHS[*number]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nobody_is_lost_who_may_be_heard(events in proptest::collection::vec(event(), 1..40)) {
        let mut ours = Watcher::new();
        let mut stood_still_ms = 0;
        for event in events {
            let before: Vec<_> = EPOCHS.into_iter().filter(|epoch| ours.is_lost(epoch)).collect();
            let is_silence = matches!(event, Event::Wait(..) | Event::StandStill(_));
            match event {
                Event::Link(epoch, hears) => ours.link(EPOCHS[epoch], &named(&hears)),
                Event::Beat(epoch, hears) => ours.beat(EPOCHS[epoch], &named(&hears), Standing::Serving),
                Event::Break(epoch) => ours.breaks(EPOCHS[epoch]),
                Event::AnsweredLate(epoch, after_ms) => ours.answered_late(EPOCHS[epoch], after_ms),
                Event::Api(answers) => ours.api = answers,
                Event::Pods(pods) => {
                    let names: Vec<_> = pods.iter().map(|number| REPLICAS[*number]).collect();
                    ours.pods(&names);
                }
                Event::Wait(ms, alive) => ours.wait(ms, &named(&alive)),
                Event::StandStill(ms) => {
                    ours.now_ms += ms;
                    stood_still_ms = ours.now_ms;
                    ours.look();
                }
            }
            let known = ours.book.known();
            for (epoch, process) in known {
                // Heard, unheard or lost: whoever is heard tells something, or is heard by one who does.
                if ours.look.standings.get(epoch) == Some(&PeerStanding::Heard) {
                    let hears = |other: &Process| matches!(
                        &other.line, Line::Up { hears, .. } if hears.contains(epoch)
                    );
                    prop_assert!(process.is_up() || known.values().any(hears), "{epoch}");
                }
                let Some(lost_ms) = ours.lost_ms(epoch) else { continue };
                prop_assert!(!process.is_up());
                let heard = known.values().any(|other| matches!(
                    &other.line, Line::Up { hears, .. } if hears.contains(epoch)
                ));
                prop_assert!(!heard, "{epoch} is heard by another one");
                if before.contains(&&**epoch) {
                    continue;
                }
                // Where nothing but silence spoke against it, the silence was long, the API server knew of no sign, and we
                // were there to hear.
                let replaced = process.is_over;
                let is_gone = process.has_pod
                    && !ours.replicas.iter().flatten().any(|pod| Some(&pod.name) == process.replica.as_ref());
                if is_silence && !replaced && !is_gone && process.replica.is_some() {
                    let (Line::Never { since_ms } | Line::Up { since_ms, .. } | Line::Broken { since_ms }) =
                        process.line;
                    prop_assert!(lost_ms >= since_ms + LOST_AFTER_MS);
                    prop_assert!(process.sign.asked_ms.is_some_and(|asked_ms| asked_ms > since_ms));
                    prop_assert!(process.sign.back_ms.is_none_or(|back_ms| lost_ms >= back_ms + BACK_FOR_MS));
                    let sign = &process.sign;
                    let first_asked_ms = sign.first_asked_ms.unwrap_or_default();
                    prop_assert!(first_asked_ms >= since_ms && lost_ms >= first_asked_ms + LOST_AFTER_MS);
                    let seen_ms = sign.asked_ms.unwrap_or_default() + ASKED_WITHIN_MS;
                    prop_assert!(sign.moved_ms.is_none_or(|moved_ms| seen_ms >= moved_ms + SIGN_COUNTS_FOR_MS));
                    prop_assert!(stood_still_ms == 0 || lost_ms >= stood_still_ms + 3_000 || lost_ms < stood_still_ms);
                }
            }
            prop_assert!(!ours.look.is_cut || known.values().all(|process| !process.is_up()));
        }
    }
}
