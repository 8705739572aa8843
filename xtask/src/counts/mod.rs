//! `cargo xtask counts`: how many instructions each hot path takes, held against its budget.
//!
//! ```text
//!  bench/counts, built as the images' programs are ─► valgrind, a path at a time ─► Count ─┐
//!  bench/counts/budgets.jsonl ─────────────────────────────────────────────► Budget ─┴─► judge ─► table, failures
//! ```

mod budgets;
mod callgrind;

use crate::image;
use crate::outcome::Outcome;
use anyhow::{Result, bail};
use budgets::{Line, judge};
use callgrind::Counter;
use rollcall_cluster::{Home, prepare_counts, static_build};
use std::env::consts::ARCH;
use std::path::PathBuf;
use std::process::ExitCode;

/// The packages of the paths, each with its program.
const COUNTS: [&str; 2] = ["rollcall-counts-sidecar", "rollcall-counts-controller"];
/// The machine that the budgets are of: another one's instructions are others, and as many as they are.
const BUDGETED: &str = "x86_64";

/// Counts all paths, and judges them; or, where `write` says so, makes budgets of what was counted.
pub(crate) fn run(write: bool) -> Result<ExitCode> {
    let counts = counted()?;
    let path = budgets_path();
    let mut budgets = budgets::read(&path)?;
    if write {
        budgets = budgets::renewed(&budgets, &counts);
        budgets::write(&path, &budgets)?;
    }
    let lines = judge(&budgets, &counts);
    Ok(if told(&lines) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Counts all paths as a part of the tests, each of them as a test.
pub(crate) fn test(outcome: &mut Outcome) -> Result<()> {
    eprintln!("\n== instructions of the hot paths");
    if ARCH != BUDGETED {
        eprintln!("not counted: the budgets are of {BUDGETED}, and this is {ARCH}");
        return Ok(());
    }
    let lines = judge(&budgets::read(&budgets_path())?, &counted()?);
    let failed = told(&lines);
    outcome.add_judged(u32::try_from(lines.len())?.saturating_sub(failed), failed);
    Ok(())
}

fn counted() -> Result<Vec<budgets::Count>> {
    if ARCH != BUDGETED {
        bail!("the budgets are of {BUDGETED}, and this is {ARCH}");
    }
    prepare_counts(&Home::of_this_user()?)?;
    let built = image::build_programs(&COUNTS)?;
    let programs = COUNTS.map(|name| built.join(name));
    Counter::new(static_build::workspace().join("target/counts"))?.all(&programs)
}

fn budgets_path() -> PathBuf {
    static_build::workspace().join("bench/counts/budgets.jsonl")
}

/// Prints the table, and what fails; says how many do.
fn told(lines: &[Line]) -> u32 {
    print!("{}", budgets::table(lines));
    let failures = lines.iter().filter_map(Line::failure);
    failures.map(|failure| eprintln!("{failure}")).zip(1..).map(|((), number)| number).last().unwrap_or(0)
}
