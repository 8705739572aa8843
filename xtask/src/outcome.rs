//! How tests went: read from what libtest prints, so that the closing line counts what was really run.

use anyhow::{Context, Result, bail};
use rollcall_cluster::{interrupt, static_build};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The tests of all runs so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
}

impl Outcome {
    /// Whether something was tested, and nothing failed or was left out.
    pub(crate) fn is_good(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.ignored == 0
    }

    /// Runs the tests of some packages and counts them.
    pub(crate) fn cargo_test(
        &mut self,
        what: &str,
        packages: &[&str],
        environment: &[(&str, &Path)],
    ) -> Result<()> {
        interrupt::check()?;
        eprintln!("\n== {what}");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(static_build::workspace())
            .args(["test", "--locked", "--no-fail-fast"])
            .args(packages);
        cargo.envs(environment.iter().copied());
        self.add(what, &mut cargo)?;
        Ok(interrupt::check()?)
    }

    /// Adds what was judged otherwise than by libtest.
    pub(crate) fn add_judged(&mut self, passed: u32, failed: u32) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Runs a command that ends as `cargo test` does, shows what it prints, and counts.
    fn add(&mut self, what: &str, cargo: &mut Command) -> Result<()> {
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start cargo for the {what}"))?;
        let before = self.passed + self.failed;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                println!("{line}");
                self.count(&line);
            }
        }
        let status = child.wait()?;
        if self.passed + self.failed == before {
            bail!("the {what} did not run: cargo ended with {status}");
        }
        if !status.success() && self.failed == 0 {
            // A test binary that did not live to print its result.
            self.failed += 1;
        }
        Ok(())
    }

    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let mut words = count.split(' ');
            let (number, kind) = (words.next().and_then(|word| word.parse::<u32>().ok()), words.next());
            match (number, kind) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                (Some(number), Some("ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_libtest_prints() {
        let mut outcome = Outcome::default();
        outcome.count(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
        );
        outcome.count("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        outcome.count("test outcome::tests::x ... ok");
        assert_eq!(outcome, Outcome { passed: 4, failed: 2, ignored: 1 });
    }

    #[test]
    fn nothing_run_or_something_left_out_is_not_good() {
        assert!(!Outcome::default().is_good());
        assert!(!Outcome { passed: 1, failed: 0, ignored: 1 }.is_good());
        assert!(!Outcome { passed: 1, failed: 1, ignored: 0 }.is_good());
        assert!(Outcome { passed: 1, failed: 0, ignored: 0 }.is_good());
    }

    #[test]
    fn a_run_that_tested_nothing_or_crashed_is_no_success() {
        let mut outcome = Outcome::default();
        assert!(outcome.add("x", Command::new("sh").args(["-c", "exit 101"])).is_err());
        let crash = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101";
        outcome.add("x", Command::new("sh").args(["-c", crash])).unwrap();
        assert_eq!((outcome.passed, outcome.failed), (2, 1));
    }
}
