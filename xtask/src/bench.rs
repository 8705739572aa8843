//! The measurements: no tests, since a machine with other work to do is slower and not wrong.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use rollcall_cluster::static_build;

/// Holds a measurement and the arguments with which cargo runs it.
struct Bench {
    name: &'static str,
    about: &'static str,
    cargo: &'static [&'static str],
}

const BENCHES: [Bench; 4] = [
    Bench {
        name: "catalogue",
        about: "picks, changes of the catalogue, and the memory of an instance",
        cargo: &["bench", "--locked", "-p", "rollcall-catalogue"],
    },
    Bench {
        name: "index",
        about: "the controller's index by the size of the cluster: memory, and the time of a change",
        cargo: &["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "index"],
    },
    Bench {
        name: "visible",
        about: "from a watch's event to the snapshot that everyone reads, idle and under load",
        cargo: &["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "visible"],
    },
    Bench {
        name: "sessions",
        about: "a crowd of sessions: delays of changes, memory, bytes, and a storm of reconnects",
        cargo: &["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "sessions"],
    },
];

/// Runs the measurement of this name, or all.
pub(crate) fn run(name: Option<&str>) -> Result<ExitCode> {
    let wanted: Vec<_> = BENCHES.iter().filter(|bench| name.is_none_or(|name| name == bench.name)).collect();
    if wanted.is_empty() {
        let names: Vec<_> =
            BENCHES.iter().map(|bench| format!("  {}: {}", bench.name, bench.about)).collect();
        bail!("there is no such measurement; there are\n{}", names.join("\n"));
    }
    for bench in wanted {
        eprintln!("\n== {}: {}", bench.name, bench.about);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(static_build::workspace()).args(bench.cargo);
        let status = cargo.status().with_context(|| format!("cannot start cargo for {}", bench.name))?;
        if !status.success() {
            bail!("{} ended with {status}", bench.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}
