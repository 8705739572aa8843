//! The `rollcall` command of this tree, as a person runs it against an installation.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::program;
use serde_json::Value;

use crate::{Cluster, Space, eventually};

/// The command, where `cargo xtask test` has built it already.
const PROGRAM: &str = "ROLLCALL_COMMAND_PROGRAM";

/// Holds the command, and the installation and the namespace that it asks.
#[derive(Debug, Clone)]
pub struct Rollcall {
    program: PathBuf,
    system: String,
    namespace: String,
}

// === impl Rollcall ===

impl Rollcall {
    /// Built from this tree, and asking for the shop.
    pub fn built(cluster: &Cluster) -> Result<Self> {
        let (system, namespace) = (cluster.system.name().to_owned(), cluster.shop.name().to_owned());
        Ok(Self { program: program(PROGRAM, "rollcall")?, system, namespace })
    }

    /// The same, asking for another namespace.
    pub fn within(&self, space: &Space) -> Self {
        Self { namespace: space.name().to_owned(), ..self.clone() }
    }

    /// How it ended, and all that it said.
    pub fn run(&self, args: &[&str]) -> Result<(i32, String)> {
        let output = self.output(args)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8(said)?))
    }

    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.output(&[args, &["-o", "json"]].concat())?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What `check` finds; an error where it ends otherwise.
    pub fn findings(&self, code: i32) -> Result<Vec<Value>> {
        let output = self.output(&["check", "-o", "json"])?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(code), "{:?}: {said}", output.status);
        let body: Value = serde_json::from_str(&said)?;
        Ok(body["findings"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until `check` finds this, as bad as this, and says all of these words of it.
    pub fn finds(&self, check: &str, level: &str, says: &[&str]) -> Result<()> {
        eventually(&format!("{check} is {level}"), || {
            let findings = self.findings(if level == "fail" { 1 } else { 0 })?;
            let found = findings.iter().find(|one| one["check"] == check).cloned().unwrap_or_default();
            let told = found.to_string();
            if found["level"] == level && says.iter().all(|word| told.contains(word)) {
                return Ok(true);
            }
            bail!("{findings:?}")
        })
    }

    /// Waits until the way of this pod ends there, and all of these words are said of it.
    pub fn broken(&self, pod: &str, link: &str, says: &[&str]) -> Result<()> {
        self.broken_for(&[&format!("pod/{pod}")], link, says)
    }

    /// The same of whatever `explain` is told.
    pub fn broken_for(&self, asked: &[&str], link: &str, says: &[&str]) -> Result<()> {
        eventually(&format!("{asked:?} is broken at {link}"), || {
            let (code, told) = self.run(&[&["explain"], asked].concat())?;
            let end = format!("the first broken link is {link}\n");
            if code == 1 && told.ends_with(&end) && says.iter().all(|word| told.contains(word)) {
                return Ok(true);
            }
            bail!("{code}: {told}")
        })
    }

    /// Manifests as `rollcall inject` makes them.
    pub fn inject(&self, args: &[&str], manifest: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["inject", "-", "--namespace", &self.namespace]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().context("rollcall inject")?;
        process.stdin.take().context("a process without input")?.write_all(manifest.as_bytes())?;
        let output = process.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn output(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(args).args(["--namespace", &self.namespace, "--system-namespace", &self.system]);
        command.output().with_context(|| self.program.display().to_string())
    }
}
