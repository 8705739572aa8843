//! Three replicas that share what they hear: they come to the same, whoever hears what and in whatever order it comes.

use std::collections::HashMap;

use proptest::prelude::*;
use rollcall_catalogue::{Reason, State};
use rollcall_wire::peer::Note;

use super::{
    order::{self, World},
    pods::nothing_stays_behind,
    *,
};

/// Holds an index, what it has told of, and which of the others' notes it has heard.
pub(super) struct Replica {
    pub(super) index: Index,
    notes: HashMap<PodUid, Arc<Note>>,
}

impl Replica {
    fn new(index: Index, epoch: &str) -> Self {
        Self { index: index.of_process(epoch.into()), notes: HashMap::new() }
    }

    fn sees(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.index.apply(change);
        }
    }

    /// Puts into its notes what there is to be told, as the owner does after each turn.
    pub(super) fn turn(&mut self) {
        for tidings in self.index.take_notes() {
            match tidings {
                Tidings::Known(note) => drop(self.notes.insert(note.pod.clone(), note.into())),
                Tidings::Gone(uid) => drop(self.notes.remove(&uid)),
            }
        }
    }

    /// Hears all that another one knows, as it is told now.
    pub(super) fn hears(&mut self, notes: &HashMap<PodUid, Arc<Note>>, now_ms: u64) {
        for note in notes.values() {
            self.index.hear_record(note.told(now_ms), now_ms);
        }
        self.turn();
    }
}

/// Each hears all that any of the others knows.
fn share(replicas: &mut [Replica], now_ms: u64) {
    replicas.iter_mut().for_each(Replica::turn);
    for to in 0..replicas.len() {
        for from in (0..replicas.len()).filter(|from| *from != to) {
            let notes = replicas[from].notes.clone();
            replicas[to].hears(&notes, now_ms);
        }
    }
}

/// What one has to tell to another.
pub(super) fn newer(from: &Replica, to: &Replica) -> HashMap<PodUid, Arc<Note>> {
    let is_newer = |note: &Arc<Note>| to.notes.get(&note.pod).is_none_or(|held| note.is_newer_than(held));
    let notes = from.notes.iter().filter(|(_, note)| is_newer(note));
    notes.map(|(uid, note)| (uid.clone(), note.clone())).collect()
}

fn all_heard(replicas: &mut [Replica], now_ms: u64) {
    for replica in replicas {
        let standings = ["e0", "e1", "e2"].map(|epoch| (Arc::from(epoch), PeerStanding::Heard));
        replica.index.set_peers(standings.into(), now_ms);
    }
}

