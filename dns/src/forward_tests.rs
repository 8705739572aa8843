//! Replies as servers send them, and as others would like them to be believed.

use proptest::prelude::*;

use super::*;
use crate::{Read, UDP_BYTES_PLAIN, read, testing::cases};

const ID: u16 = 0xbeef;

/// A query for the addresses of `www.Example`, with this EDNS behind it.
fn query(kind: u16, edns: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())];
    packet.extend(b"\x03www\x07Example\0");
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(edns);
    packet
}

/// EDNS with this size, signatures wanted, and a cookie.
fn edns(size: u16) -> Vec<u8> {
    let [high, low] = size.to_be_bytes();
    [&[0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8][..], b"a cookie"].concat()
}

fn forwarded(packet: &[u8], carrier: Carrier) -> (Forwarded, Vec<u8>) {
    let Read::Query(query) = read(packet) else { panic!("no query: {packet:x?}") };
    Forwarded::new(&query, ID, carrier)
}

/// What a server says to it: one address, and so many bytes in all at least.
fn said(sent: &[u8], bytes: usize) -> Vec<u8> {
    let mut reply = sent.to_vec();
    reply[2] |= 0x84;
    reply[3] |= 0x80;
    reply[7] = 1;
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, 1]);
    reply.resize(bytes.max(reply.len()), 0);
    reply
}

#[test]
fn a_query_goes_on_with_our_own_word_of_edns() {
    let plain = query(1, &[]);
    let (_, sent) = forwarded(&plain, Carrier::Udp);
    let mut expected = plain.clone();
    expected[..2].copy_from_slice(&ID.to_be_bytes());
    assert_eq!(sent, expected);
    for (size, room) in [(0, 512), (512, 512), (1_000, 1_000), (4_096, 1_232), (65_535, 1_232)] {
        let (_, sent) = forwarded(&query(1, &edns(size)), Carrier::Udp);
        let [high, low] = u16::to_be_bytes(room);
        let word = [0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 0];
        assert_eq!(sent[expected.len()..], word, "{size}");
        assert_eq!((sent[11], &sent[12..expected.len()]), (1, &expected[12..]));
    }
    let (_, sent) = forwarded(&query(1, &edns(4_096)), Carrier::Tcp);
    assert_eq!(sent[expected.len() + 3..expected.len() + 5], [0x04, 0xd0]);
}

#[test]
fn flags_that_are_not_the_askers_to_say_stay_here() {
    let mut packet = query(1, &[]);
    (packet[2], packet[3]) = (0x07, 0xff);
    let (_, sent) = forwarded(&packet, Carrier::Udp);
    assert_eq!(sent[2..4], [0x01, 0x30], "recursion, and what he knows of signatures");
}

#[test]
fn the_reply_is_the_servers_under_the_askers_id() {
    for (packet, carrier) in [
        (query(1, &[]), Carrier::Udp),
        (query(28, &edns(1_232)), Carrier::Udp),
        (query(65, &edns(512)), Carrier::Tcp),
    ] {
        let (forwarded, sent) = forwarded(&packet, carrier);
        let mut expected = said(&sent, 0);
        let reply = forwarded.reply(&expected);
        expected[..2].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(reply.as_deref(), Some(&expected[..]));
    }
}

#[test]
fn a_server_may_write_the_name_in_its_own_case() {
    let (forwarded, sent) = forwarded(&query(1, &[]), Carrier::Udp);
    let mut reply = said(&sent, 0);
    reply[12..25].make_ascii_lowercase();
    assert!(forwarded.reply(&reply).is_some_and(|reply| reply.windows(7).any(|name| name == b"example")));
}

#[test]
fn what_is_no_reply_is_none() {
    // Type 65 is HTTPS, and an `A` in ASCII; 97 is an `a`.
    let (forwarded, sent) = forwarded(&query(65, &[]), Carrier::Udp);
    let good = said(&sent, 0);
    assert!(forwarded.reply(&good).is_some());
    let cases: [(&str, usize, u8); 12] = [
        ("another id", 0, 0xbf),
        ("the asker's id", 1, 0x34),
        ("a query", 2, 0x01),
        ("another kind of query", 2, 0x8d),
        ("no question", 5, 0),
        ("two questions", 5, 2),
        ("many questions", 4, 1),
        ("another label", 13, b'x'),
        ("a shorter label", 12, 2),
        ("another type", 26, 1),
        ("a type that is the same letter", 26, 97),
        ("another class", 28, 3),
    ];
    for (what, at, byte) in cases {
        let mut reply = good.clone();
        reply[at] = byte;
        assert_eq!(forwarded.reply(&reply), None, "{what}");
    }
    for bytes in 0..sent.len() {
        assert_eq!(forwarded.reply(&good[..bytes]), None, "the first {bytes} bytes");
    }
    assert_eq!(forwarded.reply(&sent), None, "our own query, come back");
}

