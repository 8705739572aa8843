//! kubectl, as a person would use it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// No call may hang a test.
const CALL_MAX: &str = "--request-timeout=60s";

/// Holds which kubectl, and for which cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub program: PathBuf,
    pub kubeconfig: PathBuf,
}

impl Kubectl {
    pub fn call(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, None)
    }

    /// kubectl reads this from its standard input.
    pub fn given(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.run(arguments, Some(input))
    }

    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let all: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let text = self.call(&all)?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}", all.join(" ")))
    }

    pub fn apply(&self, object: &Value) -> Result<()> {
        self.given(&["apply", "-f", "-"], &object.to_string()).map(drop)
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let what = format!("kubectl {}", arguments.join(" "));
        let mut child = command(&self.program, &self.kubeconfig)
            .arg(CALL_MAX)
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| what.clone())?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).with_context(|| what.clone())?;
        }
        let output = child.wait_with_output().with_context(|| what.clone())?;
        ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

pub fn command(program: &Path, kubeconfig: &Path) -> Command {
    let mut kubectl = Command::new(program);
    kubectl.env("KUBECONFIG", kubeconfig);
    kubectl
}
