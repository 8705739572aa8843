//! What a run comes to, for people: one section, and all sections as one page.

use std::{fmt::Write, fs, path::PathBuf};

use anyhow::{Context, Result};
use rollcall_slice::workspace;

use crate::{OfAbsence, OfClient, Verdict};

/// Holds what is told of one run.
#[derive(Debug)]
pub struct Section<'a> {
    pub title: &'a str,
    /// What was done or seen, and when.
    pub deeds: &'a [(u64, String)],
    pub verdict: Option<&'a Verdict>,
    /// What was not kept; empty: all was.
    pub broken: &'a [String],
}

// === impl Section ===

impl Section<'_> {
    /// Writes it down, and the page of all sections that there are: `target/REPORT.md`.
    pub fn write(&self, report: &str) -> Result<()> {
        // One file for each section.
        let folder = workspace().join("target").join(report);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        fs::write(folder.join(format!("{}.md", self.title.replace(' ', "-"))), self.text())?;
        let mut sections: Vec<PathBuf> =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        sections.sort();
        let texts = sections.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
        fs::write(folder.with_extension("md"), texts.join("\n"))?;
        Ok(())
    }

    pub fn text(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        match self.broken {
            [] => {
                text +=
                    "Kept: no lookup failed, nobody who was well was missing, nothing wrong was told.\n\n";
            }
            broken => {
                let lines = broken.iter().map(|line| format!("- NOT KEPT: {line}\n"));
                text.extend(lines);
                text += "\n";
            }
        }
        for (at_ms, deed) in self.deeds {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "- {}: {deed}", seconds(*at_ms));
        }
        if let Some(verdict) = self.verdict {
            text.extend(verdict.absences.iter().map(line_of_absence));
            text += "\n| client | on | lookups | failed | missing | wrong | longest Age | in step again after | slowest lookup |\n|---|---|---|---|---|---|---|---|---|\n";
            text.extend(verdict.clients.iter().map(row_of_client));
        }
        text
    }
}

fn line_of_absence(absence: &OfAbsence) -> String {
    let told = |after_ms: Option<u64>| {
        after_ms.map_or("never".to_owned(), |after_ms| format!("after {}", seconds(after_ms)))
    };
    let OfAbsence { pod, why, first_without_ms, last_with_ms, last_without_ms } = absence;
    format!(
        "- {pod} ({why}): first answer without it {}, last one with it {}; well again, last one without it {}\n",
        told(*first_without_ms),
        told(*last_with_ms),
        told(*last_without_ms)
    )
}

fn row_of_client(client: &OfClient) -> String {
    let OfClient { lookups, failed, missing, wrong, longest_age_s, slowest_ms, .. } = client;
    let back = client.out_of_step_ms.map_or("never".to_owned(), seconds);
    let (name, place) = (&client.client.name, &client.client.place);
    format!(
        "| {name} | {place} | {lookups} | {failed} | {missing} | {wrong} | {longest_age_s} s | {back} | {slowest_ms} ms |\n"
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn a_section_tells_what_was_done_and_a_line_for_each_client() {
        let client = OfClient {
            client: Client { name: "orders-1".into(), place: "node1".into() },
            was_cut_off: false,
            lookups: 812,
            failed: 0,
            missing: 1,
            wrong: 0,
            longest_age_s: 3,
            from_disk: 0,
            out_of_step_ms: Some(1_250),
            out_of_step_at_ms: Some(2_000),
            silence_ms: 110,
            slowest_ms: 12,
            examples: Vec::new(),
        };
        let absence = OfAbsence {
            pod: "stock-2".into(),
            why: "its app was killed".into(),
            first_without_ms: Some(90),
            last_with_ms: Some(1_005),
            last_without_ms: None,
        };
        let verdict = Verdict { clients: vec![client], absences: vec![absence] };
        let deeds = [(5_000, "SIGKILL to a".to_owned())];
        let mut section =
            Section { title: "leader killed", deeds: &deeds, verdict: Some(&verdict), broken: &[] };
        let kept = section.text();
        assert!(kept.starts_with("## leader killed\n\nKept: "), "{kept}");
        for line in [
            "- 5.00 s: SIGKILL to a\n",
            "- stock-2 (its app was killed): first answer without it after 0.09 s, last one with it after 1.00 s; well again, last one without it never\n",
            "| orders-1 | node1 | 812 | 0 | 1 | 0 | 3 s | 1.25 s | 12 ms |\n",
        ] {
            assert!(kept.contains(line), "{kept}");
        }
        let broken = ["orders-1: 1 answers".to_owned()];
        section.broken = &broken;
        assert!(section.text().contains("- NOT KEPT: orders-1: 1 answers\n"));
    }
}
