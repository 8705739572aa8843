use proptest::prelude::*;

use super::*;
use crate::testing::{address, cases};

fn service(name: &str) -> Meaning<'_> {
    Meaning::Service { name, choice: Choice::default() }
}

fn versioned<'q>(version: &'q str, name: &'q str) -> Meaning<'q> {
    Meaning::Service { name, choice: Choice { version: Some(version), port: None } }
}

fn port<'q>(port: &'q str, transport: Transport, version: Option<&'q str>, name: &'q str) -> Meaning<'q> {
    let port = Some(PortAsked { name: port, transport });
    Meaning::Service { name, choice: Choice { version, port } }
}

#[test]
fn what_names_mean() {
    use Meaning::{Apex, Between, Host, Nothing, Outside};
    use Transport::{Sctp, Tcp, Udp};
    let long = "a".repeat(63);
    let too_long_port = format!("_{}._tcp.orders", "a".repeat(62));
    let table: &[(&str, Meaning<'_>)] = &[
        ("orders", service("orders")),
        ("orders.shop", service("orders.shop")),
        (&long, service(&long)),
        ("4711", service("4711")),
        ("1-2", service("1-2")),
        // Three numbers are a version wherever one can stand, and a namespace where none can.
        ("1-4-2.orders", versioned("1-4-2", "orders")),
        ("1-4-2.orders.shop", versioned("1-4-2", "orders.shop")),
        ("1-4-2-rc-1.orders.shop", versioned("1-4-2-rc-1", "orders.shop")),
        ("1-4-2-rc-1.orders", versioned("1-4-2-rc-1", "orders")),
        ("1-4-2-rc-1", service("1-4-2-rc-1")),
        ("01-4-2.orders", versioned("01-4-2", "orders")),
        ("orders.1-2-3", service("orders.1-2-3")),
        ("1-4-2.orders.1-2-3", versioned("1-4-2", "orders.1-2-3")),
        ("1-4-2", Nothing),
        ("1-4-2.1-4-2", Nothing),
        ("1-4-2.1-4-2.shop", Nothing),
        ("1-4-2-.orders", Nothing),
        ("1-4.orders.shop", Nothing),
        ("1-4-x.orders.shop", Nothing),
        ("1.4.2.orders", Nothing),
        ("v1-4-2.orders.shop", Nothing),
        // Ports.
        ("_http._tcp.orders", port("http", Tcp, None, "orders")),
        ("_http._tcp.orders.shop", port("http", Tcp, None, "orders.shop")),
        ("_dns._udp.orders.shop", port("dns", Udp, None, "orders.shop")),
        ("_diameter._sctp.orders", port("diameter", Sctp, None, "orders")),
        ("_tcp._tcp.orders", port("tcp", Tcp, None, "orders")),
        ("_8080._tcp.orders", port("8080", Tcp, None, "orders")),
        ("_http._tcp.1-4-2.orders", port("http", Tcp, Some("1-4-2"), "orders")),
        ("_http._tcp.1-4-2.orders.shop", port("http", Tcp, Some("1-4-2"), "orders.shop")),
        (&too_long_port, port(&too_long_port[1..63], Tcp, None, "orders")),
        ("_tcp.orders", Between { name: "orders" }),
        ("_udp.orders.shop", Between { name: "orders.shop" }),
        ("_tcp.1-4-2.orders.shop", Between { name: "orders.shop" }),
        ("_http.orders", Nothing),
        ("_http._quic.orders", Nothing),
        ("_._tcp.orders", Nothing),
        ("_-a._tcp.orders", Nothing),
        ("__http._tcp.orders", Nothing),
        ("_http._tcp", Nothing),
        ("_tcp", Nothing),
        ("_http._tcp._tcp.orders", Nothing),
        ("_a._http._tcp.orders", Nothing),
        ("http._tcp.orders", Nothing),
        ("_http._tcp.orders.shop.more", Nothing),
        ("_http._tcp.1-4-2.orders.shop.more", Nothing),
        ("_http._tcp.ip-10-1-2-3.orders.shop", Nothing),
        ("_http._tcp.1-4-2", Nothing),
        // Hosts.
        ("ip-10-1-2-3.orders.shop", Host { name: "orders.shop", address: address("10.1.2.3") }),
        ("ip-fd00-0-0-0-0-0-0-1.orders.shop", Host { name: "orders.shop", address: address("fd00::1") }),
        ("ip-10-1-2-3.orders", service("ip-10-1-2-3.orders")),
        ("ip-10-1-2-3", service("ip-10-1-2-3")),
        ("ip-10-1-2-03.orders.shop", Nothing),
        ("ip-10-1-2.orders.shop", Nothing),
        ("ip-10-1-2-3.1-2-3.shop", Nothing),
        ("ip-10-1-2-3.orders.shop.more", Nothing),
        ("ip-10-1-2-3.1-4-2.orders.shop", Nothing),
        ("1-4-2.ip-10-1-2-3.orders", versioned("1-4-2", "ip-10-1-2-3.orders")),
        // What nothing can have.
        ("a.b.c", Nothing),
        ("orders.shop.svc.cluster.local", Nothing),
        ("orders.shop.rollcall", Nothing),
        ("-orders", Nothing),
        ("orders-", Nothing),
        ("or_ders", Nothing),
        ("orders.sh_op", Nothing),
        ("*", Nothing),
        ("!", Nothing),
        ("orders.!", Nothing),
        ("1-4-2.!.shop", Nothing),
        ("xn--rders-vxa", service("xn--rders-vxa")),
    ];
    for (name, expected) in table {
        let whole = format!("{name}.rollcall");
        assert_eq!(Meaning::of(&whole), *expected, "{whole}");
    }
    let whole = [
        ("rollcall", Apex),
        ("rollcall.rollcall", service("rollcall")),
        ("", Outside),
        ("rollcall.", Outside),
        ("orders", Outside),
        ("xrollcall", Outside),
        ("orders.xrollcall", Outside),
        ("orders.rollcal", Outside),
        ("a!rollcall", Outside),
        ("rollcall.local", Outside),
        ("orders.rollcall.svc.cluster.local", Outside),
        ("example.com", Outside),
        ("3.2.1.10.in-addr.arpa", Meaning::Address(address("10.1.2.3"))),
        ("2.1.10.in-addr.arpa", Outside),
        ("3.2.1.10.in-addr.arpa.rollcall", Nothing),
        ("arpa", Outside),
    ];
    for (name, expected) in whole {
        assert_eq!(Meaning::of(name), expected, "{name}");
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn names_that_mean_something_are_what_lookups_take(
        labels in prop::collection::vec(
            prop_oneof![
                Just("_tcp".to_owned()), Just("_http".to_owned()), Just("1-4-2".to_owned()), Just("ip-10-1-2-3".to_owned()),
                "[a-z0-9!_-]{1,6}", "[a-z0-9]{1,6}",
            ],
            0..7,
        ),
        zone in prop::sample::select(vec!["rollcall", "in-addr.arpa", "example.com"]),
    ) {
        let name = labels.iter().map(String::as_str).chain([zone]).collect::<Vec<_>>().join(".");
        let meaning = Meaning::of(&name);
        let outside = matches!(meaning, Meaning::Outside | Meaning::Address(_));
        prop_assert_eq!(outside, zone != "rollcall");
        prop_assert_eq!(is_ours(&name), zone == "rollcall");
        if let Meaning::Service { name, .. } | Meaning::Host { name, .. } | Meaning::Between { name } = meaning {
            let reference: Result<rollcall_catalogue::ServiceRef, _> = name.parse();
            prop_assert!(reference.is_ok(), "{}", name);
        }
    }
}
