use std::{collections::HashSet, sync::Arc};

use hickory_proto::rr::{RData, Record};
use proptest::prelude::*;
use rollcall_catalogue::{Profile, Query, Reason, Transport, VersionFilter};

use super::*;
use crate::{
    Answer, Carrier, Kind, PortAsked,
    host::unlabelled,
    testing::{address, any_service, cases, instance, key, many, packet, parsed, records, reply, service},
};

const HTTP: PortAsked<'static> = PortAsked { name: "http", transport: Transport::Tcp };

fn edited(instance: Instance, edit: impl FnOnce(&mut Profile)) -> Instance {
    let mut profile = (*instance.profile).clone();
    edit(&mut profile);
    Instance { profile: Arc::new(profile), ..instance }
}

fn of_version(instance: Instance, version: &str) -> Instance {
    edited(instance, |profile| profile.version = version.parse().ok())
}

/// The last bytes of the IPv4 addresses, from the one whose turn it is.
fn turn(records: &Records) -> Vec<u8> {
    records.a.next().concat().iter().map(|record| record[A_BYTES - 1]).collect()
}

/// The last bytes of the IPv4 addresses that a choice gives.
fn chosen(service: &Service, version: Option<&str>, port: Option<PortAsked<'_>>) -> Vec<u8> {
    turn(&records(service, Choice { version, port }))
}

/// The addresses and ports to which a choice points, each with its weight.
fn pointed(service: &Service, port: Option<PortAsked<'_>>) -> Vec<(String, u16, u16)> {
    targets(&records(service, Choice { version: None, port }))
}

fn targets(records: &Records) -> Vec<(String, u16, u16)> {
    let bytes = reply(&packet("orders.rollcall", Kind::SRV), Answer::Records(records), Carrier::Tcp);
    let answers = parsed(&bytes).answers;
    let target = |record: &Record| {
        let RData::SRV(srv) = &record.data else { panic!("{record}") };
        let label = String::from_utf8(srv.target.iter().next().unwrap().to_vec()).unwrap();
        (unlabelled(&label).unwrap().to_string(), srv.port, srv.weight)
    };
    answers.iter().map(target).collect()
}

#[test]
fn versions_by_their_labels() {
    let at = |number: u8| instance(&[&format!("10.0.0.{number}")], &[("http", 80)]);
    let suspect = Instance { state: State::Suspect, ..of_version(at(7), "3.0.0") };
    let service = service([
        of_version(at(1), "1.4.2"),
        of_version(at(2), "1.4.2-RC.1"),
        of_version(at(3), "1.4.2-rc-1"),
        of_version(at(4), "1.4.2+build"),
        at(5),
        Instance { state: State::Failing, ..of_version(at(6), "1.4.2") },
        suspect,
    ]);
    for (version, expected) in [
        (None, &[1, 2, 3, 4, 5][..]),
        (Some("1-4-2"), &[1]),
        (Some("1-4-2-rc-1"), &[2, 3]),
        (Some("1-4-3"), &[]),
        // Nothing better is left of it.
        (Some("3-0-0"), &[7]),
    ] {
        assert_eq!(chosen(&service, version, None), expected, "{version:?}");
    }
}

#[test]
fn ports_by_their_names_and_what_carries_them() {
    let dns = |name: &str, transport| Port { transport, ..Port::tcp(Some(name), 53) };
    let both = edited(instance(&["10.0.0.2"], &[("http", 80)]), |profile| {
        profile.ports = [dns("dns", Transport::Udp), dns("dns-tcp", Transport::Tcp)].into();
        profile.weight = 7;
    });
    let unnamed = edited(instance(&["10.0.0.3"], &[("http", 9)]), |profile| {
        profile.ports = [Port::tcp(None, 9)].into();
    });
    let service = service([instance(&["10.0.0.1"], &[("http", 80), ("admin", 81)]), both, unnamed]);
    let asked = |name, transport| pointed(&service, Some(PortAsked { name, transport }));
    let expected = |all: &[(&str, u16, u16)]| -> Vec<(String, u16, u16)> {
        all.iter().map(|(address, port, weight)| ((*address).to_owned(), *port, *weight)).collect()
    };
    assert_eq!(
        pointed(&service, None),
        expected(&[("10.0.0.1", 80, 100), ("10.0.0.2", 80, 7), ("10.0.0.3", 9, 100)])
    );
    assert_eq!(asked("http", Transport::Tcp), expected(&[("10.0.0.1", 80, 100)]));
    assert_eq!(asked("admin", Transport::Tcp), expected(&[("10.0.0.1", 81, 100)]));
    assert_eq!(asked("dns", Transport::Udp), expected(&[("10.0.0.2", 53, 7)]));
    assert_eq!(asked("dns-tcp", Transport::Tcp), expected(&[("10.0.0.2", 53, 7)]));
    for (name, transport) in
        [("http", Transport::Udp), ("dns", Transport::Tcp), ("80", Transport::Tcp), ("", Transport::Tcp)]
    {
        assert_eq!(asked(name, transport), [], "{name}");
    }
    assert!(chosen(&service, None, Some(HTTP)).is_empty(), "the name of a port has no address");
}

