//! What is said of each name.

use std::collections::BTreeSet;

use rollcall_controller::Authority;

use crate::{
    bench::{Volumes, request},
    client::{
        A, AAAA, NOERROR, NS, PTR, REFUSED, SOA, SRV, TXT, ask, ask_tcp, exchange, query, query_with_room,
    },
    service::{MANY, in_step},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_has_the_records_that_lookups_would_tell() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    for (name, kind, data) in [
        ("orders.rollcall", A, &["10.0.0.1", "10.0.0.2"][..]),
        ("orders.shop.rollcall", A, &["10.0.0.1", "10.0.0.2"]),
        ("OrDeRs.Rollcall", A, &["10.0.0.1", "10.0.0.2"]),
        ("orders.rollcall", AAAA, &["fd00::2"]),
        ("bills.bank.rollcall", AAAA, &["fd00::9"]),
        ("1-4-2.orders.rollcall", A, &["10.0.0.1"]),
        ("1-5-0-rc-1.orders.shop.rollcall", A, &["10.0.0.2"]),
        (
            "orders.rollcall",
            SRV,
            &["0 100 8080 ip-10-0-0-1.orders.shop.rollcall", "0 50 8080 ip-10-0-0-2.orders.shop.rollcall"],
        ),
        ("_grpc._tcp.1-4-2.orders.rollcall", SRV, &["0 100 9090 ip-10-0-0-1.orders.shop.rollcall"]),
        ("_syslog._udp.bills.bank.rollcall", SRV, &["0 100 514 ip-fd00-0-0-0-0-0-0-9.bills.bank.rollcall"]),
        ("ip-10-0-0-2.orders.shop.rollcall", A, &["10.0.0.2"]),
        ("ip-10-0-0-2.orders.shop.rollcall", AAAA, &["fd00::2"]),
        ("rollcall", NS, &["localhost"]),
        ("1.0.0.10.in-addr.arpa", PTR, &["ip-10-0-0-1.orders.shop.rollcall"]),
        // Of a service that is not looked up here.
        ("7.7.7.10.in-addr.arpa", PTR, &["ip-10-7-7-7.far.bank.rollcall"]),
    ] {
        let over_udp = ask(process.dns, name, kind).await;
        assert_eq!((over_udp.code, over_udp.sorted()), (NOERROR, data.to_vec()), "{name} {kind}");
        assert!(over_udp.answers.iter().all(|one| one.ttl == 1 && one.kind == kind), "{over_udp:?}");
        assert!(over_udp.authoritative && !over_udp.truncated && !over_udp.recursive, "{name}: {over_udp:?}");
        let over_tcp = ask_tcp(process.dns, name, kind).await;
        assert_eq!((over_tcp.code, over_tcp.sorted()), (NOERROR, data.to_vec()), "{name} {kind} over TCP");
    }
    assert_eq!(ask(process.dns, "rollcall", SOA).await.answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_kind_and_no_such_name_are_told_apart() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    for (name, kind) in [
        ("bills.bank.rollcall", A),
        ("orders.rollcall", TXT),
        ("idle.rollcall", A),
        ("idle.rollcall", SRV),
        ("9-9-9.orders.rollcall", A),
        ("_smtp._tcp.orders.rollcall", SRV),
        ("_http._udp.orders.rollcall", SRV),
        ("_tcp.orders.rollcall", SRV),
        ("ip-10-0-0-1.orders.shop.rollcall", AAAA),
    ] {
        let reply = ask(process.dns, name, kind).await;
        assert!(reply.is_empty() && reply.authoritative, "{name} {kind}: {reply:?}");
    }
    for name in [
        "nobody.rollcall",
        "orders.nowhere.rollcall",
        "_http._tcp.nobody.rollcall",
        "_tcp.nobody.rollcall",
        "1-4-2.nobody.rollcall",
        "x.orders.shop.rollcall",
        "or_ders.rollcall",
        // It does not serve, and nobody has the other.
        "ip-10-0-0-3.orders.shop.rollcall",
        "ip-10-0-0-77.orders.shop.rollcall",
    ] {
        let reply = ask(process.dns, name, A).await;
        assert!(reply.is_nobody() && reply.authoritative, "{name}: {reply:?}");
    }
    for name in [
        "example.com",
        "orders.rollcall.svc.cluster.local",
        "rollcall.example",
        "xrollcall",
        // The controller knows of nobody there; and of one that cannot be called.
        "9.9.9.10.in-addr.arpa",
        "8.8.8.10.in-addr.arpa",
    ] {
        let reply = ask(process.dns, name, A).await;
        assert_eq!((reply.code, reply.answers.len()), (REFUSED, 0), "{name}");
        assert!(!reply.authoritative && !reply.recursive, "{name}: {reply:?}");
    }
    let metrics = request(process.health, "GET /metrics HTTP/1.1\r\nHost: a\r\n").await.body;
    for sample in ["result=\"NOERROR\"} 9", "result=\"NXDOMAIN\"} 9", "result=\"REFUSED\"} 6"] {
        assert!(
            metrics.contains(&format!("rollcall_dns_queries_total{{{sample}\n")),
            "{sample} in {metrics}"
        );
    }
    let lookups = "rollcall_lookups_total{api=\"dns\"}";
    let lookups = metrics.lines().find_map(|line| line.strip_prefix(lookups)?.trim().parse::<u32>().ok());
    // All but the two names that nothing can have, and the outer ones.
    assert_eq!(lookups, Some(9 + 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_is_told_of_another_first() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    for (name, kind) in
        [("orders.rollcall", A), ("orders.rollcall", SRV), ("_grpc._tcp.orders.rollcall", SRV)]
    {
        let mut first = Vec::new();
        for _ in 0..4 {
            first.push(ask(process.dns, name, kind).await.data()[0].to_owned());
        }
        assert!(
            first[0] == first[2] && first[1] == first[3] && first[0] != first[1],
            "{name} {kind}: {first:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_said_to_be_cut_and_tcp_has_all_of_it() {
    let authority = Authority::generate("test").unwrap();
    let volumes = Volumes::new(&authority);
    let (_played, process) = in_step(&authority, &volumes).await;
    let mut seen = BTreeSet::new();
    // Each kind asks for another number of bytes.
    for (room, fits) in [(None, 512), (Some(0), 512), (Some(800), 800), (Some(65_535), 1_232)] {
        let packet = match room {
            None => query(7, "many.rollcall", A),
            Some(room) => query_with_room(7, "many.rollcall", A, room),
        };
        let reply = exchange(process.dns, &packet).await;
        assert!(reply.truncated && reply.code == NOERROR && !reply.answers.is_empty(), "{room:?}");
        assert!(
            reply.bytes.len() <= fits && reply.bytes.len() > fits - 16,
            "{room:?}: {}",
            reply.bytes.len()
        );
        seen.insert(reply.data()[0].to_owned());
    }
    assert_eq!(seen.len(), 4, "each begins with another");

    let all = ask_tcp(process.dns, "many.rollcall", A).await;
    assert!(!all.truncated && all.answers.len() == MANY, "{}", all.answers.len());
    assert_eq!(all.data().into_iter().collect::<BTreeSet<_>>().len(), MANY);
    let all = ask_tcp(process.dns, "_http._tcp.many.rollcall", SRV).await;
    assert!(!all.truncated && all.answers.len() == MANY, "{}", all.answers.len());
    let few = ask(process.dns, "_http._tcp.orders.rollcall", SRV).await;
    let beside: Vec<_> =
        few.additionals.iter().map(|record| (record.name.as_str(), record.data.as_str())).collect();
    for (name, address) in [
        ("ip-10-0-0-1.orders.shop.rollcall", "10.0.0.1"),
        ("ip-10-0-0-2.orders.shop.rollcall", "10.0.0.2"),
        ("ip-10-0-0-2.orders.shop.rollcall", "fd00::2"),
    ] {
        assert!(beside.contains(&(name, address)), "{beside:?}");
    }
}
