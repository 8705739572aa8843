//! `cargo xtask test`: everything that is tested, in one command.

use crate::counts;
use crate::on_cluster::{self, CASES_ON_A_CLUSTER, LATER};
use crate::outcome::Outcome;
use crate::test_programs::{OF_ALL, TestPrograms};
use anyhow::Result;
use rollcall_cluster::{
    Cluster, HELM, Home, PROMQL, Provider, prepare_counts, prepare_pages, prepare_resolvers,
};
use std::process::ExitCode;

/// Worlds in virtual time: what fails there is told by a seed, and not by a cluster that was slow. The first has the machines
/// alone and plays thousands of stories, the other whole processes.
const SIMULATIONS: [&str; 2] = ["tests/simulation", "tests/whole"];

/// The chart, linted and rendered: needs helm, which the first run builds.
const CHART: &str = "tests/chart";

/// Alerts and dashboard, by Prometheus' own engine on our own metrics: the first run builds it.
const MONITORING: &str = "tests/monitoring";

/// Of what is told on pages, what needs no cluster.
const WITHOUT_A_CLUSTER: [&str; 3] = ["tests/docs:lib", "tests/docs:pages", "tests/docs:machine"];

/// What stories on clusters are judged by; they themselves need clusters of their own.
const JUDGES: [&str; 2] = ["tests/faults:lib", "tests/upgrades:lib"];

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
    let built = TestPrograms::build(&OF_ALL)?;
    let mut outcome = Outcome::default();
    // Cheap ones first: who broke a unit test need not wait for a cluster.
    let later = [&LATER[..], &SIMULATIONS, &[CHART, MONITORING]].concat();
    let now = built.but(&later)?;
    outcome.run("unit, property and process tests", &now, &["--skip", CASES_ON_A_CLUSTER], &[])?;
    if outcome.failed == 0 {
        outcome.run("simulation", &built.of(&SIMULATIONS)?, &[], &[])?;
    }
    if outcome.failed == 0 {
        // Before the tests, where it is seen to take its time.
        HELM.build(&home)?;
        outcome.run("tests of the chart", &built.of(&[CHART])?, &[], &[])?;
    }
    if outcome.failed == 0 {
        // What they tell to run without a cluster is run; the rest has its turn on one.
        outcome.run("tests of the pages", &built.of(&WITHOUT_A_CLUSTER)?, &[], &[])?;
    }
    if outcome.failed == 0 {
        PROMQL.build(&home)?;
        outcome.run("tests of alerts and dashboard", &built.of(&[MONITORING])?, &[], &[])?;
    }
    if outcome.failed == 0 {
        outcome.run("the judge of what fails", &built.of(&JUDGES)?, &[], &[])?;
    }
    if outcome.failed == 0 {
        counts::test(&mut outcome)?;
    }
    if outcome.failed == 0 {
        on_cluster::test_on(provider, &built, &mut outcome)?;
    }
    if !outcome.failing.is_empty() {
        eprintln!("tests failed in {}", outcome.failing.join(" and "));
    }
    if outcome.ignored > 0 {
        eprintln!("{} tests were skipped though nobody asked for it", outcome.ignored);
    }
    println!("{} passed, {} failed", outcome.passed, outcome.failed + outcome.ignored);
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
