//! The programs that cargo makes of tests: built once, all of the same dependencies, and run by name in any order.
//!
//! Cargo chooses the features of what is shared by the packages that it is told to test together: each stage that named
//! its own packages would have dependencies, controller and sidecar of its own, which took minutes and gigabytes.

use anyhow::{Context, Result, bail};
use rollcall_cluster::{Step, interrupt, static_build};
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// All tests there are: those of the model of an API server on a real one too, which have their turn when there is one.
pub(crate) const OF_ALL: [&str; 3] = ["--workspace", "--features", "rollcall-apiserver/cluster"];
/// What tests take the user's command from, instead of building it.
pub(crate) const COMMAND_PROGRAM: &str = "ROLLCALL_COMMAND_PROGRAM";
/// The user's command, which cargo builds for its own tests.
const COMMAND: &str = "rollcall";

/// Holds the tests that were built together, in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct TestPrograms {
    programs: Vec<TestProgram>,
    command: Option<PathBuf>,
}

/// Holds some of them, to be run.
#[derive(Debug)]
pub(crate) struct Tests<'a> {
    built: &'a TestPrograms,
    chosen: Vec<&'a TestProgram>,
}

/// Holds the tests of a library, of a program or of a file in `tests`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TestProgram {
    /// The folder of the package, a colon, and `lib`, `bin` or the name of the file: `tests/docs:pages`.
    name: String,
    folder: PathBuf,
    program: PathBuf,
}

/// Holds what cargo says of a file that it has made; other messages have none of this.
#[derive(Debug, Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

// === impl TestPrograms ===

impl TestPrograms {
    /// Builds the tests that arguments of `cargo test` choose.
    pub(crate) fn build(arguments: &[&str]) -> Result<Self> {
        let step = Step::start("building the tests");
        let workspace = static_build::workspace();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&workspace).args(["test", "--locked", "--no-run", "--quiet"]);
        cargo.args(["--message-format", "json-render-diagnostics"]).args(arguments);
        let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
        let mut built = Self::default();
        if let Some(messages) = child.stdout.take() {
            for (message, number) in BufReader::new(messages).lines().zip(1..) {
                built.add(&workspace, &message?);
                step.still_running(|| format!("{number} parts"));
            }
        }
        let status = child.wait()?;
        interrupt::check()?;
        if !status.success() {
            bail!("the tests cannot be built: cargo ended with {status}");
        }
        built.programs.sort();
        step.done();
        Ok(built)
    }

    /// Those of these packages and programs, which are told by folder or by name.
    pub(crate) fn of(&self, names: &[&str]) -> Result<Tests<'_>> {
        self.chosen(names, true)
    }

    /// All but those of these packages and programs.
    pub(crate) fn but(&self, names: &[&str]) -> Result<Tests<'_>> {
        self.chosen(names, false)
    }

    fn chosen(&self, names: &[&str], named: bool) -> Result<Tests<'_>> {
        if let Some(unknown) = names.iter().find(|name| !self.programs.iter().any(|test| test.is_of(name))) {
            bail!("there are no tests in {unknown}: this command names a folder or a program that is gone");
        }
        let is_named = |test: &TestProgram| names.iter().any(|name| test.is_of(name));
        let chosen = self.programs.iter().filter(|test| is_named(test) == named).collect();
        Ok(Tests { built: self, chosen })
    }

    /// Takes up one line of what cargo says.
    fn add(&mut self, workspace: &Path, message: &str) {
        let Ok(artifact) = serde_json::from_str::<Artifact>(message) else { return };
        let Some(program) = artifact.executable else { return };
        let kind = artifact.target.kind.first().map(String::as_str).unwrap_or_default();
        if !artifact.profile.test {
            if (kind, artifact.target.name.as_str()) == ("bin", COMMAND) {
                self.command = Some(program);
            }
            return;
        }
        let folder = artifact.manifest_path.parent().unwrap_or(workspace).to_owned();
        let package = folder.strip_prefix(workspace).unwrap_or(&folder).display();
        let target = if kind == "test" { &artifact.target.name } else { kind };
        self.programs.push(TestProgram { name: format!("{package}:{target}"), folder, program });
    }
}

// === impl Tests ===

impl Tests<'_> {
    /// Each with its name, and as cargo would run it: in the folder of its package.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&str, Command)> {
        self.chosen.iter().map(|test| {
            let mut command = Command::new(&test.program);
            command.current_dir(&test.folder).env("CARGO_MANIFEST_DIR", &test.folder);
            command.envs(self.built.command.iter().map(|program| (COMMAND_PROGRAM, program)));
            (test.name.as_str(), command)
        })
    }
}

// === impl TestProgram ===

impl TestProgram {
    /// Whether this is its name, or the folder of its package.
    fn is_of(&self, name: &str) -> bool {
        self.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn built() -> TestPrograms {
        let mut built = TestPrograms::default();
        let told = [
            ("docs", "lib", "rollcall_docs", true),
            ("docs", "test", "pages", true),
            ("docs-more", "lib", "more", true),
            ("cli", "bin", "rollcall", false),
            ("cli", "bin", "rollcall", true),
        ];
        for (folder, kind, name, test) in told {
            let message = json!({
                "reason": "compiler-artifact", "manifest_path": format!("/w/{folder}/Cargo.toml"),
                "target": { "kind": [kind], "name": name }, "profile": { "test": test },
                "executable": format!("/t/{name}-{test}"),
            });
            built.add(Path::new("/w"), &message.to_string());
        }
        built.add(Path::new("/w"), r#"{"reason":"build-finished","success":true}"#);
        built.add(Path::new("/w"), "no message");
        built
    }

    fn names(tests: &Tests<'_>) -> Vec<String> {
        tests.commands().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn what_cargo_has_built_is_known_by_name() {
        let built = built();
        assert_eq!(names(&built.of(&["docs"]).unwrap()), ["docs:lib", "docs:pages"]);
        assert_eq!(names(&built.of(&["cli:bin", "docs:pages"]).unwrap()), ["docs:pages", "cli:bin"]);
        assert_eq!(names(&built.but(&["docs", "cli"]).unwrap()), ["docs-more:lib"]);
        assert_eq!(built.command, Some(PathBuf::from("/t/rollcall-false")));
    }

    #[test]
    fn names_of_nothing_are_refused() {
        for unknown in ["doc", "docs:page", "", "docs:"] {
            assert!(built().of(&["cli", unknown]).is_err(), "{unknown}");
            assert!(built().but(&[unknown]).is_err(), "{unknown}");
        }
    }

    #[test]
    fn each_runs_in_its_package_and_is_told_of_the_command() {
        let built = built();
        let tests = built.of(&["docs:pages"]).unwrap();
        let (_, command) = tests.commands().next().unwrap();
        assert_eq!(command.get_program(), "/t/pages-true");
        assert_eq!(command.get_current_dir(), Some(Path::new("/w/docs")));
        let told = |name: &str| command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
        assert_eq!(told("ROLLCALL_COMMAND_PROGRAM"), Some("/t/rollcall-false".as_ref()));
        assert_eq!(told("CARGO_MANIFEST_DIR"), Some("/w/docs".as_ref()));
    }
}
