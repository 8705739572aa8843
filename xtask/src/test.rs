//! `cargo xtask test`: everything that is tested, in one command.

use crate::image;
use crate::outcome::Outcome;
use anyhow::{Context, Result, bail};
use rollcall_cluster::kind::Kind;
use rollcall_cluster::{Cluster, Home, KUBECTL, Name, Provider, Step, Wish, interrupt, static_build};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The packages whose tests need a cluster.
const ON_ANY_CLUSTER: &str = "rollcall-slice";
/// The tests of the cluster kit itself, which start clusters of their own.
const OF_THE_KIT: &str = "rollcall-kit";
/// A cluster's worth of nodes for the tests: enough to tell "on this node" from "elsewhere".
const NODES: u8 = 2;

/// Runs all tests and says in the last line how they went.
pub(crate) fn run(provider: &str) -> Result<ExitCode> {
    let provider: Provider = provider.parse()?;
    let mut outcome = Outcome::default();
    // Cheap ones first: who broke a unit test need not wait for a cluster.
    cargo_test(
        "unit, property and process tests",
        &["--workspace", "--exclude", ON_ANY_CLUSTER, "--exclude", OF_THE_KIT],
        &[],
        &mut outcome,
    )?;
    if outcome.failed == 0 {
        on_cluster(provider, &mut outcome)?;
    }
    if outcome.ignored > 0 {
        eprintln!("{} tests were skipped though nobody asked for it", outcome.ignored);
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed + outcome.ignored);
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_cluster(provider: Provider, outcome: &mut Outcome) -> Result<()> {
    let home = Home::of_this_user()?;
    match provider {
        Provider::Local => {
            Cluster::sweep(&home)?;
            let images = image::build_all()?;
            let name = Name::parse(&format!("test-{}", std::process::id()))?;
            let cluster = Cluster::up(&home, &Wish { name: name.clone(), nodes: NODES, ours_alone: true })?;
            let tested = load_and_test(&cluster, &images, outcome);
            let ended = Cluster::down(&home, &name);
            tested?;
            ended?;
            cargo_test("tests of the cluster kit", &["--package", OF_THE_KIT], &[], outcome)
        }
        Provider::Kind => {
            let images = image::build_all()?;
            let name = Name::parse(&format!("test-{}", std::process::id()))?;
            let kind = Kind::new(&home, name, NODES)?;
            let step = Step::start("starting a cluster with kind");
            let tested = kind.up().map_err(Into::into).and_then(|()| {
                step.done();
                let toolbox = Cluster::toolbox_archive(&home)?;
                images
                    .iter()
                    .map(|image| &image.archive)
                    .chain([&toolbox])
                    .try_for_each(|archive| kind.load(archive))?;
                test_slice(&kind.kubeconfig(), &kubectl(&home)?, outcome)
            });
            kind.down()?;
            tested
        }
        Provider::Existing => {
            let kubeconfig = existing_kubeconfig()?;
            match Cluster::of_kubeconfig(&home, &kubeconfig)? {
                Some(cluster) => load_and_test(&cluster, &image::build_all()?, outcome),
                None => {
                    // Nobody but its owner can bring images into a cluster without a registry.
                    eprintln!(
                        "the nodes must have {}, {} and {} already: `cargo xtask image` makes the first two",
                        image::reference("controller"),
                        image::reference("sidecar"),
                        rollcall_cluster::TOOLBOX,
                    );
                    test_slice(&kubeconfig, &kubectl(&home)?, outcome)
                }
            }
        }
    }
}

fn load_and_test(cluster: &Cluster, images: &[image::Built], outcome: &mut Outcome) -> Result<()> {
    let step = Step::start("loading the images");
    for image in images {
        cluster.load(&image.archive).with_context(|| format!("the image of the {}", image.name))?;
    }
    step.done();
    test_slice(&cluster.kubeconfig(), cluster.kubectl_program(), outcome)
}

fn test_slice(kubeconfig: &Path, kubectl: &Path, outcome: &mut Outcome) -> Result<()> {
    let environment = [("KUBECONFIG", kubeconfig), ("ROLLCALL_KUBECTL", kubectl)];
    cargo_test("tests on a real cluster", &["--package", ON_ANY_CLUSTER], &environment, outcome)
}

/// kubectl from the PATH, or else the kit's own.
fn kubectl(home: &Home) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    match env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|file| file.is_file()) {
        Some(kubectl) => Ok(kubectl),
        None => Ok(KUBECTL.build(home)?),
    }
}

/// The one file that KUBECONFIG names, as kubectl would find it.
fn existing_kubeconfig() -> Result<PathBuf> {
    let named = env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let file = match named {
        Some(value) => env::split_paths(&value).find(|path| path.is_file()),
        None => env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.is_file()),
    };
    match file {
        Some(file) => Ok(std::fs::canonicalize(file)?),
        None => bail!(
            "no kubeconfig was found: set KUBECONFIG to the file of the cluster that is to be tested on"
        ),
    }
}

fn cargo_test(
    what: &str,
    packages: &[&str],
    environment: &[(&str, &Path)],
    outcome: &mut Outcome,
) -> Result<()> {
    interrupt::check()?;
    eprintln!("\n== {what}");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(static_build::workspace()).args(["test", "--locked", "--no-fail-fast"]).args(packages);
    cargo.envs(environment.iter().copied());
    outcome.add(what, &mut cargo)?;
    interrupt::check().map_err(Into::into)
}