#[test]
fn a_header_alone_is_a_reply_where_it_says_why_there_is_none() {
    for edns in [vec![], edns(1_232)] {
        let (forwarded, sent) = forwarded(&query(1, &edns), Carrier::Udp);
        let header = [0xbe, 0xef, 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0];
        let reply = forwarded.reply(&header).unwrap();
        assert_eq!(reply[..12], [0x12, 0x34, 0x81, 0x85, 0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())]);
        assert_eq!(reply[12..], sent[12..], "the question, and our EDNS where the asker has his");
        for (what, at, byte) in [
            ("another id", 1, 0xbf),
            ("a query", 2, 0x01),
            ("another kind of query", 2, 0x8d),
            ("no failure", 3, 0x80),
            ("a question that is not there", 5, 1),
        ] {
            let mut reply = header;
            reply[at] = byte;
            assert_eq!(forwarded.reply(&reply), None, "{what}");
        }
        assert_eq!(forwarded.reply(&[&header[..], &[0]].concat()), None, "more than a header");
    }
}

#[test]
fn the_sign_of_life_is_asked_of_the_zone_and_where_there_is_none_of_the_root() {
    let root = [&[0xbe, 0xef, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1][..]].concat();
    let cluster = [&root[..12], b"\x07cluster\x05local\0\0\x06\0\x01"].concat();
    let long = |bytes| vec!["x"; bytes].concat();
    for (zone, expected) in [
        (None, &root),
        (Some("cluster.local".to_owned()), &cluster),
        (Some(String::new()), &root),
        (Some("cluster..local".to_owned()), &root),
        (Some(long(64)), &root),
        (Some(vec!["x"; 128].join(".")), &root),
    ] {
        let (sign, sent) = Forwarded::sign_of_life(ID, zone.as_deref());
        assert_eq!(&sent, expected, "{zone:?}");
        assert!(
            sign.reply(&[&[0xbe, 0xef, 0x80, 3][..], &sent[4..]].concat()).is_some(),
            "any answer counts"
        );
    }
    let longest = vec!["x"; 127].join(".");
    assert_eq!(Forwarded::sign_of_life(ID, Some(&longest)).1.len(), 12 + 255 + 4);
}

#[test]
fn what_is_longer_than_the_askers_room_is_cut() {
    for (edns, room) in [(vec![], UDP_BYTES_PLAIN), (edns(700), 700), (edns(65_535), UDP_BYTES_MAX)] {
        let (forwarded, sent) = forwarded(&query(1, &edns), Carrier::Udp);
        let whole = forwarded.reply(&said(&sent, room)).unwrap();
        assert_eq!((whole.len(), whole[2] & 0x02), (room, 0), "what just fits");
        let cut = forwarded.reply(&said(&sent, room + 1)).unwrap();
        assert_eq!(cut[..4], [0x12, 0x34, 0x87, 0xa0], "{room}: TC, and what the server said else");
        assert_eq!(cut[4..12], [0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())]);
        assert_eq!(cut[12..sent.len().min(29)], sent[12..sent.len().min(29)]);
        assert_eq!(cut.len(), sent.len(), "the question, and our EDNS where the asker has his");
    }
    let (forwarded, sent) = forwarded(&query(1, &[]), Carrier::Tcp);
    assert_eq!(forwarded.reply(&said(&sent, 65_535)).unwrap().len(), 65_535);
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn no_packet_is_a_reply_but_those_with_its_id_and_question(
        packet in prop::collection::vec(any::<u8>(), 0..600),
        edits in prop::collection::vec((0usize..60, any::<u8>()), 0..4),
        extended in any::<bool>(),
        keeps in any::<bool>(),
    ) {
        let edns = if extended { edns(600) } else { vec![] };
        let (forwarded, sent) = forwarded(&query(1, &edns), Carrier::Udp);
        let mut packet = if keeps { said(&sent, packet.len()) } else { packet };
        for (at, byte) in edits {
            if let Some(there) = packet.get_mut(at) {
                *there = byte;
            }
        }
        let same = |range: std::ops::Range<usize>| {
            packet.get(range.clone()).is_some_and(|there| there.eq_ignore_ascii_case(&sent[range]))
        };
        let is_reply = packet.get(..2) == Some(&ID.to_be_bytes()[..])
            && packet.get(2).is_some_and(|byte| byte & 0xf8 == 0x80)
            && packet.get(4..6) == Some(&[0, 1])
            && same(12..25)
            && packet.get(25..29) == Some(&[0, 1, 0, 1]);
        let reply = forwarded.reply(&packet);
        prop_assert_eq!(reply.is_some(), is_reply);
        if let Some(reply) = reply {
            let room = if extended { 600 } else { 512 };
            prop_assert!(reply.len() <= packet.len().min(room));
            prop_assert_eq!(&reply[..2], &[0x12, 0x34]);
        }
    }
}
