//! `cargo xtask image`: the product's images, each a single static binary.

use anyhow::{Context, Result};
use rollcall_cluster::image::Image;
use rollcall_cluster::{Step, static_build};
use std::fs;
use std::path::PathBuf;

/// Names the controller's program to those who start it beside a cluster.
pub(crate) const CONTROLLER_PROGRAM: &str = "ROLLCALL_CONTROLLER_PROGRAM";
/// And the sidecar's.
pub(crate) const SIDECAR_PROGRAM: &str = "ROLLCALL_SIDECAR_PROGRAM";
/// What the product's images are called, without the tag: the workspace's version.
pub(crate) const PREFIX: &str = "rollcall.dev";

/// One image of the product.
pub(crate) struct Built {
    pub(crate) name: &'static str,
    /// The static binary that it holds.
    pub(crate) program: PathBuf,
    pub(crate) archive: PathBuf,
}

/// Builds `target/images/{controller,sidecar}.tar`.
pub(crate) fn build_all() -> Result<Vec<Built>> {
    let workspace = static_build::workspace();
    let folder = folder()?;
    let binaries = build_programs(&["rollcall-controller", "rollcall-sidecar"])?;
    let mut built = Vec::new();
    for name in ["controller", "sidecar"] {
        let archive = folder.join(format!("{name}.tar"));
        let program = binaries.join(format!("rollcall-{name}"));
        let image = Image::of_program(reference(name), &program);
        let digest = image.write(&archive)?;
        let size_bytes =
            fs::metadata(&archive).with_context(|| format!("cannot read {}", archive.display()))?.len();
        #[allow(clippy::cast_precision_loss, reason = "sizes are shown with one decimal")]
        let size_mib = size_bytes as f64 / f64::from(1 << 20);
        println!(
            "{} {digest} {size_mib:.1} MiB {}",
            image.reference,
            archive.strip_prefix(&workspace).unwrap_or(&archive).display()
        );
        built.push(Built { name, program, archive });
    }
    Ok(built)
}

/// Builds programs as they are in images, and names the folder that they are in.
pub(crate) fn build_programs(packages: &[&str]) -> Result<PathBuf> {
    build_programs_told(packages, &[])
}

/// As `build_programs`; what their environment tells them at compilation stands beside.
pub(crate) fn build_programs_told(packages: &[&str], environment: &[(&str, &str)]) -> Result<PathBuf> {
    let step = Step::start(format!("building {}", packages.join(" and ")));
    let binaries = static_build::build(&step, packages, environment, &folder()?.join("build.log"))?;
    step.done();
    Ok(binaries)
}

fn folder() -> Result<PathBuf> {
    let folder = static_build::workspace().join("target/images");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The reference that the manifests name.
pub(crate) fn reference(name: &str) -> String {
    format!("{PREFIX}/{name}:{}", env!("CARGO_PKG_VERSION"))
}
