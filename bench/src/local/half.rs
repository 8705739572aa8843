//! The controller's half that a sidecar is in session with, or that is asked itself: the same program, as a process.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout},
};

use anyhow::{Context, bail};
use rollcall_cluster::companion::Companion;

/// Holds the controller's half, and the lines that go to and fro.
pub(crate) struct Half {
    pub(crate) process: Companion,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

// === impl Half ===

impl Half {
    /// Of a process that was just started with pipes, and the authority that it says; everything is in it then.
    pub(crate) fn of(mut process: Companion) -> anyhow::Result<(Self, String)> {
        let say = process.take_stdin().context("no input")?;
        let hear = BufReader::new(process.take_stdout().context("no output")?);
        let mut half = Self { process, say, hear };
        // Its address.
        half.line()?;
        let authority = half.line()?.replace("\\n", "\n");
        Ok((half, authority))
    }

    /// Makes so many changes a second, for so many seconds; what was asked for is done when it has answered.
    pub(crate) fn change(&mut self, a_second: u32, seconds: u64) -> anyhow::Result<()> {
        writeln!(self.say, "change {a_second} {seconds}")?;
        Ok(self.say.flush()?)
    }

    pub(crate) fn changed(&mut self) -> anyhow::Result<()> {
        self.line().map(drop)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.hear.read_line(&mut line)? == 0 {
            bail!("the controller's half is gone");
        }
        Ok(line.trim_end().to_owned())
    }
}
