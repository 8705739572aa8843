use rollcall_catalogue::{ContentHash, Policy, changes::Head};
use rollcall_dns::{Answer, Carrier, Query, Read, read};

use super::*;

/// So many instances of each of these versions, at `10.0.<version>.<instance>` and an address of IPv6.
fn service(versions: u8, instances: u8) -> Service {
    let instance = |(version, number): (u8, u8)| {
        let json = serde_json::json!({
            "id": format!("u{version}-{number}-8080"), "address": format!("10.0.{version}.{number}"),
            "addresses": [format!("10.0.{version}.{number}"), format!("fd00::{version}:{number}")],
            "port": 8080, "ports": {"http": 8080}, "version": format!("{version}.0.0"), "weight": 100,
            "state": "Serving", "reason": "Ready",
        });
        Arc::new(serde_json::from_value(json).unwrap())
    };
    let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
    let all = (0..versions).flat_map(|version| (0..instances).map(move |number| (version, number)));
    Service::of(head, all.map(instance).collect())
}

fn ask(written: &Written, service: &Service, choice: Choice<'_>) -> Arc<Records> {
    written.of(&"orders.shop".parse().unwrap(), service, choice, 1)
}

/// What is kept beside the records of all.
fn chosen(written: &Written) -> Vec<Chosen> {
    written.chosen.load().as_deref().cloned().unwrap_or_default()
}

fn port(name: &str) -> Choice<'_> {
    let port = PortAsked { name, transport: Transport::Tcp };
    Choice { port: Some(port), ..Choice::default() }
}

/// The last byte of the first address of the answer.
fn first(records: &Records, kind: u8) -> u8 {
    let packet = [&b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06orders\x08rollcall\0\0"[..], &[kind, 0, 1]].concat();
    let mut out = Vec::new();
    let Read::Query(query) = read(&packet) else { panic!("a query") };
    Query::answer(&query, &Answer::Records(records), Carrier::Tcp, false, &mut out);
    let record = if kind == A { 16 } else { 28 };
    out[packet.len() + record - 1]
}

const A: u8 = 1;
const AAAA: u8 = 28;

#[test]
fn each_choice_is_written_once_and_few_are_kept() {
    let (written, service) = (Written::default(), service(1, 1));
    let ask = |choice| ask(&written, &service, choice);
    assert!(Arc::ptr_eq(&ask(Choice::default()), &ask(Choice::default())));
    let other = Choice { port: Some(PortAsked { name: "p0", transport: Transport::Udp }), version: None };
    let version = Choice { version: Some("p0"), port: None };
    let one = ask(port("p0"));
    assert!(!Arc::ptr_eq(&one, &ask(other)) && !Arc::ptr_eq(&one, &ask(version)));
    assert!(Arc::ptr_eq(&one, &ask(port("p0"))));
    for number in 0..3 * CHOSEN_MAX {
        let name = format!("q{number}");
        let [once, again] = [(); 2].map(|()| self::ask(&written, &service, port(&name)));
        assert!(Arc::ptr_eq(&once, &again), "the newest stays");
        assert!(chosen(&written).len() <= CHOSEN_MAX);
    }
    assert_eq!(chosen(&written).len(), CHOSEN_MAX);
}

#[test]
fn choices_in_turn_go_round_evenly_and_most_are_kept() {
    const ROUNDS: usize = 1_000;
    const INSTANCES: usize = 4;
    let service = service(9, INSTANCES as u8);
    // Of choices that are kept mostly, and of those of which none ever is.
    for (is_kept, written) in [(true, Written::default()), (false, Written::default())] {
        let mut counts = [[[0usize; INSTANCES]; 2]; 9];
        for _ in 0..ROUNDS {
            for (version, families) in counts.iter_mut().enumerate() {
                // Each family after the other, as resolvers ask.
                for (kind, count) in [A, AAAA].into_iter().zip(families) {
                    let label = format!("{version}-0-0");
                    let records = ask(&written, &service, Choice { version: Some(&label), port: None });
                    count[usize::from(first(&records, kind))] += 1;
                    if !is_kept {
                        written.chosen.store(None);
                    }
                }
            }
        }
        let fair = ROUNDS / INSTANCES;
        for count in counts.iter().flatten().flatten() {
            assert!(count.abs_diff(fair) < fair / 3, "kept: {is_kept}: {counts:?}");
        }
        let writes = written.writes.load(Ordering::Relaxed);
        let asked = 2 * 9 * ROUNDS as u64;
        assert!(if is_kept { writes < asked / 8 } else { writes == asked }, "{writes} of {asked}");
    }
}

#[test]
fn what_is_kept_takes_no_more_than_the_service_may_have() {
    let (written, service) = (Written::default(), service(4, 250));
    let room = room(&service);
    for number in 0..4 * CHOSEN_MAX {
        let (version, name) = (format!("{}-0-0", number % 4), format!("v{number}"));
        let choice = match number % 3 {
            0 => port("http"),
            1 => port(&name),
            _ => Choice { version: Some(&version), port: None },
        };
        ask(&written, &service, choice);
        assert!(bytes(&chosen(&written)) <= room);
    }
    let kept = chosen(&written);
    assert!(bytes(&kept) > room / 4 && kept.len() > 2, "{} of {room} in {}", bytes(&kept), kept.len());
}

#[test]
fn all_versions_of_a_service_and_a_port_fit() {
    let (written, service) = (Written::default(), service(4, 250));
    for _ in 0..2 {
        for version in ["0-0-0", "1-0-0", "2-0-0", "3-0-0"] {
            ask(&written, &service, Choice { version: Some(version), port: None });
        }
        ask(&written, &service, port("http"));
    }
    assert_eq!(written.writes.load(Ordering::Relaxed), 5);
}
