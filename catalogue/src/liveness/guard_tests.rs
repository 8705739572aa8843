use proptest::prelude::*;

use super::*;

fn cluster<const N: usize>(nodes: [(u32, u32, u32); N]) -> BTreeMap<Arc<str>, NodeView> {
    let named = nodes.into_iter().enumerate().map(|(number, (live, missing, recently_missing))| {
        (format!("n{number}").into(), NodeView { live, missing, recently_missing, ..NodeView::default() })
    });
    named.collect()
}

fn at_once<const N: usize>(nodes: [(u32, u32, u32); N]) -> Assessment {
    Guard::default().assess(&cluster(nodes), OwnHealth::default()).clone()
}

/// The one cause of a freeze, where there is one.
fn only(assessment: &Assessment) -> Option<FreezeCause> {
    assert!(assessment.causes.len() <= 1, "{assessment:?}");
    assessment.causes.first().copied()
}

#[test]
fn what_a_loss_amounts_to() {
    use FreezeCause::*;
    // Nodes as (live, missing, recently missing); the numbers of the failed ones; the freeze.
    type Case<'a> = (&'a str, Assessment, &'a [&'a str], Option<FreezeCause>);
    let table: &[Case<'_>] = &[
        ("quiet", at_once([(10, 0, 0), (10, 0, 0)]), &[], None),
        ("no sessions at all", at_once([]), &[], None),
        ("one node of three", at_once([(0, 10, 10), (10, 0, 0), (10, 0, 0)]), &["n0"], None),
        ("one node of two is half", at_once([(0, 10, 10), (10, 0, 0)]), &[], Some(Nodes)),
        ("all nodes", at_once([(0, 10, 10), (0, 10, 10), (0, 9, 9)]), &[], Some(Nodes)),
        ("two of four", at_once([(0, 4, 4), (0, 4, 4), (9, 0, 0), (9, 0, 0)]), &[], Some(Nodes)),
        ("an empty node is none", at_once([(0, 10, 10), (10, 0, 0), (0, 0, 0)]), &[], Some(Nodes)),
        ("five may always go", at_once([(3, 5, 5)]), &[], None),
        ("six of eight", at_once([(2, 6, 6)]), &[], Some(Sessions)),
        ("30 of 100", at_once([(70, 30, 30)]), &[], None),
        ("31 of 100", at_once([(69, 31, 31)]), &[], Some(Sessions)),
        ("31 of 100 over an hour", at_once([(69, 31, 4)]), &[], None),
        ("a node, and a third of the rest", at_once([(0, 50, 50), (60, 40, 40), (99, 1, 1)]), &["n0"], None),
        (
            "a node, and half of the rest",
            at_once([(0, 9, 9), (50, 50, 50), (50, 50, 50)]),
            &["n0"],
            Some(Sessions),
        ),
        ("one session on one node", at_once([(0, 1, 1)]), &[], None),
    ];
    for (name, assessment, failed, freeze) in table {
        let names: Vec<&str> = assessment.failed_nodes.iter().map(AsRef::as_ref).collect();
        assert_eq!((&names[..], only(assessment)), (*failed, *freeze), "{name}");
    }
}

#[test]
fn a_failed_node_is_judged_while_the_rest_is_frozen() {
    let assessment = at_once([(0, 9, 9), (50, 50, 50), (50, 50, 50)]);
    assert_eq!(assessment.health(Some("n0")), RegistryHealth::Well);
    assert_eq!(assessment.health(Some("n1")), RegistryHealth::Frozen);
    assert_eq!(assessment.health(None), RegistryHealth::Frozen);
    assert_eq!(Assessment::default().health(Some("n1")), RegistryHealth::Well);
}

#[test]
fn a_freeze_outlives_its_window_and_ends_when_they_are_back() {
    let mut guard = Guard::default();
    let own = OwnHealth::default();
    let mut freeze = |nodes| only(guard.assess(&cluster(nodes), own));
    assert_eq!(freeze([(40, 60, 60), (100, 0, 0)]), None, "60 of 200 are 30 %");
    assert_eq!(freeze([(20, 80, 80), (100, 0, 0)]), Some(FreezeCause::Sessions));
    assert_eq!(freeze([(20, 80, 0), (100, 0, 0)]), Some(FreezeCause::Sessions), "nobody came back");
    assert_eq!(freeze([(60, 40, 0), (100, 0, 0)]), None, "most did");
    assert_eq!(freeze([(20, 80, 0), (100, 0, 0)]), None, "old losses freeze nothing anew");
}

