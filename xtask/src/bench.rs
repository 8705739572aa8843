//! The measurements: no tests, since a machine with other work to do is slower and not wrong.

use std::process::{Command, ExitCode};

use crate::image;
use anyhow::{Context, Result, bail};
use rollcall_cluster::static_build;

/// Holds a measurement.
struct Bench {
    name: &'static str,
    about: &'static str,
    by: By,
}

/// Says how a measurement is run.
enum By {
    /// By cargo, with these arguments.
    Cargo(&'static [&'static str]),
    /// Beside programs of the images, which are built as they are there, and so is the measurement: they differ in nothing but
    /// what they do.
    ItsProgram { what: &'static str, program: &'static str, named_by: &'static str },
}

const BENCHES: [Bench; 7] = [
    Bench {
        name: "catalogue",
        about: "picks, changes of the catalogue, and the memory of an instance",
        by: By::Cargo(&["bench", "--locked", "-p", "rollcall-catalogue"]),
    },
    Bench {
        name: "index",
        about: "the controller's index by the size of the cluster: memory, and the time of a change",
        by: By::Cargo(&["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "index"]),
    },
    Bench {
        name: "visible",
        about: "from a watch's event to the snapshot that everyone reads, idle and under load",
        by: By::Cargo(&["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "visible"]),
    },
    Bench {
        name: "lists",
        about: "from the controller's start to its first lists, against the bare lists, in a cluster of its own",
        by: By::ItsProgram {
            what: "lists",
            program: "rollcall-controller",
            named_by: image::CONTROLLER_PROGRAM,
        },
    },
    Bench {
        name: "lookup",
        about: "lookups on localhost beside bare HTTP and a Consul agent; the sidecar's memory and delays",
        by: By::ItsProgram { what: "lookup", program: "rollcall-sidecar", named_by: image::SIDECAR_PROGRAM },
    },
    Bench {
        name: "dns",
        about: "DNS on localhost beside bare UDP and CoreDNS",
        by: By::ItsProgram { what: "dns", program: "rollcall-sidecar", named_by: image::SIDECAR_PROGRAM },
    },
    Bench {
        name: "sessions",
        about: "a crowd of sessions: delays of changes, memory, bytes, and storms of connects",
        by: By::Cargo(&["run", "--locked", "--release", "--quiet", "-p", "rollcall-bench", "--", "sessions"]),
    },
];

/// Runs the measurement of this name with these arguments, or all.
pub(crate) fn run(name: Option<&str>, arguments: &[String]) -> Result<ExitCode> {
    let wanted: Vec<_> = BENCHES.iter().filter(|bench| name.is_none_or(|name| name == bench.name)).collect();
    if wanted.is_empty() {
        let names: Vec<_> =
            BENCHES.iter().map(|bench| format!("  {}: {}", bench.name, bench.about)).collect();
        bail!("there is no such measurement; there are\n{}", names.join("\n"));
    }
    for bench in wanted {
        eprintln!("\n== {}: {}", bench.name, bench.about);
        let mut command = bench.command()?;
        command.current_dir(static_build::workspace()).args(arguments);
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        if !status.success() {
            bail!("{} ended with {status}", bench.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

// === impl Bench ===

impl Bench {
    fn command(&self) -> Result<Command> {
        match self.by {
            By::Cargo(arguments) => {
                let mut cargo = Command::new(env!("CARGO"));
                cargo.args(arguments);
                Ok(cargo)
            }
            By::ItsProgram { what, program, named_by } => {
                let programs = image::build_programs(&[program, "rollcall-bench"])?;
                let mut bench = Command::new(programs.join("rollcall-bench"));
                bench.arg(what).env(named_by, programs.join(program));
                Ok(bench)
            }
        }
    }
}
