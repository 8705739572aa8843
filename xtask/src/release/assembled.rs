//! The files of a release, from its programs and sources: whatever else is on the machine is not in them.

use super::crates::{Known, Tree};
use super::facts::Facts;
use super::pack::Pack;
use super::{chart, krew, libraries, licences, sbom, sums};
use crate::image::reference;
use anyhow::{Context, Result};
use rollcall_cluster::image::Image;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Holds the programs' bytes.
pub(crate) struct Programs {
    pub(crate) controller: Vec<u8>,
    pub(crate) sidecar: Vec<u8>,
    pub(crate) command: Vec<u8>,
}

/// Shells, and where what completes the command's words for them lies in packages.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/rollcall.bash"),
    ("fish", "completions/rollcall.fish"),
    ("zsh", "completions/_rollcall"),
];

/// Writes all files into a folder; `printed` is what the command prints.
pub(crate) fn assemble(
    facts: &Facts,
    sources: &Path,
    programs: &Programs,
    printed: impl Fn(&[&str]) -> Result<String>,
    folder: &Path,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))
    };
    let read = |path: &str| {
        fs::read(sources.join(path)).with_context(|| format!("cannot read {path} of the sources"))
    };

    let known = Known::of_the_workspace()?;
    let libraries = libraries::of_this_machine()?;
    let mut trees = Vec::new();
    for (package, program) in [
        ("rollcall", &programs.command),
        ("rollcall-controller", &programs.controller),
        ("rollcall-sidecar", &programs.sidecar),
    ] {
        let tree = Tree::of(package)?;
        let name = format!("{package}-{}-linux-{}.cdx.json", facts.version, facts.architecture);
        write(&name, sbom::bill(&tree, &known, &libraries, program)?.as_bytes())?;
        trees.push(tree);
    }
    let crates: BTreeSet<_> = trees.iter().flat_map(|tree| tree.needs.keys()).collect();
    let notices = licences::notices(&crates, &known, &libraries)?;
    write("THIRD-PARTY.txt", notices.as_bytes())?;

    let in_archive = facts.folder_in_archive();
    let mut pack = Pack::default();
    pack.program(format!("{in_archive}/rollcall"), programs.command.as_slice());
    // kubectl finds it by this name, as `kubectl rollcall`.
    pack.link(format!("{in_archive}/kubectl-rollcall"), "rollcall");
    pack.text(format!("{in_archive}/THIRD-PARTY.txt"), notices);
    for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
        pack.text(format!("{in_archive}/{file}"), read(file)?);
    }
    for (shell, path) in COMPLETIONS {
        pack.text(format!("{in_archive}/{path}"), printed(&["completion", shell])?);
    }
    let archive = format!("{in_archive}.tar.gz");
    let packed = pack.gzip(facts.commit.time_s)?;
    write(&archive, &packed)?;
    if let Some(repository) = &facts.repository {
        write("krew.yaml", krew::manifest(facts, repository, &archive, &packed).as_bytes())?;
    }

    write("images.txt", write_images(facts, programs, folder)?.as_bytes())?;
    write(&chart::file(&facts.version), &chart::packaged(facts, &sources.join("charts/rollcall"))?)?;
    write("crds.yaml", &read("crds/generated/serviceregistrations.yaml")?)?;
    write("release-notes.md", facts.section.text.as_bytes())?;
    sums::write_into(folder)
}

/// Writes the images' archives, and says by which digests a registry will know them.
fn write_images(facts: &Facts, programs: &Programs, folder: &Path) -> Result<String> {
    // An image takes its program from a file, whose name is the program's.
    let work = tempfile::tempdir().context("cannot make a folder for the images")?;
    let mut digests = String::new();
    for (name, bytes) in [("controller", &programs.controller), ("sidecar", &programs.sidecar)] {
        let program = work.path().join(format!("rollcall-{name}"));
        fs::write(&program, bytes).with_context(|| format!("cannot write {}", program.display()))?;
        let mut image = Image::of_program(reference(name), &program);
        let pulled = format!("{}/{name}:{}", facts.registry, facts.version);
        if pulled != image.reference {
            // Who loads the archive has the image under the name that the chart pulls.
            image.aliases.push(pulled.clone());
        }
        let archive = format!("rollcall-{name}-{}-linux-{}.tar", facts.version, facts.architecture);
        let digest = image.write(&folder.join(archive))?;
        digests += &format!("{digest}  {pulled}\n");
    }
    Ok(digests)
}
