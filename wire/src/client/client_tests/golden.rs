//! Controllers of older builds, as they spoke: this build's client understands them, and says nothing that they do not know.

use serde_json::json;

use super::*;
use crate::{
    Told, Up,
    client::{Client, Event},
    golden::{Line, PARTS, TRANSCRIPTS, act, lines, read, up},
};

/// What is held, in short: each service with the ends of its instances' names.
fn held(client: &Client) -> Vec<String> {
    let short = |(key, service): (&ServiceKey, &Arc<Service>)| {
        let pods = service.instances.iter().filter_map(|one| one.pod.as_deref()?.strip_prefix("orders-"));
        format!("{key}: {} {}", service.instances.len(), pods.collect::<String>())
    };
    let mut held: Vec<_> = client.held().map(short).collect();
    held.sort();
    held
}

/// What a part comes to, whichever version it was told in.
fn expect(version: &str, part: &str, client: &Client, events: &[Event]) {
    let has = |what: &dyn Fn(&Event) -> bool| events.iter().any(what);
    let orders = match part {
        "opens" => "orders.shop: 4 1234",
        _ => "orders.shop: 3 234",
    };
    let billing = ["opens", "changes", "is gone", "goes away"].iter().all(|without| *without != part);
    let all: Vec<_> = billing.then_some("billing.shop: 1 ").into_iter().chain([orders]).collect();
    assert_eq!(held(client), all, "{version}, {part}");
    let told = match part {
        "opens" => {
            assert_eq!((client.replicas().len(), client.duties().len()), (2, 1));
            has(
                &|event| matches!(event, Event::Welcomed { replica, .. } if replica == "rollcall-controller-a"),
            ) && has(&|event| matches!(event, Event::Registered { key } if key.service.as_str() == "cart"))
        }
        "lists" => client.summary().is_some_and(|summary| summary.len() == 2),
        "asks" => {
            has(&|event| matches!(event, Event::Told { told: Told::Explained(all), .. } if all.len() == 1))
                && has(&|event| matches!(event, Event::Told { told: Told::Found(all), .. } if all.len() == 1))
        }
        "drains" => has(
            &|event| matches!(event, Event::Drained { drained, .. } if drained.late == ["shop/storefront-1"]),
        ),
        "told of replicas" => client.replicas().len() == if version == "1.0" { 2 } else { 3 },
        "is gone" => has(&|event| matches!(event, Event::Gone { .. })),
        "goes away" => has(
            &|event| matches!(event, Event::Dismissed { dial, .. } if dial.is_some() == (version != "1.0")),
        ),
        _ => true,
    };
    assert!(told, "{version}, {part}: {events:?}");
    assert!(client.in_step() || part == "goes away", "{version}, {part}");
}

/// Older clients did not answer what they heard by a heartbeat. Whoever they speak with takes one at any time.
fn is_no_beat(line: &Line) -> bool {
    !matches!(line, Line::Up(frame) if frame["type"] == "heartbeat")
}

#[test]
fn a_server_of_an_older_version_is_understood_and_told_nothing_that_it_does_not_know() {
    for (version, transcript) in TRANSCRIPTS {
        let mut client = Client::new("6f0a".into(), 1 << 24);
        let lines = lines(transcript);
        let mut rest = lines.as_slice();
        for part in PARTS {
            assert_eq!(rest.first(), Some(&Line::Part(part.to_owned())), "{version}");
            let ends = rest.iter().skip(1).position(|line| matches!(line, Line::Part(_)));
            let (own, others) = rest.split_at(ends.map_or(rest.len(), |ends| ends + 1));
            rest = others;
            let mut said = up(act(&mut client, part));
            let mut events = Vec::new();
            for line in own.iter().skip(1) {
                match line {
                    Line::Up(frame) => {
                        if said.is_empty() {
                            said = up(client.take_up());
                        }
                        let mut frame = frame.clone();
                        if frame["type"] != "heartbeat" {
                            said.retain(is_no_beat);
                        }
                        // What both speak is found by the newest that each speaks.
                        if frame["type"] == "hello" {
                            frame["protocol"] = json!(PROTOCOL);
                        }
                        assert!(!said.is_empty(), "{version}, {part}: {frame} is not said");
                        assert_eq!(said.remove(0), Line::Up(frame), "{version}, {part}");
                    }
                    Line::Down(frame) => {
                        events.extend(client.hear(read(frame), 3_000).unwrap());
                    }
                    Line::Part(_) => {}
                }
            }
            said.extend(up(client.take_up()));
            said.retain(is_no_beat);
            assert_eq!(said, [], "{version}, {part}");
            expect(version, part, &client, &events);
        }
        assert_eq!(client.unknown_frames(), 0, "{version}");
    }
}

#[test]
fn every_field_that_older_builds_wrote_is_read() {
    for (version, transcript) in TRANSCRIPTS {
        for line in lines(transcript) {
            let again = match &line {
                Line::Part(_) => continue,
                Line::Up(frame) => Line::Up(serde_json::to_value(read::<Up>(frame)).unwrap()),
                Line::Down(frame) => Line::Down(serde_json::to_value(read::<Down>(frame)).unwrap()),
            };
            assert_eq!(again, line, "{version}");
        }
    }
}
