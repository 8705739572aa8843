mod bounds;
mod clock;
mod notes;
mod property;

use super::*;
use crate::{
    codec::Decoder,
    peer::testing::{beat, epoch, note, who},
};

/// Holds one end, its ledger, and the time of its shell.
struct End {
    link: Link,
    ledger: Arc<Ledger>,
    now_ms: u64,
}

impl End {
    fn new(replica: &str, hears: &[&str]) -> Self {
        let (ledger, now_ms) = (Arc::new(Ledger::default()), 100_000);
        let link = Link::new(who(replica), beat(hears), ledger.clone(), now_ms);
        Self { link, ledger, now_ms }
    }

    /// One that has said hello to `b`, who hears these, and has told it that there is nothing more.
    fn open(replica: &str, b_hears: &[&str]) -> Self {
        let mut end = Self::new(replica, &["b"]);
        end.hear(Frame::Hello { who: who("b"), beat: beat(b_hears) });
        assert_eq!(end.said(), ["hello", "synced"]);
        end
    }

    fn hear(&mut self, frame: Frame) -> Vec<Heard> {
        self.link.hear(frame, self.now_ms).unwrap()
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.link.tick(self.now_ms);
    }

    /// All that it has to say now, in short.
    fn said(&mut self) -> Vec<String> {
        let said = std::iter::from_fn(|| self.link.speak(self.now_ms)).map(|bytes| short(&bytes)).collect();
        assert!(!self.link.has_more());
        said
    }
}

fn frame(bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    decoder.next_frame().unwrap().unwrap()
}

/// A frame in short.
fn short(bytes: &[u8]) -> String {
    match frame(bytes) {
        Frame::Hello { .. } => "hello".to_owned(),
        Frame::Record(record) => format!("record {} {}", record.pod, record.version.count),
        Frame::Synced => "synced".to_owned(),
        Frame::Beat(beat) => format!("beat {}", beat.sessions),
        Frame::Token { digest, .. } => format!("token {digest}"),
        Frame::Goaway { reason } => format!("goaway {reason}"),
        other => panic!("{other:?}"),
    }
}

fn token(digest: &str) -> Frame {
    Frame::Token { digest: digest.to_owned(), pod: "p".into(), good_for_seconds: 60 }
}

fn record(note: &Note) -> Frame {
    Frame::Record(Box::new(note.told(100_000)))
}

#[test]
fn each_end_says_hello_first_and_tells_all_that_there_is() {
    let mut end = End::new("a", &[]);
    end.ledger.put(note("p", "a", 1));
    assert_eq!(end.said(), ["hello"], "and waits for that of the other one");
    assert_eq!(end.link.other(), None);
    let hello = Frame::Hello { who: who("b"), beat: beat(&[]) };
    assert_eq!(end.hear(hello), [Heard::Hello { who: who("b"), beat: beat(&[]) }]);
    assert_eq!(end.link.other(), Some(&who("b")));
    assert_eq!(end.said(), ["record p 1", "synced"]);
    end.ledger.put(note("q", "a", 1));
    assert!(end.link.has_more());
    assert_eq!(end.said(), ["record q 1"], "synced is said once");
    assert_eq!(end.hear(Frame::Synced), [Heard::Synced]);
}

#[test]
fn whatever_is_no_hello_may_not_come_first_and_hello_not_twice() {
    let hello = || Frame::Hello { who: who("b"), beat: beat(&[]) };
    let mut end = End::new("a", &[]);
    assert_eq!(end.hear(Frame::Unknown), [], "a newer replica may have something to say");
    assert_eq!(end.link.unknown_frames(), 1);
    assert_eq!(end.link.hear(Frame::Synced, 0), Err(Violation::Hello));
    assert_eq!(end.said(), ["goaway hello must be the first frame, and come once"]);
    assert!(end.link.closed());
    assert_eq!(end.hear(hello()), [], "nobody listens any more");

    let mut end = End::open("a", &[]);
    assert_eq!(end.link.hear(hello(), 0), Err(Violation::Hello));
}

#[test]
fn how_we_stand_is_told_each_second_and_at_once_where_others_wait_for_it() {
    let mut end = End::open("a", &[]);
    let stand = |sessions, hears: &[&str]| Beat { sessions, ..beat(hears) };
    end.link.set_beat(stand(1, &["b"]));
    assert_eq!(end.said(), [""; 0], "a number of sessions can wait");
    end.link.set_beat(stand(2, &["b"]));
    end.wait(1_000);
    assert_eq!(end.said(), ["beat 2"], "only the newest is told");
    end.link.set_beat(stand(3, &["b", "c"]));
    assert_eq!(end.said(), ["beat 3"]);
    end.link.set_beat(Beat { standing: crate::peer::Standing::Leaving, ..stand(4, &["b", "c"]) });
    assert_eq!(end.said(), ["beat 4"]);
    assert_eq!(end.link.wake_at_ms(), end.now_ms + 1_000);

    let mut end = End::new("a", &[]);
    assert_eq!(end.said(), ["hello"]);
    end.link.set_beat(stand(5, &["c"]));
    assert_eq!(end.said(), [""; 0], "nobody listens yet");
    end.hear(Frame::Hello { who: who("b"), beat: beat(&[]) });
    assert_eq!(end.said(), ["beat 5", "synced"]);
}

#[test]
fn the_last_word_ends_the_link_on_both_sides() {
    let mut end = End::open("a", &[]);
    end.ledger.put(note("p", "a", 1));
    end.link.go_away("shutdown");
    end.link.go_away("later");
    assert_eq!(end.said(), ["goaway shutdown"]);
    assert_eq!((end.link.closed(), end.link.farewell()), (true, Some("shutdown")));

    let mut end = End::open("o", &[]);
    let goaway = Frame::Goaway { reason: "shutdown".to_owned() };
    assert_eq!(end.link.hear(goaway, 0), Ok(vec![Heard::Goaway("shutdown".to_owned())]));
    assert_eq!((end.said(), end.link.closed()), (vec![], true));
}

#[test]
fn words_are_told_in_order_before_notes_and_are_bounded() {
    let mut end = End::open("a", &[]);
    end.ledger.put(note("p", "a", 1));
    end.link.say(token("1"));
    end.link.say(token("2"));
    assert_eq!(end.link.room(), PEER_WORDS_MAX - 2);
    assert_eq!(end.said(), ["token 1", "token 2", "record p 1"]);
    for _ in 0..PEER_WORDS_MAX {
        end.link.say(token("1"));
    }
    assert_eq!((end.link.room(), end.link.farewell()), (0, None));
    end.link.say(token("1"));
    assert_eq!(end.said(), ["goaway slow"]);
}
