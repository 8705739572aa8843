//! Packets that stock programs send, with faults: whatever comes in is read in one pass and without a panic; what is taken is
//! what another implementation reads as well; and nobody is told more than he has room for.
//!
//! `ROLLCALL_SEED` runs one seed again, `ROLLCALL_SEEDS` says how many are run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hickory_proto::op::{Message, ResponseCode};

use crate::{
    Answer, Carrier, Choice, Host, Kind, Meaning, Query, Read, Records, read,
    reply::HEADER_BYTES,
    testing::{address, instance, key, many, packet, parsed, records, service, with_edns},
};

/// Seeds that are run where nobody says how many, and the packets of each: a second or two of one core.
const SEEDS: u64 = 40;
const PACKETS: usize = 500;

/// Bytes that mean something somewhere in a message.
const TELLING: [u8; 12] = [0, 1, 2, 12, 41, 63, 64, 128, 192, 250, 254, 255];

/// Draws numbers that look random, the same ones from the same seed.
struct Draws(u64);

/// Holds what is answered.
struct Answers {
    few: Records,
    many: Records,
    none: Records,
}

// === impl Draws ===

impl Draws {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

// === impl Answers ===

impl Answers {
    fn new() -> Self {
        let few = service([
            instance(&["10.0.0.1", "fd00::1"], &[("http", 80)]),
            instance(&["fd00::2"], &[("http", 80), ("admin", 81)]),
        ]);
        Self {
            few: records(&few, Choice::default()),
            many: records(&many(300), Choice::default()),
            none: records(&service([]), Choice::default()),
        }
    }

