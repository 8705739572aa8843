//! Budgets: what each path may take, and what is said of one that takes more.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Of a hundred instructions that were counted, so many more are allowed: what another build of the C library or another
/// order of the same code makes of them. What the same program takes differs by less than a tenth of that.
const ROOM_PERCENT: u64 = 5;
/// A path that needs so much less than its budget has one that holds nothing any more.
const LOOSE_PERCENT: u64 = 10;
/// Less of a change is none, when budgets are written anew: the others' lines stay as they are.
const STILL_PERCENT: u64 = 1;

const REMEDY: &str =
    "make it cheaper; or take it as it is by `cargo xtask counts --write`, and say why in the commit";

/// Holds what a path took, in instructions for each time that it was gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) path: String,
    pub(super) count: u64,
}

/// Holds what a path may take: a line of `bench/counts/budgets.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    path: String,
    /// What it took when the budget was written.
    count: u64,
    budget: u64,
    /// Where most of it goes, or why it may take more than its work seems to ask for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    why: String,
}

/// Holds a path with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    path: String,
    count: Option<u64>,
    budget: Option<Budget>,
}

/// Says what is to be said of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Fits,
    /// It needs much less: the budget is to follow.
    Loose,
    Over,
    NoBudget,
    NotCounted,
}

pub(super) fn read(path: &Path) -> Result<Vec<Budget>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let budget = |(place, line)| {
        serde_json::from_str(line).with_context(|| format!("{}:{}: no budget", path.display(), place + 1))
    };
    text.lines().enumerate().map(budget).collect()
}

