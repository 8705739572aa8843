use proptest::prelude::*;

use super::*;

fn read(query: &str) -> Result<Query, Problem> {
    filters(&parameters(Some(query))?, &["index"])
}

#[test]
fn what_is_asked_for() {
    let version = |text: &str| Query { version: Some(text.parse().unwrap()), ..Query::default() };
    let tags =
        |tags: &[&str]| Query { tags: tags.iter().map(|&tag| tag.into()).collect(), ..Query::default() };
    let table = [
        ("", Query::default()),
        ("&&", Query::default()),
        ("all=false", Query::default()),
        ("index=7", Query::default()),
        ("all=true", Query { states: States::All, ..Query::default() }),
        ("version=1.4.2", version("1.4.2")),
        ("version=1.4.2%2Bbuild", version("1.4.2+build")),
        ("version=^1.4", version("^1.4")),
        ("version=%3E%3D1,+%3C2", version(">=1, <2")),
        ("version=>=1,%20<2", version(">=1, <2")),
        ("tag=blue", tags(&["blue"])),
        ("tag=blue&tag=green&tag=blue", tags(&["blue", "green", "blue"])),
        ("tag=a%26b%3Dc", tags(&["a&b=c"])),
        ("tag=a=b", tags(&["a=b"])),
        ("t%61g=bl%C3%BCe", tags(&["blüe"])),
        ("zone=a+b", Query { zone: Some("a b".into()), ..Query::default() }),
        ("port=http", Query { port: Some("http".into()), ..Query::default() }),
        ("port=65535", Query { port: Some("65535".into()), ..Query::default() }),
        (
            "protocol=kubernetes.io/h2c",
            Query { protocol: Some("kubernetes.io/h2c".into()), ..Query::default() },
        ),
    ];
    for (query, expected) in table {
        assert_eq!(read(query).unwrap_or_else(|problem| panic!("{query}: {problem:?}")), expected, "{query}");
    }
    assert_eq!(filters(&parameters(None).unwrap(), &[]).unwrap(), Query::default());
}

#[test]
fn what_cannot_be_read_names_the_parameter_and_the_remedy() {
    let many = "tag=a&".repeat(PARAMETERS_MAX + 1);
    let table = [
        ("verison=1", "query", "there are version, tag, zone, port, protocol, all, index"),
        ("Version=1", "query", "there are version"),
        ("%00=1", "query", "there are version"),
        ("=1", "query", "there are version"),
        ("version=1&version=2", "version", "give it once"),
        ("zone=a&zone=a", "zone", "give it once"),
        ("all=true&all=true", "all", "give it once"),
        ("version=", "version", "leave it out"),
        ("version", "version", "leave it out"),
        ("tag=blue&tag=", "tag", "leave it out"),
        ("zone=", "zone", "leave it out"),
        ("all=yes", "all", "all=true"),
        ("all=True", "all", "all=true"),
        ("version=v1.4.2", "version", "use 1.4.2"),
        ("version=1.4.2+build", "version", "%2B"),
        ("port=0", "port", "1 to 65535"),
        ("port=65536", "port", "1 to 65535"),
        ("port=99999999999999999999", "port", "1 to 65535"),
        ("zone=%", "query", "hexadecimal"),
        ("zone=%4", "query", "hexadecimal"),
        ("zone=%zz", "query", "hexadecimal"),
        ("zone=%+1", "query", "hexadecimal"),
        ("zone=%FF", "query", "UTF-8"),
        (&many, "query", "at most 80"),
    ];
    for (query, field, hint) in table {
        let problem = read(query).unwrap_err();
        assert_eq!((problem.slug, problem.field), (Slug::InvalidQuery, Some(field)), "{query}: {problem:?}");
        assert!(problem.hint.as_ref().unwrap().contains(hint), "{query}: {problem:?}");
        assert!(!problem.detail.contains('\0'), "{query}: {problem:?}");
    }
}

#[test]
fn an_address_is_one_and_nothing_else() {
    let read = |query: &str| address(&parameters(Some(query))?, "address");
    assert_eq!(read("address=10.1.2.3").unwrap(), Some([10, 1, 2, 3].into()));
    assert_eq!(read("address=fd00%3A%3A1").unwrap(), Some("fd00::1".parse().unwrap()));
    assert_eq!(read("other=1").unwrap(), None);
    for bad in ["address=", "address=orders", "address=10.1.2.3:80", "address=10.1.2.3&address=10.1.2.4"] {
        assert_eq!(read(bad).unwrap_err().field, Some("address"), "{bad}");
    }
}

#[test]
fn where_nothing_is_known_everything_is_refused() {
    let parameters = parameters(Some("a=b")).unwrap();
    let problem = only(&parameters, &[]).unwrap_err();
    assert_eq!(problem.hint.unwrap(), "leave out everything behind the question mark");
    assert_eq!(only(&parameters, &["a"]), Ok(()));
    assert_eq!(segment("a+b%2Fc").unwrap(), "a+b/c", "in a path a plus is a plus");
    assert_eq!(segment("%a").unwrap_err().field, Some("name"));
}

proptest! {
    #[test]
    fn what_is_escaped_is_read_back(name in ".{0,20}", value in ".{0,20}") {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let read = parameters(Some(&format!("{}={}", escaped(&name), escaped(&value)))).unwrap();
        prop_assert_eq!(read, vec![Parameter { name, value }]);
    }

    #[test]
    fn nothing_makes_it_panic(query in ".{0,200}") {
        let _ = read(&query);
    }
}

#[test]
fn times_and_numbers_are_read_and_bounded() {
    let table = [
        ("500ms", Some(500)),
        ("20s", Some(20_000)),
        ("5m", Some(300_000)),
        ("0s", Some(0)),
        ("", None),
        ("5", None),
        ("s", None),
        ("-1s", None),
        ("1.5s", None),
        ("1h", None),
        ("5 s", None),
        ("99999999999999999999s", None),
        ("18446744073709551615m", None),
    ];
    for (text, ms) in table {
        assert_eq!(duration(text), ms.map(Duration::from_millis), "{text}");
    }
    let read = |query: &str| {
        let parameters = parameters(Some(query)).unwrap();
        let max = Duration::from_secs(600);
        Ok::<_, Problem>((time(&parameters, "wait", max)?, number(&parameters, "index")?))
    };
    let wait = Some(Duration::from_secs(600));
    assert_eq!(read("wait=10m&index=18446744073709551615").unwrap(), (wait, Some(u64::MAX)));
    assert_eq!(read("").unwrap(), (None, None));
    for bad in [
        "wait=11m",
        "wait=5",
        "wait=",
        "wait=1s&wait=1s",
        "index=-1",
        "index=%2B1",
        "index=x",
        "index=18446744073709551616",
    ] {
        let problem = read(bad).unwrap_err();
        assert!(problem.slug == Slug::InvalidQuery && problem.hint.is_some(), "{bad}");
    }
}

#[test]
fn other_filters_make_another_text_and_what_is_no_filter_does_not() {
    let text = |query: &str| filter_text(&parameters(Some(query)).unwrap());
    assert_eq!(text("index=7&zone=a&wait=5s"), text("zone=a&index=8"));
    assert_eq!(text("index=7"), "");
    let all = [
        "zone=a",
        "zone=b",
        "tag=a",
        "tag=a&tag=b",
        "tag=a%3Btag%3D1:b",
        "version=1&zone=a",
        "zone=a&version=1",
    ];
    let distinct: std::collections::BTreeSet<_> = all.map(text).into();
    assert_eq!(distinct.len(), all.len());
}
