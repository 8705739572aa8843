use std::collections::HashSet;

use hickory_proto::op::{Message, ResponseCode};

use super::*;
use crate::{
    Choice, TTL_SECONDS, UDP_BYTES_MAX,
    testing::{
        address, instance, key, many, packet, parsed, query, records, reply, service, texts, with_edns,
    },
};

/// What is said of a name, over UDP.
fn said(name: &str, kind: Kind, answer: Answer<'_>) -> Message {
    parsed(&reply(&packet(name, kind), answer, Carrier::Udp))
}

fn soa(zone: &str) -> String {
    format!("{zone} 1 IN SOA localhost. nobody.localhost. 1 3600 600 86400 1")
}

#[test]
fn what_is_there_and_what_is_not() {
    let both = service([instance(&["10.1.2.3", "fd00::3"], &[("http", 8080)])]);
    let four = service([instance(&["10.1.2.3"], &[("http", 8080)])]);
    let (both, four, none) = (
        records(&both, Choice::default()),
        records(&four, Choice::default()),
        records(&service([]), Choice::default()),
    );
    let host = both.host(address("fd00::3")).unwrap();
    let [both, four, none] = [&both, &four, &none].map(Answer::Records);
    let host = Answer::Host(host);
    let keys = [key("orders.shop"), key("billing.shop")];
    let pointers = Answer::Pointers(address("10.1.2.3"), &keys);
    let name = "orders.rollcall";
    let at = "ip-10-1-2-3.orders.shop.rollcall";
    let reverse = "3.2.1.10.in-addr.arpa";
    let hinfo = |name: &str| format!("{name}. 1 IN HINFO RFC8482 ");
    let a = |name: &str| format!("{name}. 1 IN A 10.1.2.3");
    let aaaa = |name: &str| format!("{name}. 1 IN AAAA fd00::3");
    let srv = || format!("{name}. 1 IN SRV 0 100 8080 {at}.");
    let ptr = |service: &str| format!("{reverse}. 1 IN PTR ip-10-1-2-3.{service}.shop.rollcall.");
    let table: &[(&str, Kind, Answer<'_>, &[String])] = &[
        (name, Kind::A, both, &[a(name)]),
        (name, Kind::AAAA, both, &[aaaa(name)]),
        (name, Kind::SRV, both, &[srv()]),
        (name, Kind::ANY, both, &[hinfo(name)]),
        (name, Kind::PTR, both, &[]),
        (name, Kind::NS, both, &[]),
        (name, Kind(16), both, &[]),
        (name, Kind(65_000), both, &[]),
        (name, Kind::A, four, &[a(name)]),
        (name, Kind::AAAA, four, &[]),
        (name, Kind::A, none, &[]),
        (name, Kind::SRV, none, &[]),
        (name, Kind::ANY, none, &[hinfo(name)]),
        (at, Kind::A, host, &[a(at)]),
        (at, Kind::AAAA, host, &[aaaa(at)]),
        (at, Kind::SRV, host, &[]),
        (at, Kind::ANY, host, &[hinfo(at)]),
        (reverse, Kind::PTR, pointers, &[ptr("orders"), ptr("billing")]),
        (reverse, Kind::A, pointers, &[]),
        (reverse, Kind::ANY, pointers, &[hinfo(reverse)]),
        ("rollcall", Kind::SOA, Answer::Apex, &[soa("rollcall.")]),
        ("rollcall", Kind::NS, Answer::Apex, &["rollcall. 1 IN NS localhost.".to_owned()]),
        ("rollcall", Kind::A, Answer::Apex, &[]),
        ("rollcall", Kind::ANY, Answer::Apex, &[hinfo("rollcall")]),
        ("_tcp.orders.rollcall", Kind::SRV, Answer::Empty, &[]),
        ("_tcp.orders.rollcall", Kind::ANY, Answer::Empty, &[hinfo("_tcp.orders.rollcall")]),
    ];
    for (name, kind, answer, expected) in table {
        let reply = said(name, *kind, *answer);
        let what = format!("{name} {kind:?}");
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{what}");
        assert!(reply.metadata.authoritative && !reply.metadata.truncation, "{what}");
        assert_eq!(texts(&reply.answers), *expected, "{what}");
        // Who keeps what is not there must be told for how long.
        let zone = if name.ends_with("arpa") { format!("{name}.") } else { "rollcall.".to_owned() };
        let authority = if expected.is_empty() { vec![soa(&zone)] } else { Vec::new() };
        assert_eq!(texts(&reply.authorities), authority, "{what}");
    }
    let additional = said(name, Kind::SRV, both).additionals;
    assert_eq!(texts(&additional), [a(at), aaaa(at)]);
}

#[test]
fn what_is_no_answer() {
    use ResponseCode::{NXDomain, Refused, ServFail};
    let zone = || Some("rollcall.");
    for (name, answer, code, authority) in [
        ("nobody.rollcall", Answer::NoSuchName, NXDomain, zone()),
        ("a.b.c.d.rollcall", Answer::NoSuchName, NXDomain, zone()),
        // Of a zone for which we do not speak nobody is to keep anything.
        ("orders.rollcall.svc.cluster.local", Answer::NoSuchName, NXDomain, None),
        ("9.2.1.10.in-addr.arpa", Answer::NoSuchName, NXDomain, None),
        ("xrollcall", Answer::NoSuchName, NXDomain, None),
        ("orders.rollcall", Answer::NotKnown, ServFail, None),
        ("example.com", Answer::NotKnown, ServFail, None),
        ("example.com", Answer::NotOurs, Refused, None),
    ] {
        for kind in [Kind::A, Kind::ANY] {
            let reply = said(name, kind, answer);
            assert_eq!(reply.metadata.response_code, code, "{name}");
            assert_eq!(texts(&reply.answers), [""; 0], "{name}");
            assert_eq!(texts(&reply.authorities), authority.map(soa).as_slice(), "{name}");
            assert_eq!(reply.metadata.authoritative, authority.is_some(), "{name}");
        }
    }
}

#[test]
fn what_was_asked_is_repeated_as_it_was() {
    let records = records(&many(2), Choice::default());
    let mut asked = packet("oRdErS.rOLLcall", Kind::A);
    for (flags, desired) in [([0x00, 0x00], false), ([0x01, 0x00], true), ([0x07, 0xff], true)] {
        asked[2..4].copy_from_slice(&flags);
        for recursive in [false, true] {
            let mut out = Vec::new();
            query(&asked).answer(&Answer::Records(&records), Carrier::Udp, recursive, &mut out);
            assert_eq!(out[..2], asked[..2]);
            assert_eq!(out[12..asked.len()], asked[12..], "letter by letter");
            let flags = parsed(&out).metadata;
            assert_eq!((flags.recursion_desired, flags.recursion_available), (desired, recursive));
            assert!(!flags.authentic_data && !flags.checking_disabled && !flags.truncation);
            assert_eq!(out[3] & 0x40, 0, "the bit that is reserved");
        }
    }
}

#[test]
fn who_says_what_he_takes_is_told_what_we_take() {
    let records = records(&many(2), Choice::default());
    for (flags, dnssec) in [([0, 0], false), ([0x80, 0], true), ([0x7f, 0xff], false)] {
        let mut asked = with_edns(packet("orders.rollcall", Kind::A), 4_096);
        let at = asked.len() - 4;
        asked[at..at + 2].copy_from_slice(&flags);
        for answer in [Answer::Records(&records), Answer::NoSuchName, Answer::NotKnown, Answer::NotOurs] {
            let edns = parsed(&reply(&asked, answer, Carrier::Udp)).edns.unwrap();
            assert_eq!(usize::from(edns.max_payload()), UDP_BYTES_MAX);
            assert_eq!((edns.flags().dnssec_ok, edns.flags().z, edns.version()), (dnssec, 0, 0));
            assert!(edns.options().as_ref().is_empty());
        }
    }
    assert!(said("orders.rollcall", Kind::A, Answer::NoSuchName).edns.is_none());
}

#[test]
fn what_has_no_room_is_told_and_the_rest_comes_round() {
    let question = packet("orders.rollcall", Kind::A).len();
    for (bytes, carrier, room) in [
        (None, Carrier::Udp, 512),
        (Some(600), Carrier::Udp, 600 - 11),
        (Some(4_096), Carrier::Udp, 1_232 - 11),
        (None, Carrier::Tcp, 65_535),
        (Some(512), Carrier::Tcp, 65_535 - 11),
    ] {
        let asked = packet("orders.rollcall", Kind::A);
        let asked = bytes.map_or_else(|| asked.clone(), |bytes| with_edns(asked.clone(), bytes));
        let fitting = (room - question) / 16;
        for count in [fitting - 1, fitting, fitting + 1] {
            let records = records(&many(count as u16), Choice::default());
            let mut seen = HashSet::new();
            for _ in 0..2 {
                let bytes = reply(&asked, Answer::Records(&records), carrier);
                let reply = parsed(&bytes);
                assert_eq!(reply.metadata.truncation, count > fitting, "{count} for {room} bytes");
                let answers: HashSet<_> = texts(&reply.answers).into_iter().collect();
                assert_eq!(answers.len(), count.min(fitting));
                seen.extend(answers);
            }
            // Who begins one later is told the one that was missing.
            assert_eq!(seen.len(), count);
        }
    }
}

#[test]
fn addresses_of_targets_are_a_gift() {
    let asked = packet("orders.rollcall", Kind::SRV);
    let sizes = |count: u16, carrier| {
        let records = records(&many(count), Choice::default());
        let reply = parsed(&reply(&asked, Answer::Records(&records), carrier));
        for record in &reply.additionals {
            assert!(
                reply.answers.iter().any(|answer| answer.to_string().ends_with(&format!(" {}", record.name)))
            );
        }
        (reply.answers.len(), reply.additionals.len(), reply.metadata.truncation)
    };
    // A record takes 52 or 53 bytes, an address 16, the question 33.
    assert_eq!(sizes(6, Carrier::Udp), (6, 6, false));
    assert_eq!(sizes(7, Carrier::Udp), (7, 7, false));
    assert_eq!(sizes(8, Carrier::Udp), (8, 3, false));
    assert_eq!(sizes(9, Carrier::Udp), (9, 0, false));
    assert_eq!(sizes(10, Carrier::Udp), (9, 0, true));
}

#[test]
fn addresses_of_targets_stand_in_small_messages_only() {
    let asked = packet("orders.rollcall", Kind::SRV);
    // A record takes 52 or 53 bytes, an address 16 and, written out, 33 or 35 more.
    for (count, all) in [(100, true), (155, true), (165, false), (250, false), (320, false), (1_000, false)] {
        let records = records(&many(count), Choice::default());
        let bytes = reply(&asked, Answer::Records(&records), Carrier::Tcp);
        let message = parsed(&bytes);
        assert_eq!((message.answers.len(), message.metadata.truncation), (count.into(), false));
        let additionals = message.additionals.len();
        assert_eq!(additionals == usize::from(count), all, "{additionals} of {count}");
        let names: usize = message.additionals.iter().map(|record| record.name.len()).sum();
        let written_out = bytes.len() + names;
        assert!(written_out <= 16 * 1024 || additionals == 0, "{additionals} in {written_out} bytes");
        assert_eq!(additionals == 0, count >= 320, "{additionals} of {count}");
    }
    // What has no room at all is told.
    let records = records(&many(2_000), Choice::default());
    let message = parsed(&reply(&asked, Answer::Records(&records), Carrier::Tcp));
    let answers = message.answers.len();
    assert!((1_200..1_300).contains(&answers) && message.metadata.truncation, "{answers}");
    assert!(message.additionals.is_empty());
}

#[test]
fn only_answers_are_missed() {
    let asked = packet("orders.rollcall", Kind::A);
    for (section, truncated) in
        [(Section::Answer, true), (Section::Authority, false), (Section::Additional, false)]
    {
        let mut out = Vec::new();
        let mut reply = Reply::to(&asked, None, asked.len() + 15, &mut out);
        assert!(!reply.put_address(section, ASKED, address("10.1.2.3")));
        reply.finish();
        assert_eq!((parsed(&out).metadata.truncation, out.len()), (truncated, asked.len()), "{section:?}");
    }
}

#[test]
fn a_host_is_told_once_wherever_the_round_begins() {
    let two = |last: u8, port| {
        let mut one = instance(&[&format!("10.0.0.{last}"), &format!("fd00::{last}")], &[("http", port)]);
        one.id = format!("{last}-{port}").as_str().into();
        one
    };
    let service = service([two(1, 80), two(1, 81), two(1, 82), two(2, 80), two(2, 81)]);
    let records = records(&service, Choice::default());
    for turn in 0..5 {
        let message = said("orders.rollcall", Kind::SRV, Answer::Records(&records));
        assert_eq!(message.answers.len(), 5);
        let mut additionals = texts(&message.additionals);
        additionals.sort();
        let of = |last: u8, rest: &str| format!("ip-10-0-0-{last}.orders.shop.rollcall. 1 IN {rest}{last}");
        let expected = [of(1, "A 10.0.0."), of(1, "AAAA fd00::"), of(2, "A 10.0.0."), of(2, "AAAA fd00::")];
        assert_eq!(additionals, expected, "turn {turn}");
    }
}

#[test]
fn a_host_of_more_addresses_than_there_is_room_for() {
    let addresses: Vec<_> = (0..200).map(|last| format!("10.0.0.{last}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let service = service([instance(&addresses, &[("http", 80)])]);
    let records = records(&service, Choice::default());
    let srv = said("orders.rollcall", Kind::SRV, Answer::Records(&records));
    assert_eq!(
        (srv.answers.len(), srv.additionals.len(), srv.metadata.truncation),
        (1, 0, false),
        "all or none"
    );
    let host = Answer::Host(records.host(address("10.0.0.7")).unwrap());
    let asked = packet("ip-10-0-0-7.orders.shop.rollcall", Kind::A);
    let udp = parsed(&reply(&asked, host, Carrier::Udp));
    assert!(udp.metadata.truncation && udp.answers.len() == (512 - asked.len()) / 16);
    let tcp = parsed(&reply(&asked, host, Carrier::Tcp));
    assert!(!tcp.metadata.truncation && tcp.answers.len() == 200);
}

#[test]
fn the_longest_names_have_room_for_what_is_said_of_them() {
    let long = "a".repeat(63);
    let service_key = key(&format!("{long}.{long}"));
    let v6 = service([instance(&["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &[("http", 80)])]);
    let records = Records::of(&service_key, &v6, 0);
    // 253 bytes of text in front of type and class.
    let name = format!("_{}._tcp.{long}.{long}.rollcall", "b".repeat(62));
    let longest = format!("{}.{name}", "c".repeat(252 - name.len()));
    assert_eq!(longest.len(), 253);
    for (name, answer, kind) in [
        (&name, Answer::Records(&records), Kind::SRV),
        (&longest, Answer::NoSuchName, Kind::A),
        (&longest, Answer::Empty, Kind::A),
    ] {
        let reply = parsed(&reply(&with_edns(packet(name, kind), 0), answer, Carrier::Udp));
        assert!(!reply.metadata.truncation);
        assert_eq!(reply.answers.len() + reply.authorities.len(), 1, "{name}");
    }
}

#[test]
fn every_time_is_the_one_that_is_documented() {
    let records = records(&many(2), Choice::default());
    let answers = [
        (Kind::A, Answer::Records(&records)),
        (Kind::SRV, Answer::Records(&records)),
        (Kind::AAAA, Answer::Records(&records)),
        (Kind::ANY, Answer::Records(&records)),
        (Kind::A, Answer::NoSuchName),
    ];
    for (kind, answer) in answers {
        for record in said("orders.rollcall", kind, answer).all_sections() {
            assert_eq!(record.ttl, TTL_SECONDS);
        }
    }
    assert_eq!(SOA[SOA.len() - 4..], TTL_SECONDS.to_be_bytes(), "of what is not there");
}
