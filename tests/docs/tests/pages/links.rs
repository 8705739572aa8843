//! Every link, and every mention of a page, leads somewhere.

use rollcall_cluster::static_build::workspace;
use rollcall_docs::{Page, anchors, links, pages};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What a path within the workspace means that is written in a page of this folder; none where it leads out of it.
fn resolved(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(name) => found.push(name),
            Component::CurDir => {}
            Component::ParentDir if found.pop() => {}
            _ => return None,
        }
    }
    Some(found)
}

/// The links of a page that lead nowhere.
fn broken(page: &Page, pages: &BTreeMap<PathBuf, BTreeSet<String>>) -> Vec<String> {
    let own = PathBuf::from(&page.path);
    let folder = own.parent().unwrap();
    let mut broken = Vec::new();
    for link in links(&page.text) {
        let place = format!("{}:{}", page.path, link.line);
        let target = if link.path.is_empty() { Some(own.clone()) } else { resolved(folder, &link.path) };
        let Some(target) = target.filter(|target| workspace().join(target).exists()) else {
            broken.push(format!("{place}: there is no {}", link.path));
            continue;
        };
        // Of files that are no pages, a mark names a line, which is GitHub's affair.
        let anchors = pages.get(&target);
        let lost = link.anchor.filter(|anchor| anchors.is_some_and(|anchors| !anchors.contains(anchor)));
        broken.extend(lost.map(|anchor| format!("{place}: {} has no heading `{anchor}`", target.display())));
    }
    broken
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_of_it() {
    let pages = pages().unwrap();
    let known: BTreeMap<_, _> =
        pages.iter().map(|page| (PathBuf::from(&page.path), anchors(&page.text))).collect();
    let found: usize = pages.iter().map(|page| links(&page.text).len()).sum();
    assert!(found > 100, "{found}");
    let broken: Vec<_> = pages.iter().flat_map(|page| broken(page, &known)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_told() {
    let text =
        "# A b\n[x](#a-b) [x](#none) [y](y.md) [z](../README.md#none) [w](../../..) [v](../docs/cli.md)\n";
    let page = Page::new("docs/dns.md".to_owned(), text.to_owned());
    let readme = PathBuf::from("README.md");
    let known = BTreeMap::from([("docs/dns.md".into(), anchors(text)), (readme, BTreeSet::new())]);
    let expected = [
        "docs/dns.md:2: docs/dns.md has no heading `none`",
        "docs/dns.md:2: there is no y.md",
        "docs/dns.md:2: README.md has no heading `none`",
        "docs/dns.md:2: there is no ../../..",
    ];
    assert_eq!(broken(&page, &known)[..], expected.map(str::to_owned));
}

/// Where a sentence of a program, a manifest or a script sends its reader: `docs/NAME.md`, and behind it `#` and a heading.
fn mentions(text: &str) -> Vec<(String, Option<String>)> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let mut found = Vec::new();
    for rest in text.split("docs/").skip(1) {
        let name: String = rest.chars().take_while(|letter| is_of_a_name(*letter)).collect();
        let Some(rest) = rest.get(name.len()..).and_then(|rest| rest.strip_prefix(".md")) else { continue };
        let anchor = rest.strip_prefix('#').unwrap_or_default();
        let anchor: String = anchor.chars().take_while(|letter| is_of_a_name(*letter)).collect();
        if !name.is_empty() {
            found.push((format!("docs/{name}.md"), (!anchor.is_empty()).then_some(anchor)));
        }
    }
    found
}

#[test]
fn every_page_that_a_program_or_manifest_names_is_there() {
    let pages: BTreeMap<_, _> =
        pages().unwrap().into_iter().map(|page| (page.path, anchors(&page.text))).collect();
    let mut named = 0;
    let mut broken = Vec::new();
    let mut folders: Vec<_> = [
        "catalogue",
        "charts",
        "cli/src",
        "controller/src",
        "injection",
        "net",
        "sidecar/src",
        "wire/src",
        ".github",
    ]
    .map(|folder| workspace().join(folder))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for (page, anchor) in mentions(&text) {
                named += 1;
                let place = path.display();
                match pages.get(&page) {
                    None => broken.push(format!("{place}: there is no {page}")),
                    Some(anchors) => {
                        let lost = anchor.filter(|anchor| !anchors.contains(anchor));
                        broken
                            .extend(lost.map(|anchor| format!("{place}: {page} has no heading `{anchor}`")));
                    }
                }
            }
        }
    }
    assert!(named > 10, "{named}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_mention_is_read_with_its_heading() {
    let found = mentions("see docs/a-b.md, or docs/c.md#d-e. docs/f.rs docs/.md ../docs/g.md#");
    let expected = [("docs/a-b.md", None), ("docs/c.md", Some("d-e")), ("docs/g.md", None)];
    assert_eq!(found, expected.map(|(page, anchor)| (page.to_owned(), anchor.map(str::to_owned))));
}
