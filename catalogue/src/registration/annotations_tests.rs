use proptest::prelude::*;

use super::*;
use crate::registration::{ProbeCheck, ProbeSpec, Probing};

fn read(pairs: &[(&str, &str)]) -> (Option<Registration>, Vec<ValueError>) {
    let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    by_annotations(&"shop".parse().unwrap(), &annotations, Some(Port::tcp(Some("declared"), 9000)))
}

/// What these annotations register beside the name of the service, without a word against them.
fn good(pairs: &[(&str, &str)]) -> Registration {
    let all: Vec<_> = pairs.iter().copied().chain([(SERVICE, "orders")]).collect();
    let (registration, problems) = read(&all);
    assert_eq!(problems, [], "{pairs:?}");
    registration.unwrap()
}

/// What is left of the registration with one bad value, which is named with a remedy.
fn bad(field: &'static str, value: &str) -> Registration {
    let (registration, problems) = read(&[(SERVICE, "orders"), (field, value)]);
    assert!(!problems.is_empty(), "{field}: {value}");
    for problem in problems {
        assert!(problem.field == field && problem.to_string().len() < 500, "{problem}");
    }
    registration.unwrap()
}

#[test]
fn good_annotations() {
    let all = good(&[
        (VERSION, "1.4.2"),
        (PORT, "http:8080, grpc:9090"),
        (TAGS, "blue, eu"),
        (METADATA, "team=payments, note=, rule=a=b"),
        (WEIGHT, "7"),
        (PROBE, "http:/healthz?full=1"),
        (VISIBILITY, "billing, ledger"),
    ]);
    assert_eq!(
        (all.key.to_string().as_str(), &all.source, &all.target),
        ("orders.shop", &Source::Annotation, &Target::Own)
    );
    let attributes = all.attributes;
    assert_eq!(attributes.version, "1.4.2".parse().ok());
    assert_eq!(attributes.ports, [Port::tcp(Some("http"), 8080), Port::tcp(Some("grpc"), 9090)]);
    assert_eq!(attributes.tags, ["blue".to_owned(), "eu".to_owned()].into());
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(attributes.metadata, [pair("team", "payments"), pair("note", ""), pair("rule", "a=b")].into());
    let http = ProbeCheck::Http { path: "/healthz?full=1".into(), port: None };
    assert_eq!((attributes.weight, attributes.probe), (Some(7), Some(Probing::By(ProbeSpec::new(http)))));
    let friends = ["billing", "ledger"].map(|name| name.parse().unwrap());
    assert_eq!(all.visibility, Some(Visibility::Namespaces(friends.into())));

    assert_eq!(good(&[]).attributes.ports, [Port::tcp(Some("declared"), 9000)]);
    assert_eq!(good(&[(PORT, "8080")]).attributes.ports, [Port::tcp(None, 8080)]);
    assert_eq!(good(&[(PROBE, "none")]).attributes.probe, Some(Probing::Off));
    assert_eq!(good(&[(VISIBILITY, "cluster")]).visibility, Some(Visibility::Cluster));
    assert_eq!(good(&[(VISIBILITY, "namespace")]).visibility, Some(Visibility::own()));
    assert_eq!(good(&[(TAGS, ""), (METADATA, " ")]).attributes.tags, Tags::default());
    assert_eq!(read(&[(PORT, "80"), (VERSION, "v1")]), (None, vec![]), "who names no service only consumes");
}

#[test]
fn a_bad_value_costs_itself_alone() {
    assert_eq!(bad(VERSION, "v1").attributes, good(&[]).attributes);
    let huge = "9".repeat(100_000);
    for value in [
        "http",
        "80,81",
        "",
        "0",
        "http:80,http:81",
        "H:80",
        "80:80:80",
        "-1",
        "+80",
        "http:+80",
        "080",
        "http: 80",
        "00",
        &huge,
    ] {
        let registration = bad(PORT, value);
        assert_eq!(registration.attributes.ports, [], "no guess for {value}");
    }
    for value in ["-1", "1001", "many", "1.5", ""] {
        assert_eq!(bad(WEIGHT, value).attributes.weight, None);
    }
    for value in ["", "TCP", "udp", "http", "http:", "http:healthz", "http:/a b", "https:/x"] {
        assert_eq!(bad(PROBE, value).attributes.probe, None, "{value}");
    }
    let long = "t".repeat(64);
    assert_eq!(
        bad(TAGS, &format!("a,,{long},b\u{7},c")).attributes.tags,
        ["a".to_owned(), "c".to_owned()].into()
    );
    assert_eq!(bad(METADATA, "a=1,b,=2,c=3").attributes.metadata.names().collect::<Vec<_>>(), ["a", "c"]);
    let many = |join: &str| (0..200).map(|n| format!("k{n}{join}")).collect::<Vec<_>>().join(",");
    assert_eq!(bad(TAGS, &many("")).attributes.tags.len(), TAGS_MAX);
    assert_eq!(bad(METADATA, &many("=v")).attributes.metadata.len(), METADATA_KEYS_MAX);
}

