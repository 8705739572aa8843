//! Replicas that live and are cut from each other, while sidecars go from one to the other: nobody who lives is doubted for it.

use proptest::prelude::*;
use rollcall_catalogue::State;

use super::{
    trio::{FRAME_EVERY_MS, Listener, Sidecar, newer},
    *,
};

const STEP_MS: u64 = 100;
const END_MS: u64 = 90_000;

/// Says when two replicas do not reach each other.
#[derive(Debug, Clone)]
struct Cut {
    between: (usize, usize),
    at: std::ops::Range<u64>,
    /// Their link is missed so long after it was cut.
    missed_after_ms: u64,
}

/// Says that a sidecar goes to another replica.
#[derive(Debug, Clone)]
struct Move {
    at_ms: u64,
    sidecar: usize,
    to: usize,
    /// It closes its session, and is back after this time; otherwise it is just not heard any more, and there at once.
    closes: Option<u64>,
}

impl Cut {
    fn is_of(&self, one: usize, other: usize) -> bool {
        self.between == (one, other) || self.between == (other, one)
    }

    fn cuts(&self, one: usize, other: usize, now_ms: u64) -> bool {
        self.is_of(one, other) && self.at.contains(&now_ms)
    }

    fn is_missed(&self, one: usize, other: usize, now_ms: u64) -> bool {
        self.cuts(one, other, now_ms) && now_ms >= self.at.start + self.missed_after_ms
    }
}

/// Holds what the replicas know of their links.
struct Links {
    replicas: usize,
    /// Those that are up: a link that was missed is back once something comes over it, and all is told then.
    up: BTreeSet<(usize, usize)>,
    /// Whom each has named to another one, when it last reached that, as one that it hears.
    named: BTreeMap<(usize, usize), BTreeSet<usize>>,
}

impl Links {
    fn new(replicas: usize) -> Self {
        let all = |one| (0..replicas).filter(move |other| *other != one).map(move |other| (one, other));
        Self { replicas, up: (0..replicas).flat_map(all).collect(), named: BTreeMap::new() }
    }

    fn look(&mut self, cuts: &[Cut], now_ms: u64) {
        let reaches = |one, other| !cuts.iter().any(|cut| cut.cuts(one, other, now_ms));
        for (one, other) in Self::new(self.replicas).up {
            if cuts.iter().any(|cut| cut.is_missed(one, other, now_ms)) {
                self.up.remove(&(one, other));
            } else if reaches(one, other) {
                self.up.insert((one, other));
            }
        }
        for (one, other) in Self::new(self.replicas).up {
            if reaches(one, other) {
                let heard = self.up.iter().filter(|(by, _)| *by == other).map(|(_, heard)| *heard);
                self.named.insert((one, other), heard.collect());
            }
        }
    }

    /// Who tells nothing to this one, neither itself nor through a third.
    fn unheard(&self, one: usize) -> Vec<usize> {
        let tells = |other: usize| {
            let names = |third| self.named.get(&(one, third)).is_some_and(|heard| heard.contains(&other));
            let up = |third| self.up.contains(&(one, third));
            up(other) || (0..self.replicas).any(|third| up(third) && names(third))
        };
        (0..self.replicas).filter(|other| *other != one && !tells(*other)).collect()
    }
}

fn fates(replicas: usize) -> impl Strategy<Value = (Vec<u64>, Vec<Cut>, Vec<Move>)> {
    let cut = (0..replicas, 1..replicas, 20_000u64..40_000, 1_000u64..40_000, 0u64..2_500);
    let cut = cut.prop_map(move |(one, step, from_ms, for_ms, missed_after_ms)| Cut {
        between: (one, (one + step) % replicas),
        at: from_ms..from_ms + for_ms,
        missed_after_ms,
    });
    let gone = (150u64..700, 0usize..6, 0..replicas, proptest::option::of(0u64..2_000));
    let gone =
        gone.prop_map(|(step, sidecar, to, closes)| Move { at_ms: step * STEP_MS, sidecar, to, closes });
    let sidecars = proptest::collection::vec(0..FRAME_EVERY_MS, 1..7);
    (sidecars, proptest::collection::vec(cut, 1..4), proptest::collection::vec(gone, 0..10))
}

