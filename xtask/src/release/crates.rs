//! The crates whose code is in a program: what cargo compiles for it and links into it, and no more.

use anyhow::{Context, Result, bail};
use rollcall_cluster::{output_of, static_build};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a crate of one version: `tar 0.4.46`. There are no two of the same name and version in the lock.
pub(crate) type Name = (String, String);

/// Holds what a crate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    /// An SPDX expression.
    pub(crate) licence: String,
    pub(crate) repository: Option<String>,
    /// The SHA-256 of the package that the registry gave out; none of our own crates.
    pub(crate) checksum: Option<String>,
    /// Where its sources are.
    pub(crate) folder: PathBuf,
}

/// Knows all crates of the workspace.
#[derive(Debug)]
pub(crate) struct Known(BTreeMap<Name, Crate>);

/// Holds who of a program's crates needs whom; the program itself is one of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) root: Name,
    pub(crate) needs: BTreeMap<Name, BTreeSet<Name>>,
}

// === impl Known ===

impl Known {
    pub(crate) fn of_the_workspace() -> Result<Self> {
        let lock = static_build::workspace().join("Cargo.lock");
        let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        let metadata =
            cargo(&["metadata", "--format-version=1", "--locked", "--filter-platform", &target()])?;
        Self::read(&metadata, &checksums(&lock))
    }

    fn read(metadata: &str, checksums: &BTreeMap<Name, String>) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("what `cargo metadata` printed")?;
        let packages = metadata
            .get("packages")
            .and_then(Value::as_array)
            .context("`cargo metadata` names no packages")?;
        let mut known = BTreeMap::new();
        for package in packages {
            let text = |field: &str| package.get(field).and_then(Value::as_str).map(str::to_owned);
            let (Some(name), Some(version), Some(manifest)) =
                (text("name"), text("version"), text("manifest_path"))
            else {
                bail!("`cargo metadata` tells of a package without a name, a version or a manifest");
            };
            let Some(licence) = text("license") else {
                bail!(
                    "{name} {version} names no licence: nothing without one may be in a release; take another crate"
                );
            };
            let folder = Path::new(&manifest).parent().unwrap_or(Path::new("")).to_owned();
            let key = (name, version);
            let checksum = checksums.get(&key).cloned();
            let licence = in_spdx(&licence);
            known.insert(key, Crate { licence, repository: text("repository"), checksum, folder });
        }
        Ok(Self(known))
    }

    pub(crate) fn get(&self, name: &Name) -> Result<&Crate> {
        self.0.get(name).with_context(|| format!("`cargo metadata` does not know {} {}", name.0, name.1))
    }
}

// === impl Tree ===

impl Tree {
    /// Asked of cargo for this package alone, since features that others ask for are not in its program. Macros and build
    /// scripts run at compilation and are left out.
    pub(crate) fn of(package: &str) -> Result<Self> {
        let printed = cargo(&[
            "tree",
            "--locked",
            "--package",
            package,
            "--edges=normal,no-proc-macro",
            "--target",
            &target(),
            "--prefix=depth",
            "--format= {p}",
        ])?;
        Self::read(&printed).with_context(|| format!("what `cargo tree` printed of {package}"))
    }

    /// Reads lines such as `2 serde v1.0.229 (*)`: how deep it is, and who it is; whoever is named again has his own below
    /// his first line.
    fn read(printed: &str) -> Result<Self> {
        let mut needs: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        let mut above: Vec<Name> = Vec::new();
        let mut root = None;
        for line in printed.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let depth: Option<usize> = words.next().and_then(|word| word.parse().ok());
            let name = words.next().map(str::to_owned);
            let version = words.next().and_then(|word| word.strip_prefix('v')).map(str::to_owned);
            let (Some(depth), Some(name), Some(version)) = (depth, name, version) else {
                bail!("`{line}` names no crate");
            };
            let found = (name, version);
            above.truncate(depth);
            match above.last() {
                Some(parent) => {
                    needs.entry(parent.clone()).or_default().insert(found.clone());
                }
                None => root = root.or_else(|| Some(found.clone())),
            }
            needs.entry(found.clone()).or_default();
            above.push(found);
        }
        Ok(Self { root: root.context("it names no crate")?, needs })
    }
}

