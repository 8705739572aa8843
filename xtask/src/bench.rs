//! The measurements: no tests, since a machine with other work to do is slower and not wrong.

use std::process::{Command, ExitCode};

use crate::{faults, image, keep, upgrades};
use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::static_build;

/// What is to be measured, or kept of what was.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which one: a name that is none has them all listed. `all`, or none, are all that do not take long. `keep` copies what was
    /// measured, target/bench/NAME.jsonl, to docs/benchmarks, from which `cargo xtask generate` makes docs/benchmarks.md
    name: Option<String>,
    /// With `keep`: the one that is kept; all where none is named
    kept: Option<String>,
    /// With `keep`: also what was measured with changes that are in no commit, which nobody can measure again; what was measured
    /// with --quick or --unpinned; what was cut short; and what has rows that the run itself has called wrong
    #[arg(long)]
    dirty: bool,
    /// What the measurement itself is told, as `-- --instances 2000`
    #[arg(last = true, requires = "name")]
    arguments: Vec<String>,
}

/// Holds a measurement.
struct Bench {
    name: &'static str,
    about: &'static str,
    by: By,
    /// It takes long, and so runs where it is asked for by its name alone.
    is_long: bool,
}

/// Says how a measurement is run.
enum By {
    /// By cargo, with these arguments.
    Cargo(&'static [&'static str]),
    /// By the program of all measurements, which is built as those of the images are, and once for all; and beside those of them
    /// that it measures.
    ItsPrograms { what: &'static str, programs: &'static [Program] },
    /// By the tests of what fails, in a cluster of three nodes: their report is the measurement.
    Faults,
    /// By the tests of two versions, in a cluster of two nodes: their report is the measurement.
    Upgrades,
}

/// Says which program of an image is meant, and which variable names it.
struct Program {
    package: &'static str,
    named_by: &'static str,
}

/// Names that are no measurements' own.
const ALL: &str = "all";
const KEEP: &str = "keep";

const CONTROLLER: Program = Program { package: "rollcall-controller", named_by: image::CONTROLLER_PROGRAM };
const SIDECAR: Program = Program { package: "rollcall-sidecar", named_by: image::SIDECAR_PROGRAM };

static BENCHES: [Bench; 18] = [
    Bench {
        name: "catalogue",
        about: "picks, changes of the catalogue, and the memory of an instance",
        by: By::Cargo(&["bench", "--locked", "-p", "rollcall-catalogue"]),
        is_long: false,
    },
    Bench {
        name: "index",
        about: "the controller's index by the size of the cluster: memory, and the time of a change",
        by: By::ItsPrograms { what: "index", programs: &[] },
        is_long: false,
    },
    Bench {
        name: "visible",
        about: "from a watch's event to the snapshot that everyone reads, idle and under load",
        by: By::ItsPrograms { what: "visible", programs: &[] },
        is_long: false,
    },
    Bench {
        name: "lists",
        about: "from the controller's start to its first lists, against the bare lists, in a cluster of its own",
        by: By::ItsPrograms { what: "lists", programs: &[CONTROLLER] },
        is_long: false,
    },
    Bench {
        name: "lookup",
        about: "lookups on localhost beside bare HTTP, Consul, etcd, ZooKeeper and Eureka: target/bench/lookup.jsonl; `-- --quick`",
        by: By::ItsPrograms { what: "lookup", programs: &[SIDECAR] },
        is_long: false,
    },
    Bench {
        name: "dns",
        about: "DNS on localhost beside bare UDP, CoreDNS and Consul: target/bench/dns.jsonl; `-- --quick`",
        by: By::ItsPrograms { what: "dns", programs: &[SIDECAR] },
        is_long: false,
    },
    Bench {
        name: "start",
        about: "a sidecar alone: its memory, its idle CPU, and how soon it answers: target/bench/start.jsonl",
        by: By::ItsPrograms { what: "start", programs: &[SIDECAR] },
        is_long: false,
    },
    Bench {
        name: "sessions",
        about: "a crowd of sessions: delays of changes, memory, bytes, and storms of connects",
        by: By::ItsPrograms { what: "sessions", programs: &[] },
        is_long: false,
    },
    Bench {
        name: "memory",
        about: "what each registry holds for each instance, watcher and session",
        by: By::ItsPrograms { what: "memory", programs: &[SIDECAR] },
        is_long: true,
    },
    Bench {
        name: "recovery",
        about: "a controller that dies with a crowd in session: until all are in step with the next one",
        by: By::ItsPrograms { what: "recovery", programs: &[] },
        is_long: false,
    },
    Bench {
        name: "scale",
        about: "a real controller on a real cluster of up to 20,000 pods, with 2,000 real sessions",
        by: By::ItsPrograms { what: "scale", programs: &[CONTROLLER] },
        is_long: true,
    },
    Bench {
        name: "soak",
        about: "a real controller under 200 changes a second for half an hour: whether CPU, memory and descriptors stay",
        by: By::ItsPrograms { what: "soak", programs: &[CONTROLLER] },
        is_long: true,
    },
    Bench {
        name: "propagation",
        about: "how soon 1 to 1,000 watchers know who came and who went, beside all other registries; `-- --quick`, `-- --with-cluster`",
        by: By::ItsPrograms { what: "propagation", programs: &[SIDECAR] },
        is_long: true,
    },
    Bench {
        name: "registration",
        about: "registrations a second, and what each costs, of all registries; ours by `-- --with-cluster`",
        by: By::ItsPrograms { what: "registration", programs: &[CONTROLLER, SIDECAR] },
        is_long: true,
    },
    Bench {
        name: "failure",
        about: "how soon nobody has who failed, and how often one is evicted who is well; `-- --overload-minutes 30`, `-- --with-cluster`",
        by: By::ItsPrograms { what: "failure", programs: &[SIDECAR] },
        is_long: true,
    },
    Bench {
        name: "faults",
        about: "what apps notice while parts fail, on three nodes: target/faults-report.md; one alone by the name of its test",
        by: By::Faults,
        is_long: true,
    },
    Bench {
        name: "overload",
        about: "three controllers and a fleet of sidecars at twice the CPU that there is, with one packet in a hundred lost: target/bench/overload.jsonl",
        by: By::ItsPrograms { what: "overload", programs: &[CONTROLLER, SIDECAR] },
        is_long: true,
    },
    Bench {
        name: "upgrades",
        about: "what apps notice of an upgrade from an older build, and back: target/upgrades-report.md; `-- --from COMMIT`",
        by: By::Upgrades,
        is_long: true,
    },
];

