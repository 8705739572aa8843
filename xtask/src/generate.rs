//! `cargo xtask generate`: the committed files that are made from code.

use anyhow::{Context, Result, bail};
use rollcall_cluster::static_build;
use std::fs;
use std::process::{Command, Stdio};

/// A generated file, and the arguments of `rollcall` that print it.
const FILES: &[(&str, &[&str])] = &[("crds/generated/serviceregistrations.yaml", &["crd"])];

/// Writes the generated files, or with `check` says which of them are out of date.
pub(crate) fn run(check: bool) -> Result<()> {
    let workspace = static_build::workspace();
    let mut stale = Vec::new();
    for (file, arguments) in FILES {
        let mut print = Command::new(env!("CARGO"));
        print
            .current_dir(&workspace)
            .args(["run", "--quiet", "--locked", "--package", "rollcall", "--"])
            .args(*arguments);
        let printed = print
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start cargo for {file}"))?;
        if !printed.status.success() {
            bail!("generating {file} failed: cargo ended with {}", printed.status);
        }
        let fresh =
            String::from_utf8(printed.stdout).with_context(|| format!("what was generated for {file}"))?;
        let path = workspace.join(file);
        if fs::read_to_string(&path).unwrap_or_default() == fresh {
            continue;
        }
        if check {
            stale.push(*file);
        } else {
            fs::write(&path, fresh).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {file}");
        }
    }
    if !stale.is_empty() {
        bail!(
            "{} no longer fits the code: run `cargo xtask generate` and commit the result",
            stale.join(", ")
        );
    }
    Ok(())
}
