//! Processes beside the tests: each ends with the value that stands for it, and with this process, however that ends.

use crate::Error;
use crate::run::{bound_to_us, not_started};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long an end may stay unseen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process that runs as long as this value lives, or until it ends by itself.
///
/// The kernel ends it with the *thread* that started it, so that thread is kept for as long.
#[derive(Debug)]
pub struct Companion {
    pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    ended: Arc<OnceLock<Option<ExitStatus>>>,
    end: Option<Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl Companion {
    /// Starts `program` with what `set` gives it: arguments, environment, where its output goes.
    pub fn start(
        step: &str,
        program: &Path,
        set: impl FnOnce(&mut Command) + Send + 'static,
    ) -> Result<Self, Error> {
        let (step, program) = (step.to_owned(), program.to_owned());
        let (end, told_to_end) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let ended = Arc::new(OnceLock::new());
        let end_of_it = ended.clone();
        let holder = thread::spawn(move || {
            let mut command = bound_to_us(&program);
            set(&mut command);
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    // Whoever asked for it is waiting for just this.
                    let _ = tell.send(Err(not_started(&step, &command, &error)));
                    return;
                }
            };
            let _ = tell.send(Ok((child.id(), child.stdin.take(), child.stdout.take())));
            let status = hold(&mut child, &told_to_end);
            let _ = end_of_it.set(status);
        });
        let gone = || Error::unmet("a process was not started", "try again");
        let (pid, stdin, stdout) = told.recv().map_err(|_| gone())??;
        Ok(Self { pid, stdin, stdout, ended, end: Some(end), holder: Some(holder) })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it reads, where that was asked for as a pipe; once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// What it prints, where that was asked for as a pipe; once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Says how it ended by itself; none while it runs.
    pub fn ended(&self) -> Option<String> {
        let status = self.ended.get()?;
        Some(status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string()))
    }

    /// Ends it by SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.end.take();
        if let Some(holder) = self.holder.take() {
            // It cannot panic: all that it does gives errors.
            let _ = holder.join();
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.kill();
    }
}

fn hold(child: &mut Child, told_to_end: &mpsc::Receiver<()>) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        match told_to_end.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                // If it is gone already there is nothing left to end.
                let _ = child.kill();
                return child.wait().ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;
    use std::time::Instant;

    fn shell(script: &'static str) -> Companion {
        Companion::start("trying", Path::new("sh"), move |sh| {
            sh.args(["-c", script]).stdout(Stdio::piped());
        })
        .unwrap()
    }

    #[test]
    fn it_ends_with_its_value_and_outlives_the_thread_that_asked_for_it() {
        let mut companion = thread::spawn(|| shell("echo up; exec sleep 600")).join().unwrap();
        let mut output = companion.take_stdout().unwrap();
        let mut up = [0; 3];
        output.read_exact(&mut up).unwrap();
        assert_eq!((&up, companion.ended()), (b"up\n", None));
        drop(companion);
        // Its end of the pipe is closed: nobody of it is left.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn its_own_end_is_seen() {
        let companion = shell("exit 3");
        let began = Instant::now();
        while companion.ended().is_none() {
            assert!(began.elapsed() < Duration::from_secs(30));
            thread::yield_now();
        }
        assert!(companion.ended().unwrap().contains('3'));
    }
}