    fn host(&self) -> &Host {
        self.few.host(address("fd00::1")).unwrap()
    }
}

/// What stock programs send: plain ones, with EDNS, with the options that they use, with a signature.
fn sent() -> Vec<Vec<u8>> {
    let names = [
        "orders.rollcall",
        "orders.shop.rollcall",
        "_http._tcp.1-4-2.orders.shop.rollcall",
        "ip-10-1-2-3.orders.shop.rollcall",
        "3.2.1.10.in-addr.arpa",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
        "orders.shop.svc.cluster.local",
        "rollcall",
        "",
    ];
    let kinds = [Kind::A, Kind::AAAA, Kind::SRV, Kind::PTR, Kind::ANY, Kind::AXFR];
    let mut packets = Vec::new();
    for name in names {
        for kind in kinds {
            packets.push(packet(name, kind));
            packets.push(with_edns(packet(name, kind), 1_232));
        }
        // A cookie, and the asker's network, as dig and resolvers send them.
        let options = b"\0\x0a\0\x08cookie..\0\x08\0\x07\0\x01\x18\0\x0a\x01\x02";
        let mut with_options = with_edns(packet(name, Kind::A), 4_096);
        let length = with_options.len() - 1;
        with_options[length] = options.len() as u8;
        with_options.extend_from_slice(options);
        packets.push(with_options);
        let mut signed = packet(name, Kind::A);
        signed[11] = 1;
        signed.extend_from_slice(b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x08hmac-md5\0\0\0\0\0\0\0\x01\x2c\0\0\x12\x34\0\0\0\0......");
        packets.push(signed);
    }
    packets
}

/// One of them with up to four faults.
fn drawn(draws: &mut Draws, sent: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = draws.one(sent).clone();
    for _ in 0..draws.below(5) {
        let at = draws.below(packet.len());
        match draws.below(9) {
            0 if !packet.is_empty() => packet[at] ^= 1 << draws.below(8),
            1 if !packet.is_empty() => packet[at] = *draws.one(&TELLING),
            2 if !packet.is_empty() => packet[at] = draws.next() as u8,
            // What is counted, and the flags.
            3 if packet.len() >= HEADER_BYTES => packet[2 + draws.below(10)] = draws.below(3) as u8,
            4 => packet.truncate(at),
            5 => packet.insert(at, *draws.one(&TELLING)),
            6 => drop(packet.drain(at..(at + draws.below(8)).min(packet.len()))),
            7 => {
                let other = draws.one(sent);
                packet.extend_from_slice(&other[draws.below(other.len())..]);
            }
            _ => packet.extend((0..draws.below(40)).map(|_| *draws.one(&TELLING))),
        }
    }
    packet
}

/// Everything that must hold of any packet.
fn check(packet: &[u8], answers: &Answers, taken: &mut [usize; 3]) {
    let mut out = Vec::new();
    match read(packet) {
        Read::Nothing => {
            assert!(packet.len() < HEADER_BYTES || packet[2] & 0x80 != 0, "told nothing");
            taken[0] += 1;
        }
        Read::Refused(refusal) => {
            refusal.write(&mut out);
            assert!(out.len() <= packet.len(), "a refusal that is longer than what is refused");
            assert_ne!(parsed(&out).metadata.response_code, ResponseCode::NoError);
            assert_eq!((&out[..2], out[2] & 0x80), (&packet[..2], 0x80));
            taken[1] += 1;
        }
        Read::Query(query) => {
            same_question(packet, &query);
            answer(packet, &query, answers, &mut out);
            taken[2] += 1;
        }
    }
}

fn same_question(packet: &[u8], query: &Query<'_>) {
    // What options say is nothing to us, and another may refuse it: then only the question is compared.
    let read = Message::from_vec(packet).or_else(|_| {
        let question = [&packet[..10], &[0, 0], &query.question()[HEADER_BYTES..]].concat();
        Message::from_vec(&question)
    });
    let [other] = &read.unwrap().queries[..] else { panic!("one question") };
    assert_eq!(u16::from(other.query_type), query.kind().0);
    assert_eq!(u16::from(other.query_class), 1);
    let labels: Vec<_> = other.name.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let text = query.text();
    assert_eq!(text.split('.').filter(|label| !label.is_empty()).count(), labels.len(), "{text}");
    if !text.contains('!') {
        assert_eq!(labels.join(&b'.'), text.as_bytes());
        assert_eq!(query.name(), text);
    }
}

fn answer(packet: &[u8], query: &Query<'_>, answers: &Answers, out: &mut Vec<u8>) {
    let keys = [key("orders.shop"), key("billing.shop")];
    let all = [
        Answer::Records(&answers.few),
        Answer::Records(&answers.many),
        Answer::Records(&answers.none),
        Answer::Host(answers.host()),
        Answer::Pointers(address("fd00::1"), &keys),
        Answer::Apex,
        Answer::Empty,
        Answer::NoSuchName,
        Answer::NotKnown,
        Answer::NotOurs,
    ];
    let _: Meaning<'_> = query.meaning();
    for answer in all {
        query.answer(&answer, Carrier::Udp, true, out);
        assert!(out.len() <= query.room(Carrier::Udp), "{answer:?}");
        let reply = parsed(out);
        assert_eq!(out[..2], packet[..2]);
        assert_eq!(out[HEADER_BYTES..query.question().len()], query.question()[HEADER_BYTES..]);
        assert!(!reply.metadata.truncation || !reply.answers.is_empty(), "as much as there is room for");
    }
}

fn said(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")))
}

#[test]
fn whatever_comes_in() {
    let seeds = match said("ROLLCALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + said("ROLLCALL_SEEDS").unwrap_or(SEEDS),
    };
    let many = seeds.end - seeds.start >= 10;
    let (sent, answers) = (sent(), Answers::new());
    let mut taken = [0; 3];
    for seed in seeds {
        let mut draws = Draws(seed);
        for _ in 0..PACKETS {
            let packet = drawn(&mut draws, &sent);
            let checked = catch_unwind(AssertUnwindSafe(|| check(&packet, &answers, &mut taken)));
            assert!(checked.is_ok(), "ROLLCALL_SEED={seed} runs it again: {}", packet.escape_ascii());
        }
    }
    println!("told nothing, refused, taken: {taken:?}");
    assert!(!many || taken.iter().all(|count| *count > 100), "hardly any of one sort: {taken:?}");
}