/// Says what happens among three replicas.
#[derive(Debug, Clone)]
enum Step {
    /// Something in Kubernetes, which each of them sees when its watch brings it.
    Happens(Key, Option<Change>),
    /// The watch of one brings the next of that.
    Sees(usize),
    /// A sidecar says something; its first word may go to any of them.
    Says(usize, PodUid, order::Word),
    /// One hears all that another one knows.
    Hears(usize, usize),
    Publishes(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let one = 0usize..3;
    prop_oneof![
        2 => order::event_of_kubernetes().prop_map(|(key, change)| Step::Happens(key, change)),
        4 => one.clone().prop_map(Step::Sees),
        4 => (one.clone(), order::words()).prop_map(|(at, (uid, word))| Step::Says(at, uid, word)),
        3 => (one.clone(), one.clone()).prop_map(|(to, from)| Step::Hears(to, from)),
        1 => one.prop_map(Step::Publishes),
    ]
}

/// Sessions bring nothing that takes time here.
const NOW_MS: u64 = 1;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whoever_hears_what_all_come_to_the_same(steps in proptest::collection::vec(step(), 0..80)) {
        let mut replicas: Vec<_> =
            (0..3).map(|number| Replica::new(order::empty(), &format!("e{number}"))).collect();
        for replica in &mut replicas {
            replica.sees(order::lists(&World::new(), false));
        }
        all_heard(&mut replicas, NOW_MS);
        let (mut world, mut events, mut seen) = (World::new(), Vec::new(), [0; 3]);
        let mut gone = BTreeSet::new();
        // By pod: where its newest session is, of which process of its sidecar, and the how many-th.
        let mut sessions: BTreeMap<PodUid, (usize, u8, u64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Happens(key, change) => {
                    // A UID is never given twice.
                    if gone.contains(&key) {
                        continue;
                    }
                    if change.is_none() && matches!(key, Key::Pod(_)) {
                        gone.insert(key.clone());
                    }
                    match &change {
                        Some(change) => drop(world.insert(key.clone(), change.clone())),
                        None => drop(world.remove(&key)),
                    }
                    events.push(change.unwrap_or(Change::Gone(key)));
                }
                Step::Sees(at) => {
                    if let Some(event) = events.get(seen[at]) {
                        replicas[at].index.apply(event.clone());
                        seen[at] += 1;
                    }
                }
                Step::Says(at, uid, word) => {
                    if let order::Word::Opens { anew, registrations } = &word {
                        if replicas[at].index.pod(&uid).is_none() {
                            continue;
                        }
                        let (_, process, number) = sessions.get(&uid).copied().unwrap_or_default();
                        let (process, number) = (process + u8::from(*anew), number + 1);
                        let hello = order::hello(process, number, registrations);
                        prop_assert_eq!(replicas[at].index.open_session(&uid, &hello, NOW_MS), Some(Opening::Open(vec![])));
                        sessions.insert(uid, (at, process, number));
                    } else if let Some((at, ..)) = sessions.get(&uid) {
                        let index = &mut replicas[*at].index;
                        if index.pods.get(&uid).and_then(|pod| pod.session.as_ref()).is_some_and(|one| one.is_open()) {
                            order::tell(index, &uid, &word);
                        }
                    }
                }
                Step::Hears(to, from) => {
                    replicas[from].turn();
                    let notes = replicas[from].notes.clone();
                    replicas[to].hears(&notes, NOW_MS);
                }
                Step::Publishes(at) => drop(replicas[at].index.advance(NOW_MS)),
            }
        }
        for (replica, seen) in replicas.iter_mut().zip(seen) {
            replica.sees(events.iter().skip(seen).cloned());
        }
        share(&mut replicas, NOW_MS);
        share(&mut replicas, NOW_MS);
        for uid in sessions.keys() {
            let is_open = |replica: &&Replica| {
                let pod = replica.index.pods.get(uid);
                pod.and_then(|pod| pod.session.as_ref()).is_some_and(|session| session.is_open())
            };
            prop_assert!(replicas.iter().filter(is_open).count() <= 1, "one session a pod, in all of them together");
        }
        prop_assert_eq!(&replicas[0].notes, &replicas[1].notes);
        prop_assert_eq!(&replicas[0].notes, &replicas[2].notes);
        // Two that begin now: one hears the notes before it lists, and one after that.
        let notes = replicas[0].notes.clone();
        for early in [true, false] {
            let mut late = Replica::new(order::empty(), "late");
            all_heard(std::slice::from_mut(&mut late), NOW_MS);
            if early {
                late.hears(&notes, NOW_MS);
            }
            late.sees(order::lists(&world, early));
            late.hears(&notes, NOW_MS);
            replicas.push(late);
        }
        let all: Vec<_> = replicas.iter_mut().map(|replica| {
            replica.index.advance(NOW_MS);
            order::said(&mut replica.index)
        }).collect();
        for (number, one) in all.iter().enumerate() {
            prop_assert_eq!(&all[0], one, "the first and replica {}", number);
        }
        for replica in replicas {
            let mut bench = Bench { index: replica.index, now_ms: NOW_MS };
            bench.apply(order::lists(&World::new(), false));
            nothing_stays_behind(&bench);
        }
    }
}

/// A frame of each sidecar comes so often, and each up to 400 ms late.
pub(super) const FRAME_EVERY_MS: u64 = 3_000;

/// When what is to be judged happens, and when it has been.
const CUT_MS: u64 = 30_000;
const END_MS: u64 = CUT_MS + 30_000;

/// What every replica knows at a time, others do by now: its look of each second, and the guard's.
const WITHIN_MS: u64 = 1_100;

