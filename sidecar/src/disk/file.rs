//! The files themselves: each read if it is ours alone, and replaced as a whole or not at all.

use std::{
    fs::{File, Metadata},
    io::{self, BufWriter, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};
use thiserror::Error;

use super::{
    format::{Damaged, State, Written, decode, encode},
    way::Way,
    words::Words,
};

/// All that is held of the catalogue.
const STATE: Place = Place { file: "state", next: "state.next", waits: true };
/// What the app said of itself, on the device.
const WORDS: Place = Place { file: "words", next: "words.next", waits: true };
/// What it said then or later: whole, and there for the process that comes next. A node that loses its power may lose it, and has
/// the other one.
const FRESH: Place = Place { file: "words.fresh", next: "words.fresh.next", waits: false };
/// What a controller told of the way to it.
const WAY: Place = Place { file: "way", next: "way.next", waits: true };
/// Bytes that are written together.
const CHUNK_BYTES: usize = 32 * 1024;
/// A rest as long as a few lookups: all 7 MiB take a quarter of a second longer for it.
const REST: Duration = Duration::from_millis(1);

/// Holds the place of the files: a folder that nobody but this pod's sidecar is to write in.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// Names one of the files, and what is being written: that becomes the file once it is whole.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: &'static str,
    next: &'static str,
    /// Its writer waits until all of it is on the device, where it outlives the node's power.
    waits: bool,
}

/// Says why the file is not read or written. Lookups go on without it.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error("{path}: cannot be used; mount a writable folder there, or set ROLLCALL_STATE_DIR")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: is not a file of this user alone, and is not believed; remove it")]
    Foreign { path: PathBuf },
    #[error("{path}: is damaged, and is not believed")]
    Damaged { path: PathBuf, source: Damaged },
}

/// As a number of milliseconds; 0 for a clock that was never set.
pub(super) fn wall_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

