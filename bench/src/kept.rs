//! What a measurement keeps, and what of it was not measured: a row that fails does not end the others.

use std::sync::{Mutex, PoisonError};

use anyhow::ensure;
use rollcall_results::{Record, Writer};

use crate::report;

/// Part of the case of what was not measured, with the reason.
const NOT_MEASURED: &str = "not_measured";
/// A page has no room for more of a reason.
const REASON_MAX: usize = 200;

/// Holds a file of results that many write to, and what is missing in it.
pub(crate) struct Kept {
    writer: Mutex<Writer>,
    missed: Mutex<Vec<String>>,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer: Mutex::new(writer), missed: Mutex::default() }
    }

    pub(crate) fn push(&self, record: &Record) -> anyhow::Result<()> {
        Ok(self.writer.lock().unwrap_or_else(PoisonError::into_inner).push(record)?)
    }

    /// Keeps a record without values, and the reason in its case, so that the page has the row.
    pub(crate) fn miss(&self, record: Record, error: &anyhow::Error) -> anyhow::Result<()> {
        let why = reason(&format!("{error:#}"));
        let missed = format!("{}, {:?}, round {}: {why}", record.system, record.configuration, record.round);
        println!("NOT MEASURED: {missed}");
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(missed);
        self.push(&record.with_case(NOT_MEASURED, &*why))
    }

    /// The same of what has no row yet.
    pub(crate) fn miss_all(&self, what: &str, error: &anyhow::Error) {
        println!("NOT MEASURED: {what}: {error:#}");
        let missed = format!("{what}: {}", reason(&format!("{error:#}")));
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(missed);
    }

    /// An error where something is missing.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(missed.is_empty(), "{} not measured; all else is kept:\n{}", missed.len(), missed.join("\n"));
        Ok(())
    }
}

/// The first line of an error, as a cell of a table may have it, and without folders of this machine.
fn reason(error: &str) -> String {
    let first = error.lines().next().unwrap_or_default().replace('|', "/");
    let words: Vec<_> = first.split_whitespace().map(str::to_owned).collect();
    report::without_folders(&words).chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;
    use anyhow::anyhow;
    use rollcall_results::{Class, Configuration, Results, Run, Value};

    #[test]
    fn what_was_not_measured_has_its_row_and_reason_and_the_run_fails_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failure.jsonl");
        let text = String::new;
        let run = Run {
            bench: text(),
            command: text(),
            commit: text(),
            date: text(),
            machine: text(),
            kernel: text(),
            programs: Vec::new(),
        };
        let kept = Kept::new(Writer::create(&path, &run).unwrap());
        let record = |round| Record::new("etcd", Class::C, Configuration::Default, round);
        kept.push(&record(1)).unwrap();
        kept.end().unwrap();
        kept.miss(record(2), &anyhow!("/opt/x/etcd ended | it said\nmuch more")).unwrap();
        let records = Results::read(&path).unwrap().records;
        let cases: Vec<_> = records.iter().map(|record| record.case.get(NOT_MEASURED)).collect();
        assert_eq!(cases, [None, Some(&Value::from("etcd ended / it said"))]);
        kept.miss_all("Rollcall", &anyhow!("it does not start"));
        let said = kept.end().unwrap_err().to_string();
        assert!(said.starts_with("2 not measured") && said.contains("Rollcall: it does not start"), "{said}");
    }
}
