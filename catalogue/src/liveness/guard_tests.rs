use proptest::prelude::*;

use super::*;
use crate::liveness::{Ours, Peers, RegistryHealth, SessionWitness};

#[path = "guard_fleet.rs"]
mod fleet;

use fleet::{CUT_MS, END_MS, Fleet, Session};

fn cut_nodes(sessions: &[usize], nodes: usize) -> Fleet {
    let mut fleet = Fleet::of(sessions, 7);
    fleet.cut(|session| session.node < nodes);
    fleet
}

/// Cuts so many sessions of each node.
fn cut_sessions(sessions: &[usize], lost: &[usize]) -> Fleet {
    let mut fleet = Fleet::of(sessions, 7);
    let mut left = lost.to_vec();
    for session in &mut fleet.sessions {
        if left[session.node] > 0 {
            left[session.node] -= 1;
            session.cut_ms = CUT_MS;
        }
    }
    fleet
}

#[test]
fn what_a_loss_amounts_to() {
    use FreezeCause::*;
    type Case<'a> = (&'a str, Fleet, &'a [&'a str], &'a [FreezeCause]);
    let table: &[Case<'_>] = &[
        ("quiet", cut_nodes(&[10, 10], 0), &[], &[]),
        ("no sessions at all", cut_nodes(&[], 0), &[], &[]),
        ("one node of three", cut_nodes(&[10, 10, 10], 1), &["n0"], &[]),
        ("with one session each", cut_nodes(&[1, 1, 1], 1), &["n0"], &[]),
        ("the one that has them nearly all", cut_nodes(&[60, 1, 1], 1), &["n0"], &[]),
        ("one node of two is half", cut_nodes(&[10, 10], 1), &[], &[Nodes]),
        ("all nodes", cut_nodes(&[10, 10, 9], 3), &[], &[Nodes]),
        ("two of four", cut_nodes(&[4, 4, 9, 9], 2), &[], &[Nodes]),
        ("one session is no mass", cut_nodes(&[1], 1), &["n0"], &[]),
        ("two of four nodes, with one session each", cut_nodes(&[1, 1, 1, 1], 2), &[], &[Nodes]),
        ("five may always go", cut_sessions(&[8], &[5]), &[], &[]),
        ("six of eight", cut_sessions(&[8], &[6]), &[], &[Sessions]),
        ("30 of 100", cut_sessions(&[100], &[30]), &[], &[]),
        ("31 of 100", cut_sessions(&[100], &[31]), &[], &[Sessions]),
        ("a node, and a third of the rest", cut_sessions(&[50, 100, 100], &[50, 40, 1]), &["n0"], &[]),
    ];
    for (name, fleet, failed, causes) in table {
        let then = fleet.clone().then();
        assert_eq!(
            (then.0.iter().map(String::as_str).collect::<Vec<_>>(), &then.1[..]),
            (failed.to_vec(), *causes),
            "{name}"
        );
    }
}

/// The reader's case: the freeze is not diluted by those who come, nor ended by the first who are back.
#[test]
fn a_freeze_is_of_those_who_were_lost_and_ends_with_their_return() {
    let mut fleet = cut_sessions(&[20], &[8]);
    let back = CUT_MS + 20_000;
    for number in 0..10 {
        fleet.sessions.push(Session { begins_ms: CUT_MS + 15_000, ..Session::on(1, number * 250) });
    }
    for (number, session) in fleet.sessions.iter_mut().take(8).enumerate() {
        session.through_ms = (0..14).map(|frame| back + number as u64 * 4_000 + frame * 3_000).collect();
    }
    let mut ended_ms = 0;
    fleet.live(1_000, |fleet, now_ms, assessment| {
        assert_eq!(fleet.silent(now_ms, assessment).0, 0, "at {now_ms}");
        if assessment.causes().next().is_some() {
            ended_ms = now_ms;
        }
    });
    assert!((back + 27_000..back + 29_000).contains(&ended_ms), "with the last of them: {ended_ms}");
}

