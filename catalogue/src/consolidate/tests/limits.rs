//! How much an instance may have, and who is told of what is left out.

use super::*;
use crate::{
    Attributes,
    limits::{METADATA_JSON_BYTES_MAX, METADATA_KEYS_MAX, PORTS_MAX, TAGS_MAX},
    testing::{named, object, own_word, selector, with_ports},
};

#[test]
fn tags_ports_and_metadata_of_many_registrations_stay_within_those_of_one() {
    let many = |of: u16| {
        let numbered = move |n: u16| format!("{of}-{n:02}");
        let ports: Vec<_> =
            (0..20).map(|n| named(&format!("p{}", numbered(n)), 1_000 + of * 20 + n)).collect();
        Attributes {
            tags: (0..40).map(numbered).collect(),
            metadata: (0..40).map(|n| (numbered(n), of.to_string())).collect(),
            ..with_ports(ports)
        }
    };
    let (a, b) = (object(selector(), 1, "a", many(1)), object(selector(), 2, "b", many(0)));
    let one = one_of(&member(&pod(1), &[&b, &a]));
    let profile = &one.instance.profile;
    assert_eq!((profile.ports.len(), profile.tags.len()), (PORTS_MAX, TAGS_MAX));
    assert_eq!(profile.metadata.len(), METADATA_KEYS_MAX);
    let of = |number: &str| profile.metadata.iter().filter(|(_, value)| *value == number).count();
    assert_eq!((of("1"), of("0")), (40, 24), "the closer ones first");
    let kept =
        |prefix: &str| ports_of(&one).iter().filter(|(name, _)| name.unwrap().starts_with(prefix)).count();
    assert_eq!((kept("p1"), kept("p0")), (20, 12), "the older ones first");
    let told = |loser: &Registration, field, left_out| Finding::LeftOut {
        loser: loser.source.clone(),
        field,
        left_out,
    };
    let expected = [
        told(&b, Crowded::Ports, 8),
        // The last in their order, which are those of the closer one here.
        told(&a, Crowded::Tags, 16),
        told(&b, Crowded::Metadata, 16),
    ];
    let findings = findings_of(&member(&pod(1), &[&b, &a]));
    assert_eq!(findings, expected, "and whose are left out is told");
    assert!(findings.iter().zip([&b, &a, &b]).all(|(finding, loser)| *finding.loser() == loser.source));
    assert_eq!(
        findings[1].to_string(),
        "tags: 16 of these are left out, because an instance has room for 64; use fewer tags in the registrations of the service together"
    );
}

#[test]
fn metadata_stays_within_what_a_frame_can_carry() {
    for worst in ["\u{1}", "\"", "\\", "é", "\u{7f}", "x"] {
        let metadata = (0..64).map(|n| (format!("key-{n:02}"), worst.repeat(1_024))).collect();
        let said = own_word(Source::Annotation, Attributes { metadata, ..with_ports([named("http", 80)]) });
        let metadata = one_of(&member(&pod(1), &[&said])).instance.profile.metadata.clone();
        let json = serde_json::to_string(&metadata).unwrap().len();
        assert!(!metadata.is_empty() && json <= METADATA_JSON_BYTES_MAX + 2, "{worst:?}: {json}");
        let fits = 64 * serde_json::to_string(&[worst.repeat(1_024)]).unwrap().len()
            < METADATA_JSON_BYTES_MAX - 1_024;
        assert_eq!(metadata.len() == 64, fits, "{worst:?}: as much as fits");
        let left_out = 64 - metadata.len();
        let told = Finding::LeftOut { loser: Source::Annotation, field: Crowded::Metadata, left_out };
        let findings = findings_of(&member(&pod(1), &[&said]));
        assert_eq!(findings, if fits { vec![] } else { vec![told] });
    }
}

/// A value that found no room is missing; a farther one in its place would be a wrong one.
#[test]
fn a_key_without_room_is_not_filled_by_someone_farther() {
    let names = (0..21).map(|n| format!("key-{n:02}")).chain(["zone".to_owned()]);
    let metadata = names.map(|name| (name, "\u{1}".repeat(1_024))).collect();
    let close = own_word(Source::Annotation, Attributes { metadata, ..with_ports([named("http", 80)]) });
    let metadata = [("zone".to_owned(), "far".to_owned()), ("team".to_owned(), "a".to_owned())].into();
    let far = object(selector(), 1, "a", Attributes { metadata, ..Attributes::default() });
    let merged = one_of(&member(&pod(1), &[&close, &far])).instance.profile.metadata.clone();
    assert_eq!((merged.get("zone"), merged.get("team")), (None, Some("a")));
}
