//! The kit's folder on this machine: built tools, one folder per cluster, locks.

use crate::Error;
use crate::run::{Poll, wait_for};
use std::env;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the kit keeps what it builds and runs.
///
/// Tools are kept by content and survive everything; a cluster's folder lives as long as the cluster.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// `$ROLLCALL_CLUSTER_HOME`, or `rollcall` in the user's cache folder.
    pub fn of_this_user() -> Result<Self, Error> {
        let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder("ROLLCALL_CLUSTER_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("rollcall")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/rollcall")))
            .ok_or_else(|| {
                Error::unmet("HOME is not set", "set ROLLCALL_CLUSTER_HOME to a folder with 10 GB of room")
            })?;
        Self::at(&home)
    }

    pub fn at(folder: &Path) -> Result<Self, Error> {
        // The nodes have these folders for themselves, so nothing that they must reach can be inside of them.
        const HIDDEN_FROM_NODES: [&str; 4] = ["/run", "/var/run", "/var/lib", "/var/log"];
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        // Wherever a link leads, that is where the nodes would look for it.
        let folder = fs::canonicalize(folder).map_err(Error::file("find", folder))?;
        if let Some(hidden) = HIDDEN_FROM_NODES.iter().find(|hidden| folder.starts_with(hidden)) {
            return Err(Error::unmet(
                format!("{} is inside {hidden}, which every node has for itself", folder.display()),
                "set ROLLCALL_CLUSTER_HOME to a folder elsewhere",
            ));
        }
        if folder.to_string_lossy().contains(char::is_whitespace) {
            return Err(Error::unmet(
                format!(
                    "the path {} has a space in it, which daemons' options do not take",
                    folder.display()
                ),
                "set ROLLCALL_CLUSTER_HOME to a folder without",
            ));
        }
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A folder of the home, made if need be.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        Ok(folder)
    }

    /// Waits until no other command holds the lock of that name. It is released with the value, or with the process.
    pub fn lock(&self, name: &str, limit: Duration) -> Result<File, Error> {
        const EVERY: Duration = Duration::from_millis(100);
        let folder = self.folder("locks")?;
        let path = folder.join(name);
        let mut told = false;
        let awaited = format!("the end of another command that holds {}", path.display());
        wait_for(&awaited, limit, EVERY, &folder, || {
            let file = File::create(&path).map_err(Error::file("write", &path))?;
            match file.try_lock() {
                // Between opening and locking, its holder may have removed the file: then this lock locks nobody out.
                Ok(()) if is_still_at(&file, &path) => Ok(Poll::Ready(file)),
                Ok(()) => Ok(Poll::NotYet("removed by its holder".into())),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        told = true;
                        eprintln!("waiting for another command that works on {name} …");
                    }
                    Ok(Poll::NotYet("still held".into()))
                }
                Err(TryLockError::Error(source)) => Err(Error::file("lock", &path)(source)),
            }
        })
    }

    /// Removes a lock's file, which only its holder may do: names of test clusters would pile up otherwise.
    pub fn remove_lock(&self, name: &str, _held: &File) {
        // A file that stays is only an empty file.
        let _ = fs::remove_file(self.0.join("locks").join(name));
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok() == fs::metadata(path).map(identity).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_home_that_its_nodes_could_not_see() {
        for hidden in ["/var/lib/rollcall-kit", "/run/x", "/var/log/y", "/tmp/a b"] {
            assert!(Home::at(Path::new(hidden)).is_err(), "{hidden}");
        }
    }

    #[test]
    fn a_lock_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let held = home.lock("x", Duration::ZERO).unwrap();
        assert!(matches!(home.lock("x", Duration::ZERO), Err(Error::TimedOut { .. })));
        drop(held);
        let held = home.lock("x", Duration::ZERO).unwrap();
        home.remove_lock("x", &held);
        // A new file is a new lock, and whoever opened the removed one finds out.
        let file = home.lock("x", Duration::ZERO).unwrap();
        assert!(is_still_at(&file, &folder.path().join("locks/x")));
        assert!(!is_still_at(&held, &folder.path().join("locks/x")));
    }
}