#[test]
fn an_address_and_a_port_stand_once() {
    let two_ports = [("http", 80), ("admin", 81)];
    let mut other = edited(instance(&["10.0.0.1", "10.0.0.9"], &two_ports), |profile| profile.port = 81);
    other.id = "another-81".into();
    let service = service([
        instance(&["10.0.0.1", "10.0.0.2"], &two_ports),
        other,
        instance(&["10.0.0.2"], &two_ports),
    ]);
    assert_eq!(chosen(&service, None, None), [1, 2, 9]);
    let http = |last: u8| (format!("10.0.0.{last}"), 80, 100);
    assert_eq!(pointed(&service, Some(HTTP)), [http(1), http(2)]);
    assert_eq!(pointed(&service, None), [http(1), ("10.0.0.1".to_owned(), 81, 100), http(2)]);
}

#[test]
fn who_asks_next_begins_at_the_next_one() {
    let service = many(3);
    let records = records(&service, Choice::default());
    let turns: Vec<_> = (0..4).map(|_| turn(&records)).collect();
    assert_eq!(turns, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    let empty = self::records(&crate::testing::service([]), Choice::default());
    assert_eq!(turn(&empty), [0; 0]);
}

#[test]
fn who_asks_for_both_families_has_all_of_each_in_front() {
    let both =
        |number: u8| instance(&[&format!("10.0.0.{number}"), &format!("fd00::{number}")], &[("http", 80)]);
    let records = records(&service((0..4).map(both)), Choice::default());
    let mut first = HashSet::new();
    for _ in 0..4 {
        first.insert(turn(&records)[0]);
        let v6 = records.aaaa.next().concat();
        first.insert(100 + v6[0][AAAA_BYTES - 1]);
    }
    assert_eq!(first.len(), 8, "{first:?}");
}

#[test]
fn not_all_sidecars_begin_with_the_same_instance() {
    let service = many(10);
    let first = |seed: u64| turn(&Records::of(&key("orders.shop"), &service, Choice::default(), seed))[0];
    let distinct: HashSet<_> =
        (0..200u64).map(|seed| first(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    assert_eq!(distinct.len(), 10);
}

#[test]
fn no_record_of_any_choice_points_nowhere() {
    let suspect = Instance {
        state: State::Suspect,
        reason: Reason::SessionQuiet,
        ..instance(&["10.0.0.2"], &[("grpc", 90)])
    };
    let failing = Instance { state: State::Failing, ..instance(&["10.0.0.3"], &[("grpc", 90)]) };
    let service = service([instance(&["10.0.0.1"], &[("http", 80)]), suspect, failing]);
    let grpc = PortAsked { name: "grpc", transport: Transport::Tcp };
    assert_eq!(pointed(&service, Some(grpc)), [("10.0.0.2".to_owned(), 90, 100)]);
    let plain = records(&service, Choice::default());
    let has = |last: u8| plain.host(address(&format!("10.0.0.{last}"))).is_some();
    assert_eq!([has(1), has(2), has(3), has(4)], [true, true, false, false]);
    assert_eq!(turn(&plain), [1], "and it is not handed out for that");
}

#[test]
fn what_they_take_grows_with_what_they_hold() {
    let bytes = |count| records(&many(count), Choice::default()).bytes();
    let each = (bytes(2_000) - bytes(1_000)) / 1_000;
    assert!(bytes(0) < 1_000, "{}", bytes(0));
    assert!((A_BYTES + 30..200).contains(&each), "{each} for each");
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn the_same_as_a_lookup_gives(service in any_service(), version in 0u8..4, port in 0u8..4) {
        // As a name and as a lookup say the same.
        let version = ["1.0.0", "1.1.0", "9.9.9"].get(usize::from(version));
        let port = ["http", "admin", "none"].get(usize::from(port));
        let label = version.map(|version| version.replace('.', "-"));
        let choice = Choice {
            version: label.as_deref(),
            port: port.map(|name| PortAsked { name, transport: Transport::Tcp }),
        };
        let query = Query {
            version: version.map(|version| VersionFilter::Exact(version.parse().unwrap())),
            port: port.map(|port| (*port).into()),
            ..Query::default()
        };
        let looked_up: HashSet<_> =
            query.select(&service).iter().map(|one| (one.instance.address(), one.port)).collect();
        let records = records(&service, choice);
        let targets = targets(&records);
        let pointed: HashSet<_> = targets.iter().map(|(target, port, _)| (address(target), *port)).collect();
        prop_assert_eq!(pointed.len(), targets.len());
        prop_assert_eq!(&pointed, &looked_up);
        for (address, _) in looked_up {
            prop_assert!(records.host(address).is_some());
            prop_assert!(self::records(&service, Choice::default()).host(address).is_some());
        }
    }
}