#[test]
fn one_that_is_lost_after_the_mass_is_back_is_judged_as_usual() {
    let mut fleet = cut_sessions(&[20], &[8]);
    for session in fleet.sessions.iter_mut().take(7) {
        session.through_ms = (0..20).map(|frame| CUT_MS + 15_000 + frame * 3_000).collect();
    }
    fleet.sessions[19].cut_ms = CUT_MS + 30_000;
    assert_eq!(fleet.in_the_end(), (1, 1), "the eighth of them stays spared");
}

#[test]
fn what_was_believed_is_taken_back_when_more_follow() {
    let mut fleet = cut_nodes(&[3; 5], 2);
    let mut third = |node: usize, after_ms: u64| {
        let lost = fleet.sessions.iter_mut().filter(|session| session.node == node);
        lost.for_each(|session| session.cut_ms = CUT_MS + after_ms);
        fleet.clone().in_the_end()
    };
    assert_eq!(third(2, 6_000), (0, 9), "three of five within 10 s");
    assert_eq!(third(2, 20_000), (9, 0), "the third of those that were left, later");
}

#[test]
fn who_joined_after_the_loss_does_not_vouch() {
    let mut fleet = cut_nodes(&[3; 4], 2);
    for node in 4..9 {
        fleet.sessions.push(Session { begins_ms: CUT_MS + 2_000, ..Session::on(node, 0) });
    }
    assert_eq!(fleet.in_the_end(), (0, 6));
}

/// Three of six nodes are cut off; the first is back for good, and of the others come a few frames.
#[test]
fn a_node_is_back_when_it_speaks_without_a_break() {
    let mut fleet = cut_nodes(&[1; 6], 3);
    let frames =
        |from_ms: u64, count: u64| (0..count).map(|frame| CUT_MS + from_ms + frame * 1_500).collect();
    fleet.sessions[0].through_ms = frames(15_000, 40);
    fleet.sessions[1].through_ms = frames(40_000, 3);
    fleet.sessions[2].through_ms = frames(40_000, 3);
    assert_eq!(fleet.clone().in_the_end(), (0, 2), "they were not back");
    fleet.sessions[1].through_ms = frames(44_500, 3);
    fleet.sessions[2].through_ms = frames(44_500, 3);
    for node in [3, 4] {
        fleet.sessions[node].cut_ms = CUT_MS + 40_000;
    }
    assert_eq!(fleet.in_the_end(), (0, 4), "nor do they vouch against others");
}

#[test]
fn who_was_paused_or_blind_believes_no_silence_and_revives_nobody() {
    let paused = OwnHealth { recovering: true, ..OwnHealth::default() };
    let blind = OwnHealth { watches_stale: true, ..OwnHealth::default() };
    for (ill, cause) in [(paused, FreezeCause::Paused), (blind, FreezeCause::StaleWatches)] {
        let mut fleet = cut_nodes(&[5, 5, 5, 5, 5], 1);
        fleet.sessions[24].cut_ms = 5_000;
        for now_ms in (0..CUT_MS).step_by(1_000) {
            fleet.assess(now_ms, &[], OwnHealth::default());
        }
        for now_ms in (CUT_MS..CUT_MS + 20_000).step_by(1_000) {
            let assessment = fleet.assess(now_ms, &[], ill);
            assert!(
                assessment.failed_nodes().is_empty() && assessment.causes().eq([cause]),
                "{assessment:?}"
            );
            assert_eq!(assessment.health(Some("n9"), None), RegistryHealth::Frozen);
            assert_eq!(fleet.silent(now_ms, &assessment).0, 1, "the one that had been judged before");
        }
        let after = fleet.assess(CUT_MS + 20_000, &[], OwnHealth::default());
        assert_eq!(fleet.silent(CUT_MS + 20_000, &after), (6, 0), "and then does");
    }
}

