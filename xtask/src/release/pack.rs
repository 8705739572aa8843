//! Compressed archives that tell nothing of where, when and by whom they were made.

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use tar::{Archive, Builder, EntryType, Header};

/// Holds what is to be packed, by its path: whatever order it came in, it is packed in the order of the paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pack(BTreeMap<String, Entry>);

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    File { bytes: Vec<u8>, mode: u32 },
    Link { to: String },
}

impl Pack {
    /// Adds what everyone may read.
    pub(crate) fn text(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File { bytes: bytes.into(), mode: 0o644 });
    }

    /// Adds what everyone may run.
    pub(crate) fn program(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File { bytes: bytes.into(), mode: 0o755 });
    }

    pub(crate) fn link(&mut self, path: impl Into<String>, to: impl Into<String>) {
        self.0.insert(path.into(), Entry::Link { to: to.into() });
    }

    /// Takes the files of another archive, whoever made it; their times, owners and modes are left behind.
    pub(crate) fn of_gzip(bytes: &[u8]) -> Result<Self> {
        let mut pack = Self::default();
        for entry in Archive::new(GzDecoder::new(bytes)).entries()? {
            let mut entry = entry?;
            if entry.header().entry_type() != EntryType::Regular {
                continue;
            }
            let path = entry.path()?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).with_context(|| format!("cannot read {path} in the archive"))?;
            pack.text(path, bytes);
        }
        Ok(pack)
    }

    /// The archive; all in it was last changed at `time_s` (seconds of Unix), by root.
    pub(crate) fn gzip(&self, time_s: u64) -> Result<Vec<u8>> {
        // Neither a name nor a time, and an operating system that is not known.
        let compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        let mut tar = Builder::new(compressed);
        for (path, entry) in &self.0 {
            match entry {
                Entry::File { bytes, mode } => {
                    let mut header = header(EntryType::Regular, *mode, bytes.len() as u64, time_s);
                    tar.append_data(&mut header, path, bytes.as_slice())
                }
                Entry::Link { to } => {
                    let mut header = header(EntryType::Symlink, 0o777, 0, time_s);
                    tar.append_link(&mut header, path, to)
                }
            }
            .with_context(|| format!("cannot pack {path}"))?;
        }
        let mut compressed = tar.into_inner()?;
        compressed.flush()?;
        Ok(compressed.finish()?)
    }
}

fn header(kind: EntryType, mode: u32, size: u64, time_s: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(time_s);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_S: u64 = 1_700_000_000;

    #[test]
    fn the_order_in_which_files_came_is_not_in_the_archive() {
        let mut one = Pack::default();
        one.text("b", "text");
        one.program("a/run", "program");
        one.link("a/also", "run");
        let mut other = Pack::default();
        other.link("a/also", "run");
        other.program("a/run", "program");
        other.text("b", "text");
        assert_eq!(one.gzip(TIME_S).unwrap(), other.gzip(TIME_S).unwrap());
        other.text("b", "another");
        assert_ne!(one.gzip(TIME_S).unwrap(), other.gzip(TIME_S).unwrap());
    }

    #[test]
    fn times_owners_and_modes_are_given_and_the_outside_has_none() {
        let mut pack = Pack::default();
        pack.program("run", "program");
        pack.text("read", "text");
        pack.link("also", "run");
        let bytes = pack.gzip(TIME_S).unwrap();
        // Flags, time, and the operating system (255: unknown), as RFC 1952 has them.
        assert_eq!((bytes[3], &bytes[4..8], bytes[9]), (0, &[0; 4][..], 255));
        let mut seen = Vec::new();
        for entry in Archive::new(GzDecoder::new(bytes.as_slice())).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), TIME_S);
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.username_bytes().unwrap_or_default(), b"");
            seen.push((entry.path().unwrap().display().to_string(), header.mode().unwrap()));
        }
        let expected = [("also", 0o777), ("read", 0o644), ("run", 0o755)];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn what_another_archive_said_of_times_and_owners_is_left_behind() {
        let archive = |time_s, uid| {
            let mut tar = Builder::new(GzBuilder::new().mtime(7).write(Vec::new(), Compression::fast()));
            let mut header = header(EntryType::Regular, 0o600, 4, time_s);
            header.set_uid(uid);
            tar.append_data(&mut header, "chart/file", "text".as_bytes()).unwrap();
            tar.into_inner().unwrap().finish().unwrap()
        };
        let (one, other) = (archive(1, 1000), archive(2, 2000));
        assert_ne!(one, other);
        let again = |bytes: &[u8]| Pack::of_gzip(bytes).unwrap().gzip(TIME_S).unwrap();
        assert_eq!(again(&one), again(&other));
        assert!(Pack::of_gzip(b"no archive").is_err());
    }
}
