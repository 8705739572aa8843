//! A file of results: the run on its first line, how it ended on its last one, and a record on each of the others.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{Record, Run};

/// Holds a file of results as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    pub run: Run,
    /// What was measured.
    pub records: Vec<Record>,
    /// What could not be, each with its reason.
    pub missed: Vec<Record>,
    /// None where the run was cut short, or is older than this line.
    pub ended: Option<Ended>,
}

/// Holds what a run that went on to its end came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// How many were not measured.
    pub missed: usize,
    /// How many were measured and cannot be right.
    pub wrong: usize,
}

/// Holds the last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    ended: Ended,
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
        let mut lines = text.lines().enumerate().peekable();
        let (_, first) = lines.next().ok_or_else(|| FileError::Empty { path: path.to_owned() })?;
        let run = serde_json::from_str(first).map_err(|source| wrong(0, source))?;
        let (mut all, mut ended) = (Vec::<Record>::new(), None);
        while let Some((place, line)) = lines.next() {
            let last = serde_json::from_str::<Last>(line).ok().filter(|_| lines.peek().is_none());
            match last {
                Some(last) => ended = Some(last.ended),
                None => all.push(serde_json::from_str(line).map_err(|source| wrong(place, source))?),
            }
        }
        let (missed, records) = all.into_iter().partition(|record| record.not_measured.is_some());
        Ok(Self { run, records, missed, ended })
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
        writer.line(run)?;
        Ok(writer)
    }

    /// What is no number (nothing divided by nothing) is refused here, where it came from can still be told.
    pub fn push(&mut self, record: &Record) -> Result<(), FileError> {
        if let Some((value, _)) = record.values.iter().find(|(_, value)| !value.is_finite()) {
            let (system, value) = (record.system.clone(), value.clone());
            return Err(FileError::NoNumber { path: self.path.clone(), system, value });
        }
        self.line(record)
    }

    /// Says that nothing else comes: what has no such line was cut short.
    pub fn end(&mut self, ended: Ended) -> Result<(), FileError> {
        self.line(&Last { ended })
    }

    fn line(&mut self, what: &impl Serialize) -> Result<(), FileError> {
        let path = || self.path.clone();
        let line = serde_json::to_string(what).map_err(|source| FileError::Line {
            path: path(),
            line: 0,
            source,
        })?;
        writeln!(self.file, "{line}").map_err(|source| FileError::Io { path: path(), source })
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
        let mut expected = Results { run: run(), records, missed, ended: None };
        assert_eq!(Results::read(&path).expect("read"), expected);
        expected.ended = Some(Ended { missed: 1, wrong: 2 });
        writer.end(Ended { missed: 1, wrong: 2 }).expect("written");
        assert_eq!(Results::read(&path).expect("read"), expected);
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
        let ended = r#"{"ended":{"missed":0,"wrong":0}}"#;
        assert!(said(format!("{run}\n{ended}\n{good}\n")).starts_with("FILE:2: unknown field `ended`"));
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