/// Another replica is cut from us, and whoever left us may be there: what vanished since it spoke last is spared, until it is
/// heard again; pods that have no session are none of it.
#[test]
fn who_is_missing_while_a_replica_is_unheard_may_be_there() {
    for since_ms in [CUT_MS, CUT_MS + 3_000] {
        let unheard = OwnHealth { peers_unheard_since_ms: Some(since_ms), ..OwnHealth::default() };
        // One node as a whole; one session here and there; half of all.
        for mut fleet in
            [cut_nodes(&[5, 5, 5, 5, 5], 1), cut_sessions(&[3, 3], &[1, 1]), cut_nodes(&[2, 2], 1)]
        {
            let before = fleet.sessions.len() - 1;
            fleet.sessions[before].cut_ms = 5_000;
            for now_ms in (0..since_ms).step_by(1_000) {
                fleet.assess(now_ms, &[], OwnHealth::default());
            }
            for now_ms in (since_ms..since_ms + 60_000).step_by(1_000) {
                let assessment = fleet.assess(now_ms, &[], unheard);
                assert!(assessment.failed_nodes().is_empty());
                assert!(assessment.causes().any(|cause| cause == FreezeCause::PeersUnheard));
                assert_eq!(fleet.silent(now_ms, &assessment).0, 1, "the one that had been judged before");
                assert_eq!(assessment.health(Some("n9"), None), RegistryHealth::Well);
            }
            let after = fleet.assess(since_ms + 60_000, &[], OwnHealth::default());
            assert!(after.causes().all(|cause| cause != FreezeCause::PeersUnheard));
        }
    }
}

/// It is lost in the end: who was silent by then may have been lost with it, and has its time to appear anywhere; be it one
/// here and there, or all of a node. Who falls silent after that is judged as ever.
#[test]
fn who_was_missing_when_an_unheard_replica_was_lost_has_time_to_appear() {
    let lost_ms = CUT_MS + 30_000;
    for cut in [cut_nodes(&[2, 2, 2, 2, 2], 1), cut_sessions(&[3, 3, 3], &[1, 1, 0])] {
        for unheard_for_ms in [2_500, 30_000] {
            let mut fleet = cut.clone();
            let spared = if unheard_for_ms > SILENT_AFTER_MS { 2 } else { 0 };
            // With a short one, they are silent for long before it begins.
            let judged = 2 - spared;
            fleet.sessions.last_mut().unwrap().cut_ms = lost_ms - 3_000;
            let since_ms = lost_ms - unheard_for_ms;
            for now_ms in (0..lost_ms + 20_000).step_by(500) {
                let is_unheard = (since_ms..lost_ms).contains(&now_ms);
                let own = OwnHealth {
                    peers_unheard_since_ms: is_unheard.then_some(since_ms),
                    unheard_peer_lost_ms: (now_ms >= lost_ms).then_some(lost_ms),
                    ..OwnHealth::default()
                };
                let assessment = fleet.assess(now_ms, &[], own);
                let silent = fleet.silent(now_ms, &assessment);
                let is_frozen = assessment.causes().any(|cause| cause == FreezeCause::PeersUnheard);
                let what = format!("{unheard_for_ms} ms, {} ms after", now_ms.saturating_sub(lost_ms));
                if is_unheard && now_ms >= CUT_MS + SILENT_AFTER_MS {
                    assert_eq!(silent, (judged, spared), "{what}");
                }
                if now_ms < lost_ms {
                    continue;
                }
                let is_over = now_ms >= lost_ms + PEER_LOST_AFTER_MS;
                let late = fleet.sessions.last().unwrap().facts(now_ms).witness(now_ms);
                let is_late = usize::from(late == SessionWitness::Silent);
                assert!(
                    is_late == 1 || now_ms < lost_ms + 6_000,
                    "{what}: it falls silent within the ten seconds"
                );
                let expected = if is_over { (2 + is_late, 0) } else { (judged + is_late, spared) };
                assert_eq!(silent, expected, "{what}");
                assert_eq!(is_frozen, spared > 0 && !is_over, "{what}: a freeze of nobody is none");
            }
        }
    }
}

