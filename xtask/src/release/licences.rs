//! The licences of what is in the programs, which whoever hands them on has to hand on with them.

use super::crates::{Known, Name};
use super::libraries::Library;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Files of a crate that begin so have its licence, or what its licence wants to be handed on.
const BEGINNINGS: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// Writes who is in the programs under which licence, and each licence's text once.
pub(crate) fn notices(crates: &BTreeSet<&Name>, known: &Known, libraries: &[Library]) -> Result<String> {
    let mut notices =
        "What is in Rollcall's programs beside its own code, and the licences of it.\n\n".to_owned();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in crates {
        let about = known.get(name)?;
        // Our own have the workspace's.
        if about.checksum.is_none() {
            continue;
        }
        let crate_name = format!("{} {}", name.0, name.1);
        writeln!(notices, "{crate_name}: {}", about.licence)?;
        for text in texts_in(&about.folder)? {
            texts.entry(text).or_default().insert(crate_name.clone());
        }
    }
    for library in libraries {
        writeln!(notices, "{} {}: {}", library.name, library.version, library.licence)?;
    }
    // By whose they are, since texts sort by chance.
    let by_owner: BTreeMap<_, _> = texts.into_iter().map(|(text, owners)| ((owners, text), ())).collect();
    for (owners, text) in by_owner.into_keys() {
        let owners: Vec<_> = owners.into_iter().collect();
        writeln!(notices, "{}{}\n\n{text}", between_texts(), owners.join(", "))?;
    }
    Ok(notices)
}

/// A line that no licence has.
fn between_texts() -> String {
    format!("\n{}\n", "~".repeat(72))
}

fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let failed = || format!("cannot read {}", folder.display());
    let mut texts = Vec::new();
    for file in fs::read_dir(folder).with_context(failed)? {
        let file = file.with_context(failed)?;
        let name = file.file_name().to_string_lossy().to_lowercase();
        if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) && file.file_type()?.is_file() {
            let text = fs::read(file.path()).with_context(failed)?;
            // Lines may end as on Windows; the text is the same.
            texts.push(String::from_utf8_lossy(&text).replace("\r\n", "\n").trim().to_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::super::crates::Tree;
    use super::*;

    #[test]
    fn every_crate_is_named_and_a_text_that_many_have_stands_once() {
        let (tree, known) = (Tree::of("rollcall-sidecar").unwrap(), Known::of_the_workspace().unwrap());
        let library = Library { name: "glibc", version: "2.36".into(), licence: "LGPL-2.1-or-later" };
        let notices = notices(&tree.needs.keys().collect(), &known, &[library]).unwrap();
        assert!(notices.contains("\nrustls 0.") && notices.contains("\nglibc 2.36: LGPL-2.1-or-later\n"));
        assert!(!notices.contains("\nrollcall-"), "our own are under the workspace's");
        assert!(notices.contains("Permission is hereby granted, free of charge"));
        let sections: Vec<_> = notices
            .split(&between_texts())
            .skip(1)
            .map(|section| section.split_once("\n\n").unwrap())
            .collect();
        let texts: BTreeSet<_> = sections.iter().map(|(_, text)| text.trim_end()).collect();
        assert_eq!(texts.len(), sections.len());
        assert!(
            sections.iter().any(|(owners, _)| owners.split(", ").count() > 10),
            "who shares one stands above it"
        );
        for name in tree.needs.keys().filter(|name| known.get(name).unwrap().checksum.is_some()) {
            for text in texts_in(&known.get(name).unwrap().folder).unwrap() {
                let (owners, _) = sections.iter().find(|(_, found)| found.trim_end() == text).unwrap();
                let own = format!("{} {}", name.0, name.1);
                assert!(owners.split(", ").any(|owner| owner == own), "{own}: {owners}");
            }
        }
    }

    #[test]
    fn a_licence_is_found_by_the_beginning_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("LICENSE-MIT", "mit\r\ntext\n"),
            ("Notice.txt", "notice"),
            ("README.md", "no"),
            ("lib.rs", "no"),
        ] {
            fs::write(folder.path().join(file), text).unwrap();
        }
        fs::create_dir(folder.path().join("licenses")).unwrap();
        let mut texts = texts_in(folder.path()).unwrap();
        texts.sort();
        assert_eq!(texts, ["mit\ntext", "notice"]);
    }
}
