//! kubectl, as a person would use it.

use crate::Error;
use crate::run::{output_given, output_of};
use serde_json::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// No call may hang a test.
const CALL_MAX: &str = "--request-timeout=60s";

/// Holds which kubectl, and for which cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub program: PathBuf,
    pub kubeconfig: PathBuf,
}

impl Kubectl {
    /// Gives what it prints, without the white space around it.
    pub fn call(&self, arguments: &[&str]) -> Result<String, Error> {
        Ok(output_of("kubectl", &mut self.command(arguments))?.trim().to_owned())
    }

    /// kubectl reads this from its standard input.
    pub fn given(&self, arguments: &[&str], input: &str) -> Result<String, Error> {
        let mut command = self.command(arguments);
        let (reader, mut writer) = io::pipe().map_err(Error::file("make", Path::new("a pipe")))?;
        thread::scope(|scope| {
            scope.spawn(move || {
                // kubectl that does not read to the end says itself why.
                let _ = writer.write_all(input.as_bytes());
            });
            let printed = output_given("kubectl", reader.into(), &mut command);
            // Our end of the pipe: where kubectl did not read, the writer would wait for somebody who does.
            drop(command);
            Ok(printed?.trim().to_owned())
        })
    }

    pub fn json(&self, arguments: &[&str]) -> Result<Value, Error> {
        let all: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let answer = self.call(&all)?;
        let path = || PathBuf::from(format!("kubectl {}", all.join(" ")));
        serde_json::from_str(&answer).map_err(|source| Error::Garbled {
            path: path(),
            source,
            remedy: "try again".into(),
        })
    }

    pub fn apply(&self, object: &Value) -> Result<(), Error> {
        self.given(&["apply", "-f", "-"], &object.to_string()).map(drop)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut kubectl = Command::new(&self.program);
        kubectl.env("KUBECONFIG", &self.kubeconfig).arg(CALL_MAX).args(arguments);
        kubectl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the place of kubectl, a script.
    fn script(text: &str) -> (tempfile::TempDir, Kubectl) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kubectl");
        // By a shell: what this process has open for writing, a child that another test starts just now has open too,
        // and what somebody writes to cannot be started.
        const WRITE: &str = r##"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 700 "$0""##;
        let written = Command::new("sh").args(["-c", WRITE]).arg(&program).arg(text).status();
        assert!(written.unwrap().success());
        (folder, Kubectl { program, kubeconfig: "of-a-cluster".into() })
    }

    #[test]
    fn it_is_told_which_cluster_and_how_long() {
        let (_folder, kubectl) = script(r#"echo "$KUBECONFIG" "$@""#);
        assert_eq!(kubectl.call(&["get", "pods"]).unwrap(), "of-a-cluster --request-timeout=60s get pods");
    }

    #[test]
    fn more_than_a_pipe_holds_is_read_to_its_end_or_not_at_all() {
        let input = "pods ".repeat(100_000);
        let (_folder, reads) = script("cat");
        assert_eq!(reads.given(&["apply"], &input).unwrap(), input.trim());
        let (_folder, refuses) = script("echo no such cluster >&2; exit 1");
        let said = refuses.given(&["apply"], &input).unwrap_err().to_string();
        assert!(said.contains("no such cluster"), "{said}");
    }

    #[test]
    fn what_is_no_json_is_told_with_the_question() {
        let (_folder, kubectl) = script("echo '{}'");
        assert_eq!(kubectl.json(&["get", "pods"]).unwrap(), serde_json::json!({}));
        let (_folder, garbled) = script("echo {");
        let said = garbled.json(&["get", "pods"]).unwrap_err().to_string();
        assert!(said.contains("kubectl get pods -o json"), "{said}");
    }
}
