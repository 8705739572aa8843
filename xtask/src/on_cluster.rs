//! The tests that need a cluster, on whichever one is asked for.

use crate::faults;
use crate::image::{self, Built};
use crate::outcome::Outcome;
use crate::test_programs::TestPrograms;
use anyhow::{Context, Result};
use rollcall_cluster::kind::Kind;
use rollcall_cluster::{
    Cluster, HELM, Home, KUBECTL, KWOK, NODES_MAX, Name, Provider, Step, TOOLBOX, Wish, output_of,
};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages whose tests have their turn on a cluster, or beside one.
pub(crate) const LATER: [&str; 7] = [
    "tests/controller",
    "tests/docs",
    "tests/faults",
    "tests/kit",
    "tests/resolvers",
    "tests/slice",
    "tests/upgrades",
];
/// Those of whichever cluster.
const ON_ANY_CLUSTER: [&str; 2] = ["tests/slice", "tests/controller"];
/// What resolvers make of a sidecar: real processes, in a network of their own.
const OF_RESOLVERS: &str = "tests/resolvers";
/// What the pages tell to run on a cluster.
const OF_PAGES: &str = "tests/docs:cluster";
/// Where the pages install Rollcall and their example.
const NAMESPACES_OF_PAGES: [&str; 2] = ["rollcall-system", "shop"];
/// The tests of the cluster kit itself, which start clusters of their own.
const OF_THE_KIT: &str = "tests/kit";
/// The cases of the model of an API server.
const CASES: &str = "tests/apiserver:conformance";
/// Its test that runs them on the real one.
pub(crate) const CASES_ON_A_CLUSTER: &str = "on_a_cluster::";
/// A cluster's worth of nodes for the tests: enough to tell "on this node" from "elsewhere".
const NODES: u8 = 2;

pub(crate) fn test_on(provider: Provider, built: &TestPrograms, outcome: &mut Outcome) -> Result<()> {
    let home = Home::of_this_user()?;
    match provider {
        Provider::Local => on_local(&home, built, outcome),
        Provider::Kind => on_kind(&home, built, outcome),
        Provider::Existing => on_existing(&home, built, outcome),
    }
}

fn on_local(home: &Home, built: &TestPrograms, outcome: &mut Outcome) -> Result<()> {
    Cluster::sweep(home)?;
    let images = image::build_all()?;
    let name = own_name()?;
    let cluster = Cluster::up(home, &Wish::new(&name, NODES))?;
    let tested = load_and_test(home, &cluster, &images, built, outcome);
    let ended = Cluster::down(home, &name);
    tested?;
    ended?;
    let tested = faults::test(home, &images, built, outcome)
        .and_then(|()| outcome.run("tests of the cluster kit", &built.of(&[OF_THE_KIT])?, &[], &[]));
    // What a test that did not live to its end has left.
    Cluster::sweep(home)?;
    tested
}

fn on_kind(home: &Home, built: &TestPrograms, outcome: &mut Outcome) -> Result<()> {
    let images = image::build_all()?;
    let kind = Kind::new(home, own_name()?, NODES)?;
    let tested = kind.up().map_err(Into::into).and_then(|()| {
        load_into_kind(home, &kind, &images)?;
        let (kubeconfig, kubectl) = (kind.kubeconfig(), kubectl(home)?);
        let environment = [("KUBECONFIG", kubeconfig.as_path()), ("ROLLCALL_KUBECTL", kubectl.as_path())];
        pages_on_it(home, built, &environment, outcome)?;
        test_on_it(home, &images, built, &environment, outcome)
    });
    let ended = kind.down();
    tested?;
    Ok(ended?)
}

fn on_existing(home: &Home, built: &TestPrograms, outcome: &mut Outcome) -> Result<()> {
    let kubectl = kubectl(home)?;
    let whose = Whose::ask(home, &kubectl)?;
    let images = image::build_all()?;
    match whose {
        Whose::TheKits(cluster) => load(&cluster, &images)?,
        Whose::Kinds(kind) => load_into_kind(home, &kind, &images)?,
        // Nobody but its owner can bring images into a cluster without a registry.
        Whose::Another => eprintln!(
            "the nodes must have {}, {} and {TOOLBOX} already: `cargo xtask image` makes the first two",
            image::reference("controller"),
            image::reference("sidecar"),
        ),
    }
    // With the user's own KUBECONFIG, and so their credentials.
    let environment = [("ROLLCALL_KUBECTL", kubectl.as_path())];
    let taken = names_of_pages(&kubectl)?;
    if taken.is_empty() {
        pages_on_it(home, built, &environment, outcome)?;
    } else {
        eprintln!(
            "what the pages tell to run is left out: they would install into {taken}, which is there already"
        );
    }
    test_on_it(home, &images, built, &environment, outcome)
}

/// The namespaces of the pages that are there already: they have no others, as people who follow them.
fn names_of_pages(kubectl: &Path) -> Result<String> {
    let mut get = Command::new(kubectl);
    get.args(["get", "namespaces", "--ignore-not-found", "--output", "name"]).args(NAMESPACES_OF_PAGES);
    let there = output_of("asking for the namespaces of the pages", &mut get)?;
    Ok(there.split_whitespace().collect::<Vec<_>>().join(" and "))
}

