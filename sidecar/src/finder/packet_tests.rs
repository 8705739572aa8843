use proptest::prelude::*;

use super::*;

const NAME: &str = "rollcall-controller.rollcall-system.svc.cluster.local";

/// A record whose name stands in the question, and one whose name is written out.
fn record(kind: u16, data: &[u8], written_out: bool) -> Vec<u8> {
    let mut bytes = if written_out { b"\x03web\x00".to_vec() } else { vec![0xC0, 12] };
    for word in [kind, 1, 0, 5, u16::try_from(data.len()).unwrap()] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}

/// What a server says to this question.
fn answered(question: &[u8], code: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = question.to_vec();
    packet[2..4].copy_from_slice(&(0x8180 | code).to_be_bytes());
    packet[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    packet.extend(records.concat());
    packet
}

fn asked(kind: Kind) -> Vec<u8> {
    question(0x1234, NAME, kind).unwrap()
}

#[test]
fn a_question_is_what_dns_calls_one() {
    let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x1c\x00\x01";
    for name in ["a.bc", "a.bc."] {
        assert_eq!(question(0x1234, name, Kind::Aaaa).unwrap(), expected, "{name}");
    }
    let long =
        ["a".repeat(63), "a".repeat(64), format!("{}a", "a.".repeat(126)), format!("{}a", "a.".repeat(127))];
    let fits = long.map(|name| question(0, &name, Kind::A).is_some());
    assert_eq!(fits, [true, false, true, false]);
    for none in ["", ".", "a..b", ".a"] {
        assert_eq!(question(0, none, Kind::A), None, "{none}");
    }
}

#[test]
fn the_addresses_of_an_answer_are_those_that_were_asked_for() {
    type Row<'a> = (Kind, u16, Vec<Vec<u8>>, &'a [&'a str]);
    let (v4, v6) = (record(1, &[10, 96, 0, 7], false), record(28, &[0xFD; 16], false));
    let alias = record(5, b"\x03web\x00", false);
    let behind = record(1, &[10, 96, 0, 8], true);
    let (a, aaaa) = ("10.96.0.7", "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd");
    let table: [Row<'_>; 8] = [
        (Kind::A, 0, vec![v4.clone()], &[a]),
        (Kind::Aaaa, 0, vec![v6.clone()], &[aaaa]),
        (Kind::A, 0, vec![alias, v4.clone(), behind], &[a, "10.96.0.8"]),
        (Kind::A, 0, vec![v6], &[]),
        (Kind::A, 0, vec![], &[]),
        (Kind::A, 3, vec![], &[]),
        (Kind::A, 0, vec![record(1, &[10, 96, 0], false), v4], &[a]),
        (Kind::A, 0, vec![record(1, &[0; 4], false), record(1, &[224, 0, 0, 1], false)], &[]),
    ];
    for (kind, code, records, expected) in table {
        let question = asked(kind);
        let expected = expected.iter().map(|address| address.parse().unwrap()).collect();
        let reply = reply(&answered(&question, code, &records), &question, kind);
        assert_eq!(reply, Some(Reply::Addresses(expected)), "{records:?}");
    }
    for code in [1, 2, 4, 5] {
        let question = asked(Kind::A);
        assert_eq!(reply(&answered(&question, code, &[]), &question, Kind::A), Some(Reply::Refused));
    }
}

#[test]
fn who_answers_something_else_says_nothing() {
    let question = asked(Kind::A);
    let good = answered(&question, 0, &[record(1, &[10, 96, 0, 7], false)]);
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] ^= byte;
        packet
    };
    for (what, packet) in [
        ("another id", with(0, 1)),
        ("a question", with(2, 0x80)),
        ("another kind of word", with(2, 0x08)),
        ("no question in it", with(5, 1)),
        ("another name", with(14, 1)),
        ("another kind", with(question.len() - 3, 29)),
        ("nothing", Vec::new()),
        ("a header alone", good[..12].to_vec()),
    ] {
        assert_eq!(reply(&packet, &question, Kind::A), None, "{what}");
    }
    // The case of a name is the server's own.
    assert!(
        matches!(reply(&with(14, 0x20), &question, Kind::A), Some(Reply::Addresses(one)) if one.len() == 1)
    );
    let cut = reply(&good[..good.len() - 1], &question, Kind::A);
    assert_eq!(cut, Some(Reply::Addresses(Vec::new())), "what is cut off");
}

proptest! {
    #[test]
    fn whatever_comes_is_read_to_its_end(tail in proptest::collection::vec(any::<u8>(), 0..512), answers in any::<u16>()) {
        let question = asked(Kind::A);
        let mut packet = answered(&question, 0, &[]);
        packet[6..8].copy_from_slice(&answers.to_be_bytes());
        packet.extend(&tail);
        let Some(Reply::Addresses(addresses)) = reply(&packet, &question, Kind::A) else { panic!() };
        prop_assert!(addresses.len() <= tail.len() / 15);
        let _ = reply(&tail, &question, Kind::A);
    }
}
