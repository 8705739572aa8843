//! `cargo xtask release`: all that is handed out of a version, in one folder, the same bytes from the same commit.
//!
//! ```text
//!  commit, CHANGELOG.md, tag ─► Facts ─┐
//!  release builds ─► Programs ─────────┼─► assembled: target/release-VERSION/ ─► SHA256SUMS
//!  chart, CRD, Cargo.lock ─────────────┘
//! ```

mod assembled;
mod changelog;
mod chart;
mod check;
mod commit;
mod crates;
mod facts;
mod krew;
mod libraries;
mod licences;
mod pack;
mod sbom;
mod sums;

use crate::{generate, image};
use anyhow::{Context, Result, bail};
use assembled::{Programs, assemble};
use clap::Args;
use commit::Commit;
use facts::Facts;
use rollcall_cluster::{output_of, static_build};
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Build no programs: make all other files twice, from two copies of the sources, and fail where they differ
    #[arg(long)]
    check: bool,
    /// Release a checkout that differs from its commit, for a try
    #[arg(long)]
    allow_dirty: bool,
    /// The tag that the release is for; refused where it is not of the workspace's version
    #[arg(long)]
    tag: Option<String>,
    /// Where the releases are, as https://HOST/OWNER/NAME; without it there is no manifest for krew
    #[arg(long)]
    repository: Option<String>,
    /// Where the images will be pulled from, as HOST/OWNER
    #[arg(long)]
    registry: Option<String>,
}

/// Makes a release, or shows that one would be the same each time.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let sources = static_build::workspace();
    let commit = Commit::of(&sources)?;
    if !arguments.allow_dirty && !arguments.check {
        commit.must_be_clean()?;
    }
    let changelog = fs::read_to_string(sources.join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    let facts = Facts::new(
        commit,
        &changelog,
        arguments.tag.as_deref(),
        arguments.repository.as_deref(),
        arguments.registry.as_deref(),
    )?;
    // What is handed out of the CRD and the chart is what the code says.
    generate::run(true)?;
    if arguments.check {
        return check::run(&facts, &sources);
    }
    make(&facts, &sources)
}

fn make(facts: &Facts, sources: &Path) -> Result<()> {
    let folder = sources.join(format!("target/release-{}", facts.version));
    // What an earlier try left would be in the sums.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let built = image::build_all()?;
    let version = facts.version_and_commit();
    let told = [("ROLLCALL_VERSION", version.as_str()), ("ROLLCALL_REGISTRY", facts.registry.as_str())];
    let command = image::build_programs_told(&["rollcall"], &told)?.join("rollcall");
    let said = printed(&command, &["--version"])?;
    if said.trim() != format!("rollcall {version}") {
        bail!("the command that was built says that it is `{}`, and not {version}", said.trim());
    }
    let program = |name: &str| -> Result<Vec<u8>> {
        let built = built.iter().find(|built| built.name == name).context("no such image")?;
        fs::read(&built.program).with_context(|| format!("cannot read {}", built.program.display()))
    };
    let programs = Programs {
        controller: program("controller")?,
        sidecar: program("sidecar")?,
        command: fs::read(&command).with_context(|| format!("cannot read {}", command.display()))?,
    };
    assemble(facts, sources, &programs, |arguments| printed(&command, arguments), &folder)?;
    println!("{}", folder.display());
    print!("{}", sums::of(&folder)?);
    Ok(())
}

/// What a program prints.
fn printed(program: &Path, arguments: &[&str]) -> Result<String> {
    Ok(output_of("asking the command that was built", Command::new(program).args(arguments))?)
}
