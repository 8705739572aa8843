//! Where a page's links lead, and the anchors that a page has.

use crate::page::{Part, heading, parts};
use std::collections::{BTreeMap, BTreeSet};

/// What begins a target in HTML, which pages use for pictures.
const ATTRIBUTES: [&str; 3] = ["href=\"", "src=\"", "srcset=\""];
/// What names a place within a page by hand.
const NAMES: [&str; 2] = ["<a id=\"", "<a name=\""];

/// Holds a link that leads to a file or a heading of this workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The line that it stands in, counted from 1.
    pub line: usize,
    /// As it is written, relative to its page; empty where it stays there.
    pub path: String,
    pub anchor: Option<String>,
}

/// The links of a page that lead to this workspace.
pub fn links(text: &str) -> Vec<Link> {
    let prose = parts(text).filter(|(_, _, part)| *part == Part::Prose);
    let all = prose.flat_map(|(line, words, _)| {
        targets(&without_code(words)).into_iter().map(move |target| (line, target))
    });
    all.filter_map(|(line, target)| link(line, &target)).collect()
}

/// The anchors that a page has, as GitHub makes them of its headings.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let (mut found, mut times) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for (_, words, _) in parts(text).filter(|(_, _, part)| *part == Part::Prose) {
        if let Some(words) = heading(words) {
            let anchor = anchor(words);
            let before = times.entry(anchor.clone()).or_default();
            found.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
            *before += 1;
        }
        for name in NAMES {
            found.extend(
                words.split(name).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
            );
        }
    }
    found
}

/// In small letters, with hyphens for spaces, and nothing else that is neither a letter nor a number.
fn anchor(heading: &str) -> String {
    let letters = plain(heading).to_lowercase();
    let kept = letters.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// A heading as it is shown: of a link its words alone.
fn plain(heading: &str) -> String {
    let mut shown = String::new();
    let mut rest = heading;
    while let Some((before, link)) = rest.split_once("](") {
        shown += before;
        rest = link.split_once(')').map_or("", |(_, rest)| rest);
    }
    shown + rest
}

/// A line without what stands between backticks, which is shown as it is.
fn without_code(words: &str) -> String {
    let mut kept = String::new();
    let mut rest = words;
    while let Some((before, code)) = rest.split_once('`') {
        kept += before;
        let more = code.len() - code.trim_start_matches('`').len();
        let end = "`".repeat(more + 1);
        match code.get(more..).and_then(|code| code.split_once(&end)) {
            Some((_, after)) => rest = after,
            // Nothing closes it: then it is a backtick.
            None => rest = code,
        }
    }
    kept + rest
}

fn targets(words: &str) -> Vec<String> {
    let of_links = words.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let of_html = ATTRIBUTES.into_iter().flat_map(|attribute| {
        words.split(attribute).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0))
    });
    let of_references =
        words.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    let all = of_links.chain(of_html).chain(of_references);
    // Behind a space may come a title, or the width of a picture.
    all.filter_map(|target| Some(target.split_whitespace().next()?.trim_matches(['<', '>']).to_owned()))
        .collect()
}

fn link(line: usize, target: &str) -> Option<Link> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (target, None),
    };
    Some(Link { line, path: path.to_owned(), anchor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_wherever_they_stand_and_code_is_none() {
        let text = "[a](b.md) and [`c`](d/e.md#f-g)\n`[no](no.md)` ``x ` [no](no.md)``\n```sh\n[no](no.md)\n```\n\
            [out](https://example.com/x.md) <img src=\"p.svg\" width=1> [h](#here \"title\")\n[r]: s.md\n![i](j.png) ` [k](l.md)\n";
        let found: Vec<_> = links(text)
            .into_iter()
            .map(|link| format!("{} {} {}", link.line, link.path, link.anchor.unwrap_or_default()))
            .collect();
        let expected = ["1 b.md ", "1 d/e.md f-g", "6  here", "6 p.svg ", "7 s.md ", "8 j.png ", "8 l.md "];
        assert_eq!(found, expected);
    }

    #[test]
    fn anchors_are_as_github_makes_them() {
        let table = [
            ("## PUT /v1/self", "put-v1self"),
            ("# Liveness: who is served, and why", "liveness-who-is-served-and-why"),
            ("### cert-manager, Vault and others", "cert-manager-vault-and-others"),
            ("## `rollcall dev`", "rollcall-dev"),
            ("## A [link](x.md#y) in it", "a-link-in-it"),
            ("## snake_case stays", "snake_case-stays"),
            ("## What a 2 node cluster does?", "what-a-2-node-cluster-does"),
        ];
        for (heading, anchor) in table {
            assert_eq!(anchors(heading), BTreeSet::from([anchor.to_owned()]), "{heading}");
        }
        let twice = "# A\n# A\n<a id=\"here\"></a>\n```sh\n# no\n```\n";
        assert_eq!(anchors(twice), BTreeSet::from(["a", "a-1", "here"].map(str::to_owned)));
    }
}
