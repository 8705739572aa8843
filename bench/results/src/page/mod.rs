//! The page of all measurements, from what was kept of them: its generated parts, and its plots.

mod goals;
mod lines;
mod losses;
mod notes;
mod plots;
mod section;
mod sections;
mod summary;
mod systems;
mod words;

use std::collections::BTreeMap;

pub use self::{losses::Reason, plots::Drawn};
use self::{section::Told, sections::SECTIONS};
use crate::file::Results;

/// Holds what was kept, by the names of the measurements, and why we lose where we do.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub results: BTreeMap<String, Results>,
    pub reasons: Vec<Reason>,
}

/// Holds the page's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The name of each section, and what stands in it.
    pub sections: Vec<(&'static str, String)>,
    pub plots: Vec<Drawn>,
    /// What keeps it from being whole.
    pub wrong: Vec<String>,
}

/// Sections of the page beside those of measurements.
const SUMMARY: &str = "summary";
const GOALS: &str = "goals";
const OTHERS: &str = "others";

// === impl Page ===

impl Page {
    /// Of whatever was kept; what was not measured yet says so.
    pub fn of(kept: &Kept) -> Self {
        let mut page = Self {
            sections: vec![(SUMMARY, summary::told(&kept.results)), (GOALS, goals::table(&kept.results))],
            plots: Vec::new(),
            wrong: Vec::new(),
        };
        for section in &SECTIONS {
            let text = match kept.results.get(section.name) {
                None => section.missing(),
                Some(results) => page.takes(section.told(results, &kept.reasons)),
            };
            page.sections.push((section.name, text));
        }
        let is_known = |name: &str| SECTIONS.iter().any(|section| section.name == name);
        let mut others = String::new();
        for (name, results) in kept.results.iter().filter(|(name, _)| !is_known(name)) {
            others += &page.takes(section::other(name, results, &kept.reasons));
        }
        page.sections.push((OTHERS, if others.is_empty() { "\nNone yet.\n\n".to_owned() } else { others }));
        let of_nothing = kept.reasons.iter().filter(|reason| !kept.results.contains_key(&reason.bench));
        page.wrong.extend(
            of_nothing
                .map(|reason| format!("a reason of what is not measured: {}: {}", reason.bench, reason.why)),
        );
        page
    }

    fn takes(&mut self, told: Told) -> String {
        self.plots.extend(told.plots);
        self.wrong.extend(told.wrong);
        told.text
    }
}
