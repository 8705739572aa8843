//! `cargo xtask generate`: the committed files that are made from code.
//!
//! ```text
//!  crds/src ─► rollcall crd ─┬─► crds/generated, the chart's template
//!                            └─► resource ─► the fields in docs/resource.md
//!  sidecar/openapi.json ───────► local_api ─► docs/local-api-reference.md
//!  the chart's values, rules ──► rollcall_chart ─► charts/rollcall/README.md, docs/security.md
//!  docs/benchmarks/*.jsonl ────► benchmarks ─► the tables in docs/benchmarks.md, its plots
//!  docs/benchmarks/*.jsonl ────► scale ─► the tables in docs/scale.md
//! ```

#![allow(clippy::indexing_slicing, reason = "a missing member of a JSON value is null, and never a panic")]

mod benchmarks;
mod local_api;
mod resource;
mod scale;
mod schema;

use crate::test_programs::COMMAND_PROGRAM;
use anyhow::{Context, Result, bail};
use rollcall_chart::{Generated, generated};
use rollcall_cluster::static_build;
use std::fs;
use std::process::{Command, Stdio};

/// Made by `rollcall crd`; the chart's template is made from it.
const CRD: &str = "crds/generated/serviceregistrations.yaml";

/// Writes the generated files, or with `check` says which of them are out of date.
pub(crate) fn run(check: bool) -> Result<()> {
    let workspace = static_build::workspace();
    let benchmarks = benchmarks::made(&workspace)?;
    let mut stale = Vec::new();
    for (file, fresh) in all()?.into_iter().chain(benchmarks.files) {
        let path = workspace.join(&file);
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
    for file in benchmarks.left_over {
        if check {
            stale.push(file);
        } else {
            fs::remove_file(workspace.join(&file)).with_context(|| format!("cannot remove {file}"))?;
            println!("removed {file}");
        }
    }
    if !stale.is_empty() {
        bail!(
            "{} no longer fits the code: run `cargo xtask generate` and commit the result",
            stale.join(", ")
        );
    }
    let wrong = benchmarks.wrong.join("\n  ");
    let wrong = format!("{} needs another {}:\n  {wrong}", benchmarks::PAGE, benchmarks::REASONS);
    match (benchmarks.wrong.is_empty(), check) {
        (true, _) => {}
        (false, true) => bail!(wrong),
        // What there is can be looked at before somebody has written why it is so.
        (false, false) => eprintln!("{wrong}"),
    }
    Ok(())
}

/// All of them but those of measurements, by their paths, as they should be.
fn all() -> Result<Vec<(String, String)>> {
    let workspace = static_build::workspace();
    let read =
        |path: &str| fs::read_to_string(workspace.join(path)).with_context(|| format!("cannot read {path}"));
    let crd = printed(&["crd"])?;
    let mut files = generated(&workspace, &crd)?;
    files.push(Generated { path: local_api::PAGE, text: local_api::page(&read(local_api::DOCUMENT)?)? });
    files
        .push(Generated { path: resource::PAGE, text: resource::with_fields(&read(resource::PAGE)?, &crd)? });
    files.push(Generated { path: CRD, text: crd });
    files.push(Generated { path: scale::PAGE, text: scale::with_model(&workspace, &read(scale::PAGE)?)? });
    Ok(files.into_iter().map(|file| (file.path.to_owned(), file.text)).collect())
}

/// What `rollcall` prints.
pub(crate) fn printed(arguments: &[&str]) -> Result<String> {
    let shown = arguments.join(" ");
    let program = rollcall_cluster::program(COMMAND_PROGRAM, "rollcall")?;
    let mut print = Command::new(program);
    let printed = print
        .current_dir(static_build::workspace())
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `rollcall {shown}`"))?;
    if !printed.status.success() {
        bail!("`rollcall {shown}` ended with {}", printed.status);
    }
    String::from_utf8(printed.stdout).with_context(|| format!("what `rollcall {shown}` printed"))
}
