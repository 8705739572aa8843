//! What a check can find, and how it is told.

use serde::Serialize;

/// Where docs/checks.md is to be read.
const DOCS: &str = "docs/checks.md";

/// Says how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    /// It could not be looked at, which is no fault of the installation.
    Skipped,
    Warn,
    Fail,
}

/// Says what belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    Kubernetes,
    Crd,
    Installation,
    Webhook,
    Certificates,
    Catalogue,
    DataPlane,
    BeforeInstall,
}

macro_rules! topics {
    ($($topic:ident, $group:ident, $anchor:literal;)+) => {
        /// Says what is looked at; each has its place in docs/checks.md.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Topic { $($topic),+ }

        impl Topic {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$topic),+];

            pub(crate) fn group(self) -> Group {
                match self { $(Self::$topic => Group::$group),+ }
            }

            /// Its heading on the page.
            pub(crate) fn anchor(self) -> &'static str {
                match self { $(Self::$topic => $anchor),+ }
            }
        }
    };
}

topics! {
    Reachable, Kubernetes, "kubernetes-reachable";
    Version, Kubernetes, "kubernetes-version";
    NativeSidecars, Kubernetes, "native-sidecars";
    CrdThere, Crd, "crd-there";
    CrdServed, Crd, "crd-served";
    CrdSchema, Crd, "crd-schema";
    Deployment, Installation, "deployment";
    Replicas, Installation, "replicas";
    Versions, Installation, "versions";
    CommandVersion, Installation, "command-version";
    Service, Installation, "service";
    Webhook, Webhook, "webhook-there";
    WebhookTarget, Webhook, "webhook-target";
    WebhookAuthority, Webhook, "webhook-authority";
    FailurePolicy, Webhook, "failure-policy";
    Authority, Certificates, "authority";
    AuthorityTerm, Certificates, "authority-term";
    Rotation, Certificates, "rotation";
    Answers, Catalogue, "controllers-answer";
    InStep, Catalogue, "controllers-in-step";
    Freeze, Catalogue, "freeze";
    Watches, Catalogue, "watches";
    WithoutSidecar, Catalogue, "without-sidecar";
    Registrations, Catalogue, "registrations";
    Failing, Catalogue, "failing-apps";
    SidecarImages, DataPlane, "sidecar-images";
    SidecarSessions, DataPlane, "sidecar-sessions";
    SidecarAddress, DataPlane, "sidecar-address";
    Rights, BeforeInstall, "rights";
    LeftCrd, BeforeInstall, "left-crd";
    LeftWebhook, BeforeInstall, "left-webhook";
    Namespace, BeforeInstall, "namespace";
}

/// Holds what was found of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) topic: Topic,
    pub(crate) level: Level,
    pub(crate) says: String,
    pub(crate) remedy: Option<String>,
}

// === impl Group ===

impl Group {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::Crd => "CRD",
            Self::Installation => "Installation",
            Self::Webhook => "Webhook",
            Self::Certificates => "Certificates",
            Self::Catalogue => "Catalogue",
            Self::DataPlane => "Data plane",
            Self::BeforeInstall => "Before an install",
        }
    }
}

// === impl Topic ===

impl Topic {
    pub(crate) fn docs(self) -> String {
        format!("{DOCS}#{}", self.anchor())
    }
}

// === impl Finding ===

impl Finding {
    pub(crate) fn ok(topic: Topic, says: impl Into<String>) -> Self {
        Self { topic, level: Level::Ok, says: says.into(), remedy: None }
    }

    pub(crate) fn skipped(topic: Topic, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, level: Level::Skipped, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn warn(topic: Topic, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, level: Level::Warn, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn fail(topic: Topic, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { topic, level: Level::Fail, says: says.into(), remedy: Some(remedy.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_topic_has_its_place_on_the_page_and_the_page_no_other() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
        let page = fs::read_to_string(page).unwrap();
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let anchors: Vec<_> = Topic::ALL.iter().map(|topic| topic.anchor()).collect();
        assert_eq!(
            headings, anchors,
            "docs/checks.md: one heading of the third level each, in the code's order"
        );
        assert_eq!(anchors.iter().collect::<BTreeSet<_>>().len(), anchors.len(), "no two are the same");
        let groups: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let mut titles: Vec<_> = Topic::ALL.iter().map(|topic| topic.group().title()).collect();
        titles.dedup();
        assert_eq!(groups, titles);
    }
}
