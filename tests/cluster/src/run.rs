//! Running other programs and waiting for what they bring about.

use crate::progress::Step;
use crate::{Error, interrupt};
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a long-running command is looked after: soon enough for ctrl-C, seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a short command to its end and gives back what it printed.
pub fn output_of(step: &str, command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(step, command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(step, command, output.status, String::from_utf8_lossy(&said).into_owned(), None))
}

/// Runs a long command to its end, its output in `log`, with a line of life from time to time.
pub(crate) fn logged(step: &Step, command: &mut Command, log: &Path) -> Result<(), Error> {
    let file = File::create(log).map_err(Error::file("write", log))?;
    let errors = file.try_clone().map_err(Error::file("write", log))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| not_started(step.name(), command, &error))?;
    let status = loop {
        match child.try_wait().map_err(Error::file("wait for the process that writes", log))? {
            Some(status) => break status,
            None => thread::sleep(LOOK_EVERY),
        }
        if let Err(interrupted) = interrupt::check() {
            // It is our own child; if it is gone already there is nothing left to end.
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
        step.still_running(|| format!("{} lines of log", count_lines(log)));
    };
    if status.success() {
        return Ok(());
    }
    Err(failed(step.name(), command, status, read_tail(log), Some(log)))
}

/// What a poll found: the awaited value, or what it saw instead.
pub enum Poll<T> {
    Ready(T),
    NotYet(String),
}

/// Polls until `probe` has the value, at most for `limit`.
pub fn wait_for<T>(
    awaited: &str,
    limit: Duration,
    every: Duration,
    logs: &Path,
    mut probe: impl FnMut() -> Result<Poll<T>, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        interrupt::check()?;
        let last_seen = match probe()? {
            Poll::Ready(value) => return Ok(value),
            Poll::NotYet(seen) => seen,
        };
        if started.elapsed() >= limit {
            let (awaited, logs) = (awaited.to_owned(), logs.to_owned());
            return Err(Error::TimedOut { awaited, limit_s: limit.as_secs(), last_seen, logs });
        }
        thread::sleep(every);
    }
}

/// The end of a log, for an error message; empty where there is none.
pub(crate) fn read_tail(log: &Path) -> String {
    /// More than the lines that an error shows.
    const BYTES: usize = 8 * 1024;
    let text = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(text.get(text.len().saturating_sub(BYTES)..).unwrap_or_default()).into_owned()
}

fn count_lines(log: &Path) -> usize {
    std::fs::read(log).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

fn not_started(step: &str, command: &Command, error: &std::io::Error) -> Error {
    Error::Command {
        step: step.to_owned(),
        command: shown(command),
        status: format!("could not be started: {error}"),
        output: String::new(),
        log: None,
    }
}

fn failed(step: &str, command: &Command, status: ExitStatus, output: String, log: Option<&Path>) -> Error {
    Error::Command {
        step: step.to_owned(),
        command: shown(command),
        status: format!("ended with {status}"),
        output,
        log: log.map(Path::to_owned),
    }
}

/// A command as a person would type it, shortened to what tells it from others.
fn shown(command: &Command) -> String {
    /// A shell script passed as an argument can be long; its first words suffice.
    const ARGUMENT: usize = 80;
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| {
        let argument = argument.to_string_lossy();
        if argument.chars().count() > ARGUMENT {
            argument.chars().take(ARGUMENT).collect::<String>().trim_end().replace('\n', "; ") + "…"
        } else {
            argument.into_owned()
        }
    }));
    words.join(" ")
}
