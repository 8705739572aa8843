//! The rows of a measurement: one that fails is told of and the others go on; the run has not ended well then.

use anyhow::{Result, bail};
use rollcall_cluster::interrupt;
use rollcall_results::{Program, Record, Writer};

use crate::report;

/// Writes rows, and holds why some are not there.
pub(crate) struct Rows {
    writer: Writer,
    failed: Vec<String>,
}

/// The part of a row's case that says why nothing was measured.
const NOT_MEASURED: &str = "not_measured";
/// A reason is told to so many characters in a file of results; whoever watches is told all of it.
const REASON_MAX: usize = 160;

// === impl Rows ===

impl Rows {
    /// From now on the first Ctrl-C ends the run behind the row that is being measured, or sooner where that looks for it.
    pub(crate) fn begin(bench: &str, programs: Vec<Program>) -> Result<Self> {
        interrupt::listen()?;
        Self::begin_listening(bench, programs)
    }

    /// Where somebody listens for Ctrl-C already.
    pub(crate) fn begin_listening(bench: &str, programs: Vec<Program>) -> Result<Self> {
        Ok(Self { writer: report::begin(bench, programs)?, failed: Vec::new() })
    }

    /// Writes what was measured; or else this, which has a case alone, with the reason. Fails only where somebody asked to stop,
    /// or nothing can be written.
    pub(crate) fn keep(&mut self, unmeasured: Record, measured: Result<Record>) -> Result<Option<Record>> {
        let written = measured.and_then(|record| {
            self.writer.push(&record)?;
            Ok(record)
        });
        interrupt::check()?;
        match written {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                self.blame(&unmeasured, &format!("{error:#}"));
                self.writer
                    .push(&unmeasured.with_case(NOT_MEASURED, short(&format!("{error:#}")).as_str()))?;
                Ok(None)
            }
        }
    }

    /// Says that something is wrong with a row, so that the run does not end well.
    pub(crate) fn blame(&mut self, record: &Record, why: &str) {
        let case: Vec<_> = record.case.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
        let told = format!("{}, {}: {why}", record.system, case.join(", "));
        eprintln!("FAILED: {told}");
        self.failed.push(told);
    }

    /// Fails where a row has.
    pub(crate) fn end(self) -> Result<()> {
        match self.failed.as_slice() {
            [] => Ok(()),
            failed => bail!("{} failed, the others are kept:\n{}", failed.len(), failed.join("\n")),
        }
    }
}

/// The first line of a reason, as a cell of a table bears it.
fn short(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default().replace('|', "/");
    line.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use rollcall_results::{Class, Configuration, Results, Run, Value};

    fn rows(file: &std::path::Path) -> Rows {
        let text = String::new;
        let run = Run {
            bench: "x".to_owned(),
            command: text(),
            commit: text(),
            date: text(),
            machine: text(),
            kernel: text(),
            programs: Vec::new(),
        };
        Rows { writer: Writer::create(file, &run).expect("a file"), failed: Vec::new() }
    }

    fn record(instances: u32) -> Record {
        Record::new("x", Class::C, Configuration::Default, 1).with_case("instances", instances)
    }

    #[test]
    fn a_row_that_fails_is_told_and_those_behind_it_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.jsonl");
        let mut rows = rows(&file);
        let failed = rows.keep(record(1), Err(anyhow!("a | b\nand much more")));
        assert_eq!(failed.expect("goes on"), None);
        let measured = record(2).with_value("rss_mib", 5.0);
        assert_eq!(rows.keep(record(2), Ok(measured.clone())).expect("goes on"), Some(measured.clone()));
        let records = Results::read(&file).expect("results").records;
        assert_eq!(records[0].case.get("not_measured"), Some(&Value::from("a / b")));
        assert!(records[0].values.is_empty());
        assert_eq!(records[1..], [measured]);
        let error = rows.end().expect_err("one failed").to_string();
        assert!(error.contains("1 failed") && error.contains("much more"), "{error}");
    }

    #[test]
    fn a_run_without_failures_ends_well_and_one_with_a_wrong_row_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut good = rows(&folder.path().join("x.jsonl"));
        good.keep(record(1), Ok(record(1))).expect("written");
        good.end().expect("nothing failed");
        let mut wrong = rows(&folder.path().join("y.jsonl"));
        wrong.blame(&record(1), "7 never came");
        assert!(wrong.end().expect_err("wrong").to_string().contains("7 never came"));
    }
}
