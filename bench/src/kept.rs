//! What a measurement keeps, and what of it was not measured: a row that fails does not end the others.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{anyhow, ensure};
use rollcall_cluster::interrupt;
use rollcall_results::{Ended, Program, Record, Results, Run, Writer};

use crate::report;

/// A page has no room for more of a reason.
const REASON_MAX: usize = 200;

/// Holds a file of results that many write to, and what is missing in it or is not as it should be.
pub(crate) struct Kept {
    writer: Mutex<Writer>,
    /// What is missing, with the reason.
    missed: Mutex<Vec<String>>,
    /// What was measured and cannot be right.
    blamed: Mutex<Vec<String>>,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn begin(bench: &str, programs: Vec<Program>) -> anyhow::Result<Self> {
        Ok(Self::of(report::begin(bench, programs)?))
    }

    /// In a file of its own, for [`Self::take`].
    pub(crate) fn apart(path: &Path, programs: Vec<Program>) -> anyhow::Result<Self> {
        Ok(Self::of(Writer::create(path, &Run { programs, ..Run::default() })?))
    }

    fn of(writer: Writer) -> Self {
        Self { writer: Mutex::new(writer), missed: Mutex::default(), blamed: Mutex::default() }
    }

    pub(crate) fn push(&self, record: &Record) -> anyhow::Result<()> {
        Ok(self.writer.lock().unwrap_or_else(PoisonError::into_inner).push(record)?)
    }

    /// Keeps what was measured, or why there is nothing. Fails only where somebody asked to stop, or nothing can be written.
    pub(crate) fn keep(
        &self,
        unmeasured: Record,
        measured: anyhow::Result<Record>,
    ) -> anyhow::Result<Option<Record>> {
        let written = measured.and_then(|record| self.push(&record).map(|()| record));
        interrupt::check()?;
        match written {
            Ok(record) => Ok(Some(record)),
            Err(error) => self.miss(unmeasured, &error).map(|()| None),
        }
    }

    /// Keeps why there is nothing, so that the page tells of it. What has no row yet, since it did not start, is of no case.
    pub(crate) fn miss(&self, record: Record, error: &anyhow::Error) -> anyhow::Result<()> {
        let why = reason(&format!("{error:#}"));
        let missed = format!("{}: {why}", told(&record));
        println!("NOT MEASURED: {missed}");
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(missed);
        self.push(&record.without_any(&why))
    }

    /// Takes over what was kept apart.
    pub(crate) fn take(&self, apart: Results) -> anyhow::Result<()> {
        apart.records.iter().try_for_each(|record| self.push(record))?;
        apart.missed.into_iter().try_for_each(|record| {
            let why = record.not_measured.clone().unwrap_or_default();
            self.miss(record, &anyhow!(why))
        })
    }

    /// Says that something is wrong with what was measured, so that the run does not end well.
    pub(crate) fn blame(&self, record: &Record, why: &str) {
        let blamed = format!("{}: {why}", told(record));
        println!("WRONG: {blamed}");
        self.blamed.lock().unwrap_or_else(PoisonError::into_inner).push(blamed);
    }

    /// The file's last line, and an error where something is missing or wrong.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let blamed = self.blamed.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = missed.iter().chain(&*blamed).map(String::as_str).collect();
        let ended = Ended { missed: missed.len(), wrong: blamed.len() };
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).end(ended)?;
        let counts = format!("{} not measured, {} wrong", missed.len(), blamed.len());
        ensure!(all.is_empty(), "{counts}; all else is kept:\n{}", all.join("\n"));
        Ok(())
    }
}

/// Which record is meant, for who reads along.
fn told(record: &Record) -> String {
    let who = format!("{}, {:?}", record.system, record.configuration);
    if record.case.is_empty() {
        return who;
    }
    let case: Vec<_> = record.case.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{who}, {}, round {}", case.join(", "), record.round)
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
    use rollcall_results::{Class, Configuration};

    #[test]
    fn what_was_kept_apart_is_taken_over_with_what_is_missing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let [apart, all] = ["apart", "all"].map(|name| folder.path().join(name));
        let record = |round| Record::new("etcd", Class::C, Configuration::Default, round);
        let kept = Kept::apart(&apart, Vec::new()).unwrap();
        kept.push(&record(1).with_value("out_ms", 5.0)).unwrap();
        kept.miss(record(2), &anyhow!("it ended")).unwrap();
        let taken = Kept::apart(&all, Vec::new()).unwrap();
        taken.take(Results::read(&apart).unwrap()).unwrap();
        assert!(taken.end().unwrap_err().to_string().starts_with("1 not measured, 0 wrong"));
        let (apart, all) = (Results::read(&apart).unwrap(), Results::read(&all).unwrap());
        assert_eq!((all.records, all.missed), (apart.records, apart.missed));
    }

    #[test]
    fn what_was_not_measured_is_kept_with_its_reason_and_the_run_fails_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failure.jsonl");
        let kept = Kept::of(Writer::create(&path, &Run::default()).unwrap());
        let record = |round| Record::new("etcd", Class::C, Configuration::Default, round);
        let measured = record(1).with_value("out_ms", 5.0);
        assert_eq!(kept.keep(record(1), Ok(measured.clone())).unwrap(), Some(measured.clone()));
        let failed = Err(anyhow!("/opt/x/etcd ended | it said\nmuch more"));
        assert_eq!(kept.keep(record(2).with_value("out_ms", 1.0), failed).unwrap(), None);
        let results = Results::read(&path).unwrap();
        assert_eq!(results.records, [measured]);
        assert_eq!(results.missed, [record(2).without_any("etcd ended / it said")]);
        let all_of_it = Record::new("consul", Class::C, Configuration::Tuned, 1);
        kept.miss(all_of_it.clone(), &anyhow!("it does not start")).unwrap();
        let results = Results::read(&path).unwrap();
        assert_eq!(results.missed.last(), Some(&all_of_it.without_any("it does not start")));
        kept.blame(&record(3), "7 never came");
        let said = kept.end().unwrap_err().to_string();
        assert!(said.starts_with("2 not measured, 1 wrong"), "{said}");
        assert!(said.contains("consul, Tuned: it does not start") && said.contains("7 never came"), "{said}");
        assert_eq!(Results::read(&path).unwrap().ended, Some(Ended { missed: 2, wrong: 1 }));
    }
}
