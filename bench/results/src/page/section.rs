//! One measurement's part of the page.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    lines::{is_of, slopes},
    losses::{self, Loss, Reason},
    notes,
    plots::{self, Drawn},
    sections::{ANY, Plot, Section, View},
    systems::{BEHIND, LIMITED, Systems, is_limited_by_load},
    words,
};
use crate::{
    file::Results,
    record::{Record, Run},
    series::{NEVER, Series, series},
    table::{Align, Table},
};

/// Holds what a measurement's part of the page comes to.
pub(super) struct Told {
    pub(super) text: String,
    pub(super) plots: Vec<Drawn>,
    pub(super) wrong: Vec<String>,
}

/// Where plots and results are, seen from the page.
const FOLDER: &str = "benchmarks";

// === impl Section ===

impl Section {
    /// Of a measurement that was not made yet.
    pub(super) fn missing(&self) -> String {
        format!(
            "\nNot measured yet: `cargo xtask bench {}` does, and `cargo xtask bench keep {}` keeps what it came to.\n\n",
            self.name, self.name
        )
    }

    pub(super) fn told(&self, results: &Results, reasons: &[Reason]) -> Told {
        told(self.name, results, self.views, self.plots, reasons)
    }
}

/// Of these results.
pub(super) fn told(
    name: &str,
    results: &Results,
    views: &[View],
    plots: &[Plot],
    reasons: &[Reason],
) -> Told {
    let all = series(&results.records);
    let shown: Vec<Vec<&str>> = views.iter().map(|view| shown(view, &all)).collect();
    let losses = losses::losses(name, &all, &compared(views, &all));
    let mut text = measured(name, &results.run, &all);
    if let Some(note) = notes::of(name) {
        text += &format!("\n{note}");
    }
    for (view, shown) in views.iter().zip(shown) {
        text += &table(view, shown, &all, &losses);
    }
    text += &missed(&results.missed);
    if all.iter().any(is_limited_by_load) {
        text += &format!("\n{LIMITED}\n");
    }
    let drawn: Vec<_> = plots.iter().flat_map(|plot| plots::drawn(plot, &all)).collect();
    for Drawn { file, title, .. } in &drawn {
        text += &format!("\n![{title}]({FOLDER}/{file})\n");
    }
    if losses::are_compared(&all) {
        text += &match losses.as_slice() {
            [] => "\nWe lose nowhere in this measurement.\n".to_owned(),
            some => format!("\nWhere we lose ({}):\n\n{}", BEHIND.trim(), losses::told(some, reasons)),
        };
    }
    text += &who_took_part(&results.run);
    text.push('\n');
    let of_this: Vec<_> = reasons.iter().filter(|reason| reason.bench == name).cloned().collect();
    let mut wrong = losses::wrong(&losses, &of_this);
    if results.run.bench != name {
        wrong.push(format!("{name}.jsonl is of the measurement `{}`", results.run.bench));
    }
    Told { text, plots: drawn, wrong }
}

/// The values that some view shows.
pub(super) fn compared<'a>(views: &[View], all: &[Series<'a>]) -> Vec<&'a str> {
    let all: BTreeSet<_> = views.iter().flat_map(|view| shown(view, all)).collect();
    all.into_iter().collect()
}

/// The values that a view shows, in its order.
fn shown<'a>(view: &View, all: &[Series<'a>]) -> Vec<&'a str> {
    let View::Systems { values, has_others, .. } = view else { return Vec::new() };
    let there: BTreeSet<&str> = all.iter().flat_map(Series::values).collect();
    let known = values.iter().filter_map(|value| there.get(value).copied());
    // What was never out says so in the place of when it was.
    let others =
        there.iter().copied().filter(|value| *has_others && !values.contains(value) && *value != NEVER);
    known.chain(others).collect()
}

fn table<'a>(view: &'a View, values: Vec<&'a str>, all: &'a [Series<'a>], losses: &'a [Loss<'a>]) -> String {
    let everyone: Vec<_> = all.iter().collect();
    match view {
        View::Systems { needs, apart, across, by_floor, longest, .. } => {
            let has_it = |one: &&Series<'_>| needs.is_empty() || one.case.contains_key(*needs);
            let members: Vec<_> = everyone.into_iter().filter(has_it).collect();
            Systems { apart, across: *across, by_floor, longest, values, losses }.markdown(&members)
        }
        View::Slopes { x, only, value, of_each } => {
            let members: Vec<_> = everyone.into_iter().filter(|one| is_of(one, only)).collect();
            slopes(&members, x, value, of_each)
        }
    }
}

/// When, where, and of what.
fn measured(name: &str, run: &Run, all: &[Series<'_>]) -> String {
    let rounds: BTreeSet<_> = all.iter().flat_map(Series::records).map(|record| record.round).collect();
    let rounds = match rounds.len() {
        1 => "1 round".to_owned(),
        many => format!("{many} rounds"),
    };
    format!(
        "\nMeasured by `{}` on {}, at the commit `{}`, on {}, Linux {}; {rounds}: [{name}.jsonl]({FOLDER}/{name}.jsonl).\n",
        run.command, run.date, run.commit, run.machine, run.kernel
    )
}

/// What could not be measured, in how many rounds, and why the first time.
fn missed(records: &[Record]) -> String {
    let mut all: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for record in records {
        let configuration = words::configuration(record.configuration);
        let case =
            if record.case.is_empty() { String::new() } else { format!(" ({})", words::case(&record.case)) };
        let what = format!("{}, {configuration}{case}", record.system);
        all.entry(what).or_insert((0, record.not_measured.as_deref().unwrap_or_default())).0 += 1;
    }
    if all.is_empty() {
        return String::new();
    }
    let lines = all.into_iter().map(|(what, (rounds, why))| match rounds {
        1 => format!("- {what}: {why}\n"),
        many => format!("- {what}, {many} rounds: {why}\n"),
    });
    format!("\nNot measured in this run:\n\n{}", lines.collect::<String>())
}

fn who_took_part(run: &Run) -> String {
    if run.programs.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    for name in ["who took part", "version", "command line"] {
        table = table.with_column(name, Align::Words);
    }
    for program in &run.programs {
        let command = format!("`{}`", program.command.replace('`', "'"));
        table.push(vec![program.name.clone(), program.version.clone(), command]);
    }
    format!("\n{}", table.markdown())
}

/// A heading and a part for results of which the page knows nothing but that they are there.
pub(super) fn other(name: &str, results: &Results, reasons: &[Reason]) -> Told {
    let Told { text, plots, wrong } = told(name, results, &[ANY], &[], reasons);
    Told { text: format!("\n### {}\n{text}", words::spaced(name)), plots, wrong }
}
