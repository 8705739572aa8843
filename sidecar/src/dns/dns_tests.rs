use rollcall_catalogue::{ContentHash, Policy, Service, changes::Head};
use rollcall_wire::{Question, Told};
use tokio::time::{Duration, Instant, advance};

use super::{
    whose::{ASKING_FOR, ASKING_MAX},
    *,
};
use crate::{
    agent::{Inbox, errands},
    own::Own,
    owners::{Owner, Owners},
    store::{Contact, Writer, store},
};

pub(super) const A: u8 = 1;
const PTR: u8 = 12;
const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

pub(super) fn packet(name: &str, kind: u8) -> Vec<u8> {
    let mut packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        packet.push(label.len().try_into().unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet
}

/// What is said at once: the code, and the number of answers.
fn said(dns: &Dns, name: &str, kind: u8) -> Option<(u8, u8)> {
    let mut out = Vec::new();
    match dns.at_once(&packet(name, kind), Carrier::Udp, &mut out) {
        Turn::Answered => Some((out[3] & 0x0F, out[7])),
        Turn::Ignored => panic!("{name} is a query"),
        Turn::Waits => None,
    }
}

fn orders() -> Arc<Service> {
    let instance = |number: u8, state: &str| {
        let json = serde_json::json!({
            "id": format!("u{number}-8080"), "address": format!("10.0.0.{number}"), "port": 8080,
            "ports": {"http": 8080}, "weight": 100, "state": state, "reason": "Ready",
        });
        Arc::new(serde_json::from_value(json).unwrap())
    };
    let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
    Arc::new(Service::of(head, vec![instance(1, "Serving"), instance(2, "Serving"), instance(3, "Failing")]))
}

/// One that holds `orders`, and was told that there is no `nobody`.
pub(super) fn dns() -> (Writer, Dns, Inbox) {
    let (writer, store) = store();
    let (errands, inbox) = errands();
    let [orders_key, nobody] = ["orders.shop", "nobody.shop"].map(|key| key.parse::<ServiceKey>().unwrap());
    writer.at_home_in(&"shop".parse().unwrap());
    writer.add([orders_key.clone(), nobody.clone()]);
    writer.set_service(&orders_key, orders());
    writer.set(&nobody, Known::Unknown);
    writer.current();
    writer.set_contact(Contact::Live { caught_up: true, synced: true });
    let owner = Owner { own: Own::default(), errands, store };
    (writer, Dns::new(Api::new(Owners::Pod(owner)), None, Counts::default()), inbox)
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_answered_at_once_and_what_is_not_waits() {
    let (writer, dns, _inbox) = dns();
    for (name, kind, expected) in [
        ("orders.rollcall", A, Some((NOERROR, 2))),
        ("orders.shop.rollcall", A, Some((NOERROR, 2))),
        ("_http._tcp.orders.rollcall", 33, Some((NOERROR, 2))),
        ("orders.rollcall", PTR, Some((NOERROR, 0))),
        ("1.0.0.10.in-addr.arpa", PTR, Some((NOERROR, 1))),
        ("ip-10-0-0-1.orders.shop.rollcall", A, Some((NOERROR, 1))),
        ("ip-10-0-0-3.orders.shop.rollcall", A, Some((NXDOMAIN, 0))),
        ("nobody.rollcall", A, Some((NXDOMAIN, 0))),
        ("example.com", A, Some((REFUSED, 0))),
        ("another.rollcall", A, None),
        // Of one that cannot be called, and of nobody.
        ("3.0.0.10.in-addr.arpa", PTR, None),
        ("9.9.9.10.in-addr.arpa", PTR, None),
    ] {
        assert_eq!(said(&dns, name, kind), expected, "{name}");
    }
    writer.set_contact(Contact::Lost);
    advance(Duration::from_secs(60)).await;
    assert_eq!(said(&dns, "nobody.rollcall", A), Some((NXDOMAIN, 0)));
    advance(Duration::from_secs(1)).await;
    assert_eq!(said(&dns, "nobody.rollcall", A), Some((SERVFAIL, 0)), "that word is too old");
    assert_eq!(said(&dns, "orders.rollcall", A), Some((NOERROR, 2)), "and an address is not");
    assert_eq!(dns.counts.total(Outcome::NxDomain), 3);
    assert_eq!(dns.api.store.lookups(Dialect::Dns), 10);
}

#[tokio::test(start_paused = true)]
async fn a_first_lookup_is_answered_when_something_is_known_and_after_a_second() {
    let (writer, dns, _inbox) = dns();
    let name = packet("bills.rollcall", A);
    let begin = Instant::now();
    let reply = dns.in_time(&name, Carrier::Udp).await;
    assert!(
        reply[3] & 0x0F == SERVFAIL && begin.elapsed() == Duration::from_secs(1),
        "{:?}",
        begin.elapsed()
    );

    let key: ServiceKey = "bills.shop".parse().unwrap();
    writer.add([key.clone()]);
    let (begin, told) = (Instant::now(), Duration::from_millis(300));
    let tell = async {
        tokio::time::sleep(told).await;
        writer.set_service(&key, orders());
    };
    let (reply, ()) = tokio::join!(dns.in_time(&name, Carrier::Udp), tell);
    assert_eq!((reply[3] & 0x0F, reply[7], begin.elapsed()), (NOERROR, 2, told));
}

async fn pointer(dns: &Dns, last: usize) -> (u8, Duration) {
    let begin = Instant::now();
    let reply = dns.in_time(&packet(&format!("{last}.9.9.10.in-addr.arpa"), PTR), Carrier::Udp).await;
    (reply[3] & 0x0F, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn whose_an_address_is_few_ask_and_none_for_long_or_while_their_questions_are_open() {
    let (writer, dns, _inbox) = dns();
    let asked = futures::future::join_all((0..ASKING_MAX + 2).map(|last| pointer(&dns, last))).await;
    let (asking, others) = asked.split_at(ASKING_MAX);
    assert!(asking.iter().all(|told| *told == (SERVFAIL, ASKING_FOR)), "{asking:?}");
    assert!(others.iter().all(|told| *told == (SERVFAIL, Duration::ZERO)), "{others:?}");

    assert_eq!(pointer(&dns, 0).await, (SERVFAIL, Duration::ZERO), "nobody waits, and no place is free");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pointer(&dns, 0).await, (SERVFAIL, ASKING_FOR), "the errands have ended");
    writer.set_contact(Contact::Lost);
    assert_eq!(pointer(&dns, 0).await, (REFUSED, Duration::ZERO), "there is nobody to ask");
}

#[tokio::test(start_paused = true)]
async fn what_is_nobodys_is_asked_once_and_told_for_five_seconds() {
    let (_writer, dns, mut inbox) = dns();
    let answered = |address| async move {
        let (question, answer) = inbox.question().await;
        assert_eq!(question, Question::Address(address));
        answer.send(Told::Found(vec![])).unwrap();
        inbox
    };
    let ((code, _), mut inbox) = tokio::join!(pointer(&dns, 1), answered([10, 9, 9, 1].into()));
    assert_eq!(code, REFUSED);
    advance(Duration::from_millis(4_900)).await;
    assert_eq!(pointer(&dns, 1).await, (REFUSED, Duration::ZERO));
    assert!(inbox.question().now_or_never().is_none(), "nobody was asked");
    advance(Duration::from_millis(100)).await;
    assert_eq!(pointer(&dns, 1).await, (SERVFAIL, ASKING_FOR), "by then somebody may have it");
    // An answer that comes after that is good for the next who asks.
    let (_, answer) = inbox.question().await;
    answer.send(Told::Found(vec![])).unwrap();
    while dns.whose.places() < ASKING_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(pointer(&dns, 1).await, (REFUSED, Duration::ZERO));
}

#[tokio::test]
async fn an_address_that_the_controller_has_no_time_for_is_another_servers_to_tell() {
    let (_writer, mut dns, _inbox) = dns();
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = server.local_addr().unwrap().to_string().parse().unwrap();
    dns.forwarder = Forwarder::new(&servers, &[], Search::default()).unwrap();
    for last in 0..ASKING_MAX {
        assert!(pointer(&dns, last).now_or_never().is_none(), "waits for the controller");
    }
    let mut heard = [0; 512];
    tokio::select! {
        told = pointer(&dns, 9) => panic!("{told:?}"),
        received = server.recv(&mut heard) => assert!(received.unwrap() > 12),
    }
}

#[tokio::test]
async fn who_searches_for_a_name_of_ours_finds_it_asked_for() {
    let (_writer, mut dns, mut inbox) = dns();
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = silent.local_addr().unwrap().to_string().parse().unwrap();
    dns.forwarder =
        Forwarder::new(&servers, &[], Search::of("search svc.cluster.local cluster.local")).unwrap();
    for (name, wished) in [
        ("another.rollcall.svc.cluster.local", Some("another.shop")),
        ("1-4-2.Another.billing.Rollcall.cluster.local", Some("another.billing")),
        ("_http._tcp.another.rollcall.cluster.local", Some("another.shop")),
        ("orders.rollcall.cluster.local", None),
        ("another.rollcall.example", None),
        ("another.svc.cluster.local", None),
    ] {
        let packet = packet(name, A);
        assert!(
            dns.in_time(&packet, Carrier::Udp).now_or_never().is_none(),
            "{name} is another server's to answer"
        );
        assert_eq!(inbox.wishes(), wished.map(|key| key.parse().unwrap()).as_slice(), "{name}");
    }
}
