//! `cargo xtask generate`: the committed files that are made from code.

use anyhow::{Context, Result, bail};
use rollcall_chart::generated;
use rollcall_cluster::static_build;
use std::fs;
use std::process::{Command, Stdio};

/// Made by `rollcall crd`; the chart's template is made from it.
const CRD: &str = "crds/generated/serviceregistrations.yaml";

/// Writes the generated files, or with `check` says which of them are out of date.
pub(crate) fn run(check: bool) -> Result<()> {
    let workspace = static_build::workspace();
    let crd = printed(&["crd"])?;
    let of_the_chart = generated(&workspace, &crd)?.into_iter().map(|file| (file.path, file.text));
    let mut stale = Vec::new();
    for (file, fresh) in of_the_chart.chain([(CRD, crd)]) {
        let path = workspace.join(file);
        if fs::read_to_string(&path).unwrap_or_default() == fresh {
            continue;
        }
        if check {
            stale.push(file);
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

/// What `rollcall` prints.
pub(crate) fn printed(arguments: &[&str]) -> Result<String> {
    let shown = arguments.join(" ");
    let mut print = Command::new(env!("CARGO"));
    print
        .current_dir(static_build::workspace())
        .args(["run", "--quiet", "--locked", "--package", "rollcall", "--"])
        .args(arguments);
    let printed = print
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start cargo for `rollcall {shown}`"))?;
    if !printed.status.success() {
        bail!("`rollcall {shown}` failed: cargo ended with {}", printed.status);
    }
    String::from_utf8(printed.stdout).with_context(|| format!("what `rollcall {shown}` printed"))
}
