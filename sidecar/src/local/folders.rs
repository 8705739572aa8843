//! The folders of a machine's addresses: each has what apps registered there, and the token of its session.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::machine::FIRST;
use crate::disk::Folder;

const TOKEN: &str = "token";
/// What becomes the token once all of it is written.
const NEXT: &str = "token.next";
/// Entries of the folder above them that are looked at: there are as many as addresses, and whoever puts more there means
/// something else by it.
const ENTRIES_MAX: usize = 1_024;

/// Makes a folder of this user alone, where there is none.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn folder_of(state_dir: &Path, address: IpAddr) -> PathBuf {
    state_dir.join(address.to_string())
}

pub(super) fn token_file_of(state_dir: &Path, address: IpAddr) -> PathBuf {
    folder_of(state_dir, address).join(TOKEN)
}

/// Makes the folder of this address where there is none, and puts its token there: as a whole, and for this user alone.
pub(super) fn put_token(state_dir: &Path, address: IpAddr, token: &str) -> io::Result<()> {
    let folder = folder_of(state_dir, address);
    make(&folder)?;
    let next = folder.join(NEXT);
    absent(fs::remove_file(&next))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(token.as_bytes())?;
    fs::rename(next, folder.join(TOKEN))
}

/// The addresses but the first that have a folder, in their order: something was registered there when the process before this
/// one ended.
pub(super) fn found(state_dir: &Path) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(state_dir)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        // As we write it, or it is none of ours.
        let address = name.parse().ok().filter(|address: &IpAddr| address.to_string() == name);
        let address = address.filter(|address| *address != FIRST && address.to_canonical() == *address);
        if entry.file_type()?.is_dir() {
            found.extend(address);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what we have put there; a folder with something else in it stays.
pub(super) fn remove(state_dir: &Path, address: IpAddr) -> io::Result<()> {
    let folder = folder_of(state_dir, address);
    Folder::new(&folder).clear()?;
    for name in [TOKEN, NEXT] {
        absent(fs::remove_file(folder.join(name)))?;
    }
    fs::remove_dir(folder)
}

/// What is not there need not be removed.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_this_users_alone_and_replaced_as_a_whole() {
        let place = tempfile::tempdir().unwrap();
        let state_dir = place.path().join("state");
        let file = token_file_of(&state_dir, address("::1"));
        assert_eq!(file, state_dir.join("::1/token"));
        for token in ["first", "second"] {
            put_token(&state_dir, address("::1"), token).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), token);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            // What a process that was killed in the middle leaves behind.
            fs::write(file.with_file_name(NEXT), "half").unwrap();
        }
        let mode = fs::metadata(file.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn folders_that_we_name_are_found_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        for name in
            ["192.168.1.5", "127.0.0.2", "::1", "127.0.0.1", "::ffff:127.0.0.3", "0:0:0:0:0:0:0:2", "notes"]
        {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        fs::write(place.path().join("127.0.0.4"), "a file").unwrap();
        let all = ["127.0.0.2", "192.168.1.5", "::1"].map(address);
        assert_eq!(found(place.path()).unwrap(), all);
        assert!(found(&place.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_removed_is_ours() {
        let place = tempfile::tempdir().unwrap();
        let [empty, other] = ["127.0.0.2", "127.0.0.3"].map(address);
        put_token(place.path(), empty, "token").unwrap();
        remove(place.path(), empty).unwrap();
        assert!(!folder_of(place.path(), empty).exists());
        put_token(place.path(), other, "token").unwrap();
        let notes = folder_of(place.path(), other).join("notes");
        fs::write(&notes, "of somebody").unwrap();
        assert!(remove(place.path(), other).is_err());
        assert!(notes.exists() && !token_file_of(place.path(), other).exists());
    }
}