// === impl Folder ===

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// What was known last; none where nothing was.
    pub(super) fn read(&self) -> Result<Option<State>, FileError> {
        let Some((file, about)) = self.opened(STATE)? else { return Ok(None) };
        let mut state = decode(&file, about.len()).map_err(|source| self.damaged(STATE, source))?;
        // The file says when it was written; its time, up to when that was still so.
        state.current_at_ms = state.current_at_ms.max(about.modified().map_or(0, wall_ms));
        Ok(Some(state))
    }

    /// What the app said last; none where it said nothing.
    pub(super) fn read_fresh_words(&self) -> Result<Option<Words>, FileError> {
        self.words_in(FRESH)
    }

    /// What the app said that is on the device; none where it said nothing.
    pub(super) fn read_words(&self) -> Result<Option<Words>, FileError> {
        self.words_in(WORDS)
    }

    /// What was told last of the way to the controller; none where nothing was.
    pub(super) fn read_way(&self) -> Result<Option<Way>, FileError> {
        let Some((file, about)) = self.opened(WAY)? else { return Ok(None) };
        Way::decode(&file, about.len()).map(Some).map_err(|source| self.damaged(WAY, source))
    }

    /// Replaces the file.
    pub(super) fn write(&self, state: &State) -> Result<Written, FileError> {
        self.replace(STATE, |file| fill(file, state))
    }

    pub(super) fn write_fresh_words(&self, words: &Words) -> Result<(), FileError> {
        self.replace_words(FRESH, words)
    }

    pub(super) fn write_words(&self, words: &Words) -> Result<(), FileError> {
        self.replace_words(WORDS, words)
    }

    pub(super) fn write_way(&self, way: &Way) -> Result<(), FileError> {
        self.replace(WAY, |file| way.encode(BufWriter::with_capacity(CHUNK_BYTES, file)))
    }

    /// Removes all that was kept. What is not there need not be.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let folder = self.open()?;
        for name in [STATE, WORDS, FRESH, WAY].into_iter().flat_map(|place| [place.file, place.next]) {
            match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The file, if it is ours alone; none where there is none.
    fn opened(&self, place: Place) -> Result<Option<(File, Metadata)>, FileError> {
        let path = self.0.join(place.file);
        // Nothing but a file is waited for: a pipe would be for ever.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let opened = self.open().and_then(|folder| Ok(openat(&folder, place.file, flags, Mode::empty())?));
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
                return Err(FileError::Foreign { path });
            }
            Err(source) => return Err(FileError::Io { path, source }),
        };
        let about = file.metadata().map_err(|source| FileError::Io { path: path.clone(), source })?;
        let ours =
            about.is_file() && about.uid() == geteuid().as_raw() && about.permissions().mode() & 0o022 == 0;
        if ours { Ok(Some((file, about))) } else { Err(FileError::Foreign { path }) }
    }

    fn replace<T>(&self, place: Place, fill: impl FnOnce(&File) -> io::Result<T>) -> Result<T, FileError> {
        let replaced = self.open().and_then(|folder| {
            match unlinkat(&folder, place.next, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = File::from(openat(&folder, place.next, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
            let written = fill(&file).and_then(|written| {
                if place.waits {
                    file.sync_all()?;
                }
                renameat(&folder, place.next, &folder, place.file)?;
                if place.waits {
                    File::from(folder.try_clone()?).sync_all()?;
                }
                Ok(written)
            });
            if written.is_err() {
                // A full disk gets back what was taken of it; where that fails as well, the next write tries again.
                let _ = unlinkat(&folder, place.next, UnlinkatFlags::NoRemoveDir);
            }
            written
        });
        replaced.map_err(|source| FileError::Io { path: self.0.join(place.file), source })
    }

    /// What the state says was still so at this time.
    pub(super) fn touch(&self, at_ms: u64) -> Result<(), FileError> {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let touched = self.open().and_then(|folder| {
            let file = File::from(openat(&folder, STATE.file, flags, Mode::empty())?);
            file.set_modified(UNIX_EPOCH + Duration::from_millis(at_ms))
        });
        touched.map_err(|source| FileError::Io { path: self.0.join(STATE.file), source })
    }

    fn words_in(&self, place: Place) -> Result<Option<Words>, FileError> {
        let Some((file, about)) = self.opened(place)? else { return Ok(None) };
        Words::decode(&file, about.len()).map(Some).map_err(|source| self.damaged(place, source))
    }

    fn replace_words(&self, place: Place, words: &Words) -> Result<(), FileError> {
        self.replace(place, |file| words.encode(BufWriter::with_capacity(CHUNK_BYTES, file)))
    }

    fn damaged(&self, place: Place, source: Damaged) -> FileError {
        FileError::Damaged { path: self.0.join(place.file), source }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(open(&self.0, flags, Mode::empty())?)
    }
}

/// Writes after a rest each time: a pod has few processors, often a part of one, and lookups go first.
struct Gently<'a>(&'a File);

/// Writes the state, up to its last byte.
fn fill(file: &File, state: &State) -> io::Result<Written> {
    let written = encode(state, BufWriter::with_capacity(CHUNK_BYTES, Gently(file)))?;
    // Without a time of its own, the file would claim to be current when it was written, whatever was so then.
    file.set_modified(UNIX_EPOCH + Duration::from_millis(state.current_at_ms))?;
    Ok(written)
}

// === impl Gently ===

impl Write for Gently<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sleep(REST);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn state(at_ms: u64) -> State {
        State { current_at_ms: at_ms, ..State::default() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_replaced_as_a_whole_and_belongs_to_us_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        assert_eq!(folder.read().unwrap(), None, "nothing yet");
        folder.write(&state(1_000)).unwrap();
        // What a process that was killed in the middle leaves behind, and what somebody may put there.
        let next = place.path().join(STATE.next);
        for leftover in [|next: &Path| fs::write(next, b"x"), |next: &Path| symlink("/etc/passwd", next)] {
            leftover(&next).unwrap();
            folder.write(&state(2_000)).unwrap();
            assert_eq!(folder.read().unwrap(), Some(state(2_000)));
            assert_eq!(names(place.path()), [STATE.file]);
        }
        let mode = fs::metadata(place.path().join(STATE.file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        folder.touch(5_000).unwrap();
        assert_eq!(folder.read().unwrap(), Some(state(5_000)), "still so then");
    }

    #[test]
    fn what_is_not_ours_is_not_believed_and_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let (folder, file, aside) =
            (Folder::new(place.path()), place.path().join(STATE.file), place.path().join("aside"));
        folder.write(&state(1_000)).unwrap();
        let foreign = || matches!(folder.read(), Err(FileError::Foreign { .. }));

        fs::rename(&file, &aside).unwrap();
        symlink(&aside, &file).unwrap();
        assert!(foreign() && folder.touch(9_000).is_err(), "a link");
        folder.write(&state(2_000)).unwrap();
        assert_eq!(folder.read().unwrap(), Some(state(2_000)));
        assert!(fs::read(&aside).is_ok_and(|kept| !kept.is_empty()), "what the link meant is as it was");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(foreign(), "anybody can write it");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
            assert!(foreign(), "somebody else's");
        }
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert!(foreign(), "a pipe, which nobody waits for");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(foreign() && folder.write(&state(3_000)).is_err(), "a folder");
        assert_eq!(names(place.path()), ["aside", STATE.file], "nothing is left of the failure");

        let link = place.path().join("link");
        symlink(place.path(), &link).unwrap();
        assert!(Folder::new(&link).write(&state(4_000)).is_err(), "the folder itself is no link either");
    }

    #[test]
    fn a_damaged_file_and_a_missing_folder_are_said_and_nothing_more() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        folder.write(&state(1_000)).unwrap();
        let file = place.path().join(STATE.file);
        let mut bytes = fs::read(&file).unwrap();
        bytes[20] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(folder.read(), Err(FileError::Damaged { .. })));
        let missing = Folder::new(&place.path().join("missing"));
        assert!(matches!(missing.read(), Ok(None)));
        assert!(missing.write(&state(1)).unwrap_err().to_string().contains("ROLLCALL_STATE_DIR"));
        assert!(missing.touch(1).is_err());
    }
}
