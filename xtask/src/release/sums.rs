//! SHA256SUMS: what `sha256sum --check` holds files against.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The file's name; it is the only one that it does not name.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// Writes it into a folder, for all files of the folder.
pub(crate) fn write_into(folder: &Path) -> Result<()> {
    let path = folder.join(SUMS);
    fs::write(&path, of(folder)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Its lines, in the order of the names.
pub(crate) fn of(folder: &Path) -> Result<String> {
    let failed = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for file in fs::read_dir(folder).with_context(failed)? {
        names.push(file.with_context(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut sums = String::new();
    for name in names.iter().filter(|name| *name != SUMS) {
        let bytes = fs::read(folder.join(name)).with_context(|| format!("cannot read {name}"))?;
        writeln!(sums, "{}  {name}", sha256(&bytes))?;
    }
    Ok(sums)
}

/// In hexadecimal figures.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn sha256sum_finds_all_files_as_they_were_and_one_that_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "two"), ("a", "one")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        write_into(folder.path()).unwrap();
        let check = || {
            let mut check = Command::new("sha256sum");
            check.args(["--check", "--strict", SUMS]).current_dir(folder.path());
            rollcall_cluster::output_of("checking", &mut check)
        };
        assert_eq!(check().unwrap(), "a: OK\nb: OK\n");
        assert_eq!(of(folder.path()).unwrap(), fs::read_to_string(folder.path().join(SUMS)).unwrap());
        fs::write(folder.path().join("a"), "other").unwrap();
        assert!(check().is_err());
    }
}
