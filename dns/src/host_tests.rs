use proptest::prelude::*;

use super::*;
use crate::testing::{address, cases};

#[test]
fn every_address_has_one_name_only() {
    for (label, expected) in [
        ("ip-10-1-2-3", "10.1.2.3"),
        ("ip-0-0-0-0", "0.0.0.0"),
        ("ip-255-255-255-255", "255.255.255.255"),
        ("ip-fd00-0-0-0-0-0-0-1", "fd00::1"),
        ("ip-0-0-0-0-0-0-0-0", "::"),
        ("ip-ffff-ffff-ffff-ffff-ffff-ffff-ffff-ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ip-0-0-0-0-0-ffff-a01-203", "::ffff:10.1.2.3"),
    ] {
        assert_eq!(unlabelled(label), Some(address(expected)));
        assert_eq!(HostLabel::of(address(expected)).bytes(), label.as_bytes());
    }
    for bad in [
        "",
        "ip",
        "ip-",
        "10-1-2-3",
        "ip-10-1-2",
        "ip-10-1-2-3-4",
        "ip-10-1-2-",
        "ip--1-2-3",
        "ip-10-1-2-03",
        "ip-10-1-2-256",
        "ip-10-1-2-4294967299",
        "ip-10-1-2-+3",
        "ip-10-1-2-a",
        "ip-fd00-0-0-0-0-0-1",
        "ip-fd00--1",
        "ip-fd00-0-0-0-0-0-0-0-1",
        "ip-fd00-0-0-0-0-0-0-01",
        "ip-fd00-0-0-0-0-0-0-10000",
        "ip-fd00-0-0-0-0-0-0-g",
        "ip-!0-1-2-3",
    ] {
        assert_eq!(unlabelled(bad), None, "{bad}");
    }
}

#[test]
fn reverse_names_are_whole_ones() {
    let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f";
    assert_eq!(reversed("3.2.1.10.in-addr.arpa"), Some(address("10.1.2.3")));
    assert_eq!(reversed(&format!("{nibbles}.ip6.arpa")), Some(address("fd00::1")));
    for bad in [
        "",
        "in-addr.arpa",
        ".in-addr.arpa",
        "10.in-addr.arpa",
        "2.1.10.in-addr.arpa",
        "4.3.2.1.10.in-addr.arpa",
        "a.3.2.1.10.in-addr.arpa",
        "03.2.1.10.in-addr.arpa",
        "256.2.1.10.in-addr.arpa",
        "3.2.1.10.in-addr.arpa.rollcall.test",
        "3.2.1.10in-addr.arpa",
        "3.2.1.10.ip6.arpa",
        "0.d.f.ip6.arpa",
        &format!("0.{nibbles}.ip6.arpa"),
        &format!("{}.ip6.arpa", nibbles.replace('d', "0d")),
        &format!("{}.ip6.arpa", nibbles.replace('d', "g")),
        &format!("{}.ip6.arpa", nibbles.replacen('0', "", 1)),
    ] {
        assert_eq!(reversed(bad), None, "{bad}");
    }
}

fn hosts(instances: &[&[&str]]) -> Hosts {
    Hosts::of(instances.iter().map(|all| all.iter().map(|text| address(text))))
}

#[test]
fn a_host_is_found_by_any_of_its_addresses_and_has_all_of_them() {
    let hosts = hosts(&[
        &["10.0.0.1", "fd00::1"],
        // Another instance of the same pod, of which somebody knows more.
        &["10.0.0.1", "10.9.0.1", "fd00::1"],
        &["10.0.0.2", "10.9.0.1", "10.0.0.3"],
        &["10.0.0.3"],
        &["fd00::4"],
    ]);
    let found = |text: &str| -> Option<Vec<_>> {
        hosts.find(address(text)).map(|host| host.addresses().map(|address| address.to_string()).collect())
    };
    let first = ["10.0.0.1", "fd00::1", "10.9.0.1"];
    for (asked, expected) in [
        ("10.0.0.1", &first[..]),
        ("fd00::1", &first),
        // The first of those that have it.
        ("10.9.0.1", &first),
        ("10.0.0.2", &["10.0.0.2", "10.9.0.1", "10.0.0.3"]),
        // Whose primary one it is comes before all others.
        ("10.0.0.3", &["10.0.0.3"]),
        ("fd00::4", &["fd00::4"]),
    ] {
        assert_eq!(found(asked).unwrap(), expected, "{asked}");
    }
    assert_eq!(found("10.0.0.4"), None);
    assert!(Hosts::default().find(address("10.0.0.1")).is_none());
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn names_and_reverse_names_lead_back(octets: [u8; 16]) {
        let v4 = IpAddr::from([octets[0], octets[1], octets[2], octets[3]]);
        for address in [v4, octets.into()] {
            let label = HostLabel::of(address);
            prop_assert_eq!(unlabelled(str::from_utf8(label.bytes()).unwrap()), Some(address));
        }
        let reverse = format!("{}.{}.{}.{}.in-addr.arpa", octets[3], octets[2], octets[1], octets[0]);
        prop_assert_eq!(reversed(&reverse), Some(v4));
        let nibbles: Vec<_> = octets.iter().rev().map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4)).collect();
        prop_assert_eq!(reversed(&format!("{}ip6.arpa", nibbles.concat())), Some(octets.into()));
    }

    #[test]
    fn whatever_reads_as_an_address_is_written_so(label in "(ip-)?[0-9a-f-]{0,20}", name in "[0-9a-f.]{0,20}(in-addr|ip6).arpa") {
        if let Some(address) = unlabelled(&label) {
            let written = HostLabel::of(address);
            prop_assert_eq!(written.bytes(), label.as_bytes());
        }
        let _ = reversed(&name);
    }
}
