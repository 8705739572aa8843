use futures::{FutureExt, future::join_all};
use rollcall_catalogue::{ContentHash, Policy, Service, changes::Head};

use super::*;
use crate::{
    agent::errands,
    api::{RESOLVING_MAX, WAITING_MAX},
    own::Own,
    owners::{Owner, Owners},
    store::store,
};

fn held(revision: u64) -> Known {
    let head = Head { revision, hash: ContentHash(1), policy: Policy::default(), truncated: false };
    let service = Arc::new(Service::of(head, Vec::new()));
    Known::Service(Arc::new(Held::new("orders.shop".parse().unwrap(), service, false)))
}

#[test]
fn an_old_denial_is_no_answer() {
    let name: ServiceKey = "orders.shop".parse().unwrap();
    assert_eq!(no_such_service(&name, UNKNOWN_AGE_MAX).slug, Slug::UnknownService);
    assert_eq!(no_such_service(&name, UNKNOWN_AGE_MAX + 1).slug, Slug::NotSynced);
}

#[test]
fn who_has_what_is_known_waits_and_who_has_less_does_not() {
    let asked = |query: &str| Asked::of(Some(query)).unwrap();
    for (query, known, blocks) in [
        ("", held(7), false),
        ("wait=5s", held(7), false),
        ("index=6", held(7), false),
        ("index=7", held(7), true),
        ("index=8", held(7), true),
        ("index=18446744073709551615", held(7), true),
        ("index=0", held(7), false),
        ("", Known::Unknown, false),
        ("index=0", Known::Unknown, true),
        ("index=7", Known::Unknown, true),
        ("index=7", Known::Awaited, false),
        ("index=7", Known::TooLarge, false),
    ] {
        assert_eq!(asked(query).blocks_on(&known), blocks, "{query}: {known:?}");
    }
    for bad in ["index=x", "index=", "wait=11m", "wait=1", "max-age=-1", "indx=1", "index=1&index=1", "zone="]
    {
        assert_eq!(
            Asked::of(Some(bad)).map_err(|problem| problem.slug).err(),
            Some(Slug::InvalidQuery),
            "{bad}"
        );
    }
}

#[test]
fn a_question_that_is_too_long_to_keep_is_answered_all_the_same() {
    let long = format!("tag={}", "x".repeat(2 * KEPT_TEXT_MAX));
    for (query, same) in [("", true), ("all=false", true), ("zone=a", true), (long.as_str(), false)] {
        let Known::Service(held) = held(7) else { unreachable!() };
        let asked = Asked::of(Some(query)).unwrap();
        let (first, one, other) =
            (asked.body(&held, false), asked.body(&held, true), asked.body(&held, true));
        assert_eq!(first, one);
        assert_eq!(one, other);
        assert!(first.as_ptr() != one.as_ptr(), "{query}: it was kept");
        assert_eq!(one.as_ptr() == other.as_ptr(), same, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn resolvers_and_all_others_wait_in_places_of_their_own() {
    for (many, max, few) in
        [(Dialect::Native, WAITING_MAX, Dialect::Dns), (Dialect::Dns, RESOLVING_MAX, Dialect::Classic)]
    {
        // Nobody hears what they ask for.
        let (_writer, store) = store();
        let (errands, _inbox) = errands();
        let api = Api::new(Owners::Pod(Owner { own: Own::default(), errands, store }));
        let first = |dialect| api.known_service("orders", dialect).map(|told| told.unwrap_err().slug);
        let mut waiting = std::pin::pin!(join_all((0..max).map(|_| first(many))));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(first(many).now_or_never(), Some(Slug::LimitReached));
        assert_eq!(first(few).now_or_never(), None, "it waits");
        assert!(waiting.await.iter().all(|slug| *slug == Slug::NotSynced));
    }
}
