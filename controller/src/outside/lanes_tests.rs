use super::*;

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

/// The names of those who get a place now, in order.
fn take_all(lanes: &mut Lanes<u32>, now_ms: u64) -> Vec<String> {
    std::iter::from_fn(|| lanes.take(now_ms)).map(|(namespace, who)| format!("{namespace}{who}")).collect()
}

#[test]
fn the_namespace_with_the_fewest_under_way_is_next() {
    let mut lanes = Lanes::default();
    for who in 0..3 {
        lanes.wait(&namespace("a"), u64::from(who), who);
    }
    assert_eq!(take_all(&mut lanes, 1), ["a0", "a1"]);
    lanes.wait(&namespace("b"), 5, 0);
    lanes.wait(&namespace("b"), 6, 1);
    lanes.wait(&namespace("c"), 9, 0);
    // a2 is due for longest, and has to wait until the others have as many.
    assert_eq!(take_all(&mut lanes, 8), ["b0", "b1", "a2"]);
    assert_eq!(lanes.next_at_ms(), Some(9));
}

#[test]
fn a_namespace_with_much_overdue_does_not_keep_back_one_that_is_due_now() {
    let mut lanes = Lanes::default();
    for who in 0..1_000 {
        lanes.wait(&namespace("a"), 0, who);
    }
    lanes.wait(&namespace("b"), 500, 0);
    let mut taken = Vec::new();
    for now_ms in 499..503 {
        // Each is answered before the next is asked: none is under way.
        let (of, who) = lanes.take(now_ms).unwrap();
        lanes.give_back(&of);
        taken.push(format!("{of}{who}"));
    }
    assert_eq!(taken, ["a0", "a1", "b0", "a2"]);
}

#[test]
fn some_places_are_kept_for_namespaces_that_have_none() {
    let mut lanes = Lanes::default();
    let few = IN_FLIGHT_MAX / IN_FLIGHT_OF_NAMESPACE_MAX;
    for who in 0..1_000 {
        lanes.wait(&namespace(&format!("few{}", who as usize % few)), 0, who);
    }
    assert_eq!(take_all(&mut lanes, 0).len(), IN_FLIGHT_MAX - IN_FLIGHT_KEPT);
    assert_eq!(lanes.next_at_ms(), None);
    for who in 0..100 {
        lanes.wait(&namespace(&format!("new{who:02}")), 0, 0);
        lanes.wait(&namespace(&format!("new{who:02}")), 0, 1);
    }
    let new: Vec<_> = take_all(&mut lanes, 0);
    assert_eq!(new.len(), IN_FLIGHT_KEPT);
    assert!(new.iter().all(|name| name.starts_with("new") && name.ends_with('0')), "one of each: {new:?}");
    assert_eq!(lanes.next_at_ms(), None);
    lanes.give_back(&namespace("few0"));
    assert_eq!(take_all(&mut lanes, 0), ["new160"]);
}

#[test]
fn nothing_is_kept_of_a_namespace_that_is_gone() {
    let mut lanes = Lanes::default();
    lanes.wait(&namespace("a"), 3, 0);
    lanes.wait(&namespace("a"), 4, 1);
    lanes.leave(&namespace("a"), 4, 1);
    assert_eq!(take_all(&mut lanes, 9), ["a0"]);
    assert!(!lanes.is_empty());
    lanes.give_back(&namespace("a"));
    assert!(lanes.is_empty());
}