pub(super) fn write(path: &Path, budgets: &[Budget]) -> Result<()> {
    let mut text = String::new();
    for budget in budgets {
        text += &serde_json::to_string(budget)?;
        text.push('\n');
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Budgets of what was counted. Those that hold what they should stay as they are.
pub(super) fn renewed(budgets: &[Budget], counts: &[Count]) -> Vec<Budget> {
    let of = |Count { path, count }: &Count| {
        let old = budgets.iter().find(|budget| budget.path == *path);
        match old.filter(|old| old.count.abs_diff(*count) * 100 <= old.count * STILL_PERCENT) {
            Some(still) if *count <= still.budget => still.clone(),
            _ => Budget {
                path: path.clone(),
                count: *count,
                budget: count + (count * ROOM_PERCENT).div_ceil(100),
                why: old.map(|old| old.why.clone()).unwrap_or_default(),
            },
        }
    };
    counts.iter().map(of).collect()
}

/// Each path that was counted, and each that has a budget.
pub(super) fn judge(budgets: &[Budget], counts: &[Count]) -> Vec<Line> {
    let counted = counts.iter().map(|Count { path, count }| Line {
        path: path.clone(),
        count: Some(*count),
        budget: budgets.iter().find(|budget| budget.path == *path).cloned(),
    });
    let others = budgets.iter().filter(|budget| counts.iter().all(|count| count.path != budget.path));
    let others =
        others.map(|budget| Line { path: budget.path.clone(), count: None, budget: Some(budget.clone()) });
    counted.chain(others).collect()
}

pub(super) fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.path.len()).max().unwrap_or_default();
    let mut text = format!("{:width$}  {:>9}  {:>9}  {:>7}\n", "path", "count", "budget", "change");
    for line in lines {
        let shown = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let (count, budget) = (shown(line.count), shown(line.budget.as_ref().map(|budget| budget.budget)));
        let (change, note) = (line.change(), line.judged().note());
        let row = format!("{:width$}  {count:>9}  {budget:>9}  {change:>7}  {note}", line.path);
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

// === impl Line ===

impl Line {
    /// What is to be said where it must not be so.
    pub(super) fn failure(&self) -> Option<String> {
        let (path, count) = (&self.path, self.count.unwrap_or_default());
        let budget = self.budget.as_ref().map_or(0, |budget| budget.budget);
        match self.judged() {
            Judged::Fits | Judged::Loose => None,
            Judged::Over => {
                Some(format!("{path}: {count} instructions, and the budget is {budget}: {REMEDY}"))
            }
            Judged::NoBudget => Some(format!(
                "{path}: {count} instructions, and no budget: `cargo xtask counts --write` writes one"
            )),
            Judged::NotCounted => Some(format!(
                "{path}: a budget of {budget}, and no path that it is of: `cargo xtask counts --write` takes it away"
            )),
        }
    }

    fn judged(&self) -> Judged {
        match (self.count, &self.budget) {
            (None, _) => Judged::NotCounted,
            (Some(_), None) => Judged::NoBudget,
            (Some(count), Some(held)) if count > held.budget => Judged::Over,
            (Some(count), Some(held)) if count * 100 < held.budget * (100 - LOOSE_PERCENT) => Judged::Loose,
            (Some(_), Some(_)) => Judged::Fits,
        }
    }

    /// By how much it differs from what it took when the budget was written, in percent.
    #[allow(clippy::cast_precision_loss, reason = "counts are shown with one decimal")]
    fn change(&self) -> String {
        match (self.count, &self.budget) {
            (Some(count), Some(held)) if held.count > 0 => {
                format!("{:+.1} %", (count as f64 / held.count as f64 - 1.0) * 100.0)
            }
            _ => "-".to_owned(),
        }
    }
}

// === impl Judged ===

impl Judged {
    fn note(self) -> &'static str {
        match self {
            Self::Fits => "",
            Self::Loose => "far below its budget: let that follow, by --write",
            Self::Over => "OVER",
            Self::NoBudget => "NO BUDGET",
            Self::NotCounted => "NOT COUNTED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(path: &str, count: u64, budget: u64) -> Budget {
        Budget { path: path.to_owned(), count, budget, why: "it copies".to_owned() }
    }

    fn count(path: &str, count: u64) -> Count {
        Count { path: path.to_owned(), count }
    }

    #[test]
    fn what_is_over_or_has_no_partner_fails_and_what_is_below_is_told() {
        let held = [1_000, 1_000, 1_000, 1_000].map(|count| budget("", count, 1_050));
        let names = ["fits", "over", "below", "gone"];
        let held: Vec<_> =
            held.into_iter().zip(names).map(|(one, name)| Budget { path: name.into(), ..one }).collect();
        let counts = [count("fits", 1_050), count("over", 1_051), count("below", 944), count("new", 7)];
        let lines = judge(&held, &counts);
        let judged: Vec<_> = lines.iter().map(|line| (&*line.path, line.judged())).collect();
        let expected = [
            ("fits", Judged::Fits),
            ("over", Judged::Over),
            ("below", Judged::Loose),
            ("new", Judged::NoBudget),
            ("gone", Judged::NotCounted),
        ];
        assert_eq!(judged, expected);
        let failures: Vec<_> = lines.iter().filter_map(Line::failure).collect();
        assert_eq!(failures.len(), 3);
        for (failure, parts) in failures.iter().zip([
            &["over: 1051 ", "is 1050", "cheaper", "--write"][..],
            &["new: 7 ", "--write"],
            &["gone: a budget of 1050", "--write"],
        ]) {
            assert!(parts.iter().all(|part| failure.contains(part)), "{failure}");
        }
        assert_eq!(judge(&held, &[count("below", 945)])[0].judged(), Judged::Fits);
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        let held = [budget("a/path", 1_000, 1_050), budget("gone", 1, 2)];
        let table = table(&judge(&held, &[count("a/path", 1_100), count("new", 7)]));
        let expected = [
            "path        count     budget   change",
            "a/path       1100       1050  +10.0 %  OVER",
            "new             7          -        -  NO BUDGET",
            "gone            -          2        -  NOT COUNTED",
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_budget_is_written_with_room_and_stays_where_nothing_moved() {
        let held = [budget("still", 1_000, 1_060), budget("moved", 1_000, 1_050), budget("gone", 1, 2)];
        let counts = [count("still", 1_010), count("moved", 1_011), count("new", 41)];
        let new = Budget { why: String::new(), ..budget("new", 41, 44) };
        let expected = [held[0].clone(), budget("moved", 1_011, 1_062), new];
        let renewed = renewed(&held, &counts);
        assert_eq!(renewed, expected);
        assert!(judge(&renewed, &counts).iter().all(|line| line.failure().is_none()));
    }

    #[test]
    fn what_is_written_is_read_and_a_line_that_is_no_budget_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.jsonl");
        let held = vec![budget("a", 1, 2), Budget { why: String::new(), ..budget("b c/10", 3, 4) }];
        write(&path, &held).unwrap();
        assert_eq!(read(&path).unwrap(), held);
        fs::write(&path, "{\"path\":\"a\",\"count\":1,\"budget\":2}\nnothing\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("budgets.jsonl:2"));
    }
}
