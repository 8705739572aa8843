//! Who wins where registrations disagree.

use super::*;
use crate::{
    Attributes, Probing,
    limits::WEIGHT_DEFAULT,
    testing::{each_word, named, object, own_word, selector, targets, unnamed, whole_word, with_ports},
};

/// One registration of each closeness, the closest first; each is younger than all that are farther, so that age
/// and closeness never agree by chance.
fn by_closeness(attributes: impl Fn(u16) -> Attributes) -> Vec<Registration> {
    let mut all = vec![own_word(whole_word(), attributes(0)), own_word(Source::Annotation, attributes(1))];
    let objects = targets().into_iter().zip(2u16..);
    all.extend(objects.map(|(target, n)| object(target, 100 - i64::from(n), "same", attributes(n))));
    all
}

#[test]
fn the_closest_word_wins_row_by_row() {
    let all = by_closeness(|n| Attributes {
        version: Some(format!("{n}.0.0").parse().unwrap()),
        weight: Some(n),
        ports: vec![unnamed(8_000 + n)],
        probe: Some(Probing::By(probe(&format!("/{n}")))),
        heartbeat: Some(Heartbeat { interval_seconds: u32::from(n) + 1, ttl_seconds: 60 }),
        tags: [format!("tag-{n}")].into(),
        metadata: [("who".to_owned(), n.to_string()), (format!("only-{n}"), String::new())].into(),
    });
    for closest in 0..all.len() {
        let mut left: Vec<_> = all[closest..].iter().collect();
        left.reverse();
        let one = one_of(&member(&pod(1), &left));
        let (n, profile) = (u16::try_from(closest).unwrap(), &one.instance.profile);
        assert_eq!(profile.version.as_ref().unwrap().to_string(), format!("{n}.0.0"));
        assert_eq!((profile.weight, profile.port), (n, 8_000 + n));
        assert_eq!(one.probe, Some(probe(&format!("/{n}"))));
        assert_eq!(one.heartbeat.unwrap().interval_seconds, u32::from(n) + 1);
        assert_eq!(profile.tags.len(), left.len(), "tags are the union");
        assert_eq!(profile.metadata.len(), left.len() + 1);
        assert_eq!(profile.metadata.get("who"), Some(n.to_string().as_str()), "metadata goes by the key");
        assert_eq!(ports_of(&one), [(None, 8_000 + n)], "a port without a name is the primary one or none");
    }
}

#[test]
fn who_says_nothing_lets_the_next_one_speak() {
    let silent = own_word(whole_word(), Attributes::default());
    let speaks =
        object(selector(), 1, "a", Attributes { weight: Some(7), ..with_ports([named("http", 80)]) });
    let one = one_of(&member(&pod(1), &[&silent, &speaks]));
    assert_eq!((one.instance.profile.weight, one.instance.profile.port), (7, 80));
    let bare = object(selector(), 1, "a", with_ports([named("http", 80)]));
    let one = one_of(&member(&pod(1), &[&bare]));
    assert_eq!((one.instance.profile.weight, &one.instance.profile.version), (WEIGHT_DEFAULT, &None));
}

#[test]
fn the_label_stands_between_a_pods_own_word_and_what_objects_say() {
    let said = |n: u16| Attributes { version: format!("{n}.0.0").parse().ok(), ..with_ports([unnamed(80)]) };
    let all = by_closeness(said);
    let labelled = |label: &str| {
        let mut labelled = pod(1);
        labelled.labels = Arc::new([("app.kubernetes.io/version".to_owned(), label.to_owned())].into());
        labelled
    };
    let table = [
        ("9.9.9", 0, "0.0.0"),
        ("9.9.9", 1, "1.0.0"),
        ("9.9.9", 2, "9.9.9"),
        ("9.9.9", 5, "9.9.9"),
        ("v9.9.9", 2, "2.0.0"),
        ("9.9", 3, "3.0.0"),
    ];
    for (label, closest, expected) in table {
        let (pod, left) = (labelled(label), all[closest..].iter().collect::<Vec<_>>());
        let version = one_of(&member(&pod, &left)).instance.profile.version.clone().unwrap();
        assert_eq!(version.to_string(), expected, "{label} {closest}");
    }
    let (pod, portless) = (labelled("9.9.9"), object(selector(), 1, "a", with_ports([unnamed(80)])));
    let version = one_of(&member(&pod, &[&portless])).instance.profile.version.clone();
    assert_eq!(version, "9.9.9".parse().ok(), "also where nobody else says one");
}

#[test]
fn among_equally_close_objects_the_older_wins_and_then_the_name() {
    let said = |weight| Attributes { weight: Some(weight), ..with_ports([unnamed(80)]) };
    let [older, a, b] = [(1, "z", 1), (2, "a", 2), (2, "b", 3)]
        .map(|(age, name, weight)| object(selector(), age, name, said(weight)));
    let weight = |all: &[&Registration]| one_of(&member(&pod(1), all)).instance.profile.weight;
    assert_eq!([weight(&[&b, &a, &older]), weight(&[&b, &a])], [1, 2]);
}

/// One app may say two things of one port; which one holds must not hang on what came first.
#[test]
fn among_the_words_of_one_app_the_name_decides() {
    let said = |weight| Attributes { weight: Some(weight), ..with_ports([unnamed(80)]) };
    let whole_named = |name: &str| Source::Runtime { kind: Runtime::Whole, name: name.into() };
    let declared = object(selector(), 1, "a", said(9));
    for source in [each_word as fn(&str) -> Source, whole_named as fn(&str) -> Source] {
        let (a, b) = (own_word(source("a"), said(1)), own_word(source("b"), said(2)));
        for all in [[&a, &b, &declared], [&b, &declared, &a], [&declared, &b, &a]] {
            assert_eq!(one_of(&member(&pod(1), &all)).instance.profile.weight, 1);
        }
    }
}