#[test]
fn a_node_that_was_given_up_stays_so_until_it_is_heard() {
    let mut guard = Guard::default();
    let own = OwnHealth::default();
    let three = |a, b, c| cluster([a, b, c]);
    assert_eq!(guard.assess(&three((0, 9, 9), (9, 0, 0), (9, 0, 0)), own).failed_nodes.len(), 1);
    // A second one: half of the two that were left.
    let then = guard.assess(&three((0, 9, 0), (0, 9, 9), (9, 0, 0)), own).clone();
    assert_eq!((then.failed_nodes.len(), only(&then)), (1, Some(FreezeCause::Nodes)));
    assert_eq!(then.health(Some("n0")), RegistryHealth::Well);
    let back = guard.assess(&three((1, 8, 0), (9, 0, 0), (9, 0, 0)), own);
    assert!(*back == Assessment::default());
}

#[test]
fn who_was_paused_or_blind_believes_no_silence() {
    let nodes = cluster([(0, 10, 10), (10, 0, 0), (10, 0, 0)]);
    let paused = OwnHealth { recovering: true, ..OwnHealth::default() };
    let blind = OwnHealth { watches_stale: true, ..OwnHealth::default() };
    for (own, cause) in [(paused, FreezeCause::Paused), (blind, FreezeCause::StaleWatches)] {
        let mut guard = Guard::default();
        let assessment = guard.assess(&nodes, own).clone();
        assert!(assessment.failed_nodes.is_empty() && only(&assessment) == Some(cause), "{assessment:?}");
        assert_eq!(guard.assess(&nodes, OwnHealth::default()).failed_nodes.len(), 1, "and then does");
    }
}

#[test]
fn half_of_the_nodes_out_of_sight_at_once_is_kubernetes_own_illness() {
    let seen = NodeView { live: 5, ..NodeView::default() };
    let fresh = NodeView { unknown: true, recently_unknown: true, ..seen };
    let old = NodeView { recently_unknown: false, ..fresh };
    let mut guard = Guard::default();
    let mut freeze = |nodes: &[NodeView]| {
        let named = nodes.iter().enumerate().map(|(number, node)| (format!("n{number}").into(), *node));
        only(guard.assess(&named.collect(), OwnHealth::default()))
    };
    assert_eq!(freeze(&[fresh, seen, seen]), None, "one of three");
    assert_eq!(freeze(&[old, old, seen]), None, "one after the other");
    assert_eq!(freeze(&[fresh, fresh, seen]), Some(FreezeCause::NodesUnknown));
    assert_eq!(freeze(&[old, old, seen]), Some(FreezeCause::NodesUnknown), "they are not back");
    assert_eq!(freeze(&[old, seen, seen]), None);
    assert_eq!(freeze(&[fresh]), Some(FreezeCause::NodesUnknown), "all of them");
}

/// Six of eight were judged one after the other; that we were paused since gives them no second life.
#[test]
fn a_freeze_for_one_cause_revives_nobody_for_another() {
    let nodes = cluster([(2, 6, 0), (9, 0, 0), (9, 0, 0)]);
    let mut guard = Guard::default();
    let paused = OwnHealth { recovering: true, ..OwnHealth::default() };
    assert_eq!(only(guard.assess(&nodes, paused)), Some(FreezeCause::Paused));
    assert_eq!(only(guard.assess(&nodes, OwnHealth::default())), None);
}

#[test]
fn missed_ticks_are_a_pause() {
    let mut ticks = Ticks::default();
    assert!(!ticks.recovering(1_000_000), "not begun yet");
    for second in 0..10 {
        ticks.tick(second * 1_000);
        assert!(!ticks.recovering(second * 1_000 + 999));
    }
    assert!(ticks.recovering(9_000 + 30_000), "asked before the late tick itself");
    ticks.tick(39_000);
    assert!(ticks.recovering(39_000 + RECOVERY_MS - 1));
    for second in 40..60 {
        ticks.tick(second * 1_000);
    }
    assert!(!ticks.recovering(59_000));
}

proptest! {
    /// Nodes are believed dead only in the minority, whatever happened before, and a fleet that is heard is free.
    #[test]
    fn never_more_than_the_minority_at_once(
        history in proptest::collection::vec(proptest::collection::vec((0u32..4, 0u32..12, 0u32..12), 5), 1..12),
    ) {
        let mut guard = Guard::default();
        for nodes in history {
            let nodes: [_; 5] = nodes.try_into().unwrap();
            let nodes = cluster(nodes.map(|(live, missing, recent): (u32, u32, u32)| (live, missing, recent.min(missing))));
            let before = guard.assessment.failed_nodes.clone();
            let after = guard.assess(&nodes, OwnHealth::default());
            let new = after.failed_nodes.difference(&before).count();
            let speaking = nodes.iter().filter(|(name, n)| n.live + n.missing > 0 && !before.contains(*name) || n.live > 0);
            prop_assert!(new * 2 < speaking.count() || new == 0);
            prop_assert!(after.failed_nodes.iter().all(|name| nodes[name].live == 0));
        }
        let heard = cluster([(9, 0, 0); 5]);
        prop_assert_eq!(guard.assess(&heard, OwnHealth::default()), &Assessment::default());
    }
}
