use super::*;

#[test]
fn a_silent_replica_is_not_heard_any_more() {
    let mut end = End::open("a", &[]);
    for _ in 0..2 {
        end.wait(1_000);
        assert_eq!(end.said(), ["beat 0"]);
    }
    end.wait(999);
    assert_eq!((end.said(), end.link.wake_at_ms()), (vec![], end.now_ms + 1));
    end.hear(Frame::Beat(beat(&[])));
    end.wait(1);
    assert_eq!(end.said(), ["beat 0"], "it was heard");
    for _ in 0..2 {
        end.wait(1_000);
        end.said();
    }
    end.wait(998);
    assert_eq!(end.link.farewell(), None);
    end.wait(1);
    assert_eq!(end.said(), ["goaway silent"]);
}

/// Who stood still does not judge by what it could not hear.
#[test]
fn a_process_that_was_late_does_not_judge() {
    let mut end = End::open("a", &[]);
    end.wait(60_000);
    assert_eq!(end.said(), ["beat 0"]);
    end.wait(1_000);
    assert_eq!(end.said(), ["beat 0"]);
    end.wait(1_000);
    assert_eq!(end.said(), ["goaway silent"], "then it hears again, and judges");

    let mut end = End::new("a", &[]);
    end.said();
    end.wait(60_000);
    assert_eq!((end.link.farewell(), end.link.wake_at_ms()), (None, end.now_ms + 3_000));
    end.wait(2_999);
    assert_eq!(end.link.farewell(), None);
    end.wait(1);
    assert_eq!(end.said(), ["goaway no-hello"]);
}

#[test]
fn who_takes_nothing_is_slow_and_who_takes_no_farewell_is_left() {
    let mut end = End::open("a", &[]);
    for _ in 0..5 {
        end.hear(Frame::Beat(beat(&[])));
        end.wait(1_000);
    }
    assert_eq!(end.link.farewell(), None, "nothing of ours is taken, but it is heard");
    end.hear(Frame::Beat(beat(&[])));
    end.wait(1_000);
    assert_eq!(end.link.farewell(), Some("slow"));
    assert!(end.link.wake_at_ms() <= end.now_ms, "to be asked once more, from when on it ends");
    end.wait(0);
    assert_eq!(end.link.wake_at_ms(), end.now_ms + 2_000);
    end.wait(1_999);
    assert!(!end.link.closed());
    end.wait(1);
    assert!(end.link.closed());
    assert_eq!(end.said(), [""; 0]);
}

#[test]
fn a_hello_that_comes_late_costs_no_lateness() {
    let mut end = End::new("a", &[]);
    end.said();
    end.now_ms += 2_900;
    end.hear(Frame::Hello { who: who("b"), beat: beat(&[]) });
    assert_eq!((end.said(), end.link.wake_at_ms()), (vec!["synced".to_owned()], end.now_ms + 1_000));
    for _ in 0..2 {
        end.wait(1_000);
        end.said();
    }
    end.wait(1_000);
    assert_eq!(end.said(), ["goaway silent"]);
}
