//! The list of all services.

use rollcall_catalogue::Visibility;

use super::*;
use crate::limits::FRAME_BYTES_MAX;

fn list(wanted: bool) -> Up {
    match wanted {
        true => Up::Subscribe { services: vec![], summary: true },
        false => Up::Unsubscribe { services: vec![], summary: true },
    }
}

#[test]
fn a_list_is_told_whole_and_then_what_changes() {
    let mut registry = Registry::of(&[("orders.shop", &[1, 2]), ("billing.shop", &[3])]);
    registry.set_seen("secret.other", &[1], Visibility::own());
    let mut s = Session::open(&registry, hello());
    assert!(s.hear(list(true)).is_empty());
    let whole = ["summary whole billing.shop:1/1,orders.shop:2/2", "synced 3 summary"];
    assert_eq!(s.acked(&registry), whole);
    assert!(s.acked(&registry).is_empty());

    registry.set("orders.shop", &[1]);
    registry.set("new.shop", &[1]);
    registry.remove("billing.shop");
    registry.set_seen("secret.other", &[1, 2], Visibility::own());
    assert!(s.acked(&registry).is_empty(), "not twice in a second");
    s.wait(1_000);
    assert_eq!(s.now_ms, 1_000);
    let changes = "summary new.shop:1/1,orders.shop:1/1 -billing.shop";
    assert_eq!(s.acked(&registry), [changes], "nobody asked: nothing is to be acknowledged");
    registry.set("orders.shop", &[7]);
    registry.set("new.shop", &[]);
    registry.set("new.shop", &[1]);
    s.acked(&registry);
    s.wait(1_500);
    assert_eq!(s.now_ms, 2_000);
    assert!(s.server.speak(&registry.snapshot, s.now_ms).is_none(), "it counts as before");
    registry.set_seen("secret.other", &[1, 2], Visibility::Cluster);
    registry.set_seen("orders.shop", &[7], Visibility::Namespaces([].into()));
    s.acked(&registry);
    s.wait(1_000);
    assert_eq!(s.acked(&registry), ["summary secret.other:2/2"]);
    registry.set_seen("secret.other", &[1, 2], Visibility::own());
    s.acked(&registry);
    s.wait(1_000);
    assert_eq!(s.acked(&registry), ["summary  -secret.other"], "it is gone, whatever became of it");

    s.hear(list(true));
    assert_eq!(s.acked(&registry), ["synced 13 summary"], "asked again, and answered");
    s.hear(list(false));
    registry.set("orders.shop", &[1, 2]);
    assert!(s.acked(&registry).is_empty());
    s.now_ms += 2_000;
    s.server.tick(s.now_ms);
    assert!(s.acked(&registry).is_empty());
    s.hear(list(true));
    assert_eq!(s.acked(&registry)[0], "summary whole new.shop:1/1,orders.shop:2/2");
}

#[test]
fn an_empty_list_is_told_too() {
    let registry = Registry::new();
    let mut s = Session::open(&registry, hello());
    s.hear(list(true));
    assert_eq!(s.acked(&registry), ["summary whole ", "synced 0 summary"]);
}

#[test]
fn a_long_list_is_told_in_parts_after_the_services() {
    let mut registry = Registry::new();
    let name = |n: usize| format!("{}-{n:04}.shop", "s".repeat(40));
    (0..3_000).for_each(|n| registry.set(&name(n), &[1]));
    let mut s = Session::open(&registry, hello());
    s.hear(list(true));
    s.hear(subscribe(&["orders"]));
    s.server.look(&registry.snapshot, registry.number, &Arc::default());
    assert_eq!(s.one(&registry).unwrap(), "synced 3000 orders.shop");
    let (mut told, mut frames) = (0, 0);
    loop {
        let bytes = s.server.speak(&registry.snapshot, 0).unwrap();
        assert!(bytes.len() <= FRAME_BYTES_MAX + 1);
        let Down::Summary { services, whole, .. } = serde_json::from_slice(&bytes).unwrap() else {
            assert_eq!(short(&bytes), "synced 3000 summary");
            break;
        };
        assert_eq!(whole, frames == 0);
        (told, frames) = (told + services.len(), frames + 1);
        // It changes while it is told: this one is told again.
        registry.set(&name(0), &[1; 0]);
    }
    assert_eq!((told, frames), (3_000, 2));
}

/// What the ring has forgotten is found by looking at everything.
#[test]
fn a_list_that_is_far_behind_is_compared_as_a_whole() {
    let mut registry = Registry::of(&[("a.shop", &[1]), ("b.shop", &[1]), ("c.shop", &[1])]);
    let mut s = Session::open(&registry, hello());
    s.hear(list(true));
    s.acked(&registry);
    registry.remove("a.shop");
    registry.set("b.shop", &[1, 2]);
    for turn in 0..5_000u16 {
        registry.set("busy.shop", &[turn as u8, (turn >> 8) as u8]);
    }
    assert_eq!(registry.feed.changed_since(3), None);
    s.acked(&registry);
    s.wait(1_000);
    assert_eq!(s.acked(&registry), ["summary b.shop:2/2,busy.shop:2/2 -a.shop"]);
}
