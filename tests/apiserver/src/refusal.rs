//! What the API server says instead of what was asked for.

use serde_json::{Value, json};

use crate::kinds::Kind;

/// Holds a `Status` that is no success.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
}

// === impl Refusal ===

impl Refusal {
    fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: Value::Null }
    }

    fn about(self, kind: &Kind, name: &str) -> Self {
        let mut details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            details["group"] = json!(kind.group);
        }
        Self { details, ..self }
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind, name)
    }

    /// No such path.
    pub(crate) fn not_served() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource".to_owned())
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.resource()))
            .about(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// The object is of another version than was asked for.
    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// Others own these fields: each with their manager.
    pub(crate) fn owned(conflicts: &[(String, String)]) -> Self {
        let causes: Vec<_> = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""),
                    "field": field})
            })
            .collect();
        let fields: Vec<_> =
            conflicts.iter().map(|(manager, field)| format!("\"{manager}\": {field}")).collect();
        let plural = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
        let message =
            format!("Apply failed with {} {plural}: conflict with {}", conflicts.len(), fields.join(", "));
        Self { details: json!({"causes": causes}), ..Self::new(409, "Conflict", message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into())
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {why}", kind.name)).about(kind, name)
    }

    /// What is said of the resourceVersionMatch of a list.
    pub(crate) fn wrong_list(why: &str) -> Self {
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: {why}");
        Self::new(422, "Invalid", message)
    }

    pub(crate) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            kind.resource()
        );
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// What was asked for is older than what is remembered.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message.into())
    }

    /// This replica has not come to that version yet.
    pub(crate) fn too_large(asked: u64, reached: u64) -> Self {
        let details = json!({"retryAfterSeconds": 1, "causes": [
            {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
        let message = format!("Timeout: Too large resource version: {asked}, current: {reached}");
        Self { details, ..Self::new(504, "Timeout", message) }
    }

    pub(crate) fn gateway() -> Self {
        Self::new(504, "Timeout", "Timeout: request did not complete within requested timeout".to_owned())
    }

    pub(crate) fn too_many(seconds: u32) -> Self {
        let details = json!({"retryAfterSeconds": seconds});
        let message = "too many requests, please try again later".to_owned();
        Self { details, ..Self::new(429, "TooManyRequests", message) }
    }

    pub(crate) fn unsupported(what: &str) -> Self {
        Self::new(415, "UnsupportedMediaType", format!("the body is of a type that is not taken: {what}"))
    }

    pub(crate) fn body(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code});
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