/// Two of three nodes are cut off, and a replica with them, which is lost between their last words and their silence: the
/// ten seconds of some of them keep nobody from seeing a mass.
#[test]
fn a_mass_that_some_may_have_been_lost_with_a_replica_of_is_one_at_once() {
    for lost_ms in (CUT_MS + 5_500..=CUT_MS + 8_500).step_by(250) {
        let mut fleet = cut_nodes(&[3, 3, 3], 2);
        let since_ms = lost_ms - 5_500;
        for now_ms in (0..END_MS).step_by(250) {
            let own = OwnHealth {
                peers_unheard_since_ms: (since_ms..lost_ms).contains(&now_ms).then_some(since_ms),
                unheard_peer_lost_ms: (now_ms >= lost_ms).then_some(lost_ms),
                ..OwnHealth::default()
            };
            let assessment = fleet.assess(now_ms, &[], own);
            let what = format!("lost {} ms after the cut, at {now_ms}", lost_ms - CUT_MS);
            let spared =
                if now_ms >= CUT_MS + SILENT_AFTER_MS { 6 } else { fleet.silent(now_ms, &assessment).1 };
            assert_eq!(fleet.silent(now_ms, &assessment), (0, spared), "{what}");
        }
    }
}

/// What was lost while we were deaf is weighed together, however long that took.
#[test]
fn a_mass_that_was_lost_while_we_were_blind_is_still_a_mass() {
    for mut fleet in [cut_sessions(&[50, 50], &[20, 20]), cut_nodes(&[5, 5, 5], 2)] {
        for now_ms in (0..END_MS).step_by(1_000) {
            let watches_stale = (CUT_MS..CUT_MS + 40_000).contains(&now_ms);
            let assessment = fleet.assess(now_ms, &[], OwnHealth { watches_stale, ..OwnHealth::default() });
            assert_eq!(fleet.silent(now_ms, &assessment).0, 0, "at {now_ms}");
        }
    }
}

/// Two of four nodes are silent; Kubernetes loses one of them, or both, or none.
#[test]
fn a_doubted_node_is_believed_when_kubernetes_has_lost_it_too() {
    let lost_ms = CUT_MS + 20_000;
    let after = |unknown: &[(usize, u64)], pods_gone: bool| {
        let mut fleet = cut_nodes(&[3; 4], 2);
        for session in fleet.sessions.iter_mut().filter(|session| pods_gone && session.node == 0) {
            session.gone_ms = lost_ms;
        }
        let mut last = (Vec::new(), Vec::new());
        for now_ms in (0..END_MS).step_by(1_000) {
            let assessment = fleet.assess(now_ms, unknown, OwnHealth::default());
            if now_ms < lost_ms + UNKNOWN_SPREAD_MS {
                assert_eq!(fleet.silent(now_ms, &assessment).0, 0, "at {now_ms}");
            }
            last = (assessment.failed_nodes().iter().cloned().collect(), assessment.causes().collect());
        }
        last
    };
    assert_eq!(after(&[], false), (vec![], vec![FreezeCause::Nodes]));
    assert_eq!(after(&[], true), (vec![], vec![FreezeCause::Nodes]), "the other one is still missing");
    assert_eq!(after(&[(0, lost_ms)], false), (vec!["n0".into()], vec![FreezeCause::Nodes]));
    let at_once = [(0, lost_ms), (1, lost_ms + 14_000)];
    assert_eq!(after(&at_once, false), (vec![], vec![FreezeCause::NodesUnknown, FreezeCause::Nodes]));
    let apart = [(0, lost_ms), (1, lost_ms + 16_000)];
    assert_eq!(after(&apart, false), (vec!["n0".into(), "n1".into()], vec![]));
}

