//! An older version and this one side by side, on a cluster that is there for nothing else.

use crate::image::{self, Built};
use crate::on_cluster;
use crate::outcome::Outcome;
use crate::test_programs::TestPrograms;
use anyhow::{Context, Result, bail};
use clap::Parser;
use rollcall_cluster::image::Image;
use rollcall_cluster::{Cluster, HELM, Home, Name, Step, Wish, output_of, static_build};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package of the tests, and the one of them that is the story.
const UPGRADES: &str = "rollcall-upgrades";
const STORY: &str = "tests/upgrades:story";
/// The last commit whose two ends spoke version 1.0, and of whose controllers one served while the others stood by: the
/// furthest that lies between two builds.
const OLDEST: &str = "1a735b115ad7f50a2de05c29d1aa2f4d1b6acc0e";
const PROGRAMS: [&str; 2] = ["controller", "sidecar"];
/// A controller on each, and pods of each app on both.
const NODES: u8 = 2;

/// Measures what apps notice of an upgrade, a rollback, and an install anew
#[derive(Debug, Parser, PartialEq, Eq)]
#[command(bin_name = "cargo xtask bench upgrades --", no_binary_name = true)]
struct Arguments {
    /// The commit to upgrade from; it is built once
    #[arg(long, default_value = OLDEST)]
    from: String,
    /// A folder with `rollcall-controller` and `rollcall-sidecar` as they were built from that commit, instead of building them
    #[arg(long)]
    programs: Option<PathBuf>,
}

/// Holds an older version, ready to be installed.
struct Old {
    chart: PathBuf,
    tag: String,
    images: Vec<Built>,
}

/// The whole story; prints the report.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let Arguments { from, programs } = Arguments::try_parse_from(arguments)?;
    let home = Home::of_this_user()?;
    Cluster::sweep(&home)?;
    let old = Old::of(&from, programs.as_deref())?;
    let images = image::build_all()?;
    let built = TestPrograms::build(&["--package", UPGRADES, "--test", "story"])?;
    HELM.build(&home)?;
    let report = static_build::workspace().join("target/upgrades-report.md");
    // Sections of an earlier run would be taken for this one's.
    let _ = fs::remove_dir_all(report.with_extension(""));
    let _ = fs::remove_file(&report);
    let name = Name::parse(&format!("upgrades-{}", std::process::id()))?;
    let cluster = Cluster::up(&home, &Wish::new(&name, NODES))?;
    let mut outcome = Outcome::default();
    let tested = on_cluster::load(&cluster, &images)
        .and_then(|()| on_cluster::load(&cluster, &old.images))
        .and_then(|()| {
            let (kubeconfig, tag) = (cluster.kubeconfig(), PathBuf::from(&old.tag));
            let environment = [
                ("KUBECONFIG", kubeconfig.as_path()),
                ("ROLLCALL_KUBECTL", cluster.kubectl_program()),
                ("ROLLCALL_OLD_CHART", old.chart.as_path()),
                ("ROLLCALL_OLD_TAG", tag.as_path()),
            ];
            let story = built.of(&[STORY])?;
            outcome.run("an older version and this one", &story, &["--nocapture"], &environment)
        });
    let ended = Cluster::down(&home, &name);
    if let Ok(text) = fs::read_to_string(&report) {
        println!("{text}");
    }
    tested?;
    ended.context("ending the cluster of the upgrade")?;
    if !outcome.is_good() {
        bail!("not all that is promised was kept: see {}", report.display());
    }
    Ok(())
}

// === impl Old ===

impl Old {
    /// The version of a commit: its chart, and images of a tag of their own, since all builds have the same version number.
    fn of(revision: &str, programs: Option<&Path>) -> Result<Self> {
        let commit = git(&["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")])
            .with_context(|| format!("--from {revision}: no commit of this repository"))?;
        let tag: String = commit.chars().take(12).collect();
        // By its commit: what was built stays good.
        let folder = static_build::workspace().join("target/upgrades").join(&tag);
        let chart = folder.join("chart");
        unpack(&commit, "charts/rollcall", &chart)?;
        let programs = match programs {
            Some(given) => given.to_owned(),
            None => build(&commit, &folder)?,
        };
        let images = PROGRAMS.map(|name| {
            let program = programs.join(format!("rollcall-{name}"));
            let archive = folder.join(format!("{name}.tar"));
            let image = Image::of_program(image::tagged(name, &tag), &program);
            image.write(&archive).with_context(|| program.display().to_string())?;
            Ok(Built { name, program, archive })
        });
        let images = images.into_iter().collect::<Result<_>>()?;
        Ok(Self { chart: chart.join("charts/rollcall"), tag, images })
    }
}

/// Builds the programs of a commit as that commit builds them, and names the folder that they are in.
fn build(commit: &str, folder: &Path) -> Result<PathBuf> {
    let programs = folder.join("programs");
    if PROGRAMS.iter().all(|name| programs.join(format!("rollcall-{name}")).is_file()) {
        return Ok(programs);
    }
    let step = Step::start(format!("building {commit}, which takes some minutes"));
    let (source, target) = (folder.join("source"), folder.join("target"));
    unpack(commit, ".", &source)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target);
    // That commit names its own toolchain.
    for ours in ["RUSTUP_TOOLCHAIN", "CARGO", "CARGO_MANIFEST_DIR"] {
        cargo.env_remove(ours);
    }
    output_of("building the older version", cargo.args(["run", "--locked", "-p", "xtask", "--", "image"]))?;
    let built = target.join(format!("{}-unknown-linux-gnu/release", std::env::consts::ARCH));
    fs::create_dir_all(&programs)?;
    for name in PROGRAMS {
        let name = format!("rollcall-{name}");
        fs::copy(built.join(&name), programs.join(&name)).with_context(|| name.clone())?;
    }
    for done_with in [source, target] {
        fs::remove_dir_all(&done_with).with_context(|| done_with.display().to_string())?;
    }
    step.done();
    Ok(programs)
}

/// A part of a commit, as it is there; what was unpacked before makes way.
fn unpack(commit: &str, part: &str, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut archive = git_command(&["archive", "--format=tar", commit, part]);
    let mut archive = archive.stdout(Stdio::piped()).spawn().context("cannot start git")?;
    let bytes = archive.stdout.take().context("git without output")?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(folder)
        .stdin(bytes)
        .status()
        .context("cannot start tar")?;
    if !(archive.wait()?.success() && unpacked.success()) {
        bail!("git archive {commit} {part} failed, or tar could not unpack it");
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Result<String> {
    Ok(output_of("asking git", &mut git_command(arguments))?.trim().to_owned())
}

fn git_command(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.current_dir(static_build::workspace()).args(arguments);
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Arguments {
        Arguments::try_parse_from(arguments).unwrap()
    }

    #[test]
    fn it_upgrades_from_the_oldest_or_from_what_is_named() {
        assert_eq!(parsed(&[]), Arguments { from: OLDEST.to_owned(), programs: None });
        let named = parsed(&["--from", "main", "--programs", "built"]);
        assert_eq!(named, Arguments { from: "main".to_owned(), programs: Some("built".into()) });
        assert!(Arguments::try_parse_from(["--to", "main"]).is_err());
    }
}
