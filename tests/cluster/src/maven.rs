//! Programs for Java, built by Maven from pinned versions and kept by content. Where Maven gets its jars from, and where it
//! keeps them, is its user's affair.

use crate::Error;
use crate::debian::prepare_java;
use crate::home::Home;
use crate::progress::Step;
use crate::run::{bound_to_us, logged, output_of};
use crate::static_build::workspace;
use crate::tools::{short, stored};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program for Java that a pom.xml of the workspace pins.
pub struct MavenProgram {
    /// What it is called here, also as a folder.
    pub name: &'static str,
    /// The folder with its pom.xml, which puts all that it needs into `program` in the folder that it is told.
    module: &'static str,
    /// The property of the pom.xml that has the version of what is meant.
    version: &'static str,
}

/// Registries to be measured beside ours: no part of a cluster, and built only where a measurement asks for them.
pub const EUREKA: MavenProgram =
    MavenProgram { name: "eureka", module: "bench/peers/eureka", version: "spring-cloud.version" };
pub const ZOOKEEPER: MavenProgram =
    MavenProgram { name: "zookeeper", module: "bench/peers/zookeeper", version: "zookeeper.version" };

// === impl MavenProgram ===

impl MavenProgram {
    /// The folder with its jars, from the store or built now.
    pub fn build(&self, home: &Home) -> Result<PathBuf, Error> {
        prepare_java(home)?;
        let module = workspace().join(self.module);
        stored(home, self.name, &key(&module)?, |target| {
            let step = Step::start(format!("building {}", self.name));
            let work = target.with_file_name("work");
            let mut maven = bound_to_us("mvn");
            maven.args(["--batch-mode", "--no-transfer-progress", "--file"]).arg(module.join("pom.xml"));
            maven.arg(format!("-Dfolder={}", work.display())).arg("package");
            logged(&step, &mut maven, &home.folder("logs")?.join(format!("build-{}.log", self.name)))?;
            let program = work.join("program");
            fs::rename(&program, target).map_err(Error::file("move", &program))?;
            fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
            step.done();
            Ok(())
        })
    }

    /// Which one is pinned.
    pub fn version(&self) -> Result<String, Error> {
        let pom = workspace().join(self.module).join("pom.xml");
        let text = fs::read_to_string(&pom).map_err(Error::file("read", &pom))?;
        property(&text, self.version).map(str::to_owned).ok_or_else(|| {
            Error::unmet(format!("{} pins no {}", pom.display(), self.version), "restore the file from git")
        })
    }
}

/// What runs such programs, as it calls itself: `openjdk 17.0.15 2025-04-15`.
pub fn java_version() -> Result<String, Error> {
    let said = output_of("asking Java for its version", Command::new("java").arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

/// Everything that decides what the built program is.
fn key(module: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for path in files(module)? {
        hash.update(fs::read(&path).map_err(Error::file("read", &path))?);
    }
    hash.update(java_version()?);
    Ok(short(hash))
}

/// All files below a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(Error::file("list", folder))?;
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

fn property<'a>(pom: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = pom.split_once(&format!("<{name}>"))?;
    let (value, _) = from.split_once(&format!("</{name}>"))?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_versions_are_pinned() {
        for program in [EUREKA, ZOOKEEPER] {
            let version = program.version().unwrap();
            assert!(version.split('.').all(|number| number.parse::<u32>().is_ok()), "{version}");
        }
        assert_eq!(property("<a>1</a><b> 2 </b>", "b"), Some("2"));
        assert_eq!(property("<a>1</a><b>", "b"), None);
    }

    #[test]
    fn all_files_of_it_decide_what_it_is_in_whatever_folder_they_are() {
        let module = tempfile::tempdir().unwrap();
        let deep = module.path().join("src/main");
        fs::create_dir_all(&deep).unwrap();
        fs::write(module.path().join("pom.xml"), "").unwrap();
        let found = |text: &str| {
            fs::write(deep.join("Main.java"), text).unwrap();
            let all = files(module.path()).unwrap();
            all.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<String>()
        };
        assert_eq!(found("class One {}"), "class One {}");
        assert_eq!(found("class Two {}"), "class Two {}");
    }
}