#[test]
fn half_of_the_nodes_out_of_sight_at_once_is_kubernetes_own_illness() {
    let mut guard = Guard::default();
    let mut health = |now_ms: u64, unknown: &[Option<u64>]| {
        let nodes = unknown
            .iter()
            .enumerate()
            .map(|(number, since_ms)| (format!("n{number}").into(), NodeView::new(*since_ms)));
        let assessment = guard.assess(now_ms, &nodes.collect(), OwnHealth::default());
        ["n0", "n2"].map(|node| assessment.health(Some(node), None) == RegistryHealth::Frozen)
    };
    assert_eq!(health(100_000, &[Some(99_000), None, None, None]), [false, false], "one of four");
    assert_eq!(
        health(101_000, &[Some(80_000), Some(100_000), None, None]),
        [false, false],
        "one after the other"
    );
    assert_eq!(health(102_000, &[Some(101_000), Some(100_000), None, None]), [true, true]);
    assert_eq!(
        health(200_000, &[Some(101_000), Some(100_000), None, None]),
        [true, true],
        "they are not back"
    );
    assert_eq!(
        health(201_000, &[Some(101_000), Some(100_000), None, None, None]),
        [true, true],
        "nor by a fifth"
    );
    assert_eq!(health(202_000, &[Some(101_000), None, None, None, None]), [true, false], "all but one");
    assert_eq!(health(203_000, &[None, None, None, None, None]), [false, false]);
    assert_eq!(health(204_000, &[Some(203_500)]), [true, true], "all of them");
}

fn cases() -> ProptestConfig {
    crate::testing::cases(64)
}

fn step() -> impl Strategy<Value = u64> {
    prop_oneof![Just(100u64), Just(1_000)]
}

fn any_session() -> impl Strategy<Value = Session> {
    let begins_ms = prop_oneof![3 => Just(0u64), 1 => 0u64..40_000];
    let gone_ms = prop_oneof![3 => Just(u64::MAX), 1 => 40_000u64..90_000];
    let through_ms = proptest::collection::vec(30_000u64..90_000, 0..4);
    (0usize..6, 0u64..3_000, begins_ms, 20_000u64..60_000, through_ms, gone_ms).prop_map(
        |(node, phase_ms, begins_ms, cut_ms, through_ms, gone_ms)| Session {
            node,
            phase_ms,
            begins_ms,
            cut_ms,
            through_ms,
            gone_ms,
        },
    )
}

