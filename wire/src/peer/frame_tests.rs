use rollcall_catalogue::liveness::ProbeWitness;

use super::*;
use crate::{
    codec::{Decoder, encode},
    frame::HealthOf,
    limits::FRAME_BYTES_MAX,
    peer::{
        record::{HealthWord, Said, SaidRegistration, SessionWord},
        testing::{beat, epoch, kinds, registration, version, who},
    },
};

fn record(session: SessionWord, said: Said) -> Frame {
    let version = version(1, "i", 2, 3);
    Frame::Record(Box::new(Record { pod: "u1".into(), version, origin: epoch("a"), session, said }))
}

fn said() -> Said {
    let of = Some(HealthOf { service: "orders".parse().unwrap(), port: Some(80) });
    Said {
        registrations: vec![SaidRegistration { registration: registration("orders", &[]), named: true }],
        health: vec![
            HealthWord { of: None, probe: ProbeWitness::Dead },
            HealthWord { of, probe: ProbeWitness::Passing },
        ],
        drains: true,
    }
}

/// What docs/protocol.md writes.
#[test]
fn the_frames_are_written_as_the_protocol_says() {
    let orders = "orders.shop".parse::<ServiceKey>().unwrap();
    let (open, quiet) =
        (SessionWord::Open { unheard_ms: None }, SessionWord::Open { unheard_ms: Some(4_000) });
    let ended = SessionWord::Ended { ended_ms: 10, heard_ms: 20, by_peer: true };
    let words = vec![OutsideWord {
        service: orders.clone(),
        address: [192, 0, 2, 1].into(),
        probe: ProbeWitness::Dead,
    }];
    let table = [
        (
            Frame::Hello { who: who("a"), beat: Beat { sessions: 7, ..beat(&["b"]) } },
            r#"{"type":"hello","protocol":"PROTOCOL","replica":"a","epoch":"epoch-a","sessions":7,"hears":["epoch-b"],"standing":"serving"}"#,
        ),
        (
            record(open, Said::default()),
            r#"{"type":"record","pod":"u1","version":{"generation":1,"incarnation":"i","sequence":2,"count":3},"origin":"epoch-a","session":{"state":"open"},"said":{}}"#,
        ),
        (
            record(quiet, Said::default()),
            r#"{"type":"record","pod":"u1","version":{"generation":1,"incarnation":"i","sequence":2,"count":3},"origin":"epoch-a","session":{"state":"open","unheardMs":4000},"said":{}}"#,
        ),
        (
            record(ended, said()),
            r#"{"type":"record","pod":"u1","version":{"generation":1,"incarnation":"i","sequence":2,"count":3},"origin":"epoch-a","session":{"state":"ended","endedMs":10,"heardMs":20,"byPeer":true},"said":{"registrations":[{"registration":{"service":"orders"},"named":true}],"health":[{"probe":"dead"},{"of":{"service":"orders","port":80},"probe":"passing"}],"drains":true}}"#,
        ),
        (Frame::Synced, r#"{"type":"synced"}"#),
        (
            Frame::Beat(Beat { standing: Standing::Leaving, ..beat(&[]) }),
            r#"{"type":"beat","sessions":0,"hears":[],"standing":"leaving"}"#,
        ),
        (
            Frame::Beat(Beat { standing: Standing::Behind, changed: kinds(1), ..beat(&[]) }),
            r#"{"type":"beat","sessions":0,"hears":[],"standing":"behind","changed":{"k0":1}}"#,
        ),
        (
            Frame::Token { digest: "00ff".to_owned(), pod: "u1".into(), good_for_seconds: 600 },
            r#"{"type":"token","digest":"00ff","pod":"u1","goodForSeconds":600}"#,
        ),
        (
            Frame::Outside { answers: words.clone(), whole: true },
            r#"{"type":"outside","answers":[{"service":"orders.shop","address":"192.0.2.1","probe":"dead"}],"whole":true}"#,
        ),
        (Frame::Outside { answers: vec![], whole: false }, r#"{"type":"outside","answers":[]}"#),
        (
            Frame::Drain {
                ask: 1,
                pod: "u1".into(),
                version: Some(version(1, "i", 2, 3)),
                services: vec![orders],
                deadline_ms: 9_000,
            },
            r#"{"type":"drain","ask":1,"pod":"u1","version":{"generation":1,"incarnation":"i","sequence":2,"count":3},"services":["orders.shop"],"deadlineMs":9000}"#,
        ),
        (
            Frame::Drained { ask: 1, acked: 2, subscribers: 3, late: vec!["shop/web-1".to_owned()] },
            r#"{"type":"drained","ask":1,"acked":2,"subscribers":3,"late":["shop/web-1"]}"#,
        ),
        (Frame::Goaway { reason: "shutdown".to_owned() }, r#"{"type":"goaway","reason":"shutdown"}"#),
    ];
    let mut decoder = Decoder::<Frame>::default();
    for (frame, expected) in table {
        let line = encode(&frame).unwrap();
        let expected = expected.replace("PROTOCOL", crate::frame::PROTOCOL);
        assert_eq!(String::from_utf8(line.clone()).unwrap().trim_end(), expected);
        decoder.push(&line);
        assert_eq!(decoder.next_frame().unwrap(), Some(frame), "and read as it was written");
    }
}

/// What a newer replica says is skipped, and ends nothing.
#[test]
fn words_of_newer_replicas_are_read() {
    let table = [
        (r#"{"type":"chorus","voices":4}"#, Frame::Unknown),
        (
            r#"{"type":"beat","sessions":1,"standing":"humming","mood":"good"}"#,
            Frame::Beat(Beat { sessions: 1, standing: Standing::Other, ..beat(&[]) }),
        ),
    ];
    for (line, expected) in table {
        assert_eq!(serde_json::from_str::<Frame>(line).unwrap(), expected);
    }
}

#[test]
fn answers_from_outside_fit_into_their_frames() {
    let name = |length: usize| "n".repeat(length);
    let answer = OutsideWord {
        service: format!("{}.{}", name(63), name(63)).parse().unwrap(),
        address: [0xffff; 8].into(),
        probe: ProbeWitness::LoopbackOnly,
    };
    let answers = vec![answer; 2 * OUTSIDE_WORDS_MAX + 1];
    let frames = Frame::outside(&answers, true);
    let parts: Vec<_> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Outside { answers, whole } => (answers.len(), *whole),
            _ => panic!("{frame:?}"),
        })
        .collect();
    assert_eq!(parts, [(OUTSIDE_WORDS_MAX, true), (OUTSIDE_WORDS_MAX, false), (1, false)]);
    assert!(frames.iter().all(|frame| encode(frame).unwrap().len() <= FRAME_BYTES_MAX));
    assert_eq!(
        Frame::outside(&[], true),
        [Frame::Outside { answers: vec![], whole: true }],
        "there are none"
    );
    assert_eq!(Frame::outside(&[], false), []);
}
