//! Prometheus' engine, as a program that answers one question.

use anyhow::{Context, Result, bail};
use rollcall_cluster::{Home, PROMQL};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// Asks the engine.
#[derive(Debug, Clone)]
pub struct Promql(PathBuf);

/// Says what the engine is to find out. Times are seconds since the beginning of the story.
#[derive(Debug, Clone, Serialize)]
pub struct Question<'a> {
    pub targets: &'a [Target],
    pub rules: &'a str,
    pub queries: &'a [String],
    pub from_s: u64,
    pub until_s: u64,
    pub step_s: u64,
}

/// Holds what one endpoint answered.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    pub labels: BTreeMap<String, String>,
    pub scrapes: Vec<Scrape>,
}

/// Holds one answer.
#[derive(Debug, Clone, Serialize)]
pub struct Scrape {
    pub at_s: u64,
    pub content_type: &'static str,
    /// None where the endpoint did not answer.
    pub text: Option<String>,
    /// Prometheus no longer knows the endpoint.
    pub gone: bool,
}

/// Holds what the engine found.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    #[serde(deserialize_with = "or_none")]
    pub alerts: Vec<Alert>,
    #[serde(deserialize_with = "or_none")]
    pub queries: Vec<Query>,
    /// The alerts of the file as expressions, whether or not they fire.
    #[serde(deserialize_with = "or_none")]
    pub rules: Vec<Query>,
}

/// Holds one alert, from when its expression held.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub since_s: u64,
    /// None where it did not hold for long enough.
    pub fired_s: Option<u64>,
    pub ended_s: Option<u64>,
}

/// Holds an expression, what it reads, and what it came to.
#[derive(Debug, Clone, Deserialize)]
pub struct Query {
    pub name: String,
    pub text: String,
    #[serde(deserialize_with = "or_none")]
    pub selectors: Vec<Selector>,
    /// By which it groups and joins.
    #[serde(deserialize_with = "or_none")]
    pub labels: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    pub series: Vec<Series>,
}

/// Says which series are read.
#[derive(Debug, Clone, Deserialize)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

/// Says what a label must be like; `how` is one of `=`, `!=`, `=~`, `!~`.
#[derive(Debug, Clone, Deserialize)]
pub struct Matcher {
    pub label: String,
    pub how: String,
    pub value: String,
}

/// Holds pairs of seconds and numbers, both as text.
#[derive(Debug, Clone, Deserialize)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_none")]
    pub points: Vec<(String, String)>,
}

// === impl Promql ===

impl Promql {
    /// Builds it where it is not there yet.
    pub fn new() -> Result<Self> {
        Ok(Self(PROMQL.build(&Home::of_this_user()?)?))
    }

    pub fn ask(&self, question: &Question<'_>) -> Result<Answer> {
        let asked = serde_json::to_vec(question)?;
        let mut engine = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the engine")?;
        let mut input = engine.stdin.take().context("the engine has no input")?;
        // It complains before it has read all: whoever writes must not be the one that waits.
        let writer = thread::spawn(move || input.write_all(&asked));
        let output = engine.wait_with_output().context("cannot hear the engine")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        match writer.join() {
            Ok(written) => written.context("cannot ask the engine")?,
            Err(_) => bail!("cannot ask the engine"),
        }
        serde_json::from_slice(&output.stdout).context("what the engine answered")
    }
}

// === impl Series ===

impl Series {
    /// Whether there is a number in it.
    pub fn has_numbers(&self) -> bool {
        self.points.iter().any(|(_, number)| number.parse().is_ok_and(f64::is_finite))
    }
}

/// An empty list is written as nothing by those who made the engine.
fn or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
