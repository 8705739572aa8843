//! A file of results: the run on its first line, a record on each of the others.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::record::{Record, Run};

/// Holds a file of results as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    pub run: Run,
    /// What was measured.
    pub records: Vec<Record>,
    /// What could not be, each with its reason.
    pub missed: Vec<Record>,
}

/// Writes a file of results, line by line, so that what was measured is there also where the rest fails.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

/// Says why a file of results cannot be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}:{line}: {source}; measure it again with `cargo xtask bench`")]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{path}: nothing is in it; measure it again with `cargo xtask bench`")]
    Empty { path: PathBuf },
    #[error("{path}: `{value}` of {system} is no number")]
    NoNumber { path: PathBuf, system: String, value: String },
}

// === impl Results ===

impl Results {
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text =
            fs::read_to_string(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        let wrong = |line: usize, source| FileError::Line { path: path.to_owned(), line: line + 1, source };
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().ok_or_else(|| FileError::Empty { path: path.to_owned() })?;
        let run = serde_json::from_str(first).map_err(|source| wrong(0, source))?;
        let records =
            lines.map(|(place, line)| serde_json::from_str(line).map_err(|source| wrong(place, source)));
        let all: Vec<Record> = records.collect::<Result<_, _>>()?;
        let (missed, records) = all.into_iter().partition(|record| record.not_measured.is_some());
        Ok(Self { run, records, missed })
    }
}

// === impl Writer ===

impl Writer {
    /// Begins a file in the place of the one that is there.
    pub fn create(path: &Path, run: &Run) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let mut writer = Self { file: File::create(path).map_err(io)?, path: path.to_owned() };
        writer.line(&serde_json::to_string(run).map_err(|source| FileError::Line {
            path: path.to_owned(),
            line: 1,
            source,
        })?)?;
        Ok(writer)
    }

    /// What is no number (nothing divided by nothing) is refused here, where it came from can still be told.
    pub fn push(&mut self, record: &Record) -> Result<(), FileError> {
        if let Some((value, _)) = record.values.iter().find(|(_, value)| !value.is_finite()) {
            let (system, value) = (record.system.clone(), value.clone());
            return Err(FileError::NoNumber { path: self.path.clone(), system, value });
        }
        let line = serde_json::to_string(record);
        self.line(&line.map_err(|source| FileError::Line { path: self.path.clone(), line: 0, source })?)
    }

    fn line(&mut self, line: &str) -> Result<(), FileError> {
        writeln!(self.file, "{line}").map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Class, Configuration, Program};

    fn run() -> Run {
        Run {
            bench: "lookup".to_owned(),
            command: "cargo xtask bench lookup".to_owned(),
            commit: "0123456789ab".to_owned(),
            date: "2026-11-22".to_owned(),
            machine: "2 × a processor, 8 GiB".to_owned(),
            kernel: "6.18".to_owned(),
            programs: vec![Program {
                name: "a".to_owned(),
                version: "1".to_owned(),
                command: "a -b".to_owned(),
            }],
        }
    }

    fn record(value: f64) -> Record {
        let mut record = Record::new("sidecar", Class::B, Configuration::Tuned, 3)
            .with_case("connections", 16_u32)
            .with_case("load", "closed")
            .with_value("a_second", value);
        record.delays_us = vec![(10, 1), (20, 5)];
        record
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/lookup.jsonl");
        let records = vec![record(1.5), record(0.1 + 0.2)];
        let mut writer = Writer::create(&path, &run()).expect("created");
        records.iter().for_each(|record| writer.push(record).expect("written"));
        let missed = vec![record(1.5).without_any("it did not start")];
        missed.iter().for_each(|record| writer.push(record).expect("written"));
        assert_eq!(Results::read(&path).expect("read"), Results { run: run(), records, missed });
    }

    #[test]
    fn a_line_that_is_no_record_is_named_by_its_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lookup.jsonl");
        let said = |text: String| {
            fs::write(&path, text).expect("written");
            let error = Results::read(&path).expect_err("it is bad").to_string();
            error.replace(&path.display().to_string(), "FILE")
        };
        let (run, good) = (
            serde_json::to_string(&run()).expect("JSON"),
            serde_json::to_string(&record(1.0)).expect("JSON"),
        );
        let unknown = good.replace("\"round\"", "\"rounds\"");
        assert!(said(format!("{run}\n{good}\n{unknown}\n")).starts_with("FILE:3: unknown field `rounds`"));
        assert!(said(format!("{run}\n\n{good}\n")).starts_with("FILE:2: "));
        assert!(said(format!("{good}\n")).starts_with("FILE:1: unknown field `system`"));
        let class = good.replace("\"class\":\"B\"", "\"class\":\"D\"");
        assert!(said(format!("{run}\n{class}\n")).starts_with("FILE:2: unknown variant `D`"));
        assert!(said(String::new()).starts_with("FILE: nothing is in it"));
    }

    #[test]
    fn what_is_no_number_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lookup.jsonl");
        let mut writer = Writer::create(&path, &run()).expect("created");
        let error = writer.push(&record(f64::NAN)).expect_err("it is none").to_string();
        assert!(error.ends_with("`a_second` of sidecar is no number"), "{error}");
        assert_eq!(Results::read(&path).expect("read").records, []);
    }
}
