//! The model of clusters that nobody has measured, from what was kept of those that somebody did.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use rollcall_chart::section::replaced;
use rollcall_results::{Results, model};

pub(super) const PAGE: &str = "docs/scale.md";
/// Where results are kept, each under its measurement's name.
const KEPT: &str = "docs/benchmarks";
/// What the model's slopes are of.
const MEASUREMENTS: [&str; 3] = ["index", "scale", "sessions"];

/// The page with its tables as they should be.
pub(super) fn with_model(workspace: &Path, page: &str) -> Result<String> {
    let kept = kept(&workspace.join(KEPT))?;
    let page = replaced(page, "scale", &model::tables(&kept)).context(PAGE)?;
    replaced(&page, "assumptions", &model::assumptions()).context(PAGE)
}

/// Those that are there.
fn kept(folder: &Path) -> Result<BTreeMap<String, Results>> {
    let files = MEASUREMENTS.map(|name| (name, folder.join(format!("{name}.jsonl"))));
    let there = files.into_iter().filter(|(_, path)| path.exists());
    there.map(|(name, path)| Ok((name.to_owned(), Results::read(&path)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rollcall_cluster::static_build;

    use super::*;

    #[test]
    fn the_page_is_made_of_what_was_kept() {
        let page = fs::read_to_string(static_build::workspace().join(PAGE)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let made = || with_model(folder.path(), &page);
        let lacks_it = |text: &str| text.contains("not measured yet: `cargo xtask bench index`");
        assert!(lacks_it(&made().unwrap()));
        fs::create_dir_all(folder.path().join(KEPT)).unwrap();
        let index = folder.path().join(KEPT).join("index.jsonl");
        let run =
            r#"{"bench":"index","command":"","commit":"","date":"","machine":"","kernel":"","programs":[]}"#;
        let of = |instances: u32| {
            format!(
                r#"{{"system":"rollcall index","class":"A","configuration":"default","case":{{"instances":{instances}}},"round":1,"values":{{"index_mib":{}}}}}"#,
                f64::from(instances) / 1_000.0
            )
        };
        fs::write(&index, [run.to_owned(), of(1_000), of(150_000)].join("\n")).unwrap();
        let text = made().unwrap();
        assert!(text.contains("| 150 MiB |") && !lacks_it(&text), "{text}");
        fs::write(&index, "{}").unwrap();
        assert!(format!("{:#}", made().unwrap_err()).contains("index.jsonl:1"));
    }

    #[test]
    fn a_page_without_its_sections_says_which_it_lacks() {
        let said = format!("{:#}", with_model(Path::new("/nowhere"), "").unwrap_err());
        assert!(said.contains(PAGE) && said.contains("no section `scale`"), "{said}");
    }
}
