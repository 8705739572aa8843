//! `cargo xtask test`: everything that is tested, in one command.

use crate::counts;
use crate::faults::FAULTS;
use crate::on_cluster::{self, OF_PAGES, OF_RESOLVERS, OF_THE_KIT, ON_ANY_CLUSTER};
use crate::outcome::Outcome;
use crate::upgrades::UPGRADES;
use anyhow::Result;
use rollcall_cluster::{
    Cluster, HELM, Home, PROMQL, Provider, prepare_counts, prepare_pages, prepare_resolvers,
};
use std::process::ExitCode;

/// Worlds in virtual time: what fails there is told by a seed, and not by a cluster that was slow. The first has the machines
/// alone and plays thousands of stories, the other whole processes.
const SIMULATIONS: [&str; 2] = ["rollcall-simulation", "rollcall-whole"];

/// The chart, linted and rendered: needs helm, which the first run builds.
const CHART: &str = "rollcall-chart";

/// Alerts and dashboard, by Prometheus' own engine on our own metrics: the first run builds it.
const MONITORING: &str = "rollcall-monitoring";

/// Runs all tests and says in the last line how they went.
pub(crate) fn run(provider: &str) -> Result<ExitCode> {
    let provider: Provider = provider.parse()?;
    // Who lacks the rights hears it now and not after ten minutes of building.
    let home = Home::of_this_user()?;
    if provider == Provider::Local {
        Cluster::prepare(&home)?;
    }
    prepare_resolvers(&home)?;
    prepare_pages(&home)?;
    prepare_counts(&home)?;
    let mut outcome = Outcome::default();
    // Cheap ones first: who broke a unit test need not wait for a cluster.
    let later = ON_ANY_CLUSTER
        .iter()
        .chain([&OF_THE_KIT, &OF_RESOLVERS, &OF_PAGES, &CHART, &MONITORING, &FAULTS, &UPGRADES])
        .chain(&SIMULATIONS);
    let excluded = later.flat_map(|package| ["--exclude", package]);
    let without_clusters: Vec<_> = ["--workspace"].into_iter().chain(excluded).collect();
    outcome.cargo_test("unit, property and process tests", &without_clusters, &[])?;
    if outcome.failed == 0 {
        let simulations: Vec<_> = SIMULATIONS.iter().flat_map(|package| ["--package", *package]).collect();
        outcome.cargo_test("simulation", &simulations, &[])?;
    }
    if outcome.failed == 0 {
        // Before the tests, where it is seen to take its time.
        HELM.build(&home)?;
        outcome.cargo_test("tests of the chart", &["--package", CHART], &[])?;
    }
    if outcome.failed == 0 {
        // What they tell to run without a cluster is run; the rest has its turn on one.
        let pages = ["--package", OF_PAGES, "--lib", "--test", "pages", "--test", "machine"];
        outcome.cargo_test("tests of the pages", &pages, &[])?;
    }
    if outcome.failed == 0 {
        PROMQL.build(&home)?;
        outcome.cargo_test("tests of alerts and dashboard", &["--package", MONITORING], &[])?;
    }
    if outcome.failed == 0 {
        // What they are judged by; they themselves need clusters of their own.
        let judges = ["--package", FAULTS, "--package", UPGRADES, "--lib"];
        outcome.cargo_test("the judge of what fails", &judges, &[])?;
    }
    if outcome.failed == 0 {
        counts::test(&mut outcome)?;
    }
    if outcome.failed == 0 {
        on_cluster::test_on(provider, &mut outcome)?;
    }
    if outcome.ignored > 0 {
        eprintln!("{} tests were skipped though nobody asked for it", outcome.ignored);
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed + outcome.ignored);
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
