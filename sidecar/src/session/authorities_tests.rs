use proptest::prelude::*;

use super::*;

const GIVEN: GivenDigest = [1; 32];

/// Certificates of these names.
fn of(names: &str) -> Vec<Vec<u8>> {
    names.chars().map(|name| name.to_string().into_bytes()).collect()
}

fn believed(authorities: &Authorities) -> String {
    let mut names: Vec<_> = authorities.certificates().map(|one| one[0] as char).collect();
    names.sort_unstable();
    names.into_iter().collect()
}

/// Says what happens to a sidecar, and when.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Told(&'static str),
    Given(&'static str),
    Passes(u64),
}

use Happens::{Given, Passes, Told};

fn lived(begin: &str, history: &[Happens]) -> String {
    let (mut authorities, mut now_ms, mut digest) = (Authorities::new(&of(begin), GIVEN), 0, GIVEN);
    for happens in history {
        match happens {
            Told(names) => drop(authorities.tell(&of(names), now_ms)),
            Given(names) => {
                digest[0] += 1;
                authorities.give(&of(names), digest, now_ms);
            }
            Passes(ms) => now_ms += ms,
        }
        if let Some(fewer) = authorities.without_untold(now_ms) {
            authorities = fewer;
        }
    }
    believed(&authorities)
}

#[test]
fn what_is_believed_after_what_was_told() {
    const HOUR: u64 = LINGERS_MS;
    let table: &[(&str, &str, &[Happens], &str)] = &[
        ("announced, and the old one retired", "a", &[Told("ab"), Told("b"), Passes(HOUR)], "b"),
        ("not retired at once", "a", &[Told("ab"), Told("b"), Passes(HOUR - 1)], "ab"),
        ("a replica that has not read of it yet", "a", &[Told("ab"), Told("a")], "ab"),
        (
            "for less than an hour",
            "a",
            &[Told("ab"), Told("a"), Passes(HOUR - 1), Told("ab"), Passes(HOUR)],
            "ab",
        ),
        ("one that still tells of who was retired", "a", &[Told("b"), Passes(HOUR), Told("ab")], "ab"),
        ("who goes again", "a", &[Told("b"), Passes(HOUR), Told("ab"), Told("b"), Passes(HOUR)], "b"),
        ("a pod made after it was announced, at such a replica", "ab", &[Told("a"), Passes(HOUR - 1)], "ab"),
        ("swapped by hand", "a", &[Told("ac"), Told("c"), Passes(HOUR)], "c"),
        ("nobody tells anything", "a", &[Passes(10 * HOUR)], "a"),
        ("given something else", "a", &[Told("b"), Passes(HOUR), Given("c")], "bc"),
        ("which nobody tells of", "a", &[Told("b"), Passes(HOUR), Given("c"), Told("b"), Passes(HOUR)], "b"),
        ("which is told as well", "a", &[Told("b"), Given("c"), Told("c"), Passes(HOUR)], "c"),
        ("given again what lingers", "a", &[Told("b"), Passes(HOUR - 1), Given("a"), Passes(HOUR - 1)], "ab"),
        ("all that there may be", "a", &[Told("bcdefghi")], "bcdefghi"),
        ("more than that", "a", &[Told("bcdefgh"), Told("i")], "bcdefghi"),
    ];
    for (what, begin, history, expected) in table {
        assert_eq!(lived(begin, history), *expected, "{what}");
    }
}

#[test]
fn what_changes_is_said_and_what_was_given_before_is_no_news() {
    let mut authorities = Authorities::new(&of("a"), GIVEN);
    assert!(!authorities.tell(&of("a"), 0));
    assert!(authorities.tell(&of("ab"), 0));
    assert!(!authorities.tell(&of("b"), 0), "nobody goes at once");
    assert!(!authorities.give(&of("a"), GIVEN, 0));
    assert!(!authorities.give(&of("c"), GIVEN, 0), "it is known by its digest");
    assert!(authorities.give(&of("c"), [2; 32], 0));
    assert_eq!((believed(&authorities).as_str(), authorities.given()), ("abc", [2; 32]));
    assert_eq!(authorities.without_untold(LINGERS_MS - 1), None);
}

#[test]
fn a_fingerprint_is_what_people_compare() {
    assert_eq!(fingerprint(b"abc"), "ba7816bf8f01cfea");
}

/// What is told, or given under this digest, and how long after what came before it.
fn any_history(names: std::ops::Range<u8>) -> impl Strategy<Value = Vec<(Vec<Vec<u8>>, Option<u8>, u64)>> {
    let certificates = proptest::collection::vec(names.prop_map(|name| vec![name]), 1..=AUTHORITIES_MAX);
    let given = proptest::option::weighted(0.2, 2u8..9);
    proptest::collection::vec((certificates, given, 0..LINGERS_MS), 1..30)
}

/// Lives through it, and shows after each step what was told in it, if it was told, and the time.
fn live(
    history: Vec<(Vec<Vec<u8>>, Option<u8>, u64)>,
    mut look: impl FnMut(&Authorities, Option<Vec<Vec<u8>>>, u64) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut authorities, mut now_ms) = (Authorities::new(&of("a"), GIVEN), 0);
    for (certificates, given, passes_ms) in history {
        now_ms += passes_ms;
        let told = match given {
            Some(digest) => {
                authorities.give(&certificates, [digest; 32], now_ms);
                None
            }
            None => {
                authorities.tell(&certificates, now_ms);
                Some(certificates)
            }
        };
        authorities = authorities.without_untold(now_ms).unwrap_or(authorities);
        look(&authorities, told, now_ms)?;
    }
    Ok(())
}

proptest! {
    /// However many there are: what was told last is believed, and there is always somebody.
    #[test]
    fn who_is_told_of_is_believed_and_there_is_room(history in any_history(b'a'..b'p')) {
        live(history, |authorities, told, _| {
            let held: Vec<_> = authorities.certificates().collect();
            prop_assert!((1..=AUTHORITIES_MAX).contains(&held.len()));
            prop_assert!(told.is_none_or(|told| told.iter().all(|one| held.contains(&one.as_slice()))));
            Ok(())
        })?;
    }

    /// Whatever order replicas tell different things in: whoever one of them has told of within the hour is believed.
    #[test]
    fn nobody_goes_who_was_told_of_within_the_hour(history in any_history(b'a'..b'h')) {
        let mut heard: Vec<(u64, Vec<Vec<u8>>)> = Vec::new();
        live(history, |authorities, told, now_ms| {
            heard.extend(told.map(|told| (now_ms, told)));
            let recent = heard.iter().filter(|(at_ms, _)| now_ms - at_ms < LINGERS_MS);
            for one in recent.flat_map(|(_, told)| told) {
                prop_assert!(authorities.certificates().any(|held| held == one.as_slice()), "{one:?}");
            }
            Ok(())
        })?;
    }
}
