use super::*;
use crate::testing::{Registry, key};

fn head() -> Head {
    Registry::of(&[("orders.shop", &[1])]).service("orders.shop").head()
}

#[test]
fn what_was_used_longest_ago_is_forgotten_first() {
    let (head, mut held) = (head(), Encodings::default());
    let (name, base) = (key("orders.shop"), |n: u64| Some(ContentHash(n)));
    let each = ENCODED_BYTES_MAX / 4;
    for n in 0..4 {
        held.find_or_add(&name, base(n), &head);
        held.weigh(&name, base(n), &head, each - ENTRY_BYTES);
    }
    assert!((0..4).all(|n| held.find(&name, base(n), &head).is_some()), "all of them fit");
    assert!(held.find(&name, base(0), &head).is_some(), "used once more");
    held.find_or_add(&key("billing.shop"), None, &head);
    let kept: Vec<_> = (0..4).filter(|n| held.find(&name, base(*n), &head).is_some()).collect();
    assert_eq!(kept, [0, 2, 3]);
    assert_eq!(held.bytes, 3 * each + ENTRY_BYTES);

    held.weigh(&key("billing.shop"), None, &head, 2 * ENCODED_BYTES_MAX);
    held.find_or_add(&key("billing.shop"), None, &head);
    assert_eq!(held.uses.len(), 1, "it takes the room of all others");
    assert_eq!((held.services.len(), held.bytes > ENCODED_BYTES_MAX), (1, true), "and stays itself");
    held.forget(&key("billing.shop"));
    assert_eq!((held.services.len(), held.uses.len(), held.bytes), (0, 0, 0));
    held.weigh(&name, None, &head, 1);
    assert_eq!(held.bytes, 0, "what is forgotten weighs nothing");
}

#[test]
fn entries_without_frames_are_bounded_too() {
    let (head, mut held) = (head(), Encodings::default());
    for n in 0..2 * (ENCODED_BYTES_MAX / ENTRY_BYTES) as u64 {
        held.find_or_add(&key(&format!("s{}.shop", n % 512)), Some(ContentHash(n)), &head);
    }
    assert_eq!(held.uses.len(), ENCODED_BYTES_MAX / ENTRY_BYTES);
    assert_eq!(held.services.values().map(Vec::len).sum::<usize>(), held.uses.len());
}
