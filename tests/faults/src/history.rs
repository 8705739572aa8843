//! What clients were told, as it was written down.

use std::sync::Arc;

/// Holds all that one client was told, in the order of its questions.
#[derive(Debug, Clone)]
pub struct History {
    pub client: Client,
    /// It asks from then on.
    pub from_ms: u64,
    /// And until then; none: to the end of the run.
    pub until_ms: Option<u64>,
    pub looks: Vec<Look>,
}

/// Says who asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    pub name: String,
    /// The node that it is on.
    pub place: String,
}

/// Holds one question and its answer. Times count from the beginning of the run.
#[derive(Debug, Clone)]
pub struct Look {
    pub asked_ms: u64,
    pub answered_ms: u64,
    pub service: Arc<str>,
    pub said: Said,
}

/// Says what came back.
#[derive(Debug, Clone)]
pub enum Said {
    Told(Told),
    /// Anything but an answer with 200, in words.
    Failed(String),
}

/// Holds an answer. Most are the same as the one before: they share it.
#[derive(Debug, Clone)]
pub struct Told {
    pub instances: Arc<[Instance]>,
    pub revision: u64,
    /// `Age`: 0 in step, and only then.
    pub age_s: u64,
    /// `X-Rollcall-Source`: whether a session has confirmed it, and not the disk alone.
    pub is_live: bool,
}

/// Holds what an answer says of one instance.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Instance {
    pub id: String,
    /// Empty where it is none of a pod.
    #[serde(default)]
    pub pod: String,
    pub address: String,
}

// === impl History ===

impl History {
    /// The client is there no more: what it was told from then on counts for nothing.
    pub fn end_at(&mut self, until_ms: u64) {
        self.looks.retain(|look| look.answered_ms < until_ms);
        self.until_ms = Some(until_ms.max(self.from_ms));
    }

    pub fn told(&self) -> impl Iterator<Item = (&Look, &Told)> {
        self.looks.iter().filter_map(|look| match &look.said {
            Said::Told(told) => Some((look, told)),
            Said::Failed(_) => None,
        })
    }
}

// === impl Told ===

impl Told {
    pub fn has(&self, pod: &str) -> bool {
        self.instances.iter().any(|instance| instance.pod == pod)
    }
}
