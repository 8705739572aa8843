use proptest::prelude::*;

use super::*;

fn key(number: usize) -> ServiceKey {
    ["orders.shop", "billing.shop", "mail.office", "audit.office"][number % 4].parse().unwrap()
}

fn home(number: usize) -> Namespace {
    ["shop", "office"][number % 2].parse().unwrap()
}

#[test]
fn a_drain_ends_with_its_last_subscriber() {
    let mut roster = Roster::default();
    let all: Vec<_> = (0..5).map(|pod| roster.joined(&home(0), &format!("pod-{pod}"))).collect();
    for id in &all[..4] {
        roster.subscribed(*id, [key(0), key(1)]);
    }
    roster.subscribed(all[4], [key(2)]);
    assert_eq!(roster.acked(all[1], 7), [], "nothing waits yet");
    let begun = roster.begin(vec![key(0)], 7, Some(all[0]));
    assert_eq!(begun.awaited, [all[2], all[3]], "neither the pod itself, nor who is in step, nor a stranger");
    assert_eq!(roster.acked(all[2], 6), []);
    assert_eq!(roster.acked(all[2], 7), []);
    assert_eq!(roster.unsubscribed(all[3], [key(1)]), [], "it still calls the other one");
    let late = roster.joined(&home(0), "pod-9");
    roster.subscribed(late, [key(0)]);
    assert_eq!(roster.left(all[3]), [begun.id], "who has left calls nobody, and who comes later knows");
    let outcome = Outcome { acked: 2, subscribers: 2, late: vec![] };
    assert_eq!(roster.end(begun.id), outcome);
    assert_eq!((roster.waits, roster.drains.len()), (0, 0));
}

#[test]
fn the_late_are_named_and_few_of_many() {
    let mut roster = Roster::default();
    let pods: Vec<_> = (0..40).map(|pod| roster.joined(&home(0), &format!("pod-{pod}"))).collect();
    for id in &pods {
        roster.subscribed(*id, [key(0)]);
    }
    let begun = roster.begin(vec![key(0)], 1, Some(pods[0]));
    roster.acked(pods[1], 1);
    let outcome = roster.end(begun.id);
    assert_eq!((outcome.acked, outcome.subscribers, outcome.late.len()), (1, 39, LATE_MAX));
    assert_eq!(outcome.late[0], "shop/pod-2");
    assert!(roster.members.values().all(|member| member.awaited_by.is_empty()));
}

#[test]
fn drains_that_wait_for_too_many_wait_for_nobody() {
    let mut roster = Roster::default();
    let pods: Vec<_> = (0..1_000).map(|pod| roster.joined(&home(0), &pod.to_string())).collect();
    for id in &pods {
        roster.subscribed(*id, [key(0)]);
    }
    let stranger = roster.joined(&home(0), "stranger");
    let begun: Vec<_> = (0..257).map(|_| roster.begin(vec![key(0)], 1, Some(stranger))).collect();
    assert_eq!(begun.iter().filter(|begun| begun.awaited.is_empty()).count(), 1);
    assert_eq!(roster.end(begun[256].id).subscribers, 1_000, "and says so");
    assert_eq!(roster.waits, WAITS_MAX);
    assert_eq!(roster.acked(pods[0], 1), []);
    assert_eq!(roster.waits, WAITS_MAX - 256);
    let first = roster.end(begun[0].id);
    assert_eq!((first.acked, first.subscribers), (1, 1_000));
    assert_eq!(roster.waits, WAITS_MAX - 256 - 999);
}

#[derive(Debug, Clone)]
enum Act {
    Join(usize),
    Leave(usize),
    Subscribe(usize, Vec<usize>),
    Unsubscribe(usize, Vec<usize>),
    Ack(usize, u64),
    Begin(usize, Vec<usize>, u64),
    End(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let keys = || proptest::collection::vec(0..4usize, 1..3);
    prop_oneof![
        2 => (0..9usize).prop_map(Act::Join),
        1 => (0..9usize).prop_map(Act::Leave),
        4 => (0..9usize, keys()).prop_map(|(who, keys)| Act::Subscribe(who, keys)),
        2 => (0..9usize, keys()).prop_map(|(who, keys)| Act::Unsubscribe(who, keys)),
        4 => (0..9usize, 0..6u64).prop_map(|(who, number)| Act::Ack(who, number)),
        3 => (0..9usize, keys(), 1..6u64).prop_map(|(who, keys, number)| Act::Begin(who, keys, number)),
        1 => (0..4usize).prop_map(Act::End),
    ]
}

/// Keeps everything in lists, and counts anew each time.
#[derive(Default)]
struct Naive {
    sessions: Vec<NaiveSession>,
    drains: Vec<NaiveDrain>,
}

struct NaiveSession {
    id: SessionId,
    pod: String,
    subscriptions: Vec<ServiceKey>,
    in_step: u64,
}

struct NaiveDrain {
    id: DrainId,
    services: Vec<ServiceKey>,
    number: u64,
    late: Vec<SessionId>,
    acked: u32,
}

impl Naive {
    fn who(&self, number: usize) -> Option<SessionId> {
        (!self.sessions.is_empty()).then(|| self.sessions[number % self.sessions.len()].id)
    }

