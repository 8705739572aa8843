use proptest::prelude::*;

use super::*;
use crate::testing::{cases, packet, parsed, query, with_edns};

/// What becomes of a packet, as a word.
fn outcome(packet: &[u8]) -> &'static str {
    match read(packet) {
        Read::Query(_) => "a query",
        Read::Refused(refusal) => refusal.code(),
        Read::Nothing => "nothing",
    }
}

/// A plain query whose bytes at this place are others.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = plain();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

/// The same with more behind it.
fn followed(counts: [u8; 8], more: &[u8]) -> Vec<u8> {
    let mut packet = with(4, &counts);
    packet.extend_from_slice(more);
    packet
}

/// A query with this record in Additional.
fn beside(record: &[u8]) -> Vec<u8> {
    followed([0, 1, 0, 0, 0, 0, 0, 1], record)
}

fn plain() -> Vec<u8> {
    packet("orders.rollcall", Kind::A)
}

/// One question for a name of these bytes.
fn named(name: &[u8]) -> Vec<u8> {
    [&plain()[..HEADER_BYTES], name, &[0, 1, 0, 1]].concat()
}

/// A name of labels of these lengths.
fn name_of(lengths: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    for length in lengths {
        name.push(*length);
        name.extend(std::iter::repeat_n(b'a', (*length).into()));
    }
    name.push(0);
    name
}

/// A record of this type with the root as its owner.
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    [&[0, 0, kind, 4, 208, 0, 0, 0, 0, 0, data.len() as u8], data].concat()
}

const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

