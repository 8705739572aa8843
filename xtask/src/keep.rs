//! `cargo xtask bench keep`: what was measured becomes part of the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_results::{Ended, Results, Run};

/// Where measurements leave their results.
const MEASURED: &str = "target/bench";
/// Where those are that the page is made of.
pub(crate) const KEPT: &str = "docs/benchmarks";
/// What files of results end with.
pub(crate) const RESULTS: &str = "jsonl";
/// How a commit ends that was not all that was measured.
const DIRTY: &str = "-dirty";
/// What measurements are told that are to show no more than that they work.
const SHORT: [&str; 2] = ["--quick", "--unpinned"];

/// Copies the results of this name, or all that are there, after a look at them.
pub(crate) fn run(workspace: &Path, name: Option<&str>, dirty: bool) -> Result<()> {
    let measured = match name {
        Some(name) => vec![workspace.join(MEASURED).join(name).with_extension(RESULTS)],
        None => files(&workspace.join(MEASURED), RESULTS)?,
    };
    ensure!(!measured.is_empty(), "nothing is in {MEASURED}: `cargo xtask bench NAME` measures");
    // Either all are kept or none.
    let read = |path: &PathBuf| {
        let Results { run, ended, .. } = Results::read(path)?;
        if let Some(why) = unfit(&run, ended).filter(|_| !dirty) {
            bail!("{} {why}, or say --dirty", path.display());
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

/// Why nobody should take the results for what the measurement comes to; none where they may.
fn unfit(run: &Run, ended: Option<Ended>) -> Option<String> {
    if run.commit.ends_with(DIRTY) {
        let commit = &run.commit;
        return Some(format!(
            "was measured at {commit}, which nobody else has: commit what differs and measure again"
        ));
    }
    if let Some(short) = SHORT.iter().find(|short| run.command.split_whitespace().any(|word| word == **short))
    {
        return Some(format!("was measured with {short}, which is for a look alone: measure without it"));
    }
    match ended {
        None => Some("has no end: the run was cut short: measure again".to_owned()),
        Some(Ended { wrong: 0, .. }) => None,
        Some(Ended { wrong, .. }) => {
            Some(format!("has {wrong} rows that cannot be right, as the run has said: find out why"))
        }
    }
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
    use rollcall_results::Writer;

    fn run_of(bench: &str, commit: &str) -> Run {
        let text = || "x".to_owned();
        Run {
            bench: bench.to_owned(),
            command: text(),
            commit: commit.to_owned(),
            date: text(),
            machine: text(),
            kernel: text(),
            programs: Vec::new(),
        }
    }

    fn measured(workspace: &Path, file: &str, bench: &str, commit: &str) {
        let path = workspace.join(MEASURED).join(file);
        let mut writer = Writer::create(&path, &run_of(bench, commit)).unwrap();
        writer.end(Ended::default()).unwrap();
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
    fn what_is_short_cut_short_or_wrong_is_unfit() {
        let well = Some(Ended::default());
        for (commit, command, ended, expected) in [
            ("0123", "cargo xtask bench dns -- --minutes 3", well, None),
            // What is missing is told of in the page.
            ("0123", "x", Some(Ended { missed: 3, wrong: 0 }), None),
            ("0123", "x", Some(Ended { missed: 0, wrong: 2 }), Some("has 2 rows that cannot be right")),
            ("0123", "x", None, Some("has no end")),
            ("0123", "cargo xtask bench dns -- --quick", well, Some("was measured with --quick")),
            ("0123", "x -- --rounds 5 --unpinned", well, Some("was measured with --unpinned")),
            ("0123-dirty", "x", well, Some("was measured at 0123-dirty")),
        ] {
            let run = Run { command: command.to_owned(), ..run_of("dns", commit) };
            let why = unfit(&run, ended);
            assert_eq!(why.is_some(), expected.is_some(), "{why:?}");
            assert!(why.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{expected:?}");
        }
    }

    #[test]
    fn what_was_cut_short_is_kept_only_where_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MEASURED).join("dns.jsonl");
        drop(Writer::create(&path, &run_of("dns", "0123")).unwrap());
        let said = run(folder.path(), None, false).unwrap_err().to_string();
        assert!(
            said.ends_with("dns.jsonl has no end: the run was cut short: measure again, or say --dirty"),
            "{said}"
        );
        run(folder.path(), None, true).unwrap();
        assert_eq!(kept(folder.path()), ["dns.jsonl"]);
    }

    #[test]
    fn results_of_another_measurement_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        measured(folder.path(), "dns.jsonl", "lookup", "0123");
        let said = run(folder.path(), None, false).unwrap_err().to_string();
        assert!(said.ends_with("is of the measurement lookup"), "{said}");
    }
}
