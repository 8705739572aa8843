//! `cargo xtask bench keep`: what was measured becomes part of the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_results::Results;

/// Where measurements leave their results.
const MEASURED: &str = "target/bench";
/// Where those are that the page is made of.
pub(crate) const KEPT: &str = "docs/benchmarks";
/// What files of results end with.
pub(crate) const RESULTS: &str = "jsonl";
/// How a commit ends that was not all that was measured.
const DIRTY: &str = "-dirty";

/// Copies the results of this name, or all that are there, after a look at them.
pub(crate) fn run(workspace: &Path, name: Option<&str>, dirty: bool) -> Result<()> {
    let measured = match name {
        Some(name) => vec![workspace.join(MEASURED).join(name).with_extension(RESULTS)],
        None => files(&workspace.join(MEASURED), RESULTS)?,
    };
    ensure!(!measured.is_empty(), "nothing is in {MEASURED}: `cargo xtask bench NAME` measures");
    // Either all are kept or none.
    let read = |path: &PathBuf| {
        let Results { run, .. } = Results::read(path)?;
        if run.commit.ends_with(DIRTY) && !dirty {
            bail!(
                "{} was measured at {}, which nobody else has: commit what differs and measure again, or say --dirty",
                path.display(),
                run.commit
            );
        }
        let name = path.file_stem().with_context(|| format!("{} has no name", path.display()))?;
        ensure!(name == run.bench.as_str(), "{} is of the measurement {}", path.display(), run.bench);
        Ok(run.bench)
    };
    let names: Vec<String> = measured.iter().map(read).collect::<Result<_>>()?;
    fs::create_dir_all(workspace.join(KEPT)).with_context(|| format!("cannot make {KEPT}"))?;
    for (from, name) in measured.iter().zip(names) {
        let kept = format!("{KEPT}/{name}.{RESULTS}");
        fs::copy(from, workspace.join(&kept)).with_context(|| format!("cannot copy {}", from.display()))?;
        println!("kept {kept}");
    }
    println!("`cargo xtask generate` makes the page of it");
    Ok(())
}

/// The files of a folder whose names end so, in their order; none where there is no folder.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|is| is == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_results::{Run, Writer};

    fn measured(workspace: &Path, file: &str, bench: &str, commit: &str) {
        let text = || "x".to_owned();
        let run = Run {
            bench: bench.to_owned(),
            command: text(),
            commit: commit.to_owned(),
            date: text(),
            machine: text(),
            kernel: text(),
            programs: Vec::new(),
        };
        drop(Writer::create(&workspace.join(MEASURED).join(file), &run).unwrap());
    }

    fn kept(workspace: &Path) -> Vec<String> {
        let kept = files(&workspace.join(KEPT), RESULTS).unwrap();
        kept.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn results_of_a_commit_are_kept_by_name_or_all() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path();
        assert!(run(workspace, None, false).unwrap_err().to_string().starts_with("nothing is in"));
        measured(workspace, "lookup.jsonl", "lookup", "0123");
        measured(workspace, "dns.jsonl", "dns", "0123");
        run(workspace, Some("dns"), false).unwrap();
        assert_eq!(kept(workspace), ["dns.jsonl"]);
        run(workspace, None, false).unwrap();
        assert_eq!(kept(workspace), ["dns.jsonl", "lookup.jsonl"]);
        assert!(run(workspace, Some("scale"), false).unwrap_err().to_string().contains("scale.jsonl"));
    }

    #[test]
    fn results_of_what_is_in_no_commit_are_kept_only_where_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path();
        measured(workspace, "dns.jsonl", "dns", "0123");
        measured(workspace, "lookup.jsonl", "lookup", "0123-dirty");
        let said = run(workspace, None, false).unwrap_err().to_string();
        assert!(said.contains("lookup.jsonl was measured at 0123-dirty"), "{said}");
        assert_eq!(kept(workspace), [""; 0]);
        run(workspace, None, true).unwrap();
        assert_eq!(kept(workspace), ["dns.jsonl", "lookup.jsonl"]);
    }

    #[test]
    fn results_of_another_measurement_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        measured(folder.path(), "dns.jsonl", "lookup", "0123");
        let said = run(folder.path(), None, false).unwrap_err().to_string();
        assert!(said.ends_with("is of the measurement lookup"), "{said}");
    }
}
