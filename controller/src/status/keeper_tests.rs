use rollcall_catalogue::{Port, Registration};

use super::*;
use crate::{
    index::Present,
    status::{managed_object::read, pace::REST, script::key},
};

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
            .map(|(name, uid, at_once)| {
                let registration = read(&key(name), &pods(name)).map(Arc::new);
                (key(name), Present { uid: (*uid).into(), at_once: *at_once, registration, app: None })
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
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
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
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
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
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
    let unwanted = managed(&["web"], &[("orders", "u1", true), ("billing", "u2", false)]);
    assert_eq!(keeper.plan(&unwanted, now), [delete("orders", "u1"), create("web")]);
}

#[test]
fn a_round_has_its_limit_and_what_cannot_be_is_not_tried() {
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
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
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
    keeper.plan(&managed(&[], &[("orders", "u1", false)]), now);
    keeper.rest(&create("orders"), now);
    keeper.plan(&managed(&[], &[]), now + REST);
    assert!(keeper.unwanted.is_empty() && keeper.different.is_empty() && keeper.resting.is_empty());
}

/// An object of this name that is wanted in that namespace.
fn wanted_in(namespace: &str, name: &str) -> (ObjectKey, ManagedSpec) {
    let spec = ManagedSpec { service: format!("{name}.{namespace}").parse().unwrap(), ..pods(name) };
    (ObjectKey { namespace: namespace.parse().unwrap(), name: name.into() }, spec)
}

#[test]
fn namespaces_take_turns_however_much_one_of_them_wants() {
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
    let many = (0..10 * STEPS_MAX).map(|number| wanted_in("a", &format!("s{number}")));
    let few = ["b", "c"].map(|namespace| wanted_in(namespace, "web"));
    let managed = Managed { wanted: many.chain(few).collect(), ..Managed::default() };
    let steps = keeper.plan(&managed, now);
    let namespaces: Vec<_> = steps.iter().map(|step| step.object().namespace.to_string()).collect();
    assert_eq!(
        (namespaces.len(), &namespaces[..4]),
        (STEPS_MAX, &["a", "b", "c", "a"].map(String::from)[..])
    );

    // A round that ends at its first step goes on behind it, and what had no answer is not the first again.
    let mut seen = Vec::new();
    for round in 0..6 {
        let now = now + round * Duration::from_secs(60);
        let first = keeper.plan(&managed, now)[0].clone();
        keeper.unanswered(&first, now);
        seen.push(format!("{}/{}", first.object().namespace, first.object().name));
    }
    assert_eq!(seen, ["a/s0", "b/web", "c/web", "a/s1", "b/web", "c/web"]);
    assert!(keeper.troubled.len() <= 3);
}

#[test]
fn what_is_denied_is_asked_for_ever_more_rarely() {
    let (mut keeper, begin) = (Keeper::new(Jitter::new(7)), Instant::now());
    let (managed, mut tries) = (managed(&["orders"], &[]), Vec::new());
    for second in 0..3_600 {
        let now = begin + Duration::from_secs(second);
        for step in keeper.plan(&managed, now) {
            keeper.rest(&step, now);
            tries.push(second);
        }
    }
    assert_eq!(tries[..2], [0, 60]);
    assert!((7..=12).contains(&tries.len()), "{tries:?}");
    keeper.plan(&Managed::default(), begin + Duration::from_secs(7_200));
    assert!(keeper.resting.is_empty());
}

#[test]
fn what_says_something_else_is_made_anew_when_it_stays_so() {
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
    let mut changed = managed(&["orders"], &[("orders", "u1", false)]);
    let same = changed.clone();
    let ports = vec![Port::tcp(Some("http"), 81)];
    changed.wanted.get_mut(&key("orders")).unwrap().origin = Origin::Pods { version: None, ports };
    let nearly = DIFFERENT_FOR - Duration::from_millis(1);
    assert_eq!(keeper.plan(&changed, now), []);
    assert_eq!(keeper.plan(&changed, now + nearly), []);
    assert_eq!(keeper.plan(&same, now + nearly), []);
    let again = now + DIFFERENT_FOR;
    assert_eq!(keeper.plan(&changed, again), [], "without a break");
    let spec = changed.wanted[&key("orders")].clone();
    let replace = |uid: &str| Step::Replace { object: key("orders"), uid: uid.into(), spec: spec.clone() };
    assert_eq!(keeper.plan(&changed, again + DIFFERENT_FOR), [replace("u1")]);

    // Somebody changes it back each time.
    let (mut uid, mut replaced) = (1, 0);
    for second in 0..3_600 {
        let now = again + DIFFERENT_FOR + Duration::from_secs(second);
        for step in keeper.plan(&changed, now) {
            assert_eq!(step, replace(&format!("u{uid}")));
            keeper.rest(&step, now);
            (uid, replaced) = (uid + 1, replaced + 1);
            changed.present.get_mut(&key("orders")).unwrap().uid = format!("u{uid}").into();
        }
    }
    assert!((6..=12).contains(&replaced), "{replaced}");
}

#[test]
fn a_service_that_opts_out_right_after_it_was_adopted_is_forgotten_right_then() {
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
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

#[test]
fn what_an_app_says_is_kept_as_it_says_it_at_once() {
    let (mut keeper, now) = (Keeper::new(Jitter::new(7)), Instant::now());
    let word = |ports: &str| {
        let said = format!(r#"{{"service":"orders","ports":[{ports}],"beside":true}}"#);
        let said: rollcall_wire::SelfRegistration = serde_json::from_str(&said).unwrap();
        Arc::new(said.judge(&"shop".parse().unwrap()).unwrap())
    };
    let spec = |word: &Arc<Registration>| ManagedSpec {
        service: word.key.clone(),
        origin: Origin::App { pod: "p1".into(), uid: "u1".into(), word: word.clone() },
    };
    let managed = |wanted: Option<&Arc<Registration>>, present: Option<&Arc<Registration>>| Managed {
        wanted: wanted.map(|word| (key("o"), spec(word))).into_iter().collect(),
        present: present
            .map(|word| Present {
                uid: "r1".into(),
                at_once: true,
                registration: None,
                app: Some(word.clone()),
            })
            .map(|present| (key("o"), present))
            .into_iter()
            .collect(),
    };
    let (one, other) = (word(r#"{"port":80}"#), word(r#"{"name":"a","port":80}"#));
    assert_eq!(keeper.plan(&managed(Some(&one), None), now), [Step::Create(key("o"), spec(&one))]);
    keeper.rest(&Step::Create(key("o"), spec(&one)), now);
    assert_eq!(keeper.plan(&managed(Some(&one), Some(&one)), now), []);
    let replace = Step::Replace { object: key("o"), uid: "r1".into(), spec: spec(&other) };
    assert_eq!(keeper.plan(&managed(Some(&other), Some(&one)), now), std::slice::from_ref(&replace));
    keeper.rest(&replace, now);
    assert_eq!(keeper.plan(&managed(Some(&one), Some(&other)), now), [], "who turns all the time waits");
    let delete = Step::Delete { object: key("o"), uid: "r1".into() };
    assert_eq!(keeper.plan(&managed(None, Some(&one)), now), [delete]);
}
