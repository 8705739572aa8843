use std::{collections::BTreeMap, net::IpAddr};

use rollcall_catalogue::{ContentHash, Port, Profile, Reason, State, changes::Head};

use super::*;

/// So many instances of a service, of zones `a` and `b` in turn.
fn held(name: &str, revision: u64, count: u16) -> Held {
    let instance = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let profile = Profile {
            port: 80,
            ports: [Port::tcp(Some("http"), 80)].into(),
            version: None,
            weight: 100,
            tags: Default::default(),
            metadata: Default::default(),
        };
        Arc::new(Instance {
            id: format!("u{number}-80").as_str().into(),
            addresses: IpAddr::from([10, 0, high, low]).into(),
            zone: Some(if number % 2 == 0 { "a" } else { "b" }.into()),
            node: None,
            pod: None,
            profile: Arc::new(profile),
            state: State::Serving,
            reason: Reason::Ready,
            revision,
        })
    };
    let head = Head { revision, hash: ContentHash(revision), policy: Policy::default(), truncated: false };
    let service = Service::of(head, (0..count).map(instance).collect());
    Held::new(format!("{name}.shop").parse().unwrap(), Arc::new(service), false)
}

fn asked(query: &str) -> Asked {
    Asked::of(Some(query)).unwrap()
}

fn wanted(policy: Policy) -> Wanted<'static> {
    Wanted { policy, key: "", home: None }
}

fn picks(
    balancers: &Balancers,
    held: &Held,
    asked: &Asked,
    wanted: Wanted<'_>,
    count: usize,
) -> BTreeMap<String, usize> {
    let mut picks = BTreeMap::new();
    for _ in 0..count {
        let (instance, _) = balancers.pick(held, asked, wanted).unwrap();
        *picks.entry(instance.id.to_string()).or_default() += 1;
    }
    picks
}

#[tokio::test]
async fn rounds_go_on_over_changes_and_each_filter_has_its_own() {
    let balancers = Balancers::default();
    let round = wanted(Policy::RoundRobin);
    let (all, far) = (asked(""), asked("zone=b"));
    let first = picks(&balancers, &held("orders", 1, 4), &all, round, 8);
    assert!(first.len() == 4 && first.values().all(|count| *count == 2), "{first:?}");
    let of_zone = picks(&balancers, &held("orders", 1, 4), &far, round, 4);
    assert_eq!(of_zone.keys().collect::<Vec<_>>(), ["u1-80", "u3-80"]);
    let more = picks(&balancers, &held("orders", 2, 5), &all, round, 10);
    assert!(more.len() == 5 && more.values().all(|count| *count == 2), "{more:?}");
    assert!(balancers.pick(&held("orders", 3, 0), &all, round).is_none());
    let named = balancers.pick(&held("orders", 4, 1), &asked("port=http"), round).unwrap();
    assert_eq!(named.1, 80);
}

#[tokio::test]
async fn the_own_zone_is_preferred_where_it_is_known() {
    let balancers = Balancers::default();
    let zone: Arc<str> = "b".into();
    let wanted = Wanted { policy: Policy::RoundRobin, key: "", home: Some(&zone) };
    let near = picks(&balancers, &held("orders", 1, 4), &asked(""), wanted, 20);
    assert_eq!(near.keys().collect::<Vec<_>>(), ["u1-80", "u3-80"]);
}

#[tokio::test]
async fn what_fails_is_picked_no_more() {
    let balancers = Balancers::default();
    let (held, all) = (held("orders", 1, 4), asked(""));
    let round = wanted(Policy::RoundRobin);
    picks(&balancers, &held, &all, round, 4);
    for _ in 0..20 {
        balancers.report(&held.key, "u2-80", Outcome::Failure, 5);
    }
    let after = picks(&balancers, &held, &all, round, 30);
    assert!(!after.contains_key("u2-80") && after.len() == 3, "{after:?}");
}

#[tokio::test]
async fn few_balancers_are_kept_and_few_candidates() {
    let balancers = Balancers::default();
    let round = wanted(Policy::Random);
    let small = held("orders", 1, 1);
    for number in 0..=BALANCERS_MAX {
        balancers.pick(&small, &asked(&format!("all=true&tag=t{number}")), round);
    }
    let names = |balancers: &Balancers| -> Vec<String> {
        balancers.table().kept.keys().map(|(key, text)| format!("{key} {text}")).collect()
    };
    assert_eq!(names(&balancers).len(), BALANCERS_MAX);
    assert!(
        !names(&balancers).iter().any(|name| name.contains("2:t0;")),
        "the one that was used longest ago"
    );
    for name in ["a", "b", "c", "d", "e"] {
        balancers.pick(&held(name, 1, 5_000), &asked(""), round);
    }
    let mut left = names(&balancers);
    left.sort();
    assert_eq!(left, ["c.shop ", "d.shop ", "e.shop "]);
    balancers.pick(&held("huge", 1, u16::MAX), &asked(""), round).unwrap();
    assert_eq!(names(&balancers), ["huge.shop "], "one is always kept, however large");
}
