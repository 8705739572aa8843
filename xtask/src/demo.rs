//! `cargo xtask demo`: a shop on a real cluster, what is done to it, and what its pods saw meanwhile.

use crate::image;
use crate::on_cluster::{self, Whose};
use anyhow::{Context, Result, bail};
use clap::Args;
use rollcall_cluster::kind::Kind;
use rollcall_cluster::{Cluster, HELM, Home, Kubectl, NODES_MAX, Name, Provider, Wish as ClusterWish};
use rollcall_demo::{ImageName, Scene, Stage, Wish, play};
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

/// A node can be cut off, and most of all is left.
const NODES: u8 = NODES_MAX;
/// What a cluster is called that stays.
const KEPT: &str = "demo";

#[derive(Args)]
pub(crate) struct Arguments {
    /// The cluster to show it on: local (one of our own), existing (the one of KUBECONFIG) or kind
    #[arg(long, default_value = "local")]
    provider: String,
    /// Leave the cluster, the installation and the shop, to try more
    #[arg(long)]
    keep: bool,
    /// Play one scene alone: lookups, rollout, killed, controllers or node
    #[arg(long, value_name = "SCENE")]
    only: Option<Scene>,
    /// Take controller.tar and sidecar.tar of this folder, and build nothing
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Take this image for the controller, which the cluster pulls itself
    #[arg(long, value_name = "IMAGE", requires = "sidecar_image", conflicts_with = "images")]
    controller_image: Option<ImageName>,
    /// And this one for the sidecar
    #[arg(long, value_name = "IMAGE", requires = "controller_image")]
    sidecar_image: Option<ImageName>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let home = Home::of_this_user()?;
    let is_good = match arguments.provider.parse()? {
        Provider::Local => on_local(&home, arguments),
        Provider::Kind => on_kind(&home, arguments),
        Provider::Existing => on_existing(&home, arguments),
    }?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_local(home: &Home, arguments: &Arguments) -> Result<bool> {
    // Who lacks the rights hears it now and not after minutes of building.
    Cluster::prepare(home)?;
    Cluster::sweep(home)?;
    let archives = arguments.archives()?;
    let (helm, name) = (HELM.build(home)?, arguments.name()?);
    let wish = ClusterWish { ours_alone: !arguments.keep, ..ClusterWish::new(&name, NODES) };
    let cluster = Cluster::up(home, &wish)?;
    let kubectl = Kubectl { program: cluster.kubectl_program().to_owned(), kubeconfig: cluster.kubeconfig() };
    let played = on_cluster::load_archives(&cluster, archives.iter().map(PathBuf::as_path)).and_then(|()| {
        let wish = Wish {
            ends_with_us: true,
            shell: Some(format!("eval \"$(cargo xtask cluster env --name {KEPT})\"")),
            ending: format!("cargo xtask cluster down --name {KEPT}"),
            ..arguments.wish()
        };
        play(&Stage::new(kubectl, helm, Some(cluster), arguments.values()), &wish)
    });
    let ended = if arguments.keep { Ok(()) } else { Cluster::down(home, &name) };
    let is_good = played?;
    ended.context("ending the demo's cluster")?;
    Ok(is_good)
}

fn on_kind(home: &Home, arguments: &Arguments) -> Result<bool> {
    // Who lacks them hears it now and not after minutes of building.
    Kind::prepare()?;
    let archives = arguments.archives()?;
    let (kubectl, helm, name) = (on_cluster::kubectl(home)?, helm(home)?, arguments.name()?);
    let kind = Kind::new(home, name.clone(), NODES)?;
    let played = kind.up().map_err(Into::into).and_then(|()| {
        on_cluster::load_archives_into_kind(home, &kind, archives.iter().map(PathBuf::as_path))?;
        let wish = Wish {
            ends_with_us: true,
            shell: Some(format!("eval \"$(cargo xtask cluster env --name {KEPT} --provider kind)\"")),
            ending: format!("cargo xtask cluster down --name {KEPT} --provider kind"),
            ..arguments.wish()
        };
        let kubectl = Kubectl { program: kubectl, kubeconfig: kind.kubeconfig() };
        play(&Stage::new(kubectl, helm, None, arguments.values()), &wish)
    });
    let ended = if arguments.keep { Ok(()) } else { kind.down() };
    let is_good = played?;
    ended.context("ending the demo's cluster")?;
    Ok(is_good)
}

fn on_existing(home: &Home, arguments: &Arguments) -> Result<bool> {
    let kubectl = on_cluster::kubectl(home)?;
    let whose = Whose::ask(home, &kubectl)?;
    if matches!(whose, Whose::Another) && arguments.controller_image.is_none() {
        bail!(
            "images cannot be loaded into this cluster from here: push what `cargo xtask image` makes to a registry that its \
             nodes can pull from, and name both with --controller-image and --sidecar-image"
        );
    }
    let (archives, helm) = (arguments.archives()?, helm(home)?);
    let archives = archives.iter().map(PathBuf::as_path);
    let hardware = match whose {
        Whose::TheKits(cluster) => {
            on_cluster::load_archives(&cluster, archives)?;
            Some(*cluster)
        }
        Whose::Kinds(kind) => {
            on_cluster::load_archives_into_kind(home, &kind, archives)?;
            None
        }
        Whose::Another => None,
    };
    let kubectl =
        Kubectl { program: kubectl, kubeconfig: env::var_os("KUBECONFIG").unwrap_or_default().into() };
    play(&Stage::new(kubectl, helm, hardware, arguments.values()), &arguments.wish())
}

// === impl Arguments ===

impl Arguments {
    /// What is to be loaded: nothing where the cluster pulls images itself.
    fn archives(&self) -> Result<Vec<PathBuf>> {
        if self.controller_image.is_some() {
            return Ok(Vec::new());
        }
        let Some(folder) = &self.images else {
            return Ok(image::build_all()?.into_iter().map(|image| image.archive).collect());
        };
        let archive = |name: &str| {
            let archive = folder.join(name);
            let there = archive.is_file();
            there.then_some(archive).with_context(|| {
                format!("{} is not there: `cargo xtask image` makes it", folder.join(name).display())
            })
        };
        Ok(vec![archive("controller.tar")?, archive("sidecar.tar")?])
    }

