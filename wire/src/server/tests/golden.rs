//! Clients of older builds, as they spoke: this build's server tells them what theirs did, and nothing more.

use super::*;
use crate::golden::{Line, TRANSCRIPTS, World, lines, read, replicas};

fn greeting_pod() -> PodIdentity {
    PodIdentity {
        uid: "7d1e".to_owned(),
        node: Some("node1".to_owned()),
        zone: Some("a".to_owned()),
        addresses: vec![[10, 1, 0, 7].into()],
        ..opening().pod
    }
}

#[test]
fn a_client_of_an_older_version_is_told_word_for_word_what_its_own_server_told_it() {
    for (version, transcript) in TRANSCRIPTS {
        let mut world = World::new();
        let opening = Opening {
            replica: "rollcall-controller-a".to_owned(),
            replicas: replicas(&[1, 2]),
            pod: greeting_pod(),
            ..opening()
        };
        let mut server = Server::new(opening, world.registry.feed.clone(), 0);
        let lines = lines(transcript);
        let mut rest = lines.as_slice();
        let mut part = "";
        // The client acts, then the world turns, and then both speak until neither has anything to say.
        while let [first, others @ ..] = rest {
            let turns = matches!(first, Line::Part(_));
            if let Line::Part(name) = first {
                part = name;
                rest = others;
            }
            while let [Line::Up(frame), others @ ..] = rest {
                world.hear(&mut server, read(frame));
                rest = others;
            }
            if turns {
                world.turn(part, &mut server);
            }
            let told = rest.iter().take_while(|line| matches!(line, Line::Down(_))).count();
            let (told, others) = rest.split_at(told);
            assert_eq!(world.said(&mut server), told, "{version}, {part}");
            rest = others;
        }
        assert_eq!((part, server.unknown_frames()), ("goes away", 0), "{version}");
        assert!(server.closed());
    }
}
