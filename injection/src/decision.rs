//! What becomes of a pod.

use serde_json::Value;
use thiserror::Error;

use crate::{Exemption, Install};

/// Says what becomes of a pod that is about to be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is left as it is: its annotation declines, or it can have no sidecar.
    Left(Option<Exemption>),
    Injected(Injected),
}

/// Holds what a pod gets, and what its maker should hear.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Injected {
    pub additions: Vec<Addition>,
    /// A sentence each, as the API server shows them to whoever makes the pod.
    pub warnings: Vec<String>,
}

/// Holds one `add` of a JSON patch: an object's member is set or replaced, before an array's entry one is put in.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// A JSON pointer.
    pub path: String,
    pub value: Value,
}

/// Says why something is no pod.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}; give a pod as the API server takes it")]
pub struct NotAPod {
    pub field: &'static str,
    pub problem: &'static str,
}

/// What a pod of this namespace gets whose sidecar was asked for, by whomever; its own annotation may still decline. Doing
/// it twice is doing it once.
pub fn inject(pod: &Value, namespace: &str, install: &Install<'_>) -> Result<Decision, NotAPod> {
    let _ = (pod, namespace, install);
    todo!()
}

/// Does to a pod what the API server would do with the patch.
pub fn apply(pod: &mut Value, additions: &[Addition]) -> Result<(), NotAPod> {
    let _ = (pod, additions);
    todo!()
}
