//! How services are used, as far as it is taken note of.

use super::{replicas::greeting, *};
use crate::{Reports, limits::USAGE_EVERY};

fn used(lookups: u64) -> Vec<ServiceUsage> {
    let reports = Reports { success: 1, failure: 0, latency_ms: 3 };
    vec![ServiceUsage { service: key("orders.shop"), lookups, last_lookup_ago_ms: Some(0), reports }]
}

fn say(lookups: u64) -> Up {
    Up::Usage { services: used(lookups) }
}

fn greeted(protocol: &str) -> Session {
    let mut session = Session::silent(&Registry::of(&[("orders.shop", &[1])]));
    session.hear(greeting(protocol));
    session
}

#[test]
fn it_is_heard_of_clients_that_may_say_it() {
    for older in ["1.0", "1.1"] {
        let mut s = greeted(older);
        assert_eq!((s.hear(say(1)), s.server.unknown_frames()), (vec![], 1), "{older}");
    }
    let mut s = greeted("1.2");
    assert_eq!(s.hear(say(1)), [Heard::Used(used(1))]);
    assert_eq!(s.hear(Up::Usage { services: vec![] }), []);
    let before = Session::silent(&Registry::of(&[])).server.hear(say(1), 0);
    assert_eq!(before, Err(Violation::Hello));
}

#[test]
fn who_says_too_much_of_it_is_not_listened_to_and_stays() {
    let mut s = greeted("1.2");
    let all = Up::Usage { services: vec![used(1).remove(0); SUBSCRIPTIONS_MAX] };
    assert!(matches!(&s.hear(all.clone())[..], [Heard::Used(taken)] if taken.len() == SUBSCRIPTIONS_MAX));
    assert_eq!((s.hear(all.clone()), s.hear(say(2))), (vec![], vec![]));
    s.now_ms += milliseconds(USAGE_EVERY);
    assert_eq!(s.hear(say(3)), [Heard::Used(used(3))]);
    assert_eq!(s.server.farewell(), None);
}
