//! Static release builds of the workspace's own binaries.

use crate::Error;
use crate::progress::Step;
use crate::run::{bound_to_us, logged};
use std::env;
use std::path::{Path, PathBuf};

/// The workspace: the kit is two folders below it.
pub fn workspace() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    kit.ancestors().nth(2).unwrap_or(kit).to_owned()
}

/// Builds packages as static binaries and names the folder that they are in.
///
/// The same sources give the same bytes wherever they are checked out: paths are left out of the result. The gnu target
/// links statically just as well as the musl one and needs no second C library. Each package is built on its own, since
/// features that one asks for would otherwise be in the others too.
pub fn build(step: &Step, packages: &[&str], log: &Path) -> Result<PathBuf, Error> {
    let workspace = workspace();
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home =
        cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        // Where the program is in memory is written into it at its start: a few bytes for each place, instead of 24.
        "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned(),
        format!("--remap-path-prefix={}=/rollcall", workspace.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
    ];
    let target_folder =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    for package in packages {
        let mut cargo = bound_to_us(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&workspace).args([
            "build",
            "--release",
            "--locked",
            "--target",
            &target,
            "--package",
            package,
        ]);
        cargo.arg("--target-dir").arg(&target_folder);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        // One cipher's code for one family of processors is half a megabyte in every pod's memory. The code for the others
        // is as fast for what a session says.
        let smaller = "-DMY_ASSEMBLER_IS_TOO_OLD_FOR_512AVX";
        let c_flags = format!("-ffile-prefix-map={}=/cargo {smaller}", cargo_home.display());
        cargo.env("CFLAGS", c_flags);
        logged(step, &mut cargo, log)?;
    }
    Ok(workspace.join(target_folder).join(target).join("release"))
}
