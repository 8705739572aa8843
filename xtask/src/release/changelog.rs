//! CHANGELOG.md: what a version says of itself.

use anyhow::{Result, bail};

/// Holds what stands under a version's heading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// As it is written, without the heading.
    pub(crate) text: String,
    pub(crate) changes: Vec<Change>,
}

/// Holds one line of a list, and the heading that it stands under: `added`, `changed`, `fixed` and the like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: String,
    pub(crate) description: String,
}

impl Section {
    /// The section of a version, which has to be there and to say something.
    pub(crate) fn of(changelog: &str, version: &str) -> Result<Self> {
        let lines = changelog.lines().skip_while(|line| version_of(line) != Some(version)).skip(1);
        let lines: Vec<&str> = lines.take_while(|line| version_of(line).is_none()).collect();
        let changes = changes(&lines);
        if changes.is_empty() {
            bail!(
                "CHANGELOG.md says nothing of {version}: write a section `## {version}` with a list under `### Added`, \
                 `### Changed` or `### Fixed`"
            );
        }
        Ok(Self { text: lines.join("\n").trim().to_owned() + "\n", changes })
    }
}

/// The version that a heading names: `## 0.1.0`, or as others write it `## [0.1.0] - a date`.
fn version_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("## ")?.split_whitespace().next()?;
    Some(name.trim_start_matches('[').trim_end_matches(']'))
}

fn changes(lines: &[&str]) -> Vec<Change> {
    let mut kind = String::new();
    let mut changes: Vec<Change> = Vec::new();
    let mut in_list = false;
    for line in lines {
        if let Some(heading) = line.strip_prefix("### ") {
            kind = heading.trim().to_lowercase();
        } else if let Some(first) = line.strip_prefix("- ") {
            changes.push(Change { kind: kind.clone(), description: first.trim().to_owned() });
            in_list = true;
            continue;
        } else if let (true, true, Some(change)) = (in_list, line.starts_with("  "), changes.last_mut()) {
            change.description.push(' ');
            change.description.push_str(line.trim());
            continue;
        }
        in_list = false;
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "# Changelog\n\n## Unreleased\n\n### Added\n\n- Not yet\n\n## 0.2.0\n\nA sentence.\n\n### Added\n\n- One,\n  over \
                       two lines\n- Two\n\n### Fixed\n\n- Three\n\n## [0.1.0] - a day\n\n### Added\n\n- All\n";

    #[test]
    fn a_version_has_its_own_section_and_nothing_of_its_neighbours() {
        let section = Section::of(LOG, "0.2.0").unwrap();
        assert!(
            section.text.starts_with("A sentence.") && section.text.ends_with("- Three\n"),
            "{section:?}"
        );
        let changes: Vec<_> = section
            .changes
            .iter()
            .map(|change| (change.kind.as_str(), change.description.as_str()))
            .collect();
        assert_eq!(changes, [("added", "One, over two lines"), ("added", "Two"), ("fixed", "Three")]);
        assert_eq!(Section::of(LOG, "0.1.0").unwrap().text, "### Added\n\n- All\n");
    }

    #[test]
    fn a_version_of_which_nothing_is_said_is_refused_with_the_remedy() {
        for (log, version) in [(LOG, "0.3.0"), (LOG, "0.2"), ("## 1.0.0\n\nSoon.\n", "1.0.0"), ("", "1.0.0")]
        {
            let said = Section::of(log, version).unwrap_err().to_string();
            assert!(said.contains(&format!("write a section `## {version}`")), "{said}");
        }
    }
}