/// Plays it; gives who was not Serving: when, to which replica, and why.
fn doubted(replicas: usize, phases: &[u64], cuts: &[Cut], mut moves: Vec<Move>) -> Vec<String> {
    let sidecar = |(number, phase_ms): (usize, &u64)| {
        let sidecar = Sidecar { node: number as u8 % 3, phase_ms: *phase_ms, cut: 0..0, since_ms: 0 };
        (PodUid::from(format!("u{number:02}").as_str()), sidecar)
    };
    let all: BTreeMap<PodUid, Sidecar> = phases.iter().enumerate().map(sidecar).collect();
    let mut listeners: Vec<_> = (0..replicas)
        .map(|part| Listener::new(&format!("e{part}"), &all, |number| number % replicas == part))
        .collect();
    let mut at: Vec<_> = (0..phases.len()).map(|number| (number % replicas, 1)).collect();
    // Who is on the way is at none: since when, and where to.
    let mut coming = Vec::<(u64, usize, usize)>::new();
    let mut since = BTreeMap::<(usize, usize), u64>::new();
    let mut links = Links::new(replicas);
    moves.sort_by_key(|one| one.at_ms);
    for now_ms in (0..=END_MS).step_by(STEP_MS as usize) {
        for one in moves.iter().filter(|one| one.at_ms == now_ms && one.sidecar < phases.len()) {
            let (from, _) = at[one.sidecar];
            if coming.iter().any(|(_, sidecar, _)| *sidecar == one.sidecar) || from == one.to {
                continue;
            }
            let uid = PodUid::from(format!("u{:02}", one.sidecar).as_str());
            let held = listeners[from].sidecars.remove(&uid).unwrap();
            if one.closes.is_some() {
                listeners[from].replica.index.session_ended(&uid, held.heard_ms(now_ms), true, now_ms);
            }
            coming.push((now_ms + one.closes.unwrap_or_default(), one.sidecar, one.to));
        }
        coming.retain(|(due_ms, number, to)| {
            let comes = *due_ms <= now_ms;
            if comes {
                let uid = PodUid::from(format!("u{number:02}").as_str());
                let sequence = at[*number].1 + 1;
                let hello = Hello { incarnation: "i".to_owned(), sequence, registrations: Vec::new() };
                listeners[*to].replica.index.open_session(&uid, &hello, now_ms);
                listeners[*to]
                    .sidecars
                    .insert(uid.clone(), Sidecar { since_ms: now_ms, ..all[&uid].clone() });
                at[*number] = (*to, sequence);
            }
            !comes
        });
        listeners.iter_mut().for_each(|listener| listener.replica.turn());
        for _ in 1..replicas {
            for to in 0..replicas {
                for from in (0..replicas).filter(|from| *from != to) {
                    if !cuts.iter().any(|cut| cut.cuts(to, from, now_ms)) {
                        let newer = newer(&listeners[from].replica, &listeners[to].replica);
                        listeners[to].replica.hears(&newer, now_ms);
                    }
                }
            }
        }
        links.look(cuts, now_ms);
        for (one, listener) in listeners.iter_mut().enumerate() {
            let unheard = links.unheard(one);
            since.retain(|(by, other), _| *by != one || unheard.contains(other));
            let standings = (0..replicas).filter(|other| *other != one).map(|other| {
                let standing = match unheard.contains(&other) {
                    true => PeerStanding::Unheard { since_ms: *since.entry((one, other)).or_insert(now_ms) },
                    false => PeerStanding::Heard,
                };
                (Arc::from(format!("e{other}")), standing)
            });
            let standings = standings.collect();
            listener.replica.index.set_peers(standings, now_ms);
        }
        listeners.iter_mut().for_each(|listener| listener.turn(now_ms));
    }
    let mut doubted = Vec::new();
    for (number, listener) in listeners.iter().enumerate() {
        for (pod, stood) in &listener.stood {
            let others = stood.iter().filter(|(_, state, _)| *state != State::Serving);
            doubted.extend(others.map(|(at_ms, _, reason)| format!("{pod} {reason} at {at_ms} to {number}")));
        }
    }
    doubted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_two_nobody_who_lives_is_doubted((phases, cuts, moves) in fates(2)) {
        prop_assert_eq!(doubted(2, &phases, &cuts, moves), Vec::<String>::new());
    }

    #[test]
    fn of_three_nobody_who_lives_is_doubted((phases, cuts, moves) in fates(3)) {
        prop_assert_eq!(doubted(3, &phases, &cuts, moves), Vec::<String>::new());
    }
}

/// A cut follows another one before anything was told between them: he who was in session with the first is with the second.
#[test]
fn two_cuts_with_nothing_told_between_are_one() {
    let cut = |at, missed_after_ms| Cut { between: (0, 1), at, missed_after_ms };
    let cuts = [cut(20_000..28_301, 0), cut(28_344..33_601, 2_457)];
    let goes = Move { at_ms: 18_100, sidecar: 0, to: 1, closes: Some(1_801) };
    assert_eq!(doubted(2, &[0], &cuts, vec![goes]), Vec::<String>::new());
}

/// One that was told as late, and was heard again when nobody could tell it; and is lost with its replica in the end.
#[test]
fn what_was_told_as_late_does_not_stand_while_its_replica_is_unheard() {
    use super::sharing::{late_elsewhere, peers, reason_at};
    let mut bench = late_elsewhere(20_000);
    peers(
        &mut bench,
        &[("a", PeerStanding::Unheard { since_ms: 21_000 }), ("b", PeerStanding::Heard)],
        21_000,
    );
    assert_eq!(reason_at(&mut bench, 120_000), "Ready");
    peers(&mut bench, &[("a", PeerStanding::Lost { at_ms: 120_000 }), ("b", PeerStanding::Heard)], 120_000);
    assert_eq!(reason_at(&mut bench, 129_000), "Ready", "it has its time to be anywhere");
    assert_eq!(reason_at(&mut bench, 131_000), "SessionSilent", "and no freeze any more");
}

/// One that was in session here and may be with a replica that is unheard, which is lost in the end; it appears elsewhere in time,
/// or it does not.
#[test]
fn who_may_have_been_lost_with_a_replica_has_its_time_to_appear() {
    use super::sharing::{away_from_here, comes_to_b, peers, reason_at};
    use PeerStanding::{Heard, Lost, Unheard};
    for comes in [false, true] {
        let mut bench = away_from_here(20_000);
        peers(&mut bench, &[("a", Unheard { since_ms: 21_000 }), ("b", Heard)], 21_000);
        assert_eq!(reason_at(&mut bench, 60_000), "MassLossGuard");
        peers(&mut bench, &[("a", Lost { at_ms: 60_000 }), ("b", Heard)], 60_000);
        assert_eq!(reason_at(&mut bench, 60_000), "MassLossGuard", "not for a moment");
        assert_eq!(reason_at(&mut bench, 69_000), "MassLossGuard");
        if comes {
            comes_to_b(&mut bench, 69_000);
        }
        let after = if comes { "Ready" } else { "SessionSilent" };
        assert_eq!(reason_at(&mut bench, 71_000), after);
        assert_eq!(bench.index.freezes().count(), 0);
    }
}
