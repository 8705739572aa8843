//! Running other programs and waiting for what they bring about.

use crate::progress::Step;
use crate::{Error, interrupt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a long-running command is looked after: soon enough for ctrl-C, seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The short commands take milliseconds, and loading a large image into a busy disk some seconds: what has not ended by
/// now hangs.
const SHORT_COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Runs a short command to its end and gives back what it printed.
///
/// An interruption does not end it: it may be part of a clean-up.
pub fn output_of(step: &str, command: &mut Command) -> Result<String, Error> {
    output_given(step, Stdio::null(), command)
}

/// As `output_of`, for a command that reads something.
pub(crate) fn output_given(step: &str, input: Stdio, command: &mut Command) -> Result<String, Error> {
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn_apart(command).map_err(|error| not_started(step, command, &error))?;
    let (printed, complained) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let Some(status) = ended_within(&mut child, SHORT_COMMAND_LIMIT) else {
        // Its pipes may be held open by children of its own, so what it printed is not waited for.
        let status = format!("did not end within {} s", SHORT_COMMAND_LIMIT.as_secs());
        return Err(not_run_to_end(step, command, status));
    };
    let (printed, complained) = (printed.join().unwrap_or_default(), complained.join().unwrap_or_default());
    if status.success() {
        return Ok(printed);
    }
    Err(failed(step, command, status, printed + &complained, None))
}

/// Starts a child in a process group of its own: a terminal sends ctrl-C to the whole group of this process, which alone
/// decides what that means for its children.
fn spawn_apart(command: &mut Command) -> std::io::Result<Child> {
    command.process_group(0).spawn()
}

/// Reads a pipe beside the wait for its writer, who would otherwise stop when it is full.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    /// Most commands are done within a few of these.
    const EVERY: Duration = Duration::from_millis(2);
    let started = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if started.elapsed() >= limit {
            end(child);
            return None;
        }
        thread::sleep(EVERY);
    }
}

/// Ends a child of ours with all of its own; if it is gone already there is nothing left to end.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

/// Whether a long command may be ended in the middle when the user asks to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenInterrupted {
    End,
    /// For what would leave the machine in disorder.
    Finish,
}

/// Runs a long command to its end, its output in `log`, with a line of life from time to time.
///
/// How long it takes is the machine's affair (building Kubernetes takes minutes or an hour), so it has no limit: the user
/// sees that it goes on, and can end it.
pub(crate) fn logged(step: &Step, command: &mut Command, log: &Path) -> Result<(), Error> {
    logged_until(step, command, log, WhenInterrupted::End)
}

pub(crate) fn logged_until(
    step: &Step,
    command: &mut Command,
    log: &Path,
    then: WhenInterrupted,
) -> Result<(), Error> {
    let file = File::create(log).map_err(Error::file("write", log))?;
    let errors = file.try_clone().map_err(Error::file("write", log))?;
    let mut child = spawn_apart(command.stdin(Stdio::null()).stdout(file).stderr(errors))
        .map_err(|error| not_started(step.name(), command, &error))?;
    let status = loop {
        match child.try_wait().map_err(Error::file("wait for the process that writes", log))? {
            Some(status) => break status,
            None => thread::sleep(LOOK_EVERY),
        }
        if let (WhenInterrupted::End, Err(interrupted)) = (then, interrupt::check()) {
            end(&mut child);
            return Err(interrupted);
        }
        step.still_running(|| format!("{} lines of log", count_lines(log)));
    };
    interrupt::check()?;
    if status.success() {
        return Ok(());
    }
    Err(failed(step.name(), command, status, read_tail(log), Some(log)))
}

/// A command that ends when this process does, even by SIGKILL: a build is of no use to anybody else.
pub(crate) fn bound_to_us(program: impl AsRef<OsStr>) -> Command {
    if !on_the_path("setpriv") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

pub(crate) fn on_the_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What a poll found: the awaited value, or what it saw instead.
pub enum Poll<T> {
    Ready(T),
    NotYet(String),
}

/// Polls until `probe` has the value, at most for `limit`; an interruption ends the wait, but not before a first look.
pub fn wait_for<T>(
    awaited: &str,
    limit: Duration,
    every: Duration,
    logs: &Path,
    mut probe: impl FnMut() -> Result<Poll<T>, Error>,
) -> Result<T, Error> {
    wait_through(awaited, limit, every, logs, || match probe()? {
        Poll::NotYet(seen) => interrupt::check().map(|()| Poll::NotYet(seen)),
        ready @ Poll::Ready(_) => Ok(ready),
    })
}

/// As `wait_for`, for clean-ups: they go on when the user asked to stop.
pub(crate) fn wait_through<T>(
    awaited: &str,
    limit: Duration,
    every: Duration,
    logs: &Path,
    mut probe: impl FnMut() -> Result<Poll<T>, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
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

pub(crate) fn not_started(step: &str, command: &Command, error: &std::io::Error) -> Error {
    not_run_to_end(step, command, format!("could not be started: {error}"))
}

fn not_run_to_end(step: &str, command: &Command, status: String) -> Error {
    Error::Command {
        step: step.to_owned(),
        command: shown(command),
        status,
        output: String::new(),
        log: None,
    }
}

pub(crate) fn failed(
    step: &str,
    command: &Command,
    status: ExitStatus,
    output: String,
    log: Option<&Path>,
) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_command_that_prints_more_than_a_pipe_holds_is_read_to_its_end() {
        let printed = output_of("counting", shell("seq 100000; seq 100000 >&2").arg("x")).unwrap();
        assert_eq!(printed.lines().count(), 100_000);
    }

    #[test]
    fn a_failed_command_says_what_it_was_and_what_it_said() {
        let said = output_of("trying", &mut shell("echo out; echo err >&2; exit 3")).unwrap_err().to_string();
        for part in ["trying failed", "exit status: 3", "out", "err"] {
            assert!(said.contains(part), "{said}");
        }
        let said = output_of("trying", &mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(said.contains("`no-such-program` could not be started"), "{said}");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let mut child = spawn_apart(&mut shell("sleep 600; sleep 600")).unwrap();
        assert!(ended_within(&mut child, Duration::from_millis(20)).is_none());
        assert!(child.try_wait().unwrap().is_some(), "it is ended and buried");
    }

    #[test]
    fn a_wait_ends_with_its_value_or_tells_what_it_last_saw() {
        let (every, logs) = (Duration::from_millis(1), Path::new("logs"));
        let mut looks = 0;
        let value = wait_for("three looks", Duration::from_secs(60), every, logs, || {
            looks += 1;
            Ok(if looks == 3 { Poll::Ready(looks) } else { Poll::NotYet("fewer".into()) })
        });
        assert_eq!(value.unwrap(), 3);
        let never = wait_for("never", Duration::from_millis(5), every, logs, || {
            Ok(Poll::<()>::NotYet("nothing".into()))
        });
        assert!(never.unwrap_err().to_string().contains("last seen: nothing"));
    }
}
