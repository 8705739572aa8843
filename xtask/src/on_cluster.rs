//! The tests that need a cluster, on whichever one is asked for.

use crate::image::{self, Built};
use crate::outcome::Outcome;
use crate::test::{OF_THE_KIT, ON_ANY_CLUSTER, cargo_test};
use anyhow::{Context, Result, bail};
use rollcall_cluster::kind::Kind;
use rollcall_cluster::{Cluster, Home, KUBECTL, NODES_MAX, Name, Provider, Step, TOOLBOX, Wish};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A cluster's worth of nodes for the tests: enough to tell "on this node" from "elsewhere".
const NODES: u8 = 2;

pub(crate) fn test_on(provider: Provider, outcome: &mut Outcome) -> Result<()> {
    let home = Home::of_this_user()?;
    match provider {
        Provider::Local => on_local(&home, outcome),
        Provider::Kind => on_kind(&home, outcome),
        Provider::Existing => on_existing(&home, outcome),
    }
}

fn on_local(home: &Home, outcome: &mut Outcome) -> Result<()> {
    Cluster::sweep(home)?;
    let images = image::build_all()?;
    let name = own_name()?;
    let cluster = Cluster::up(home, &Wish { name: name.clone(), nodes: NODES, ours_alone: true })?;
    let tested = load_and_test(&cluster, &images, outcome);
    let ended = Cluster::down(home, &name);
    tested?;
    ended?;
    cargo_test("tests of the cluster kit", &["--package", OF_THE_KIT], &[], outcome)
}

fn on_kind(home: &Home, outcome: &mut Outcome) -> Result<()> {
    let images = image::build_all()?;
    let kind = Kind::new(home, own_name()?, NODES)?;
    let tested = kind.up().map_err(Into::into).and_then(|()| {
        load_into_kind(home, &kind, &images)?;
        test_slice(&kind.kubeconfig(), &kubectl(home)?, outcome)
    });
    let ended = kind.down();
    tested?;
    Ok(ended?)
}

fn on_existing(home: &Home, outcome: &mut Outcome) -> Result<()> {
    let kubeconfig = existing_kubeconfig()?;
    if let Some(cluster) = Cluster::of_kubeconfig(home, &kubeconfig)? {
        return load_and_test(&cluster, &image::build_all()?, outcome);
    }
    match kind_name(&fs::read_to_string(&kubeconfig)?) {
        Some(name) => load_into_kind(home, &Kind::new(home, name, NODES_MAX)?, &image::build_all()?)?,
        // Nobody but its owner can bring images into a cluster without a registry.
        None => eprintln!(
            "the nodes must have {}, {} and {TOOLBOX} already: `cargo xtask image` makes the first two",
            image::reference("controller"),
            image::reference("sidecar"),
        ),
    }
    test_slice(&kubeconfig, &kubectl(home)?, outcome)
}

fn load_and_test(cluster: &Cluster, images: &[Built], outcome: &mut Outcome) -> Result<()> {
    let step = Step::start("loading the images");
    for image in images {
        cluster.load(&image.archive).with_context(|| format!("the image of the {}", image.name))?;
    }
    step.done();
    test_slice(&cluster.kubeconfig(), cluster.kubectl_program(), outcome)
}

fn load_into_kind(home: &Home, kind: &Kind, images: &[Built]) -> Result<()> {
    kind.load(&Cluster::toolbox_archive(home)?)?;
    for image in images {
        kind.load(&image.archive).with_context(|| format!("the image of the {}", image.name))?;
    }
    Ok(())
}

fn test_slice(kubeconfig: &Path, kubectl: &Path, outcome: &mut Outcome) -> Result<()> {
    let environment = [("KUBECONFIG", kubeconfig), ("ROLLCALL_KUBECTL", kubectl)];
    cargo_test("tests on a real cluster", &["--package", ON_ANY_CLUSTER], &environment, outcome)
}

/// A name that no other run has at the same time.
fn own_name() -> Result<Name> {
    Ok(Name::parse(&format!("test-{}", std::process::id()))?)
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
        Some(file) => Ok(fs::canonicalize(file)?),
        None => bail!(
            "no kubeconfig was found: set KUBECONFIG to the file of the cluster that is to be tested on"
        ),
    }
}

/// The kind cluster that a kubeconfig's current context belongs to: kind marks its own with a prefix.
fn kind_name(kubeconfig: &str) -> Option<Name> {
    let context = kubeconfig.lines().find_map(|line| line.strip_prefix("current-context:"))?;
    Name::parse(context.trim().trim_matches('"').strip_prefix("kind-")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_cluster_is_known_by_its_current_context() {
        let name = |text: &str| kind_name(text).map(|name| name.to_string());
        assert_eq!(
            name("apiVersion: v1\ncurrent-context: kind-shop\nkind: Config\n").as_deref(),
            Some("shop")
        );
        assert_eq!(name("current-context: \"kind-a\"").as_deref(), Some("a"));
        assert_eq!(name("contexts: [{name: kind-shop}]\ncurrent-context: prod\n"), None);
        assert_eq!(name("current-context: kind-\n"), None);
    }
}