/// The target that release builds are for.
fn target() -> String {
    format!("{ARCH}-unknown-linux-gnu")
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = Command::new(env!("CARGO"));
    Ok(output_of("asking cargo", cargo.current_dir(static_build::workspace()).args(arguments))?)
}

/// Reads Cargo.lock, as cargo writes it.
fn checksums(lock: &str) -> BTreeMap<Name, String> {
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
        Some(line.strip_suffix('"')?.to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            Some(((field(package, "name")?, field(package, "version")?), field(package, "checksum")?))
        })
        .collect()
}

/// Before there were expressions, `/` stood between licences of which one may be chosen.
fn in_spdx(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, version: &str) -> Name {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_is_read_with_all_who_are_named_again() {
        let printed =
            "0 app v0.1.0 (/somewhere/app)\n1 a v1.0.0\n2 c v3.0.0\n3 d v4.0.0\n1 b v2.0.0\n2 c v3.0.0 (*)\n";
        let tree = Tree::read(printed).unwrap();
        assert_eq!(tree.root, name("app", "0.1.0"));
        let needs =
            |crate_name, version| tree.needs[&name(crate_name, version)].iter().cloned().collect::<Vec<_>>();
        assert_eq!(needs("app", "0.1.0"), [name("a", "1.0.0"), name("b", "2.0.0")]);
        assert_eq!(needs("a", "1.0.0"), needs("b", "2.0.0"));
        assert_eq!(needs("c", "3.0.0"), [name("d", "4.0.0")]);
        assert_eq!(tree.needs.len(), 5);
        for nothing in ["", "error: no such package"] {
            assert!(Tree::read(nothing).is_err());
        }
    }

    #[test]
    fn a_crate_is_known_with_its_licence_and_the_lock_s_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\ndependencies = [\n \"b\",\n]\n\n\
                    [[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        let metadata = r#"{"packages": [
            {"name": "a", "version": "1.0.0", "license": "MIT / Apache-2.0", "repository": "https://a", "manifest_path": "/a/Cargo.toml"},
            {"name": "b", "version": "0.1.0", "license": "MIT", "repository": null, "manifest_path": "/b/Cargo.toml"}]}"#;
        let known = Known::read(metadata, &checksums(lock)).unwrap();
        let a = known.get(&name("a", "1.0.0")).unwrap();
        assert_eq!((a.licence.as_str(), a.checksum.as_deref()), ("MIT OR Apache-2.0", Some("abc")));
        assert_eq!(a.folder, Path::new("/a"));
        assert_eq!(known.get(&name("b", "0.1.0")).unwrap().checksum, None);
        assert!(known.get(&name("b", "0.2.0")).is_err());
    }

    #[test]
    fn a_crate_without_a_licence_is_refused() {
        let metadata = r#"{"packages": [{"name": "a", "version": "1.0.0", "license": null, "manifest_path": "/a/Cargo.toml"}]}"#;
        let said = Known::read(metadata, &BTreeMap::new()).unwrap_err().to_string();
        assert!(said.starts_with("a 1.0.0 names no licence"), "{said}");
    }

    #[test]
    fn the_sidecar_s_crates_are_its_own_and_not_the_controller_s() {
        let (sidecar, controller) =
            (Tree::of("rollcall-sidecar").unwrap(), Tree::of("rollcall-controller").unwrap());
        let has = |tree: &Tree, crate_name: &str| tree.needs.keys().any(|(name, _)| name == crate_name);
        assert!(has(&controller, "kube") && !has(&sidecar, "kube"));
        // A macro runs at compilation; a test's crate not even then.
        for absent in ["serde_derive", "proptest", "cc"] {
            assert!(!has(&controller, absent) && !has(&sidecar, absent), "{absent}");
        }
        let known = Known::of_the_workspace().unwrap();
        for crate_name in sidecar.needs.keys().chain(controller.needs.keys()) {
            let about = known.get(crate_name).unwrap();
            assert_eq!(about.checksum.is_none(), crate_name.0.starts_with("rollcall"), "{crate_name:?}");
        }
    }
}
