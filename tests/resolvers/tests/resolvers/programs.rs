//! Programs that resolve names, each as its language brings it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Where the sources are, and where their programs go.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");
const BUILT: &str = env!("CARGO_TARGET_TMPDIR");
/// Debian's own, which Debian's packages of Python are for.
const PYTHON: &str = "/usr/bin/python3";

/// One resolver. Names that begin with `_` are asked for as SRV, of those that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    Dig,
    Glibc,
    Musl,
    Go,
    Java,
    Node,
    Python,
    Dnspython,
}

/// What it said of a name: addresses, or ports and targets; and how long it took.
#[derive(Debug)]
pub struct Said {
    pub found: BTreeSet<String>,
    pub took: Duration,
}

// === impl Resolver ===

impl Resolver {
    pub const ALL: [Self; 8] =
        [Self::Dig, Self::Glibc, Self::Musl, Self::Go, Self::Java, Self::Node, Self::Python, Self::Dnspython];

    pub fn asks_for_services(self) -> bool {
        !matches!(self, Self::Glibc | Self::Musl | Self::Python)
    }

    /// Whether it sees at once that no process has a server's port. The others wait, as for a server that is slow.
    pub fn hears_that_nobody_listens(self) -> bool {
        self != Self::Dnspython
    }

    /// Asks for each of the names, one after the other, in one process where it is one that can.
    pub fn ask(self, names: &[&str]) -> Vec<Said> {
        match self {
            Self::Dig => names.iter().map(|name| dig(name)).collect(),
            Self::Glibc => names.iter().map(|name| getent(name)).collect(),
            _ => {
                let output = said(self.program().args(names));
                let lines: Vec<_> = output.lines().collect();
                assert_eq!(lines.len(), names.len(), "{self:?}: {output}");
                names.iter().zip(lines).map(|(name, line)| Said::read(name, line)).collect()
            }
        }
    }

    fn program(self) -> Command {
        let with = |program: &str, argument: String| {
            let mut command = Command::new(program);
            command.arg(argument);
            command
        };
        match self {
            Self::Dig => Command::new("dig"),
            Self::Glibc => Command::new("getent"),
            Self::Musl => Command::new(built("lookup-musl")),
            Self::Go => Command::new(built("lookup-go")),
            Self::Java => {
                let mut java = Command::new("java");
                // Its start is not what is tested.
                java.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", BUILT, "Lookup"]);
                java
            }
            Self::Node => with("node", source("lookup.mjs")),
            Self::Python => with(PYTHON, source("lookup.py")),
            Self::Dnspython => with(PYTHON, source("dnspython.py")),
        }
    }
}

/// Compiles what has to be, once.
pub fn made() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(make);
}

fn make() {
    said(
        Command::new("musl-gcc")
            .args(["-static", "-O1", "-o"])
            .arg(built("lookup-musl"))
            .arg(source("lookup.c")),
    );
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOFLAGS", "").current_dir(SOURCES);
    said(go.args(["build", "-o"]).arg(built("lookup-go")).arg("lookup.go"));
    said(Command::new("javac").args(["-d", BUILT]).arg(source("Lookup.java")));
}

fn source(name: &str) -> String {
    format!("{SOURCES}/{name}")
}

fn built(name: &str) -> PathBuf {
    Path::new(BUILT).join(name)
}

fn dig(name: &str) -> Said {
    let mut command = Command::new("dig");
    let kind = if name.starts_with('_') { "SRV" } else { "A" };
    let (output, took) = timed(command.args(["+search", "+short", name, kind]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // What it complains of begins with semicolons.
    let lines = text.lines().filter(|line| !line.starts_with(';'));
    let found = lines.map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, _, port, target] => format!("{port}:{}", target.trim_end_matches('.')),
        _ => line.to_owned(),
    });
    Said { found: found.collect(), took }
}

fn getent(name: &str) -> Said {
    let (output, took) = timed(Command::new("getent").args(["ahosts", name]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Said { found: text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect(), took }
}

fn timed(command: &mut Command) -> (Output, Duration) {
    let begin = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    (output, begin.elapsed())
}

fn said(command: &mut Command) -> String {
    let (output, _) = timed(command);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complained}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// === impl Said ===

impl Said {
    /// Of a line such as `orders.rollcall 12 10.0.0.1 10.0.0.2`.
    fn read(name: &str, line: &str) -> Self {
        let mut words = line.split_ascii_whitespace();
        assert_eq!(words.next(), Some(name), "{line}");
        let millis = words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        Self { found: words.map(str::to_owned).collect(), took: Duration::from_millis(millis) }
    }
}