proptest! {
    #![proptest_config(cases())]

    /// Half of the nodes are cut off, or more, or all. Nobody is ever judged for it: whenever each was heard last,
    /// however often we look, whoever joins or leaves, and if a frame gets through now and then.
    #[test]
    fn nobody_is_taken_out_in_a_mass_loss(
        sessions in proptest::collection::vec(1usize..8, 1..14),
        more in prop_oneof![Just(0.0), 0.0..1.0f64],
        seed: u64,
        step_ms in step(),
        through in proptest::collection::vec((any::<prop::sample::Index>(), 10_000u64..50_000), 0..3),
        joins in proptest::collection::vec((0u64..50_000, 1usize..4), 0..6),
        leaves in proptest::collection::vec((any::<prop::sample::Index>(), 13_000u64..50_000), 0..6),
    ) {
        let nodes = sessions.len();
        let cut = (nodes.div_ceil(2) + ((nodes / 2 + 1) as f64 * more) as usize).min(nodes);
        prop_assume!(sessions[..cut].iter().sum::<usize>() >= NODES_SESSIONS_AT_LEAST);
        let mut fleet = Fleet::of(&sessions, seed);
        fleet.cut(|session| session.node < cut);
        let lost: Vec<usize> = (0..fleet.sessions.len()).filter(|at| fleet.sessions[*at].node < cut).collect();
        for (which, after_ms) in through {
            fleet.sessions[*which.get(&lost)].through_ms.push(CUT_MS + after_ms);
        }
        for (which, after_ms) in leaves {
            which.get_mut(&mut fleet.sessions).gone_ms = CUT_MS + after_ms;
        }
        for (number, (after_ms, count)) in joins.into_iter().enumerate() {
            for _ in 0..count {
                let begins_ms = CUT_MS + after_ms;
                fleet.sessions.push(Session { begins_ms, ..Session::on(nodes + number, 0) });
            }
        }
        let mut taken_out = Vec::new();
        fleet.live(step_ms, |fleet, now_ms, assessment| {
            if fleet.silent(now_ms, assessment).0 > 0 {
                taken_out.push((now_ms, assessment.clone()));
            }
        });
        prop_assert!(taken_out.is_empty(), "{:?}", taken_out[0]);
    }

    /// Fewer than half of the nodes die: all of their instances are out with the first look at their silence, 9 s after
    /// the cut at the latest, and that is no mass loss to anybody.
    #[test]
    fn a_minority_of_dead_nodes_is_believed_in_time(
        sessions in proptest::collection::vec(1usize..30, 3..12),
        fewer in 0.0..1.0f64,
        seed: u64,
        step_ms in step(),
    ) {
        let nodes = sessions.len();
        let cut = 1 + (((nodes - 1) / 2) as f64 * fewer) as usize;
        let mut fleet = Fleet::of(&sessions, seed);
        fleet.cut(|session| session.node < cut);
        let dead: usize = sessions[..cut].iter().sum();
        let mut wrong = Vec::new();
        fleet.live(step_ms, |fleet, now_ms, assessment| {
            let (out, _) = fleet.silent(now_ms, assessment);
            let late = now_ms >= CUT_MS + SILENT_AFTER_MS && out != dead;
            if late || assessment.causes().next().is_some() {
                wrong.push((now_ms, out, assessment.clone()));
            }
        });
        prop_assert!(wrong.is_empty(), "{:?}", wrong[0]);
    }

    /// Of sessions that vanish while their nodes still speak, more than the mass are all spared, and fewer are all
    /// judged.
    #[test]
    fn sessions_are_spared_together_or_not_at_all(
        nodes in proptest::collection::vec((6usize..30, 0.0..1.0f64), 1..6),
        share in 0.1..0.9f64,
        seed: u64,
        step_ms in step(),
    ) {
        let sessions: Vec<usize> = nodes.iter().map(|(count, _)| *count).collect();
        let mut fleet = Fleet::of(&sessions, seed);
        let lost: Vec<usize> =
            nodes.iter().map(|(count, part)| ((*count as f64 * share * 2.0 * part) as usize).min(count - 1)).collect();
        let mut left = lost.clone();
        for session in &mut fleet.sessions {
            if left[session.node] > 0 {
                left[session.node] -= 1;
                session.cut_ms = CUT_MS;
            }
        }
        let (all, lost) = (sessions.iter().sum::<usize>(), lost.iter().sum::<usize>());
        let mass = lost > (all * 30 / 100).max(5);
        let mut wrong = Vec::new();
        fleet.live(step_ms, |fleet, now_ms, assessment| {
            let (out, spared) = fleet.silent(now_ms, assessment);
            if if mass { out > 0 } else { spared > 0 } {
                wrong.push((now_ms, out, spared));
            }
        });
        prop_assert!(wrong.is_empty(), "mass {mass}, {lost} of {all}: {:?}", wrong[0]);
    }

    /// Whatever is cut off, comes back, joins and leaves: who was spared is spared until it is heard again, or gone.
    #[test]
    fn a_freeze_ends_only_with_return(
        sessions in proptest::collection::vec(any_session(), 1..60),
        together in 0.0..1.0f64,
        step_ms in step(),
    ) {
        let mut fleet = Fleet { sessions, ..Fleet::default() };
        let at_once = (together * fleet.sessions.len() as f64) as usize;
        fleet.sessions.iter_mut().take(at_once).for_each(|session| session.cut_ms = CUT_MS);
        let mut spared: BTreeMap<usize, u64> = BTreeMap::new();
        let mut ended = Vec::new();
        fleet.live(step_ms, |fleet, now_ms, assessment| {
            for (number, session) in fleet.sessions.iter().enumerate() {
                let facts = session.facts(now_ms);
                let word_ms = facts.last_word_ms(now_ms);
                let there = (session.begins_ms..session.gone_ms).contains(&now_ms);
                let silent = there && facts.witness(now_ms) == SessionWitness::Silent;
                let frozen = silent && assessment.health(Some(&session.name()), word_ms) == RegistryHealth::Frozen;
                if silent && !frozen && spared.get(&number).copied() == word_ms && word_ms.is_some() {
                    ended.push((now_ms, number, assessment.clone()));
                }
                match word_ms.filter(|_| frozen) {
                    Some(word_ms) => spared.insert(number, word_ms),
                    None => spared.remove(&number),
                };
            }
        });
        prop_assert!(ended.is_empty(), "{:?}", ended[0]);
    }
}
