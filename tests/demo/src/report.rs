//! What people see while it runs, and the same as a page: `target/demo-report.md`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use rollcall_cluster::static_build::workspace;

/// Holds what was said so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    page: String,
    kept: usize,
    broken: Vec<String>,
}

// === impl Report ===

impl Report {
    pub(crate) fn headline(&mut self, text: &str) {
        println!("\n== {text}\n");
        self.page += &format!("\n## {text}\n\n");
    }

    pub(crate) fn say(&mut self, text: &str) {
        println!("   {text}");
        self.page += &format!("{text}\n\n");
    }

    /// A command as a person would type it.
    pub(crate) fn command(&mut self, text: &str) {
        println!("   $ {text}");
        self.page += &format!("    {text}\n\n");
    }

    /// Numbers in columns; the first row says what they are.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) {
        for line in columns(rows) {
            println!("   {line}");
        }
        println!();
        for (number, row) in rows.iter().enumerate() {
            self.page += &format!("| {} |\n", row.join(" | "));
            if number == 0 {
                self.page += &format!("|{}\n", "---|".repeat(row.len()));
            }
        }
        self.page += "\n";
    }

    /// A promise, and why it was not kept: none, where it was.
    pub(crate) fn verdict(&mut self, promise: &str, doubt: Option<String>) {
        let line = match doubt {
            None => {
                self.kept += 1;
                format!("kept: {promise}")
            }
            Some(doubt) => {
                let line = format!("NOT KEPT: {promise}: {doubt}");
                self.broken.push(line.clone());
                line
            }
        };
        println!("   {line}");
        self.page += &format!("**{line}**\n\n");
    }

    /// The last line: whether all that was promised was kept, and something was.
    pub(crate) fn end(&mut self, lasted_s: u64) -> bool {
        let is_good = self.is_good();
        self.headline(&if is_good {
            format!("All {} promises kept, in {lasted_s} s", self.kept)
        } else {
            format!("{} promises kept, {} not, in {lasted_s} s", self.kept, self.broken.len())
        });
        for line in self.broken.clone() {
            self.say(&line);
        }
        is_good
    }

    fn is_good(&self) -> bool {
        self.broken.is_empty() && self.kept > 0
    }

    /// Writes the page.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let folder = workspace().join("target");
        // Where builds go elsewhere there is none yet.
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let path = folder.join("demo-report.md");
        let page = format!("# What `cargo xtask demo` measured\n{}", self.page);
        fs::write(&path, page).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

/// Rows as lines whose columns begin below each other.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_promise_or_none_kept_is_not_good() {
        let mut report = Report::default();
        assert!(!report.is_good());
        report.verdict("no request fails", None);
        assert!(report.is_good());
        report.verdict("out within a second", Some("1.2 s".into()));
        assert!(!report.is_good() && !report.end(1));
        assert!(report.page.contains("**NOT KEPT: out within a second: 1.2 s**"), "{}", report.page);
    }

    #[test]
    fn columns_begin_below_each_other() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(columns(&[row(["a", "bc"]), row(["abc", "d"])]), ["a    bc", "abc  d"]);
    }
}