#[test]
fn what_every_packet_is() {
    let two = [&plain()[HEADER_BYTES..]; 1].concat();
    let tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x04junk";
    let opt_with = |data: &[u8]| beside(&record(41, data));
    let kind = |kind: u16| packet("orders.rollcall", Kind(kind));
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("a query", plain(), "a query"),
        ("a name without labels", named(b"\0"), "a query"),
        (
            "recursion not desired, and all bits that mean nothing in a query",
            with(2, &[0x06, 0x7f]),
            "a query",
        ),
        // Who is told nothing.
        ("no bytes", Vec::new(), "nothing"),
        ("half a header", plain()[..11].to_vec(), "nothing"),
        ("a reply", with(2, &[0x81]), "nothing"),
        ("a reply with another opcode", with(2, &[0xf9]), "nothing"),
        ("a reply of a header alone", with(2, &[0x80])[..12].to_vec(), "nothing"),
        // What is not a query.
        ("opcode 1", with(2, &[0x08]), "NOTIMP"),
        ("notify", with(2, &[0x20]), "NOTIMP"),
        ("update", with(2, &[0x28]), "NOTIMP"),
        ("opcode 15, and nothing but a header", with(2, &[0x78])[..12].to_vec(), "NOTIMP"),
        // What is counted.
        ("a header alone", plain()[..12].to_vec(), "FORMERR"),
        ("no question", with(4, &[0, 0])[..12].to_vec(), "FORMERR"),
        ("no question, and one all the same", with(4, &[0, 0]), "FORMERR"),
        ("two questions", followed([0, 2, 0, 0, 0, 0, 0, 0], &two), "FORMERR"),
        ("256 questions", with(4, &[1, 0]), "FORMERR"),
        ("257 questions", with(4, &[1, 1]), "FORMERR"),
        ("an answer", followed([0, 1, 0, 1, 0, 0, 0, 0], &record(1, &[10, 0, 0, 1])), "FORMERR"),
        ("an authority", followed([0, 1, 0, 0, 0, 1, 0, 0], &record(1, &[10, 0, 0, 1])), "FORMERR"),
        ("256 answers", with(6, &[1, 0]), "FORMERR"),
        ("a byte too much", [plain(), vec![0]].concat(), "FORMERR"),
        ("a record that is not counted", [plain(), OPT.to_vec()].concat(), "FORMERR"),
        ("a record that is missing", with(10, &[0, 1]), "FORMERR"),
        ("65,535 records that are missing", with(10, &[255, 255]), "FORMERR"),
        ("a question without its class", plain()[..plain().len() - 2].to_vec(), "FORMERR"),
        ("a question without its type", plain()[..plain().len() - 4].to_vec(), "FORMERR"),
        // Names.
        ("a name without its end", named(b"\x06orders")[..19].to_vec(), "FORMERR"),
        ("a label longer than the packet", named(b"\x3forders\0"), "FORMERR"),
        ("a label of 63 bytes", named(&name_of(&[63])), "a query"),
        ("a label of 64 bytes", named(&name_of(&[64])), "FORMERR"),
        ("a label of a kind that there is not", named(b"\x80\0"), "FORMERR"),
        ("a name of 255 bytes", named(&name_of(&[63, 63, 63, 61])), "a query"),
        ("a name of 256 bytes", named(&name_of(&[63, 63, 63, 62])), "FORMERR"),
        ("a name of 255 bytes of the shortest labels", named(&name_of(&[1; 127])), "a query"),
        ("a name of one label more", named(&name_of(&[1; 128])), "FORMERR"),
        ("a pointer to itself", named(b"\xc0\x0c"), "FORMERR"),
        ("a pointer back to where the name begins", named(b"\x06orders\xc0\x0c"), "FORMERR"),
        ("a pointer forwards", named(b"\xc0\x0e\x01a\0"), "FORMERR"),
        ("a pointer into the header", named(b"\xc0\x04"), "FORMERR"),
        ("half a pointer", [&plain()[..12], &[0xc0]].concat(), "FORMERR"),
        // What is asked for.
        ("ANY", kind(255), "a query"),
        ("a type that there is not", kind(65_000), "a query"),
        ("all of the zone", kind(252), "REFUSED"),
        ("what changed of the zone", kind(251), "REFUSED"),
        (
            "what changed of the zone since this one",
            [&with(9, &[1])[..30], &[251, 0, 1], &record(6, &[0; 22])].concat(),
            "REFUSED",
        ),
        ("class CH", with(31, &[0, 3]), "REFUSED"),
        ("class ANY", with(31, &[0, 255]), "REFUSED"),
        ("class NONE", with(31, &[0, 254]), "REFUSED"),
        ("class 256", with(31, &[1, 0]), "REFUSED"),
        // EDNS.
        ("EDNS", beside(&OPT), "a query"),
        ("EDNS with every flag", beside(&[0, 0, 41, 4, 208, 255, 0, 255, 255, 0, 0]), "a query"),
        ("an option that nobody knows, and an empty one", opt_with(b"\xff\xfe\0\x02hi\0\x0a\0\0"), "a query"),
        ("a version of EDNS that is to come", beside(&[0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0]), "BADVERS"),
        ("EDNS twice", followed([0, 1, 0, 0, 0, 0, 0, 2], &[OPT, OPT].concat()), "FORMERR"),
        ("EDNS with a name", beside(&[&b"\x01a"[..], &OPT].concat()), "FORMERR"),
        ("EDNS with the question's name", beside(&[&b"\xc0\x0c"[..], &OPT[1..]].concat()), "FORMERR"),
        ("EDNS and a byte", beside(&[&OPT[..], &[0]].concat()), "FORMERR"),
        ("half of EDNS", beside(&OPT[..9]), "FORMERR"),
        ("EDNS of more bytes than there are", beside(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 1]), "FORMERR"),
        ("half of an option's head", opt_with(b"\0\x0a\0"), "FORMERR"),
        ("an option longer than all of them", opt_with(b"\0\x0a\0\x08seven.."), "FORMERR"),
        // Others.
        ("TSIG junk", beside(tsig), "REFUSED"),
        ("EDNS, then TSIG junk", followed([0, 1, 0, 0, 0, 0, 0, 2], &[&OPT[..], tsig].concat()), "REFUSED"),
        (
            "TSIG, then EDNS twice",
            followed([0, 1, 0, 0, 0, 0, 0, 3], &[&tsig[..], &OPT, &OPT].concat()),
            "FORMERR",
        ),
        ("TSIG junk that is too short", beside(&tsig[..15]), "FORMERR"),
        ("an address", beside(&record(1, &[10, 0, 0, 1])), "REFUSED"),
        (
            "an address whose name is a pointer to itself",
            beside(b"\xc0\x21\0\x01\0\x01\0\0\0\0\0\0"),
            "REFUSED",
        ),
        ("an address whose name has no end", beside(b"\x01a"), "FORMERR"),
        (
            "an address whose name is of labels that there are not",
            beside(b"\x40\0\0\x01\0\x01\0\0\0\0\0\0"),
            "FORMERR",
        ),
    ];
    for (what, packet, expected) in table {
        assert_eq!(outcome(packet), *expected, "{what}");
    }
}