/// Runs the measurement of this name with its arguments, or all that are not long; or keeps what was measured.
pub(crate) fn run(Arguments { name, kept, dirty, arguments }: &Arguments) -> Result<ExitCode> {
    let name = name.as_deref().filter(|name| *name != ALL);
    if name == Some(KEEP) {
        ensure!(
            arguments.is_empty(),
            "nothing is measured by `{KEEP}`: `-- {}` means nothing",
            arguments.join(" ")
        );
        keep::run(&static_build::workspace(), kept.as_deref(), *dirty)?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(kept.is_none() && !dirty, "a second name and --dirty belong to `cargo xtask bench {KEEP}`");
    ensure!(
        name.is_some() || arguments.is_empty(),
        "say which measurement is told `{}`",
        arguments.join(" ")
    );
    let wanted = wanted(name);
    if wanted.is_empty() {
        let names: Vec<_> =
            BENCHES.iter().map(|bench| format!("  {}: {}", bench.name, bench.about)).collect();
        bail!("there is no such measurement; there are\n{}", names.join("\n"));
    }
    for bench in wanted {
        eprintln!("\n== {}: {}", bench.name, bench.about);
        bench.run(arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of this name, or all that are not long.
fn wanted(name: Option<&str>) -> Vec<&'static Bench> {
    BENCHES.iter().filter(|bench| name.map_or(!bench.is_long, |name| name == bench.name)).collect()
}

// === impl Bench ===

impl Bench {
    fn run(&self, arguments: &[String]) -> Result<()> {
        let mut command = match self.by {
            By::Cargo(arguments) => {
                let mut cargo = Command::new(env!("CARGO"));
                cargo.args(arguments);
                cargo
            }
            By::ItsPrograms { what, programs } => {
                let packages: Vec<_> = programs.iter().map(|program| program.package).collect();
                let built = image::build_programs(&[&packages[..], &["rollcall-bench"]].concat())?;
                let mut bench = Command::new(built.join("rollcall-bench"));
                bench.arg(what);
                bench.envs(programs.iter().map(|program| (program.named_by, built.join(program.package))));
                bench
            }
            By::Faults => return faults::measure(arguments),
            By::Upgrades => return upgrades::measure(arguments),
        };
        command.current_dir(static_build::workspace()).args(arguments);
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_runs_by_its_name_alone() {
        let names = |name| wanted(name).iter().map(|bench| bench.name).collect::<Vec<_>>();
        let all = names(None);
        assert_eq!(all.len(), BENCHES.len() - 9);
        for long in [
            "failure",
            "faults",
            "memory",
            "overload",
            "propagation",
            "registration",
            "scale",
            "soak",
            "upgrades",
        ] {
            assert!(!all.contains(&long));
            assert_eq!(names(Some(long)), [long]);
        }
        assert!(names(Some("nothing")).is_empty());
    }

    #[test]
    fn the_page_says_how_to_repeat_each() {
        let page = std::fs::read_to_string(static_build::workspace().join("docs/benchmarks.md")).unwrap();
        let again = page.split_once("## Again, on your machine").unwrap().1.split("\n## ").next().unwrap();
        for bench in &BENCHES {
            let is_told = |line: &str| line.starts_with('|') && line.contains(&format!("`{}`", bench.name));
            assert!(again.lines().any(is_told), "{}", bench.name);
        }
    }

    #[test]
    fn no_measurement_has_a_name_that_means_something_else() {
        assert!(BENCHES.iter().all(|bench| ![ALL, KEEP].contains(&bench.name)));
    }

    #[test]
    fn what_belongs_to_keeping_is_not_taken_for_measuring() {
        let arguments = |name: &str, kept: Option<&str>, dirty, told: &[&str]| Arguments {
            name: Some(name.to_owned()),
            kept: kept.map(str::to_owned),
            dirty,
            arguments: told.iter().map(|word| (*word).to_owned()).collect(),
        };
        for (wrong, said) in [
            (arguments("lookup", Some("dns"), false, &[]), "belong to `cargo xtask bench keep`"),
            (arguments("lookup", None, true, &[]), "belong to `cargo xtask bench keep`"),
            (arguments("keep", None, false, &["--rounds"]), "means nothing"),
            (arguments("all", None, false, &["--rounds"]), "say which measurement"),
            (arguments("nothing", None, false, &[]), "there is no such measurement"),
        ] {
            let error = run(&wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