    /// Values of the chart.
    fn values(&self) -> Vec<String> {
        let images = [(&self.controller_image, "image"), (&self.sidecar_image, "sidecar.image")];
        images
            .into_iter()
            .filter_map(|(image, below)| Some(image.as_ref()?.values(below)))
            .flatten()
            .collect()
    }

    /// A name that no other run has at the same time, and one to be remembered where it stays.
    fn name(&self) -> Result<Name> {
        let own = || format!("demo-{}", std::process::id());
        Ok(Name::parse(&if self.keep { KEPT.to_owned() } else { own() })?)
    }

    fn wish(&self) -> Wish {
        Wish {
            only: self.only,
            keep: self.keep,
            ends_with_us: false,
            shell: None,
            ending: "helm -n rollcall-system uninstall rollcall && kubectl delete namespace rollcall-demo rollcall-system"
                .to_owned(),
        }
    }
}

/// helm from the PATH, or else the kit's own.
fn helm(home: &Home) -> Result<PathBuf> {
    match on_cluster::on_the_path("helm") {
        Some(helm) => Ok(helm),
        None => Ok(HELM.build(home)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.arguments)
    }

    #[test]
    fn images_are_built_or_in_a_folder_or_named_both() {
        let named = parse("demo --controller-image r/c:1 --sidecar-image r/s@sha256:0").unwrap();
        assert_eq!(
            named.values(),
            [
                "image.repository=r/c",
                "image.tag=1",
                "sidecar.image.repository=r/s",
                "sidecar.image.digest=sha256:0"
            ]
        );
        assert!(named.archives().unwrap().is_empty());
        for bad in [
            "demo --controller-image r/c:1",
            "demo --sidecar-image r/s:1",
            "demo --controller-image r/c --sidecar-image r/s:1",
            "demo --controller-image r/c:1 --sidecar-image r/s:1 --images x",
            "demo --only lookup",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let folder = parse("demo --images /nowhere").unwrap();
        let error = folder.archives().unwrap_err().to_string();
        assert!(error.contains("/nowhere/controller.tar is not there"), "{error}");
        assert!(folder.values().is_empty());
    }

    #[test]
    fn what_stays_has_a_name_to_be_remembered() {
        assert_eq!(parse("demo --keep").unwrap().name().unwrap().to_string(), KEPT);
        assert_ne!(parse("demo").unwrap().name().unwrap().to_string(), KEPT);
    }
}
