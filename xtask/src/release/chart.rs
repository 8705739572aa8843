//! The chart as it is handed out: helm's package of it, packed again so that it tells no time.

use super::changelog::Change;
use super::facts::Facts;
use super::pack::Pack;
use crate::image::PREFIX;
use anyhow::{Context, Result, bail};
use rollcall_chart::Helm;
use std::fs;
use std::path::Path;

/// Files that name the images, and how often.
const WITH_IMAGES: [(&str, usize); 3] = [("Chart.yaml", 2), ("values.yaml", 2), ("README.md", 2)];
/// The kinds of changes that Artifact Hub knows.
const KINDS: [&str; 6] = ["added", "changed", "deprecated", "removed", "fixed", "security"];

/// The name of its file: helm's own.
pub(crate) fn file(version: &str) -> String {
    format!("rollcall-{version}.tgz")
}

/// Packages the chart of a folder. helm says what of it belongs to a chart.
pub(crate) fn packaged(facts: &Facts, chart: &Path) -> Result<Vec<u8>> {
    let work = tempfile::tempdir().context("cannot make a folder for the chart")?;
    let copy = work.path().join("rollcall");
    copied(chart, &copy)?;
    for (name, times) in WITH_IMAGES {
        change(&copy.join(name), |text| with_registry(text, &facts.registry, times))?;
    }
    change(&copy.join("Chart.yaml"), |about| with_changes(about, &facts.section.changes))?;
    let helm = Helm::new(work.path())?;
    helm.printed(["package".as_ref(), copy.as_os_str(), "--destination".as_ref(), work.path().as_os_str()])
        .context("helm does not package the chart")?;
    let package = work.path().join(file(&facts.version));
    let Ok(package) = fs::read(&package) else {
        bail!(
            "the chart is of another version than {}: set `version` and `appVersion` in charts/rollcall/Chart.yaml",
            facts.version
        );
    };
    Pack::of_gzip(&package)?.gzip(facts.commit.time_s)
}

/// A folder with all that is in it.
pub(crate) fn copied(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(failed)?;
    for file in fs::read_dir(from).with_context(failed)? {
        let file = file.with_context(failed)?;
        let target = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copied(&file.path(), &target)?;
        } else {
            fs::copy(file.path(), &target).with_context(failed)?;
        }
    }
    Ok(())
}

fn change(path: &Path, changed: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let failed = || format!("in the chart's {}", path.file_name().unwrap_or_default().display());
    let text = fs::read_to_string(path).with_context(failed)?;
    fs::write(path, changed(&text).with_context(failed)?).with_context(failed)
}

/// Where the images are pulled from.
fn with_registry(text: &str, registry: &str, times: usize) -> Result<String> {
    let mut found = 0;
    let mut changed = text.to_owned();
    for image in ["controller", "sidecar"] {
        let name = format!("{PREFIX}/{image}");
        found += text.matches(&name).count();
        changed = changed.replace(&name, &format!("{registry}/{image}"));
    }
    if found != times {
        bail!(
            "the images {PREFIX}/… stand {found} times and not {times}: tell the release (release/chart.rs) where"
        );
    }
    Ok(changed)
}

/// What is new, where people choose a chart.
fn with_changes(about: &str, changes: &[Change]) -> Result<String> {
    const ANNOTATIONS: &str = "\nannotations:\n";
    let mut list = "  artifacthub.io/changes: |\n".to_owned();
    for change in changes {
        if !KINDS.contains(&change.kind.as_str()) {
            bail!("CHANGELOG.md has a list under `{}`: let it be one of {}", change.kind, KINDS.join(", "));
        }
        // Text in JSON is text in YAML.
        let description = serde_json::to_string(&change.description)?;
        list += &format!("    - kind: {}\n      description: {description}\n", change.kind);
    }
    let (before, after) = about.split_once(ANNOTATIONS).context("it has no annotations")?;
    Ok(format!("{before}{ANNOTATIONS}{list}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_package_is_installed_as_the_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("chart.tgz");
        let facts = Facts::sample();
        let bytes = packaged(&facts, &rollcall_chart::chart()).unwrap();
        let again = Pack::of_gzip(&bytes).unwrap().gzip(facts.commit.time_s).unwrap();
        assert!(bytes == again, "it has the time of the commit");
        fs::write(&package, bytes).unwrap();
        let helm = Helm::new(folder.path()).unwrap();
        let of = |chart: &Path| helm.rendered_from(chart, "rollcall-system", &[]).unwrap().0;
        assert_eq!(of(&package), of(&rollcall_chart::chart()));
        helm.printed(["lint".as_ref(), "--strict".as_ref(), package.as_os_str()]).unwrap();
    }

    #[test]
    fn a_chart_of_a_registry_pulls_from_there_and_says_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("chart.tgz");
        let facts = Facts { registry: "registry.example.org/some".into(), ..Facts::sample() };
        fs::write(&package, packaged(&facts, &rollcall_chart::chart()).unwrap()).unwrap();
        let helm = Helm::new(folder.path()).unwrap();
        let rendered = format!("{:?}", helm.rendered_from(&package, "rollcall-system", &[]).unwrap());
        for image in ["controller", "sidecar"] {
            assert!(
                rendered.contains(&format!("registry.example.org/some/{image}:{}", facts.version)),
                "{image}"
            );
        }
        assert!(
            !rendered.contains("rollcall.dev/controller:") && !rendered.contains("rollcall.dev/sidecar:")
        );
        let about = helm.printed(["show".as_ref(), "chart".as_ref(), package.as_os_str()]).unwrap();
        let about: Value = serde_saphyr::from_str(&about).unwrap();
        let inner = |name: &str| -> Value {
            serde_saphyr::from_str(about["annotations"][name].as_str().unwrap()).unwrap()
        };
        assert_eq!(inner("artifacthub.io/changes")[0]["description"], "All: \"and\" more");
        let image = format!("registry.example.org/some/controller:{}", facts.version);
        assert_eq!(inner("artifacthub.io/images")[0]["image"], image);
    }

    #[test]
    fn a_chart_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        copied(&rollcall_chart::chart(), folder.path()).unwrap();
        change(&folder.path().join("Chart.yaml"), |text| Ok(text.replace("\nversion: ", "\nversion: 9")))
            .unwrap();
        let said = packaged(&Facts::sample(), folder.path()).unwrap_err().to_string();
        assert!(said.contains("set `version` and `appVersion`"), "{said}");
    }

    #[test]
    fn an_image_that_moved_and_a_kind_of_change_that_nobody_knows_are_noticed() {
        assert!(with_registry("image: rollcall.dev/sidecar", "x", 2).is_err());
        let change = Change { kind: "better".into(), description: "x".into() };
        assert!(with_changes("a: b\nannotations:\n  c: d\n", &[change]).is_err());
    }
}
