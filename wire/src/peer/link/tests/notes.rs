use super::*;
use crate::{limits::PEER_STRANGERS_MAX, peer::SessionNote};

#[test]
fn what_the_other_end_has_is_not_told() {
    let mut end = End::open("a", &[]);
    end.ledger.put(note("p", "lost", 2));
    end.ledger.put(note("q", "lost", 2));
    end.ledger.put(note("r", "lost", 2));
    assert_eq!(end.hear(record(&note("p", "lost", 2))), [], "nothing new to us");
    assert_eq!(end.hear(record(&note("q", "lost", 1))), [], "older than ours");
    let newer = Arc::new(note("r", "lost", 3));
    assert_eq!(end.hear(record(&newer)), [Heard::Note(newer.clone())]);
    assert_eq!(end.said(), ["record q 2"]);
    end.ledger.put(newer);
    assert_eq!(end.said(), [""; 0], "it has what it told");
}

#[test]
fn whoever_writes_it_tells_it_to_those_that_hear_it() {
    let mut end = End::open("a", &["a", "c"]);
    for (pod, origin) in [("p", "a"), ("q", "b"), ("r", "c"), ("s", "lost")] {
        end.ledger.put(note(pod, origin, 1));
    }
    assert_eq!(end.said(), ["record p 1", "record s 1"], "b writes one of them, and c tells b another one");
    end.hear(Frame::Beat(beat(&["a", "c", "d"])));
    assert!(!end.link.has_more());
    end.hear(Frame::Beat(beat(&["a"])));
    assert!(end.link.has_more());
    assert_eq!(end.said(), ["record r 1"], "c may not have come to tell it");
    end.hear(Frame::Beat(beat(&[])));
    assert_eq!(end.said(), [""; 0], "what was told is not told again");
}

/// One that is replaced before it is told stands further back, and is told before `synced` all the same.
#[test]
fn synced_comes_after_every_pod_that_was_known_at_hello() {
    let mut end = End::new("a", &[]);
    for pod in ["p", "q", "r"] {
        end.ledger.put(note(pod, "a", 1));
    }
    assert_eq!(short(&end.link.speak(0).unwrap()), "hello");
    end.hear(Frame::Hello { who: who("b"), beat: beat(&[]) });
    assert_eq!(short(&end.link.speak(0).unwrap()), "record p 1");
    end.ledger.put(note("q", "a", 2));
    assert_eq!(end.said(), ["record r 1", "record q 2", "synced"]);
}

#[test]
fn a_slow_reader_skips_states() {
    let mut end = End::open("a", &[]);
    for count in 1..=100 {
        end.ledger.put(note("p", "a", count));
    }
    assert_eq!(end.said(), ["record p 100"]);
}

#[test]
fn a_pod_that_is_forgotten_is_told_no_more() {
    let mut end = End::open("a", &[]);
    end.ledger.put(note("p", "a", 1));
    end.ledger.forget(&"p".into());
    assert!(end.link.has_more(), "there may be something");
    assert_eq!(end.said(), [""; 0], "and nobody asks for it again and again");
}

#[test]
fn ages_are_those_of_the_moment_in_which_they_are_told() {
    let mut end = End::open("a", &[]);
    let since = end.now_ms - 4_000;
    let session = SessionNote::Open { unheard_since_ms: Some(since) };
    end.ledger.put(Note { session, ..note("p", "a", 1) });
    end.now_ms += 500;
    let told = frame(&end.link.speak(end.now_ms).unwrap());
    let mut other = End::open("o", &[]);
    other.now_ms = 9_000;
    let Heard::Note(heard) = other.hear(told).remove(0) else { panic!("no note") };
    assert_eq!(heard.session, SessionNote::Open { unheard_since_ms: Some(4_500) });
}

/// What is held of the other end is bounded by what is held here.
#[test]
fn pods_that_nobody_knows_are_not_remembered_for_ever() {
    let mut end = End::open("a", &[]);
    end.ledger.put(note("p", "b", 1));
    end.hear(record(&note("p", "b", 1)));
    for n in 0..5 * PEER_STRANGERS_MAX {
        end.hear(record(&note(&format!("q{n}"), "b", 1)));
        assert!(end.link.theirs.len() <= PEER_STRANGERS_MAX + 2);
    }
    assert!(end.link.theirs.has(&note("p", "b", 1)));
}
