//! What fails on a cluster of three nodes, that is there for nothing else.

use crate::image::{self, Built};
use crate::on_cluster;
use crate::outcome::Outcome;
use crate::test_programs::TestPrograms;
use anyhow::{Context, Result, bail};
use rollcall_cluster::{Cluster, HELM, Home, Name, Wish, static_build};
use std::fs;
use std::path::{Path, PathBuf};

/// The package of the tests, and those of its programs that need the cluster.
const FAULTS: &str = "rollcall-faults";
const ESSENTIALS: &str = "tests/faults:essentials";
const EVERYTHING: &str = "tests/faults:everything";
/// A replica for each of them, and one can be lost.
const NODES: u8 = 3;

/// The failures that belong to every run of all tests.
pub(crate) fn test(home: &Home, images: &[Built], built: &TestPrograms, outcome: &mut Outcome) -> Result<()> {
    on_three_nodes(home, images, |environment| {
        outcome.run("what fails on three nodes", &built.of(&[ESSENTIALS])?, &[], environment)
    })
}

/// All of them, or those whose names have this in them; prints the report.
pub(crate) fn measure(arguments: &[String]) -> Result<()> {
    let home = Home::of_this_user()?;
    Cluster::sweep(&home)?;
    let images = image::build_all()?;
    let report = report();
    // Sections of an earlier run would be taken for this one's.
    let _ = fs::remove_dir_all(report.with_extension(""));
    let _ = fs::remove_file(&report);
    let built = TestPrograms::build(&["--package", FAULTS, "--test", "everything"])?;
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut outcome = Outcome::default();
    let ran = on_three_nodes(&home, &images, |environment| {
        let everything = built.of(&[EVERYTHING])?;
        outcome.run("everything that fails on three nodes", &everything, &arguments, environment)
    });
    if let Ok(text) = fs::read_to_string(&report) {
        println!("{text}");
    }
    ran?;
    if !outcome.is_good() {
        bail!("not all that is promised was kept: see {}", report.display());
    }
    Ok(())
}

/// Runs tests in the environment of a cluster that they have for themselves.
fn on_three_nodes(
    home: &Home,
    images: &[Built],
    tests: impl FnOnce(&[(&str, &Path)]) -> Result<()>,
) -> Result<()> {
    HELM.build(home)?;
    let name = Name::parse(&format!("faults-{}", std::process::id()))?;
    let cluster = Cluster::up(home, &Wish::new(&name, NODES))?;
    let tested = on_cluster::load(&cluster, images).and_then(|()| {
        let kubeconfig = cluster.kubeconfig();
        let kubectl = cluster.kubectl_program();
        tests(&[("KUBECONFIG", kubeconfig.as_path()), ("ROLLCALL_KUBECTL", kubectl)])
    });
    let ended = Cluster::down(home, &name);
    tested?;
    ended.context("ending the cluster that things failed in")
}

/// Where the tests write it.
fn report() -> PathBuf {
    static_build::workspace().join("target/faults-report.md")
}
