//! `cargo xtask release --check`: what is cheap of a release made twice, and compared byte by byte.

use super::assembled::{Programs, assemble};
use super::chart::copied;
use super::facts::Facts;
use crate::generate;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What of the sources is in a release as it is, beside programs.
const HANDED_OUT: [&str; 5] =
    ["charts/rollcall", "crds/generated/serviceregistrations.yaml", "CHANGELOG.md", "LICENSE", "README.md"];

/// Makes the files from the checkout and from a copy elsewhere, of another time and with other rights.
pub(crate) fn run(facts: &Facts, sources: &Path) -> Result<()> {
    let work = tempfile::tempdir().context("cannot make a folder to compare in")?;
    let copy = work.path().join("copy");
    for path in HANDED_OUT {
        let (from, to) = (sources.join(path), copy.join(path));
        if from.is_dir() {
            copied(&from, &to)?;
        } else {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {path}"))?;
        }
    }
    disguise(&copy)?;
    let (one, other) = (work.path().join("one"), work.path().join("other"));
    for (sources, folder) in [(sources, &one), (&copy, &other)] {
        assemble(facts, sources, &stand_ins(), generate::printed, folder)?;
    }
    let differing = differing(&one, &other)?;
    if !differing.is_empty() {
        bail!(
            "made twice, {} differ: something of the machine or the moment is in them, which the code that makes them \
             (xtask/src/release) must leave out",
            differing.join(", ")
        );
    }
    print!("{}", super::sums::of(&one)?);
    println!("the same twice, with stand-ins for the programs");
    Ok(())
}

/// Programs take minutes to build; what is made of them needs no more than bytes.
fn stand_ins() -> Programs {
    let program = |name: &str| format!("stand-in for {name}").into_bytes();
    Programs {
        controller: program("rollcall-controller"),
        sidecar: program("rollcall-sidecar"),
        command: program("rollcall"),
    }
}

/// Other times and rights than a checkout has.
fn disguise(path: &Path) -> Result<()> {
    let failed = || format!("cannot change the rights of {}", path.display());
    let is_folder = path.is_dir();
    if is_folder {
        for inside in fs::read_dir(path).with_context(failed)? {
            disguise(&inside.with_context(failed)?.path())?;
        }
    } else {
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let file = fs::File::options().write(true).open(path).with_context(failed)?;
        file.set_times(FileTimes::new().set_modified(long_ago)).with_context(failed)?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(failed)
}

/// Files that are not in both folders with the same bytes.
fn differing(one: &Path, other: &Path) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for folder in [one, other] {
        for file in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            names.insert(file?.file_name());
        }
    }
    // One that is missing is no content, which no file has.
    let content = |folder: &Path, name: &OsString| fs::read(folder.join(name)).ok();
    let differ = names.iter().filter(|name| content(one, name) != content(other, name));
    Ok(differ.map(|name| name.to_string_lossy().into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_cluster::static_build::workspace;

    #[test]
    fn a_release_is_the_same_from_another_copy_of_the_sources() {
        run(&Facts::sample(), &workspace()).unwrap();
    }

    #[test]
    fn all_that_is_handed_out_is_there_and_summed_up() {
        let folder = tempfile::tempdir().unwrap();
        let facts = Facts {
            repository: Some("https://example.org/rollcall".into()),
            architecture: "some".into(),
            registry: "registry.example.org/some".into(),
            ..Facts::sample()
        };
        let printed = |arguments: &[&str]| Ok(arguments.join(" "));
        assemble(&facts, &workspace(), &stand_ins(), printed, folder.path()).unwrap();
        let sums = fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap();
        let names: Vec<_> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        let version = env!("CARGO_PKG_VERSION");
        let expected = [
            "THIRD-PARTY.txt".to_owned(),
            "crds.yaml".to_owned(),
            "images.txt".to_owned(),
            "krew.yaml".to_owned(),
            "release-notes.md".to_owned(),
            format!("rollcall-{version}-linux-some.cdx.json"),
            format!("rollcall-{version}-linux-some.tar.gz"),
            format!("rollcall-{version}.tgz"),
            format!("rollcall-controller-{version}-linux-some.cdx.json"),
            format!("rollcall-controller-{version}-linux-some.tar"),
            format!("rollcall-sidecar-{version}-linux-some.cdx.json"),
            format!("rollcall-sidecar-{version}-linux-some.tar"),
        ];
        assert_eq!(names, expected);
        let images = fs::read_to_string(folder.path().join("images.txt")).unwrap();
        let pulled = format!("registry.example.org/some/sidecar:{version}");
        let (digest, name) = images.lines().nth(1).unwrap().split_once("  ").unwrap();
        assert_eq!(name, pulled);
        let archive = format!("rollcall-sidecar-{version}-linux-some.tar");
        let archive = fs::read(folder.path().join(archive)).unwrap();
        let archive = String::from_utf8_lossy(&archive);
        for known_by in [digest, &pulled, &format!("rollcall.dev/sidecar:{version}")] {
            assert!(archive.contains(known_by), "{known_by}");
        }
    }

    #[test]
    fn files_that_differ_or_are_missing_are_named() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, files) in [(&one, ["same", "differs", "here"]), (&other, ["same", "differs", "there"])] {
            for file in files {
                let text =
                    if file == "differs" { folder.path().display().to_string() } else { String::new() };
                fs::write(folder.path().join(file), text).unwrap();
            }
        }
        assert_eq!(differing(one.path(), other.path()).unwrap(), ["differs", "here", "there"]);
    }
}
