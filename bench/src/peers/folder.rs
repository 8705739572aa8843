//! Where registries keep what they persist: on the machine's disk, where a write that must last takes its time, or for a line
//! beside it in memory.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};
use rollcall_cluster::static_build;
use tempfile::TempDir;

const MEMORY: &str = "/dev/shm";

/// A folder on the disk, for as long as the value lives. Temporary files are in memory on many machines, so it is not there.
pub(super) fn on_disk() -> anyhow::Result<TempDir> {
    let parent = static_build::workspace().join("target/bench");
    std::fs::create_dir_all(&parent)?;
    let kind = file_system(&parent)?;
    ensure!(
        kind != "tmpfs" && kind != "ramfs",
        "{} is in memory: what persists is to be on a disk",
        parent.display()
    );
    Ok(tempfile::tempdir_in(parent)?)
}

pub(super) fn in_memory() -> anyhow::Result<TempDir> {
    let kind = file_system(Path::new(MEMORY))?;
    ensure!(kind == "tmpfs", "{MEMORY} is no tmpfs but {kind}");
    Ok(tempfile::tempdir_in(MEMORY)?)
}

fn file_system(path: &Path) -> anyhow::Result<String> {
    let mut stat = Command::new("stat");
    stat.args(["--file-system", "--format=%T"]).arg(path);
    let output = stat.output().context("stat is needed; it is Debian's coreutils")?;
    ensure!(output.status.success(), "{stat:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