/// Holds a pod's sidecar.
#[derive(Debug, Clone)]
pub(super) struct Sidecar {
    pub(super) node: u8,
    pub(super) phase_ms: u64,
    /// It says nothing in this time.
    pub(super) cut: std::ops::Range<u64>,
    /// When its session began.
    pub(super) since_ms: u64,
}

impl Sidecar {
    /// When it was heard last.
    pub(super) fn heard_ms(&self, now_ms: u64) -> u64 {
        let late_ms = |frame: u64| (frame.wrapping_mul(0x9e37_79b9) ^ self.phase_ms) % 400;
        let newest = (now_ms + self.phase_ms) / FRAME_EVERY_MS;
        let frames = (0..=newest)
            .rev()
            .map(|frame| (frame * FRAME_EVERY_MS + late_ms(frame)).saturating_sub(self.phase_ms));
        let mut heard = frames.filter(|at_ms| *at_ms <= now_ms && !self.cut.contains(at_ms));
        heard.next().unwrap_or_default().max(self.since_ms)
    }
}

/// Holds a replica that listens to some of the sidecars, as its owner does.
pub(super) struct Listener {
    pub(super) replica: Replica,
    pub(super) sidecars: BTreeMap<PodUid, Sidecar>,
    /// Those whose next frame is news, by the last one.
    awaited: BTreeMap<PodUid, u64>,
    /// How each pod stood, from when on.
    pub(super) stood: BTreeMap<String, Vec<(u64, State, Reason)>>,
}

impl Listener {
    pub(super) fn new(epoch: &str, all: &BTreeMap<PodUid, Sidecar>, hears: impl Fn(usize) -> bool) -> Self {
        let mut index = Index::default();
        for kind in Kind::ALL {
            index.apply(Change::ListBegins(kind));
            for (number, (uid, sidecar)) in all.iter().enumerate() {
                let node: Arc<str> = format!("n{}", sidecar.node).into();
                match kind {
                    Kind::Pod => {
                        let mut one = pod(1, "a", Some("orders"));
                        one.facts.uid = uid.clone();
                        one.facts.name = (*uid.text()).into();
                        one.facts.addresses = [[10, 1, 0, number as u8].into()].into();
                        one.facts.has_sidecar = true;
                        one.facts.node = Some(node);
                        index.apply(seen(one));
                    }
                    Kind::Node => drop(index.apply(Change::Node(node, node_facts()))),
                    _ => {}
                }
            }
            index.apply(Change::ListEnds(kind));
        }
        let mut replica = Replica::new(index, epoch);
        let sidecars: BTreeMap<_, _> = all
            .iter()
            .enumerate()
            .filter(|(number, _)| hears(*number))
            .map(|(_, (uid, sidecar))| (uid.clone(), sidecar.clone()))
            .collect();
        for uid in sidecars.keys() {
            let hello = Hello { incarnation: "i".to_owned(), sequence: 1, registrations: Vec::new() };
            replica.index.open_session(uid, &hello, 0);
        }
        Self { replica, sidecars, awaited: BTreeMap::new(), stood: BTreeMap::new() }
    }

    pub(super) fn turn(&mut self, now_ms: u64) {
        let index = &mut self.replica.index;
        let heard = |uid: &PodUid| self.sidecars.get(uid).map(|sidecar| sidecar.heard_ms(now_ms));
        self.awaited.retain(|uid, before_ms| {
            let heard_ms = heard(uid).unwrap_or_default();
            let is_news = heard_ms > *before_ms;
            if is_news {
                index.heard(uid, heard_ms, now_ms);
            }
            !is_news
        });
        if index.wakes_at_ms(now_ms) <= now_ms {
            for uid in index.tick(now_ms, false, heard) {
                let before_ms = heard(&uid).unwrap_or_default();
                self.awaited.insert(uid, before_ms);
            }
        }
        if let Some(step) = index.advance(now_ms) {
            for instance in step.snapshot.iter().flat_map(|(_, service)| service.instances.iter()) {
                let Some(name) = instance.pod.as_deref() else { continue };
                let stood = self.stood.entry(name.to_owned()).or_default();
                if stood
                    .last()
                    .is_none_or(|(_, state, reason)| (*state, reason) != (instance.state, &instance.reason))
                {
                    stood.push((now_ms, instance.state, instance.reason.clone()));
                }
            }
        }
        self.replica.turn();
    }

