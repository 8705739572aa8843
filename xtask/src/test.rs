//! `cargo xtask test`: everything that is tested, in one command.

use crate::on_cluster;
use crate::outcome::Outcome;
use anyhow::Result;
use rollcall_cluster::{Cluster, Home, Provider, interrupt, static_build};
use std::path::Path;
use std::process::{Command, ExitCode};

/// The packages whose tests need a cluster.
pub(crate) const ON_ANY_CLUSTER: &str = "rollcall-slice";
/// The tests of the cluster kit itself, which start clusters of their own.
pub(crate) const OF_THE_KIT: &str = "rollcall-kit";
/// Runs all tests and says in the last line how they went.
pub(crate) fn run(provider: &str) -> Result<ExitCode> {
    let provider: Provider = provider.parse()?;
    if provider == Provider::Local {
        // Who lacks the rights hears it now and not after ten minutes of building.
        Cluster::prepare(&Home::of_this_user()?)?;
    }
    let mut outcome = Outcome::default();
    // Cheap ones first: who broke a unit test need not wait for a cluster.
    cargo_test(
        "unit, property and process tests",
        &["--workspace", "--exclude", ON_ANY_CLUSTER, "--exclude", OF_THE_KIT],
        &[],
        &mut outcome,
    )?;
    if outcome.failed == 0 {
        on_cluster::test_on(provider, &mut outcome)?;
    }
    if outcome.ignored > 0 {
        eprintln!("{} tests were skipped though nobody asked for it", outcome.ignored);
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed + outcome.ignored);
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn cargo_test(
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
