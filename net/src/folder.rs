//! A folder of small files, looked at again and again: what has changed since the last look is read, and no more than it may
//! come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Entries of a folder that are looked at: one that is mounted has a few more than its files.
const ENTRIES_MAX: usize = 4_096;

/// Says what of a folder is read.
#[derive(Debug, Clone, Copy)]
pub struct Reads {
    /// How the names of its files end, with the dot.
    pub endings: &'static [&'static str],
    /// Files; those behind them in the order of their names are refused.
    pub files_max: usize,
    /// Bytes of one file.
    pub bytes_max: u64,
}

/// Holds a folder, and what was there when it was looked at last.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    reads: Reads,
    stamps: BTreeMap<String, Stamp>,
}

/// Says what a look found of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it was.
    Same,
    Text(String),
    /// Why there is none, for people.
    Unreadable(String),
}

/// Tells one content of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

// === impl Folder ===

impl Folder {
    pub fn new(path: PathBuf, reads: Reads) -> Self {
        Self { path, reads, stamps: BTreeMap::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there now, by name; a folder that is missing is empty. Blocks for as long as the disk does.
    pub fn look(&mut self) -> io::Result<BTreeMap<String, Found>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.stamps.clear();
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(error),
        };
        let mut names = BTreeSet::new();
        for entry in entries.take(ENTRIES_MAX) {
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| self.reads.takes(name)));
        }
        let (mut found, mut stamps) = (BTreeMap::new(), BTreeMap::new());
        for (place, name) in names.into_iter().enumerate() {
            let path = self.path.join(&name);
            let stamp = fs::metadata(&path).map(|metadata| Stamp::of(&metadata)).ok();
            let known = stamp.is_some() && self.stamps.get(&name) == stamp.as_ref();
            stamps.extend(stamp.map(|stamp| (name.clone(), stamp)));
            let read = match known {
                true => Found::Same,
                false if place >= self.reads.files_max => {
                    Found::Unreadable(format!("one of more than {} files; use fewer", self.reads.files_max))
                }
                false => text(&path, self.reads.bytes_max).map_or_else(Found::Unreadable, Found::Text),
            };
            found.insert(name, read);
        }
        self.stamps = stamps;
        Ok(found)
    }
}

fn text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    // To open a pipe would wait for somebody who writes to it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("it has more than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())
}

// === impl Reads ===

impl Reads {
    /// The hidden ones are what a mounted ConfigMap is made of, and what editors leave while they write.
    fn takes(&self, name: &str) -> bool {
        !name.starts_with('.') && self.endings.iter().any(|ending| name.ends_with(ending))
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const READS: Reads = Reads { endings: &[".yaml", ".json"], files_max: 3, bytes_max: 10 };

    #[test]
    fn what_is_new_is_read_and_what_is_as_it_was_is_not() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let mut folder = Folder::new(at("folder"), READS);
        assert_eq!(folder.look().unwrap(), BTreeMap::new(), "it is missing");
        fs::create_dir(at("folder")).unwrap();
        for name in ["a.yaml", "b.json", ".c.yaml", "d.txt"] {
            fs::write(at("folder").join(name), "one").unwrap();
        }
        let text = |text: &str| Found::Text(text.to_owned());
        let named = |all: [(&str, Found); 2]| all.map(|(name, found)| (name.to_owned(), found)).into();
        assert_eq!(folder.look().unwrap(), named([("a.yaml", text("one")), ("b.json", text("one"))]));
        assert_eq!(folder.look().unwrap(), named([("a.yaml", Found::Same), ("b.json", Found::Same)]));
        fs::write(at("next"), "two").unwrap();
        fs::rename(at("next"), at("folder/a.yaml")).unwrap();
        assert_eq!(folder.look().unwrap(), named([("a.yaml", text("two")), ("b.json", Found::Same)]));
        fs::remove_file(at("folder/b.json")).unwrap();
        assert_eq!(folder.look().unwrap(), [("a.yaml".to_owned(), Found::Same)].into());
        fs::remove_dir_all(at("folder")).unwrap();
        fs::write(at("folder"), "").unwrap();
        assert!(folder.look().is_err(), "it is no folder");
    }

    #[test]
    fn what_is_no_small_text_is_said_so() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("a.yaml")).unwrap();
        fs::write(at("b.yaml"), "x".repeat(11)).unwrap();
        fs::write(at("c.yaml"), [0xff, 0xfe]).unwrap();
        symlink("nowhere", at("d.yaml")).unwrap();
        let found = Folder::new(place.path().to_owned(), Reads { files_max: 4, ..READS }).look().unwrap();
        for (name, why) in
            [("a.yaml", "no file"), ("b.yaml", "10 bytes"), ("c.yaml", "UTF-8"), ("d.yaml", "cannot be read")]
        {
            assert!(
                matches!(&found[name], Found::Unreadable(said) if said.contains(why)),
                "{name}: {found:?}"
            );
        }
        fs::write(at("e.yaml"), "five").unwrap();
        let found = Folder::new(place.path().to_owned(), Reads { files_max: 4, ..READS }).look().unwrap();
        assert!(matches!(&found["e.yaml"], Found::Unreadable(said) if said.contains("more than 4 files")));
    }
}
