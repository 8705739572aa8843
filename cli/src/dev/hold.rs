//! One process at a time for one folder: two would take each other's registrations for their own.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
    process,
};

use anyhow::{Context, bail};

/// Says to git what is not for a repository.
const IGNORE: &str = ".gitignore";
/// Bytes of a process id, and more than any has.
const ID_BYTES_MAX: u64 = 20;

/// Holds the folder's state for this process, and gives it back when it ends, however it ends.
#[derive(Debug)]
pub(super) struct Hold(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

// === impl Hold ===

impl Hold {
    /// Makes the folder where there is none.
    pub(super) fn take(state: &Path) -> anyhow::Result<Self> {
        let made = fs::create_dir_all(state);
        made.with_context(|| {
            format!("--dir: `{}` cannot be made; use a folder that you may write to", state.display())
        })?;
        let path = state.join("lock");
        // A folder may come with a repository, and with links that lead to files of this user elsewhere.
        for path in [state, &path, &state.join(IGNORE)] {
            if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
                bail!(
                    "--dir: `{}` is a link, and we write there; remove it, or use another folder",
                    path.display()
                );
            }
        }
        let open = File::options().create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = open.with_context(|| format!("--dir: `{}` cannot be written", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = state.parent().unwrap_or(state).display();
                bail!(
                    "--dir: another `rollcall dev`{} has `{folder}`; end it, or use another folder with --dir, and other ports",
                    holder(&mut file)
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("--dir: `{}` cannot be locked", path.display()));
            }
        }
        // For whoever finds it taken. The manifests are for a repository, and what is in here is not.
        let said =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", process::id()));
        said.and_then(|()| ignore(&state.join(IGNORE)))
            .with_context(|| format!("--dir: `{}` cannot be written", state.display()))?;
        Ok(Self(file))
    }
}

/// Writes it where there is none.
fn ignore(path: &Path) -> io::Result<()> {
    match File::create_new(path) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Which process has it, where that is known.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(ID_BYTES_MAX).read_to_string(&mut text);
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(id) => format!(" (process {id})"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_when_its_holder_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("a/state");
        let held = Hold::take(&state).unwrap();
        let error = Hold::take(&state).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", process::id())) && error.contains("--dir"), "{error}");
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
        drop(held);
        drop(Hold::take(&state).unwrap());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        for link in ["state", "state/lock", "state/.gitignore"] {
            let place = tempfile::tempdir().unwrap();
            let victim = place.path().join("victim");
            fs::write(&victim, "precious").unwrap();
            if link != "state" {
                fs::create_dir(place.path().join("state")).unwrap();
            }
            std::os::unix::fs::symlink(&victim, place.path().join(link)).unwrap();
            let error = Hold::take(&place.path().join("state")).unwrap_err().to_string();
            assert!(link == "state" || error.contains("is a link"), "{error}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{link}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        let error = Hold::take(&place.path().join("file/state")).unwrap_err();
        assert!(error.to_string().contains("file/state"), "{error}");
    }
}
