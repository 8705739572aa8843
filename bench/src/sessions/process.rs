//! The controller's half as a process, by the lines that go to and fro.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context, ensure};
use rollcall_cluster::{CONTROLLER_ALLOCATES, companion::Companion};
use tempfile::TempDir;

use super::crowd::Door;

/// Holds the controller's process, and the lines that go to and fro.
pub(crate) struct Server {
    process: Companion,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
    pub(crate) door: Door,
}

/// Holds what a controller's process and the next one have in common: where they listen, and who they are.
#[derive(Debug)]
pub(crate) struct Place {
    port: u16,
    identity: TempDir,
}

// === impl Place ===

impl Place {
    /// On this port of loopback; any that is free where it is 0.
    pub(crate) fn new(port: u16) -> anyhow::Result<Self> {
        Ok(Self { port, identity: tempfile::tempdir()? })
    }
}

// === impl Server ===

impl Server {
    pub(crate) fn start(instances: u32, place: &Place) -> anyhow::Result<Self> {
        let me = env::current_exe().context("where this program is")?;
        let arguments = [
            "sessions-server".to_owned(),
            instances.to_string(),
            format!("--port={}", place.port),
            format!("--identity={}", place.identity.path().display()),
        ];
        let mut process = Companion::start("starting a controller's half", &me, move |half| {
            let (allocates, how) = CONTROLLER_ALLOCATES;
            half.args(arguments).env(allocates, how).stdin(Stdio::piped()).stdout(Stdio::piped());
        })?;
        let say = process.take_stdin().context("no way in")?;
        let mut hear = BufReader::new(process.take_stdout().context("no way out")?);
        let address = line(&mut hear)?.parse()?;
        let authority = line(&mut hear)?.replace("\\n", "\n");
        Ok(Self { process, say, hear, door: Door { address, authority } })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Pulls its plug.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// So many changes a second for so many seconds; of `shared` changes one is of the service that all hold. Returns when they
    /// are made, and says how many were of that service.
    pub(crate) fn change(&mut self, a_second: u32, seconds: u64, shared: u32) -> anyhow::Result<usize> {
        writeln!(self.say, "change {a_second} {seconds} {shared}")?;
        Ok(line(&mut self.hear)?.parse()?)
    }
}

fn line(hear: &mut BufReader<ChildStdout>) -> anyhow::Result<String> {
    let mut line = String::new();
    hear.read_line(&mut line)?;
    ensure!(!line.is_empty(), "the controller's process ended");
    Ok(line.trim_end().to_owned())
}
