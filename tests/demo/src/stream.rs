//! What goes on in a pod for as long as its value lives, and what it prints: each line with the moment in which it came.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rollcall_cluster::companion::Companion;

use crate::{Line, Stage, stage::SHOP, wait};

/// Minutes of the fastest loop; what comes later is not kept.
const LINES_MAX: usize = 100_000;
/// A loop that lost the one who started it ends by itself after so many turns: an hour at most.
const TURNS_MAX: u32 = 150_000;
/// So long a loop has to end once nobody listens any more.
const END_WITHIN: Duration = Duration::from_secs(2);
/// The first line of a stream comes in less than a second, on a busy machine in some.
const FIRST_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Holds a process, and what it has said.
pub(crate) struct Stream {
    name: String,
    process: Companion,
    /// Whatever reads it ends when it is closed.
    input: Option<ChildStdin>,
    heard: Arc<Mutex<Vec<Line>>>,
}

// === impl Stream ===

impl Stream {
    /// These commands in the app of a pod, over and over; each turn prints a line.
    pub(crate) fn turns(stage: &Stage, pod: &str, turn: &str) -> Result<Self> {
        // A shell has no other way to hear that nobody listens any more: what runs in a pod outlives its kubectl.
        let script = format!(
            "exec 3<&0; (cat <&3 >/dev/null; kill $$) & set -f; \
             turn=0; while [ $turn -lt {TURNS_MAX} ]; do turn=$((turn+1)); {turn}; done"
        );
        Self::exec(stage, pod, &script)
    }

    /// This script in the app of a pod, once.
    pub(crate) fn exec(stage: &Stage, pod: &str, script: &str) -> Result<Self> {
        Self::begin(stage, pod, &["exec", "-i", pod, "-c", "app", "--", "sh", "-c", script])
    }

    /// kubectl in the shop.
    pub(crate) fn begin(stage: &Stage, name: &str, args: &[&str]) -> Result<Self> {
        let args: Vec<String> = ["-n", SHOP].iter().chain(args).map(|&arg| arg.to_owned()).collect();
        let kubeconfig = stage.tool().kubeconfig.clone();
        let mut process = Companion::start("starting kubectl", &stage.tool().program, move |kubectl| {
            kubectl.env("KUBECONFIG", kubeconfig).args(args);
            kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        })?;
        let output = process.take_stdout().context("kubectl without output")?;
        let (heard, began) = (Arc::<Mutex<Vec<Line>>>::default(), stage.began());
        let hears = heard.clone();
        // Ends with kubectl.
        thread::spawn(move || {
            for text in BufReader::new(output).lines().map_while(Result::ok) {
                let at_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.len() < LINES_MAX {
                    heard.push(Line { at_ms, text });
                }
            }
        });
        Ok(Self { name: name.to_owned(), input: process.take_stdin(), process, heard })
    }

    /// What it has said so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until one of its lines is so.
    pub(crate) fn says(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<()> {
        wait::until(&format!("{}: {what}", self.name), FIRST_WITHIN, || {
            Ok(self.lines().iter().any(|line| is_it(&line.text)))
        })
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("it does not listen")?;
        input.write_all(line.as_bytes())?;
        Ok(input.flush()?)
    }

    /// Ends it, and gives all that it said.
    pub(crate) fn end(self) -> Vec<Line> {
        let heard = self.heard.clone();
        drop(self);
        heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.input.take();
        let begin = Instant::now();
        while self.process.ended().is_none() && begin.elapsed() < END_WITHIN {
            sleep(LOOK_EVERY);
        }
    }
}
