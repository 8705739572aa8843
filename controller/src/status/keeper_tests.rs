use rollcall_catalogue::Port;

use super::*;
use crate::{index::Present, status::script::key};

fn pods(service: &str) -> ManagedSpec {
    ManagedSpec {
        service: format!("{service}.shop").parse().unwrap(),
        origin: Origin::Pods { version: None, ports: vec![Port::tcp(Some("http"), 80)] },
    }
}

fn managed(wanted: &[&str], present: &[(&str, &str, bool)]) -> Managed {
    Managed {
        wanted: wanted.iter().map(|name| (key(name), pods(name))).collect(),
        present: present
            .iter()
            .map(|(name, uid, of_service)| {
                (key(name), Present { uid: (*uid).into(), of_service: *of_service })
            })
            .collect(),
    }
}

fn create(name: &str) -> Step {
    Step::Create(key(name), pods(name))
}

fn delete(name: &str, uid: &str) -> Step {
    Step::Delete { object: key(name), uid: uid.into() }
}

#[test]
fn what_is_missing_is_created_once_and_again_after_a_rest() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    let wanted = managed(&["orders", "billing"], &[("billing", "u", false)]);
    assert_eq!(keeper.plan(&wanted, now), [create("orders")]);
    keeper.rest(&create("orders"), now);
    assert_eq!(
        keeper.plan(&wanted, now + KEEP_EVERY),
        [],
        "the watch has not shown it yet, or it is a person's"
    );
    assert_eq!(keeper.plan(&wanted, now + REST), [create("orders")]);
}

#[test]
fn what_nobody_wants_stays_for_ten_minutes_without_a_break() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    let unwanted = managed(&[], &[("orders", "u1", false)]);
    let nearly = UNWANTED_FOR - Duration::from_millis(1);
    assert_eq!(keeper.plan(&unwanted, now), []);
    assert_eq!(keeper.plan(&unwanted, now + nearly), []);
    assert_eq!(keeper.plan(&managed(&["orders"], &[("orders", "u1", false)]), now + nearly), []);
    let again = now + UNWANTED_FOR;
    assert_eq!(keeper.plan(&unwanted, again), [], "a pod came and went: from here on");
    assert_eq!(keeper.plan(&unwanted, again + nearly), []);
    let anew = managed(&[], &[("orders", "u2", false)]);
    assert_eq!(keeper.plan(&anew, again + UNWANTED_FOR), [], "another object of this name");
    assert_eq!(keeper.plan(&anew, again + 2 * UNWANTED_FOR), [delete("orders", "u2")]);
}

#[test]
fn that_of_a_service_goes_at_once() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    let unwanted = managed(&["web"], &[("orders", "u1", true), ("billing", "u2", false)]);
    assert_eq!(keeper.plan(&unwanted, now), [delete("orders", "u1"), create("web")]);
}

#[test]
fn a_round_has_its_limit_and_what_cannot_be_is_not_tried() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    let names: Vec<_> = (0..2 * STEPS_MAX).map(|number| format!("s{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut all = managed(&names, &[]);
    assert_eq!(keeper.plan(&all, now).len(), STEPS_MAX);
    for step in keeper.plan(&all, now) {
        keeper.rest(&step, now);
    }
    assert_eq!(keeper.plan(&all, now).len(), STEPS_MAX, "the other half");
    for spec in all.wanted.values_mut() {
        spec.origin = Origin::Pods { version: None, ports: Vec::new() };
    }
    assert_eq!(keeper.plan(&all, now + REST), []);
}

#[test]
fn nothing_is_remembered_of_what_is_gone() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    keeper.plan(&managed(&[], &[("orders", "u1", false)]), now);
    keeper.rest(&create("orders"), now);
    keeper.plan(&managed(&[], &[]), now + REST);
    assert!(keeper.unwanted.is_empty() && keeper.resting.is_empty());
}

#[test]
fn a_service_that_opts_out_right_after_it_was_adopted_is_forgotten_right_then() {
    let (mut keeper, now) = (Keeper::default(), Instant::now());
    let step = keeper.plan(&managed(&["orders"], &[]), now).remove(0);
    keeper.rest(&step, now);
    let opted_out = managed(&[], &[("orders", "u1", true)]);
    let delete = Step::Delete { object: key("orders"), uid: "u1".into() };
    assert_eq!(keeper.plan(&opted_out, now + KEEP_EVERY), std::slice::from_ref(&delete));
    // And is not deleted or created once more while the watch may not have shown it.
    keeper.rest(&delete, now + KEEP_EVERY);
    assert_eq!(keeper.plan(&opted_out, now + KEEP_EVERY * 2), []);
    assert_eq!(keeper.plan(&managed(&["orders"], &[]), now + KEEP_EVERY * 3), []);
}
