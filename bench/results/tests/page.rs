//! The page and its plots, made of invented results, compared with what is in `expected/`. `ROLLCALL_EXPECTED=write` writes
//! that anew, to be read before it is committed.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test's helpers are tests too")]

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use rollcall_results::{
    Results,
    page::{Kept, Page, Reason},
};

/// Larger pictures make a page slow.
const BYTES_MAX: usize = 100_000;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The invented results of these measurements, and reasons.
fn invented(names: &[&str]) -> Kept {
    let read = |name: &&str| {
        let results =
            Results::read(&folder("invented").join(format!("{name}.jsonl"))).expect("invented results");
        ((*name).to_owned(), results)
    };
    let reasons = fs::read_to_string(folder("invented/reasons.json")).expect("invented reasons");
    let reasons: Vec<Reason> = serde_json::from_str(&reasons).expect("reasons");
    let reasons = reasons.into_iter().filter(|reason| names.contains(&reason.bench.as_str())).collect();
    Kept { results: names.iter().map(read).collect(), reasons }
}

/// What is expected is written where that is asked for, and compared otherwise.
fn holds(file: &str, text: &str) {
    let path = folder("expected").join(file);
    if env::var_os("ROLLCALL_EXPECTED").is_some_and(|how| how == "write") {
        fs::write(&path, text).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{file}: with ROLLCALL_EXPECTED=write the test writes it anew");
}

/// The page knows all of them but the last one.
const ALL: [&str; 11] = [
    "dns",
    "failure",
    "lookup",
    "memory",
    "propagation",
    "recovery",
    "registration",
    "scale",
    "soak",
    "start",
    "strange",
];

#[test]
fn invented_results_make_the_page_that_is_expected() {
    let page = Page::of(&invented(&ALL));
    let told: String = page.sections.iter().map(|(name, text)| format!("<!-- {name} -->\n{text}")).collect();
    // No `.md`, whose links would be looked for beside it.
    holds("page.txt", &told);
    for plot in &page.plots {
        assert!(plot.svg.len() < BYTES_MAX, "{}", plot.file);
        assert!(told.contains(&format!("(benchmarks/{})", plot.file)), "{} is on no page", plot.file);
    }
    let expected: BTreeMap<_, _> = page.plots.iter().map(|plot| (plot.file.as_str(), &plot.svg)).collect();
    assert_eq!(expected.len(), page.plots.len(), "two plots have one name");
    // One of each kind: lines, delays, bars.
    for file in ["lookup-cpu-b.svg", "lookup-delays-b.svg", "failure-out-c.svg"] {
        holds(file, expected.get(file).expect("drawn"));
    }
    assert_eq!(page, Page::of(&invented(&ALL)), "the same results make the same page");
}

#[test]
fn any_part_of_the_results_makes_a_page() {
    // All but two at most, and two at most: whatever one measurement needs of another would show.
    let of_two = (0..ALL.len()).flat_map(|one| (one..ALL.len()).map(move |other| [one, other]));
    let subsets = of_two.flat_map(|two| [true, false].map(|are_there| (two, are_there)));
    for (two, are_there) in subsets {
        let places = (0..ALL.len()).filter(|place| two.contains(place) == are_there);
        let names: Vec<_> = places.map(|place| ALL[place]).collect();
        let page = Page::of(&invented(&names));
        let known = names.iter().filter(|name| **name != "strange").count();
        let missing =
            page.sections.iter().filter(|(_, text)| text.contains("Not measured yet: `cargo")).count();
        assert_eq!(missing, 11 - known, "{names:?}");
    }
}

#[test]
fn losses_and_reasons_that_miss_each_other_are_named() {
    let mut kept = invented(&ALL);
    let page = Page::of(&kept);
    // Of what is invented, the sidecar's one lookup and all registrations are explained, its ends by a cut and as it should are not.
    assert_eq!(page.wrong.len(), 2, "{:#?}", page.wrong);
    assert!(
        page.wrong
            .iter()
            .all(|wrong| wrong.starts_with("a loss without a reason: failure: rollcall sidecar (event "))
    );
    kept.reasons.clear();
    let wrong = Page::of(&kept).wrong;
    assert!(
        wrong.iter().any(|wrong| wrong.contains("lookup: sidecar") && wrong.contains("p99 µs")),
        "{wrong:#?}"
    );
    let mut reasons = invented(&["lookup"]);
    reasons.results.clear();
    let wrong = Page::of(&reasons).wrong;
    assert_eq!(wrong, ["a reason of what is not measured: lookup: Invented: it was asleep."]);
}
