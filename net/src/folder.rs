//! A folder of small files, looked at again and again: what has changed since the last look is read, and no more than it may
//! come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Entries of a folder: one that is mounted has a few more than its files, and of more than this nobody could say which are
/// looked at.
const ENTRIES_MAX: usize = 4_096;
/// Bytes that one look reads, and one file more; the rest is read by the next ones.
const LOOK_BYTES_MAX: u64 = 16 * 1024 * 1024;

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
    /// As it was, or not read yet.
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
    written: (i64, i64),
    /// Also where the time of writing was set back.
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
        for (place, entry) in entries.enumerate() {
            if place >= ENTRIES_MAX {
                return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} entries; use fewer")));
            }
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| self.reads.takes(name)));
        }
        let (mut found, mut stamps) = (BTreeMap::new(), BTreeMap::new());
        let mut bytes = 0;
        for (place, name) in names.into_iter().enumerate() {
            let path = self.path.join(&name);
            let stamp = fs::metadata(&path).map(|metadata| Stamp::of(&metadata)).ok();
            let before = self.stamps.remove(&name);
            let read = match &stamp {
                Some(stamp) if before.as_ref() == Some(stamp) => Found::Same,
                _ if place >= self.reads.files_max => {
                    Found::Unreadable(format!("one of more than {} files; use fewer", self.reads.files_max))
                }
                _ if bytes > LOOK_BYTES_MAX => {
                    stamps.extend(before.map(|before| (name.clone(), before)));
                    found.insert(name, Found::Same);
                    continue;
                }
                _ => text(&path, self.reads.bytes_max).map_or_else(Found::Unreadable, Found::Text),
            };
            if let Found::Text(text) = &read {
                bytes += text.len() as u64;
            }
            // What could not be read may be readable without having changed.
            let is_read = !matches!(read, Found::Unreadable(_));
            stamps.extend(stamp.filter(|_| is_read).map(|stamp| (name.clone(), stamp)));
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
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
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
    fn what_is_written_with_an_old_time_and_what_becomes_readable_is_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.yaml");
        let mut folder = Folder::new(place.path().to_owned(), READS);
        fs::write(&file, "one").unwrap();
        folder.look().unwrap();
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "two").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        assert_eq!(folder.look().unwrap()["a.yaml"], Found::Text("two".to_owned()));

        // Behind the last that is read, until those before it are gone.
        for name in ["b.yaml", "c.yaml", "d.yaml"] {
            fs::write(place.path().join(name), name).unwrap();
        }
        assert!(matches!(folder.look().unwrap()["d.yaml"], Found::Unreadable(_)));
        fs::remove_file(file).unwrap();
        assert_eq!(folder.look().unwrap()["d.yaml"], Found::Text("d.yaml".to_owned()));
    }

    #[test]
    fn a_look_reads_so_much_and_the_next_one_goes_on() {
        let place = tempfile::tempdir().unwrap();
        let large = "x".repeat(9 * 1024 * 1024);
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            fs::write(place.path().join(name), &large).unwrap();
        }
        let reads = Reads { bytes_max: 10 * 1024 * 1024, ..READS };
        let mut folder = Folder::new(place.path().to_owned(), reads);
        let read = |folder: &mut Folder| {
            let found = folder.look().unwrap().into_values();
            found.filter(|found| matches!(found, Found::Text(_))).count()
        };
        assert_eq!([read(&mut folder), read(&mut folder), read(&mut folder)], [2, 1, 0]);
    }

    #[test]
    fn a_folder_of_too_many_entries_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..=ENTRIES_MAX {
            fs::write(place.path().join(number.to_string()), "").unwrap();
        }
        let error = Folder::new(place.path().to_owned(), READS).look().unwrap_err();
        assert!(error.to_string().contains("entries"), "{error}");
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