/// An annotation may be 256 kB of commas: what is said of it goes into an event and into `explain`.
#[test]
fn a_flood_of_bad_entries_is_one_problem() {
    for (field, flood, expected) in [
        (TAGS, ",".repeat(250_000), "`` is no tag, and 250000 more"),
        (METADATA, ",".repeat(250_000), "`` is no key with a value, and 250000 more"),
        (TAGS, "a,\u{7},b".to_owned(), "`\\u{7}` is no tag"),
        (
            TAGS,
            format!("{}x,y", (0..64).map(|n| format!("t{n},")).collect::<String>()),
            "`x` is one too many, and 1 more",
        ),
    ] {
        let (_, problems) = read(&[(SERVICE, "orders"), (field, &flood)]);
        let problems: Vec<_> = problems.iter().map(|one| (one.field, one.problem.as_str())).collect();
        assert_eq!(problems, [(field, expected)]);
    }
    let twice = format!("{}t1,t2", (0..64).map(|n| format!("t{n},")).collect::<String>());
    assert_eq!(good(&[(TAGS, &twice)]).attributes.tags.len(), TAGS_MAX, "said twice, it is one");
}

#[test]
fn a_visibility_that_cannot_be_read_hides() {
    for value in ["", "Cluster", "all", "a,,b", "*", "a b"] {
        let visibility = match value {
            // A word like any other name of a namespace.
            "all" => good(&[(VISIBILITY, value)]).visibility,
            _ => bad(VISIBILITY, value).visibility,
        };
        assert!(
            !visibility.unwrap().includes(&"shop".parse().unwrap(), &"other".parse().unwrap()),
            "{value}"
        );
    }
    assert_eq!(
        bad(
            VISIBILITY,
            &vec!["a"; 65].iter().enumerate().map(|(n, a)| format!("{a}{n}")).collect::<Vec<_>>().join(",")
        )
        .visibility,
        Some(Visibility::own())
    );
}

#[test]
fn a_service_that_cannot_be_named_is_none() {
    for value in ["1-2-3", "", "Orders", "a.b"] {
        let (registration, problems) = read(&[(SERVICE, value), (VERSION, "v1")]);
        assert!(registration.is_none() && problems.len() == 1 && problems[0].field == SERVICE, "{value}");
    }
    let annotations = [(SERVICE.to_owned(), "orders".to_owned())].into();
    let (registration, problems) = by_annotations(&"shop".parse().unwrap(), &annotations, None);
    assert!(registration.unwrap().attributes.ports.is_empty() && problems[0].field == PORT);
}

#[test]
fn only_the_word_true_drains() {
    let asks = |value: &str| asks_to_drain(&[(DRAIN.to_owned(), value.to_owned())].into());
    assert!(asks("true") && !asks("false") && !asks("True") && !asks(""));
    assert!(!asks_to_drain(&BTreeMap::new()));
}

#[test]
fn words_that_register_nothing_are_read_too() {
    let good = [
        (INJECT, "enabled"),
        (PRESTOP, "false"),
        (DRAIN, "true"),
        (DNS, "resolver"),
        (REQUIRES, "orders>=2"),
    ];
    assert_eq!(read(&good), (None, vec![]));
    let bad =
        [(INJECT, "yes"), (PRESTOP, ""), (DRAIN, "perhaps"), (DNS, "Resolver"), (REQUIRES, "orders>=0")];
    let (registration, problems) = read(&bad);
    assert_eq!(registration, None);
    assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), bad.map(|(field, _)| field));
}

proptest! {
    /// Whatever people write, what is registered passes the domain's own limits.
    #[test]
    fn no_annotation_gets_past_the_limits(values in proptest::collection::vec("(\\PC|[a-z,:=/0-9 \t]){0,40}", 7)) {
        let fields = [VERSION, PORT, TAGS, METADATA, WEIGHT, PROBE, VISIBILITY];
        let pairs: Vec<_> = fields.into_iter().zip(values.iter().map(String::as_str)).chain([(SERVICE, "orders")]).collect();
        let (registration, problems) = read(&pairs);
        prop_assert_eq!(registration.unwrap().check(), []);
        prop_assert!(problems.iter().all(|problem| fields.contains(&problem.field)));
    }
}
