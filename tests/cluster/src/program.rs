//! The programs under test: cargo builds none of another package for a test.

use crate::run::{failed, not_started};
use crate::{Error, static_build};
use serde_json::Value;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the chart sets for the controller's C library, name and value; whoever starts one without the chart sets it too. A test
/// of the chart holds the two together.
pub const CONTROLLER_ALLOCATES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072");

/// The program that this variable names, which `cargo xtask test` sets, or else the package's own, built now.
pub fn program(variable: &str, package: &str) -> Result<PathBuf, Error> {
    if let Some(program) = env::var_os(variable).filter(|program| !program.is_empty()) {
        return Ok(program.into());
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(static_build::workspace()).stderr(Stdio::inherit());
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        package,
        "--message-format",
        "json-render-diagnostics",
    ]);
    let step = format!("building {package}");
    let built = cargo.output().map_err(|error| not_started(&step, &cargo, &error))?;
    if !built.status.success() {
        return Err(failed(&step, &cargo, built.status, "cargo has said why".to_owned(), None));
    }
    let messages = serde_json::Deserializer::from_slice(&built.stdout).into_iter::<Value>();
    let programs = messages.filter_map(|message| Some(message.ok()?.get("executable")?.as_str()?.into()));
    programs
        .last()
        .ok_or_else(|| Error::unmet(format!("cargo told of no program of {package}"), "name one that has it"))
}
