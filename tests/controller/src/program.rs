//! The programs under test.

use anyhow::{Context, Result, ensure};
use rollcall_cluster::static_build;
use serde_json::Value;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program that this variable names, which `cargo xtask test` sets, or else the package's own, built now.
pub fn program(variable: &str, package: &str) -> Result<PathBuf> {
    if let Some(program) = env::var_os(variable).filter(|program| !program.is_empty()) {
        return Ok(program.into());
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(static_build::workspace());
    cargo.args(["build", "--locked", "-p", package, "--message-format", "json"]);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo could not build {package}");
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let programs = messages.filter_map(|message| Some(message.ok()?["executable"].as_str()?.to_owned()));
    Ok(programs.last().with_context(|| format!("cargo told of no program of {package}"))?.into())
}