    /// How it said that a pod stands, at any moment of this time.
    fn said(&self, name: &str, from_ms: u64, to_ms: u64) -> Vec<(State, Reason)> {
        let stood = self.stood.get(name).map(Vec::as_slice).unwrap_or_default();
        let first = stood.iter().rposition(|(at_ms, ..)| *at_ms <= from_ms).unwrap_or_default();
        let told = stood.iter().skip(first).take_while(|(at_ms, ..)| *at_ms <= to_ms);
        told.map(|(_, state, reason)| (*state, reason.clone())).collect()
    }
}

/// Who falls silent, of so many nodes with so many pods each.
fn losses() -> impl Strategy<Value = Vec<Sidecar>> {
    let nodes = proptest::collection::vec((1usize..5, 0u8..4, any::<bool>()), 3..7);
    let back = prop_oneof![Just(u64::MAX), CUT_MS + 4_000..CUT_MS + 20_000];
    (nodes, back, any::<u64>(), 0usize..3).prop_map(|(nodes, back_ms, seed, alone)| {
        let mut sidecars = Vec::new();
        for (node, (pods, dies, with_others)) in nodes.into_iter().enumerate() {
            for number in 0..pods {
                let phase_ms = (seed ^ (node * 31 + number) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
                // A node as a whole, or one of its pods.
                let is_cut = dies == 0 && with_others || number < alone && dies == 1;
                let cut = if is_cut { CUT_MS..back_ms } else { 0..0 };
                sidecars.push(Sidecar {
                    node: node as u8,
                    phase_ms: phase_ms % FRAME_EVERY_MS,
                    cut,
                    since_ms: 0,
                });
            }
        }
        sidecars
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whether a node dies, half of them do, or some sessions here and there: three of which each hears a third judge as one
    /// that hears all, within a second.
    #[test]
    fn three_that_hear_a_third_each_judge_as_one_that_hears_all(sidecars in losses()) {
        let named = sidecars.iter().enumerate().map(|(number, one)| (format!("u{number:02}").as_str().into(), one.clone()));
        let all: BTreeMap<PodUid, Sidecar> = named.collect();
        let mut alone = Listener::new("alone", &all, |_| true);
        let mut three: Vec<_> =
            (0..3).map(|part| Listener::new(&format!("e{part}"), &all, |number| number % 3 == part)).collect();
        for listener in &mut three {
            all_heard(std::slice::from_mut(&mut listener.replica), 0);
        }
        for now_ms in (0..=END_MS).step_by(50) {
            alone.turn(now_ms);
            three.iter_mut().for_each(|listener| listener.turn(now_ms));
            for to in 0..3 {
                for from in (0..3).filter(|from| *from != to) {
                    let newer = newer(&three[from].replica, &three[to].replica);
                    three[to].replica.hears(&newer, now_ms);
                }
            }
        }
        for at_ms in (CUT_MS - 5_000..=END_MS - 2 * WITHIN_MS).step_by(200) {
            for name in all.keys().map(PodUid::to_string) {
                for (number, one) in three.iter().enumerate() {
                    for (a, b) in [(&alone, one), (one, &alone)] {
                        let now = a.said(&name, at_ms, at_ms + WITHIN_MS);
                        // What passes sooner is a frame that comes in the moment in which it would be missed.
                        if now.len() > 1 {
                            continue;
                        }
                        let about = b.said(&name, at_ms - WITHIN_MS, at_ms + WITHIN_MS);
                        prop_assert!(
                            now.iter().all(|stands| about.contains(stands)),
                            "{name} at {at_ms}, replica {number}: {now:?} and {about:?}; {:?} {:?}", alone.stood[&name], one.stood[&name]
                        );
                    }
                }
            }
        }
    }
}
