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
fn who_is_never_picked_has_no_address_where_another_has() {
    let weighing = |last: u8, weight: u16, version: &str| {
        let one = of_version(instance(&[&format!("10.0.0.{last}")], &[("http", 80)]), version);
        edited(one, |profile| profile.weight = weight)
    };
    let service = service([weighing(1, 0, "1.0.0"), weighing(2, 7, "1.0.0"), weighing(3, 0, "2.0.0")]);
    assert_eq!(chosen(&service, None, None), [2]);
    assert_eq!(chosen(&service, Some("1-0-0"), None), [2]);
    assert_eq!(chosen(&service, Some("2-0-0"), None), [3], "nobody else is of this version");
    let weights = |port| -> Vec<u16> { pointed(&service, port).iter().map(|one| one.2).collect() };
    assert_eq!([weights(None), weights(Some(HTTP))], [[0, 7, 0], [0, 7, 0]]);
    assert!(records(&service, Choice::default()).host(address("10.0.0.1")).is_some());
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
    let both =
        |number: u8| instance(&[&format!("10.0.0.{number}"), &format!("fd00::{number}")], &[("http", 80)]);
    let service = service((0..10).map(both));
    let first = |seed: u64| {
        let records = Records::of(&key("orders.shop"), &service, seed);
        (turn(&records)[0], records.aaaa.next().concat()[0][AAAA_BYTES - 1], targets(&records).remove(0).0)
    };
    let all: Vec<_> = (0..200).map(first).collect();
    let v4: HashSet<_> = all.iter().map(|first| first.0).collect();
    let v6: HashSet<_> = all.iter().map(|first| first.1).collect();
    let srv: HashSet<_> = all.iter().map(|first| &first.2).collect();
    assert_eq!([v4.len(), v6.len(), srv.len()], [10; 3]);
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
    let bytes = |count, choice| {
        let records = records(&many(count), choice);
        (records.bytes(), records.shared_bytes())
    };
    let each = |choice| {
        let ((small, small_shared), (large, large_shared)) = (bytes(1_000, choice), bytes(2_000, choice));
        ((large - small) / 1_000, (large_shared - small_shared) / 1_000)
    };
    let (empty, shared) = bytes(0, Choice::default());
    assert!(empty + shared < 1_000, "{empty} and {shared}");
    let target = size_of::<Target>();
    assert_eq!(each(Choice::default()), (A_BYTES + target, size_of::<Host>()));
    // No address, and nothing of what is shared.
    let port = Choice { port: Some(HTTP), version: None };
    assert_eq!(each(port).0, target);
    assert!(target == 8 && size_of::<Host>() == 40);
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
