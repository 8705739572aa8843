//! One line of a file of results.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Holds what a measurement ran on, and who took part in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Run {
    /// The measurement's name, as `cargo xtask bench` knows it.
    pub bench: String,
    /// What made this file, to be repeated.
    pub command: String,
    /// The commit that was measured; `-dirty` behind it where that was not all.
    pub commit: String,
    /// The day, as `2026-11-22`.
    pub date: String,
    /// The processors, as the kernel calls them, and how many.
    pub machine: String,
    pub kernel: String,
    pub programs: Vec<Program>,
}

/// Holds who took part, and how it was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Program {
    pub name: String,
    pub version: String,
    /// Without folders of the machine.
    pub command: String,
}

/// Holds one load on one system in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// Who was measured: `sidecar`, `consul agent ?cached`, `bare hyper`.
    pub system: String,
    pub class: Class,
    pub configuration: Configuration,
    /// What was asked of it: `connections`, `services`, `instances`, `watchers`, `event`.
    pub case: BTreeMap<String, Value>,
    pub round: u32,
    /// What came of it, by names that carry their units: `a_second`, `cpu_us`, `p50_us`, `rss_mib`.
    pub values: BTreeMap<String, f64>,
    /// How often each delay in microseconds came, to two digits: all that was measured, so that any share can be read off later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays_us: Vec<(u64, u64)>,
    /// Why there is nothing of it, where it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_measured: Option<String>,
}

/// Says where an answer comes from. Only systems of one class are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// What the harness itself costs.
    Floor,
    /// The memory of the process that asks.
    A,
    /// An agent on the same machine, one hop over loopback away, that has the answer.
    B,
    /// A server, which is somewhere in the network in real life.
    C,
}

/// Says how a system was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Configuration {
    /// As its makers ship it.
    Default,
    /// For speed, by what is checked in beside it.
    Tuned,
}

/// Holds what tells one case from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(u64),
    Text(String),
}

// === impl Record ===

impl Record {
    /// With nothing measured yet, in the case of no name.
    pub fn new(system: &str, class: Class, configuration: Configuration, round: u32) -> Self {
        Self {
            system: system.to_owned(),
            class,
            configuration,
            case: BTreeMap::new(),
            round,
            values: BTreeMap::new(),
            delays_us: Vec::new(),
            not_measured: None,
        }
    }

    /// With this in its case.
    #[must_use]
    pub fn with_case(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.case.insert(name.to_owned(), value.into());
        self
    }

    /// With this measured.
    #[must_use]
    pub fn with_value(mut self, name: &str, value: f64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// With nothing measured, for this reason.
    #[must_use]
    pub fn without_any(self, why: &str) -> Self {
        let not_measured = Some(why.to_owned());
        Self { values: BTreeMap::new(), delays_us: Vec::new(), not_measured, ..self }
    }
}

// === impl Value ===

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(out),
            Self::Text(text) => text.fmt(out),
        }
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