    fn session(&mut self, id: SessionId) -> &mut NaiveSession {
        self.sessions.iter_mut().find(|held| held.id == id).unwrap()
    }

    /// Takes those out who are not awaited any more; gives the drains that this ends.
    fn settle(&mut self, acks: bool) -> Vec<DrainId> {
        let mut ended = Vec::new();
        for drain in &mut self.drains {
            let before = drain.late.len();
            drain.late.retain(|one| {
                let Some(held) = self.sessions.iter().find(|held| held.id == *one) else { return false };
                let calls = drain.services.iter().any(|key| held.subscriptions.contains(key));
                calls && held.in_step < drain.number
            });
            let settled = u32::try_from(before - drain.late.len()).unwrap();
            drain.acked += if acks { settled } else { 0 };
            if before > 0 && drain.late.is_empty() {
                ended.push(drain.id);
            }
        }
        ended
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_says_what_a_list_would(acts in proptest::collection::vec(act(), 1..80)) {
        let mut roster = Roster::default();
        let mut naive = Naive::default();
        for act in acts {
            match act {
                Act::Join(number) => {
                    let id = roster.joined(&home(number), &number.to_string());
                    naive.sessions.push(NaiveSession {
                        id,
                        pod: format!("{}/{number}", home(number)),
                        subscriptions: vec![],
                        in_step: 0,
                    });
                }
                Act::Leave(number) => {
                    let Some(id) = naive.who(number) else { continue };
                    naive.sessions.retain(|held| held.id != id);
                    prop_assert_eq!(roster.left(id), naive.settle(false));
                }
                Act::Subscribe(number, keys) => {
                    let Some(id) = naive.who(number) else { continue };
                    let keys: Vec<_> = keys.into_iter().map(key).collect();
                    let held = naive.session(id);
                    held.subscriptions.extend(keys.clone());
                    held.in_step = 0;
                    roster.subscribed(id, keys);
                }
                Act::Unsubscribe(number, keys) => {
                    let Some(id) = naive.who(number) else { continue };
                    let keys: Vec<_> = keys.into_iter().map(key).collect();
                    naive.session(id).subscriptions.retain(|key| !keys.contains(key));
                    prop_assert_eq!(roster.unsubscribed(id, keys), naive.settle(false));
                }
                Act::Ack(number, to) => {
                    let Some(id) = naive.who(number) else { continue };
                    let held = naive.session(id);
                    held.in_step = held.in_step.max(to);
                    prop_assert_eq!(roster.acked(id, to), naive.settle(true));
                }
                Act::Begin(number, keys, to) => {
                    let Some(asker) = naive.who(number) else { continue };
                    let keys: Vec<_> = keys.into_iter().map(key).collect();
                    let calls = naive.sessions.iter().filter(|held| {
                        let calls = |key| held.subscriptions.contains(key);
                        held.id != asker && keys.iter().any(calls)
                    });
                    let (late, acked): (Vec<_>, Vec<_>) = calls.partition(|held| held.in_step < to);
                    let late: Vec<_> = late.iter().map(|held| held.id).collect();
                    let acked = u32::try_from(acked.len()).unwrap();
                    let begun = roster.begin(keys.clone(), to, Some(asker));
                    prop_assert_eq!((&begun.awaited, begun.is_late), (&late, !late.is_empty()));
                    naive.drains.push(NaiveDrain { id: begun.id, services: keys, number: to, late, acked });
                }
                Act::End(number) => {
                    if naive.drains.is_empty() { continue }
                    let NaiveDrain { id, late, acked, .. } = naive.drains.remove(number % naive.drains.len());
                    let outcome = Outcome {
                        acked,
                        subscribers: acked + u32::try_from(late.len()).unwrap(),
                        late: late.iter().map(|id| naive.session(*id).pod.clone()).collect(),
                    };
                    prop_assert_eq!(roster.end(id), outcome);
                }
            }
            for number in 0..4 {
                let expected: BTreeSet<_> = naive.sessions.iter()
                    .filter(|held| held.subscriptions.contains(&key(number)))
                    .map(|held| held.id)
                    .collect();
                prop_assert_eq!(roster.subscribers_of([&key(number)]), expected);
            }
            let waits: usize = naive.drains.iter().map(|drain| drain.late.len()).sum();
            prop_assert_eq!(roster.waits, waits);
            prop_assert_eq!(roster.members.len(), naive.sessions.len());
            let empty = roster.subscribers.values().any(BTreeSet::is_empty);
            prop_assert!(!empty, "a name that nobody asks for is not kept");
        }
    }
}