#[test]
fn what_is_refused_is_told_no_more_than_it_said() {
    let chaos = with_edns(with(31, &[0, 3]), 4_096);
    let version = beside(&[0, 0, 41, 4, 208, 0, 1, 0x80, 0, 0, 0]);
    for packet in [with(2, &[0x79]), with(4, &[0, 0]), chaos, version, packet("orders.rollcall", Kind::AXFR)]
    {
        let Read::Refused(refusal) = read(&packet) else { panic!() };
        let mut out = b"what was there before".to_vec();
        refusal.write(&mut out);
        assert!(out.len() <= packet.len());
        let (asked, reply) = (&packet[..], parsed(&out));
        assert_eq!(out[..2], asked[..2], "the id");
        assert_eq!(out[2] & 0xf9, 0x80 | asked[2], "the opcode, and whether recursion is desired");
        let codes = [("NOTIMP", 4), ("FORMERR", 1), ("REFUSED", 5), ("BADVERS", 16)];
        let code = codes.iter().find(|(word, _)| *word == refusal.code()).unwrap().1;
        assert_eq!(u16::from(reply.metadata.response_code), code);
        assert!(!reply.metadata.authoritative && !reply.metadata.truncation);
        let repeats = matches!(refusal.code(), "REFUSED" | "BADVERS");
        assert_eq!(reply.queries.len(), usize::from(repeats), "{}", refusal.code());
        // EDNS is answered where it was understood, in our version.
        assert_eq!(reply.edns.map(|edns| edns.version()), (asked.len() > 33).then_some(0));
    }
}

#[test]
fn the_room_is_what_the_asker_takes_within_bounds() {
    let room = |bytes: Option<u16>, carrier| {
        let packet = bytes.map_or_else(plain, |bytes| with_edns(plain(), bytes));
        query(&packet).room(carrier)
    };
    for (bytes, expected) in [
        (None, 512),
        (Some(0), 512),
        (Some(511), 512),
        (Some(513), 513),
        (Some(1_232), 1_232),
        (Some(1_233), 1_232),
        (Some(65_535), 1_232),
    ] {
        assert_eq!(room(bytes, Carrier::Udp), expected, "{bytes:?}");
        assert_eq!(room(bytes, Carrier::Tcp), 65_535);
    }
}

#[test]
fn a_name_is_read_as_people_write_it() {
    let name = |bytes: &[u8]| query(&named(bytes)).name();
    assert_eq!(name(b"\x06OrDeRs\x08ROLLCALL\0"), "orders.rollcall");
    assert_eq!(name(b"\x05_http\x04_tcp\x01a\0"), "_http._tcp.a");
    assert_eq!(name(b"\x03a.b\x02\0\xff\x01\\\0"), "a\\046b.\\000\\255.\\092");
    assert_eq!(name(b"\0"), "");
}

#[test]
fn what_is_repeated_is_what_was_asked() {
    let packet = with_edns(packet("oRdErs.rollcall", Kind::SRV), 1_232);
    let query = query(&packet);
    assert_eq!(query.question(), &packet[..packet.len() - 11]);
    assert_eq!(query.packet(), packet);
    assert_eq!(query.kind(), Kind::SRV);
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_name_is_a_query_and_means_what_another_reads(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..12),
        kind in 0u16..250,
    ) {
        let mut name = Vec::new();
        for label in &labels {
            name.push(label.len() as u8);
            name.extend_from_slice(label);
        }
        name.push(0);
        prop_assume!(name.len() <= 255);
        let mut packet = named(&name);
        let end = packet.len() - 4;
        packet[end..end + 2].copy_from_slice(&kind.to_be_bytes());
        let query = query(&packet);
        let other = parsed(&packet).queries.remove(0);
        prop_assert_eq!(u16::from(other.query_type), query.kind().0);
        let read: Vec<Vec<u8>> = other.name.iter().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(&read, &labels);
        let text = query.text();
        let empty = labels.is_empty();
        prop_assert_eq!(text.split('.').count() - usize::from(empty), labels.len(), "{}", text);
        for (text, label) in text.split('.').zip(&labels) {
            prop_assert_eq!(text.len(), label.len());
            for (one, byte) in text.bytes().zip(label) {
                let is_plain = byte.is_ascii_alphanumeric() || b"-_".contains(byte);
                prop_assert_eq!(one, if is_plain { byte.to_ascii_lowercase() } else { b'!' });
            }
        }
    }
}
