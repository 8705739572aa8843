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
    pub records: Vec<Record>,
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
        Ok(Self { run, records: records.collect::<Result<_, _>>()? })
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

    pub fn push(&mut self, record: &Record) -> Result<(), FileError> {
        let line = serde_json::to_string(record);
        self.line(&line.map_err(|source| FileError::Line { path: self.path.clone(), line: 0, source })?)
    }

    fn line(&mut self, line: &str) -> Result<(), FileError> {
        writeln!(self.file, "{line}").map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
}
