//! How tests went: read from what libtest prints, so that the closing line counts what was really run.

use crate::test_programs::Tests;
use anyhow::{Context, Result, bail};
use rollcall_cluster::interrupt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The tests of all runs so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
    /// The programs with a test that failed, or that ended without a result.
    pub(crate) failing: Vec<String>,
}

impl Outcome {
    /// Whether something was tested, and nothing failed or was left out.
    pub(crate) fn is_good(&self) -> bool {
        self.passed > 0 && self.failed == 0 && self.ignored == 0
    }

    /// Runs tests, one program after the other, and counts them; `arguments` go to each.
    pub(crate) fn run(
        &mut self,
        what: &str,
        tests: &Tests<'_>,
        arguments: &[&str],
        environment: &[(&str, &Path)],
    ) -> Result<()> {
        eprintln!("\n== {what}");
        let before = self.passed + self.failed;
        for (name, mut command) in tests.commands() {
            interrupt::check()?;
            println!("\n     Running {name}");
            self.add(name, command.args(arguments).envs(environment.iter().copied()))?;
        }
        if self.passed + self.failed == before {
            bail!("the {what} did not run: none of their programs has a test");
        }
        Ok(interrupt::check()?)
    }

    /// Adds what was judged otherwise than by libtest.
    pub(crate) fn add_judged(&mut self, passed: u32, failed: u32) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Runs a program of tests, shows what it prints, and counts. One without tests says so, and is good.
    fn add(&mut self, name: &str, program: &mut Command) -> Result<()> {
        let mut child =
            program.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {name}"))?;
        let before = self.failed;
        let mut told = false;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                let line = line?;
                println!("{line}");
                told |= self.count(&line);
            }
        }
        let status = child.wait()?;
        if self.failed == before && !(status.success() && told) {
            // One that did not live to print its result.
            eprintln!("{name} ended with {status}, and not with a result");
            self.failed += 1;
        }
        if self.failed > before {
            self.failing.push(name.to_owned());
        }
        Ok(())
    }

    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`, and says whether it is one.
    fn count(&mut self, line: &str) -> bool {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return false;
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
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_programs::TestPrograms;

    #[test]
    fn counts_what_libtest_prints() {
        let mut outcome = Outcome::default();
        assert!(outcome.count(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
        ));
        assert!(
            outcome.count("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out")
        );
        assert!(!outcome.count("test outcome::tests::x ... ok"));
        assert_eq!(outcome, Outcome { passed: 4, failed: 2, ignored: 1, failing: vec![] });
    }

    #[test]
    fn nothing_run_or_something_left_out_is_not_good() {
        let outcome = |passed, failed, ignored| Outcome { passed, failed, ignored, failing: vec![] };
        assert!(!Outcome::default().is_good());
        assert!(!outcome(1, 0, 1).is_good());
        assert!(!outcome(1, 1, 0).is_good());
        assert!(outcome(1, 0, 0).is_good());
    }

    #[test]
    fn a_program_that_ended_without_a_result_or_crashed_has_failed() {
        let mut outcome = Outcome::default();
        let mut add = |name: &str, script: &str| {
            outcome.add(name, Command::new("sh").args(["-c", script])).unwrap();
        };
        add("good", "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'");
        add("empty", "echo 'test result: ok. 0 passed; 0 failed; 0 ignored'");
        add("silent", "exit 0");
        add("crashed", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101");
        add("bad", "echo 'test result: FAILED. 0 passed; 3 failed; 0 ignored'; exit 101");
        assert_eq!((outcome.passed, outcome.failed), (3, 5));
        assert_eq!(outcome.failing, ["silent", "crashed", "bad"]);
    }

    #[test]
    fn a_stage_without_a_test_is_an_error() {
        let built = TestPrograms::default();
        assert!(Outcome::default().run("tests of nothing", &built.of(&[]).unwrap(), &[], &[]).is_err());
    }
}
