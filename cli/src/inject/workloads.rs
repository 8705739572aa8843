//! Whatever holds a pod, or a template of pods.

use anyhow::anyhow;
use rollcall_catalogue::Namespace;
use rollcall_injection::{Decision, Install, apply, inject};
use serde_json::Value;

/// Injects into the pods of documents, and holds what people should know of them.
pub(super) struct Workloads<'a> {
    install: &'a Install<'a>,
    namespace: &'a Namespace,
    notices: Vec<String>,
}

// === impl Workloads ===

impl<'a> Workloads<'a> {
    pub(super) fn new(install: &'a Install<'a>, namespace: &'a Namespace) -> Self {
        Self { install, namespace, notices: Vec::new() }
    }

    /// A line each, in the order of the documents.
    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Whether it changed anything.
    pub(super) fn inject(&mut self, document: &mut Value) -> anyhow::Result<bool> {
        let said = |path: &str| text(document, path).unwrap_or_default().to_owned();
        self.inject_into(document, &said("/apiVersion"), &said("/kind"))
    }

    /// What it is, in a list of its kind, may be said by the list alone.
    fn inject_into(&mut self, document: &mut Value, version: &str, kind: &str) -> anyhow::Result<bool> {
        if let (Some(of), Some(items)) =
            (kind.strip_suffix("List"), document.get_mut("items").and_then(Value::as_array_mut))
        {
            let mut changed = false;
            for item in items {
                let said = |path: &str, unsaid: &str| text(item, path).unwrap_or(unsaid).to_owned();
                let (version, kind) = (said("/apiVersion", version), said("/kind", of));
                changed |= self.inject_into(item, &version, &kind)?;
            }
            return Ok(changed);
        }
        let Some(path) = pod_path(version, kind) else { return Ok(false) };
        let named = text(document, "/metadata/name").or_else(|| text(document, "/metadata/generateName"));
        let who = format!("{kind}/{}", named.unwrap_or("?"));
        let namespace = text(document, "/metadata/namespace").unwrap_or(self.namespace.as_str()).to_owned();
        if !self.install.settings.namespaces.admits(&namespace) {
            self.notices
                .push(format!("{who}: left as it is: in the namespace {namespace} no pod gets a sidecar"));
            return Ok(false);
        }
        let pod = document.pointer_mut(path).ok_or_else(|| anyhow!("{who}: has no pod"))?;
        match inject(pod, &namespace, self.install).map_err(|error| anyhow!("{who}: {error}"))? {
            Decision::Left(exemption) => {
                let why = match exemption {
                    Some(exemption) => exemption.to_string(),
                    None => "its annotation rollcall.dev/inject declines".to_owned(),
                };
                self.notices.push(format!("{who}: left as it is: {why}"));
                Ok(false)
            }
            Decision::Injected(injected) => {
                apply(pod, &injected.additions).map_err(|error| anyhow!("{who}: {error}"))?;
                self.notices.extend(injected.warnings.iter().map(|warning| format!("{who}: {warning}")));
                Ok(!injected.additions.is_empty())
            }
        }
    }
}

/// Where a document of this kind holds its pod.
fn pod_path(version: &str, kind: &str) -> Option<&'static str> {
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn text<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    document.pointer(path)?.as_str()
}
