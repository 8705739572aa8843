use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use rollcall_wire::limits::REGISTRATIONS_MAX;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Put(Source, u8, Option<u16>, Option<u32>),
    Classic(u8, u16),
    Remove(Source, u8),
    Beat(u8),
    Says(bool, Option<u64>),
    Probed(u8, u16, ProbeWitness),
    Duties(Vec<(u8, u16, Option<u32>)>),
    Session(bool),
    /// The controller answers the oldest word without an answer.
    Answer(bool),
    Wait(u64),
    Take,
}

/// Holds what a controller and the client before it make of what is said.
#[derive(Default)]
struct Other {
    said: BTreeMap<RegistrationKey, SelfRegistration>,
    health: BTreeMap<Option<HealthOf>, ProbeWitness>,
    unanswered: VecDeque<RegistrationKey>,
    open: bool,
}

fn any_step() -> impl Strategy<Value = Step> {
    let source = prop_oneof![Just(Source::Environment), Just(Source::File), Just(Source::App)];
    let any_source = prop_oneof![source.clone(), Just(Source::Classic)];
    let port = proptest::option::of(80u16..83);
    let ttl = proptest::option::of(1u32..20);
    let duty = (0u8..6, 80u16..83, ttl.clone());
    prop_oneof![
        (source, 0u8..20, port, ttl).prop_map(|(s, n, p, t)| Step::Put(s, n, p, t)),
        (0u8..6, 80u16..84).prop_map(|(n, p)| Step::Classic(n, p)),
        (any_source, 0u8..20).prop_map(|(s, n)| Step::Remove(s, n)),
        (0u8..6).prop_map(Step::Beat),
        (any::<bool>(), proptest::option::of(1_000u64..9_000)).prop_map(|(f, t)| Step::Says(f, t)),
        (0u8..6, 80u16..83, proptest::sample::select(vec![ProbeWitness::Passing, ProbeWitness::Dead]))
            .prop_map(|(n, p, w)| Step::Probed(n, p, w)),
        proptest::collection::vec(duty, 0..5).prop_map(Step::Duties),
        any::<bool>().prop_map(Step::Session),
        any::<bool>().prop_map(Step::Answer),
        (0u64..20_000).prop_map(Step::Wait),
        Just(Step::Take),
    ]
}

fn name(number: u8) -> String {
    format!("s{number}")
}

impl Other {
    fn hear(&mut self, all: Vec<Say>) {
        for say in all {
            match say {
                Say::Register(said) => {
                    if self.open {
                        self.unanswered.push_back(said.key());
                    }
                    self.said.insert(said.key(), said);
                }
                Say::Deregister(key) => drop(self.said.remove(&key)),
                Say::Health { of, probe: ProbeWitness::NotAsked } => drop(self.health.remove(&of)),
                Say::Health { of, probe } => drop(self.health.insert(of, probe)),
            }
        }
    }

    fn answer(&mut self, ledger: &mut Ledger, good: bool, now_ms: u64) {
        let Some(key) = self.unanswered.pop_front() else { return };
        if good {
            return ledger.registered(&key);
        }
        if !self.unanswered.contains(&key) {
            self.said.remove(&key);
        }
        ledger.rejected(&key, refusal(), now_ms);
    }
}

proptest! {
    /// However it goes: what was said in the end is what counts here, each word once; nothing grows, and the clock rests.
    #[test]
    fn the_controller_knows_what_the_ledger_holds(steps in proptest::collection::vec(any_step(), 0..80)) {
        let mut ledger = Ledger::default();
        let mut other = Other::default();
        let mut now_ms = 0;
        for step in steps {
            match step {
                Step::Put(source, n, port, ttl) => {
                    let _ = ledger.put(source, whole(&name(n), port, ttl), now_ms);
                }
                Step::Classic(n, port) => {
                    let spot = spot(&name(n), port);
                    let bad = ledger.health.of(&spot).is_some_and(|word| word > ProbeWitness::AwaitingBeat);
                    let key = key(&name(n), Some(port.into()));
                    let held = ledger.entries.get(&key).is_some_and(|entry| !matches!(entry.status, Status::Rejected(_)));
                    let taken = ledger.put_classic(beside(&name(n), port), now_ms) == Err(NoRoom::Taken);
                    prop_assert!(!taken || !bad, "what fails is replaced");
                    prop_assert!(taken || !held || bad, "what is alive is not");
                }
                Step::Remove(source, n) => {
                    ledger.remove(source, |key, _| key.service.as_str() == name(n), now_ms);
                }
                Step::Beat(n) => drop(ledger.beat(&service(&name(n)), "1.4.2", None, now_ms)),
                Step::Says(failing, ttl_ms) => ledger.app_says(well(failing, ttl_ms), now_ms),
                Step::Probed(n, port, word) => ledger.probed(&spot(&name(n), port), Some(word)),
                Step::Duties(all) => {
                    let duties: Vec<_> = all.iter().map(|(n, port, ttl)| duty(&name(*n), *port, *ttl)).collect();
                    ledger.set_duties(&duties, now_ms);
                }
                Step::Session(open) => {
                    ledger.set_in_session(open, now_ms);
                    other.open = open;
                    other.unanswered.clear();
                }
                Step::Answer(good) => other.answer(&mut ledger, good, now_ms),
                Step::Wait(for_ms) => {
                    let until_ms = now_ms + for_ms;
                    while let Some(at_ms) = ledger.wake_at_ms().filter(|at_ms| *at_ms <= until_ms) {
                        now_ms = now_ms.max(at_ms);
                        ledger.tick(now_ms);
                        prop_assert!(ledger.wake_at_ms().is_none_or(|next| next > now_ms));
                    }
                    now_ms = until_ms;
                }
                Step::Take => other.hear(ledger.take()),
            }
            prop_assert!(ledger.entries.len() <= REGISTRATIONS_MAX);
        }
        other.hear(ledger.take());
        prop_assert!(!ledger.is_due() && ledger.take().is_empty());
        let counts: BTreeMap<_, _> = ledger
            .entries
            .iter()
            .filter(|(_, entry)| !matches!(entry.status, Status::Rejected(_)))
            .filter_map(|(key, entry)| Some((key.clone(), entry.said()?.1.clone())))
            .collect();
        prop_assert_eq!(other.said, counts);
        let spots: Vec<_> = other.health.keys().flatten().map(|of| spot(of.service.as_str(), of.port.unwrap())).collect();
        for spot in spots {
            let named = ledger.duties.iter().any(|duty| (&duty.service, duty.port) == (&spot.service, spot.port))
                || ledger.entries.keys().any(|key| ledger.spots_of(key).contains(&spot));
            prop_assert!(named, "a word on nobody: {spot:?}");
        }
    }
}
