//! docs/failures.md and the tests that it names are held together.

use std::{collections::BTreeSet, fs};

use rollcall_slice::workspace;

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// The names of the tests in a file.
fn tests_in(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let after_marks = text.split("#[test]\nfn ").skip(1);
    after_marks.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())).collect()
}

/// What the page's table names in its column of tests.
fn named() -> BTreeSet<String> {
    let page = read("docs/failures.md");
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(3).map(str::to_owned));
    let words =
        rows.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    words.collect()
}

#[test]
fn the_page_names_every_test_and_no_other() {
    let everything = tests_in("tests/faults/tests/everything.rs");
    let elsewhere = [
        "apps_notice_nothing_of_what_becomes_of_the_controller".to_owned(),
        "tests/slice".to_owned(),
        "tests/apiserver".to_owned(),
        "cargo xtask bench overload".to_owned(),
    ];
    let named = named();
    assert!(everything.len() > 10, "{everything:?}");
    assert_eq!(named, everything.iter().cloned().chain(elsewhere).collect());
    let essentials = tests_in("tests/faults/tests/essentials.rs");
    assert!(essentials.len() == 5 && essentials.is_subset(&everything), "{essentials:?}");
}
