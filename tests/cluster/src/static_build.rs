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

/// Builds packages as static binaries and names the folder that they are in; `environment` is what they are told at their
/// compilation.
///
/// The same sources give the same bytes wherever they are checked out and built: paths are left out of the result. The
/// gnu target links statically just as well as the musl one and needs no second C library. Each package is built on its
/// own, since features that one asks for would otherwise be in the others too.
pub fn build(
    step: &Step,
    packages: &[&str],
    environment: &[(&str, &str)],
    log: &Path,
) -> Result<PathBuf, Error> {
    let workspace = workspace();
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home =
        cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let target_folder = workspace
        .join(env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from));
    // Of prefixes that fit, the last one counts: the target folder may be in the workspace, or elsewhere.
    let prefixes = [
        format!("{}=/rollcall", workspace.display()),
        format!("{}=/rollcall/target", target_folder.display()),
        format!("{}=/cargo", cargo_home.display()),
    ];
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        // Where the program is in memory is written into it at its start: a few bytes for each place, instead of 24.
        "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned(),
    ];
    flags.extend(prefixes.iter().map(|prefix| format!("--remap-path-prefix={prefix}")));
    // One cipher's code for one family of processors is half a megabyte in every pod's memory. The code for the others is
    // as fast for what a session says.
    let mut c_flags = vec!["-DMY_ASSEMBLER_IS_TOO_OLD_FOR_512AVX".to_owned()];
    c_flags.extend(prefixes.iter().map(|prefix| format!("-ffile-prefix-map={prefix}")));
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
        cargo.env("CFLAGS", c_flags.join(" "));
        cargo.envs(environment.iter().copied());
        logged(step, &mut cargo, log)?;
    }
    Ok(target_folder.join(target).join("release"))
}
