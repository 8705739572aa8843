//! The page of measurements, and its plots, from what was kept of them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use rollcall_chart::section::replaced;
use rollcall_results::{
    Results,
    page::{Kept, Page, Reason},
};

use crate::keep::{KEPT, RESULTS, files};

pub(crate) const PAGE: &str = "docs/benchmarks.md";
/// Why we lose where we do: the one file there that people write.
pub(crate) const REASONS: &str = "docs/benchmarks/reasons.json";
const PLOT: &str = "svg";

/// Holds what there should be, and what is wrong with it.
pub(super) struct Benchmarks {
    /// By their paths.
    pub(super) files: Vec<(String, String)>,
    /// Plots that nothing makes any longer.
    pub(super) left_over: Vec<String>,
    /// Losses without a reason, reasons without a loss.
    pub(super) wrong: Vec<String>,
}

pub(super) fn made(workspace: &Path) -> Result<Benchmarks> {
    let page = fs::read_to_string(workspace.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let Page { sections, plots, wrong } = Page::of(&kept(workspace)?);
    let page = sections.iter().try_fold(page, |page, (name, text)| replaced(&page, name, text));
    let mut files = vec![(PAGE.to_owned(), page.context(PAGE)?)];
    files.extend(plots.into_iter().map(|plot| (format!("{KEPT}/{}", plot.file), plot.svg)));
    let left_over = names(workspace, PLOT)?.into_iter().map(|name| format!("{KEPT}/{name}.{PLOT}"));
    let left_over = left_over.filter(|path| !files.iter().any(|(file, _)| file == path)).collect();
    Ok(Benchmarks { files, left_over, wrong })
}

fn kept(workspace: &Path) -> Result<Kept> {
    let mut results = BTreeMap::new();
    for name in names(workspace, RESULTS)? {
        let read = Results::read(&workspace.join(format!("{KEPT}/{name}.{RESULTS}")))?;
        results.insert(name, read);
    }
    let reasons: Vec<Reason> = match fs::read_to_string(workspace.join(REASONS)) {
        Ok(text) => serde_json::from_str(&text).context(REASONS)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).context(REASONS),
    };
    Ok(Kept { results, reasons })
}

/// Of files that end so, without that.
fn names(workspace: &Path, extension: &str) -> Result<Vec<String>> {
    let all = files(&workspace.join(KEPT), extension)?;
    let names = all.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_cluster::static_build;

    /// What is committed can be read, and so the page can be made of it; whether it is up to date `--check` says.
    #[test]
    fn the_page_has_all_sections() {
        let made = made(&static_build::workspace()).unwrap();
        assert!(made.files.iter().any(|(path, text)| path == PAGE && text.contains("## ")));
    }

    #[test]
    fn a_plot_that_nothing_makes_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path();
        fs::create_dir_all(workspace.join(KEPT)).unwrap();
        fs::copy(static_build::workspace().join(PAGE), workspace.join(PAGE)).unwrap();
        fs::write(workspace.join(KEPT).join("old.svg"), "<svg/>").unwrap();
        assert_eq!(made(workspace).unwrap().left_over, ["docs/benchmarks/old.svg"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path();
        fs::create_dir_all(workspace.join(KEPT)).unwrap();
        fs::write(workspace.join(PAGE), "").unwrap();
        let said = |workspace: &Path| format!("{:#}", made(workspace).err().unwrap());
        assert!(said(workspace).contains("no section `summary`"), "{}", said(workspace));
        fs::write(workspace.join(REASONS), "[{}]").unwrap();
        assert!(said(workspace).starts_with(REASONS), "{}", said(workspace));
        fs::write(workspace.join(KEPT).join("dns.jsonl"), "{}").unwrap();
        assert!(said(workspace).contains("dns.jsonl:1: "), "{}", said(workspace));
    }
}