/// Says whose the cluster of KUBECONFIG is, and so how images come into it.
pub(crate) enum Whose {
    TheKits(Box<Cluster>),
    Kinds(Kind),
    Another,
}

impl Whose {
    /// kubectl itself says which cluster that is: it knows how files are merged and which context counts.
    pub(crate) fn ask(home: &Home, kubectl: &Path) -> Result<Self> {
        let mut view = Command::new(kubectl);
        view.args(["config", "view", "--minify", "--flatten", "--raw", "--output", "json"]);
        let said = output_of("asking kubectl for the cluster", &mut view)
            .context("no cluster there: set KUBECONFIG to the file of one, with a current context")?;
        let context: serde_json::Value = serde_json::from_str(&said)?;
        let text =
            |pointer: &str| context.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let authority = text("/clusters/0/cluster/certificate-authority-data");
        if let Some(cluster) = Cluster::of_authority(home, authority)? {
            return Ok(Self::TheKits(Box::new(cluster)));
        }
        Ok(match kind_name(text("/current-context")) {
            Some(name) => Self::Kinds(Kind::new(home, name, NODES_MAX)?),
            None => Self::Another,
        })
    }
}

fn load_and_test(
    home: &Home,
    cluster: &Cluster,
    images: &[Built],
    built: &TestPrograms,
    outcome: &mut Outcome,
) -> Result<()> {
    load(cluster, images)?;
    let kubeconfig = cluster.kubeconfig();
    let environment = [("KUBECONFIG", kubeconfig.as_path()), ("ROLLCALL_KUBECTL", cluster.kubectl_program())];
    pages_on_it(home, built, &environment, outcome)?;
    test_on_it(home, images, built, &environment, outcome)
}

pub(crate) fn load(cluster: &Cluster, images: &[Built]) -> Result<()> {
    load_archives(cluster, images.iter().map(|image| image.archive.as_path()))
}

pub(crate) fn load_archives<'a>(
    cluster: &Cluster,
    archives: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let step = Step::start("loading the images");
    for archive in archives {
        cluster.load(archive).with_context(|| archive.display().to_string())?;
    }
    step.done();
    Ok(())
}

fn load_into_kind(home: &Home, kind: &Kind, images: &[Built]) -> Result<()> {
    load_archives_into_kind(home, kind, images.iter().map(|image| image.archive.as_path()))
}

pub(crate) fn load_archives_into_kind<'a>(
    home: &Home,
    kind: &Kind,
    archives: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    kind.load(&Cluster::toolbox_archive(home)?)?;
    for archive in archives {
        kind.load(archive).with_context(|| archive.display().to_string())?;
    }
    Ok(())
}

/// Runs what pages tell to run on a cluster, while nobody else has an installation on it.
fn pages_on_it(
    home: &Home,
    built: &TestPrograms,
    environment: &[(&str, &Path)],
    outcome: &mut Outcome,
) -> Result<()> {
    HELM.build(home)?;
    outcome.run("what the pages tell to run on a cluster", &built.of(&[OF_PAGES])?, &[], environment)
}

/// Runs what needs a cluster on the one that the environment names. The controller and sidecars run beside it as well, as
/// the very programs that are in their images.
fn test_on_it(
    home: &Home,
    images: &[Built],
    built: &TestPrograms,
    environment: &[(&str, &Path)],
    outcome: &mut Outcome,
) -> Result<()> {
    // Before the tests, where it is seen to take its time.
    KWOK.build(home)?;
    HELM.build(home)?;
    let mut environment = environment.to_vec();
    for (name, variable) in [("controller", image::CONTROLLER_PROGRAM), ("sidecar", image::SIDECAR_PROGRAM)] {
        let image = images.iter().find(|image| image.name == name);
        let image = image.with_context(|| format!("no image of the {name} was built"))?;
        environment.push((variable, &image.program));
    }
    // What other tests take for granted of an API server: cheap, and first.
    let same_cases = "what the model of an API server promises";
    outcome.run(same_cases, &built.of(&[CASES])?, &[CASES_ON_A_CLUSTER], &environment)?;
    outcome.run("tests of resolvers", &built.of(&[OF_RESOLVERS])?, &[], &environment)?;
    outcome.run("tests on a real cluster", &built.of(&ON_ANY_CLUSTER)?, &[], &environment)
}

/// A name that no other run has at the same time.
fn own_name() -> Result<Name> {
    Ok(Name::parse(&format!("test-{}", std::process::id()))?)
}

/// kubectl from the PATH, or else the kit's own.
pub(crate) fn kubectl(home: &Home) -> Result<PathBuf> {
    match on_the_path("kubectl") {
        Some(kubectl) => Ok(kubectl),
        None => Ok(KUBECTL.build(home)?),
    }
}

/// A program that is installed.
pub(crate) fn on_the_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The kind cluster that a context belongs to: kind marks its own with a prefix.
fn kind_name(context: &str) -> Option<Name> {
    Name::parse(context.strip_prefix("kind-")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_cluster_is_known_by_its_context() {
        let name = |context: &str| kind_name(context).map(|name| name.to_string());
        assert_eq!(name("kind-shop").as_deref(), Some("shop"));
        for other in ["prod", "kind-", "my-kind-shop", "kind-A.B"] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
