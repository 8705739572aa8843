//! The way of a pod into the catalogue, link by link, up to the first that is broken. A function of what was gathered.

mod catalogue;
mod sidecar;
#[cfg(test)]
mod tests;

use serde::Serialize;

use self::{
    catalogue::{catalogue, crd, probe, registration, visibility},
    sidecar::{injection, session, sidecar, token},
};
use super::facts::{Controllers, PodFacts};
use crate::print::{counted, first_of};

const NAMED_MAX: usize = 3;

/// Says which part of the way it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Link {
    Controller,
    Annotation,
    Injection,
    Sidecar,
    Token,
    Session,
    Readiness,
    Crd,
    Registration,
    Probe,
    Visibility,
    Catalogue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Good,
    /// The way goes on, and somebody should know.
    Note,
    /// Nobody could say; the way goes on.
    Unknown,
    Broken,
}

/// Holds one link, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) link: Link,
    pub(super) state: State,
    pub(super) says: String,
    pub(super) remedy: Option<String>,
}

// === impl Link ===

impl Link {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Annotation => "annotation",
            Self::Injection => "injection",
            Self::Sidecar => "sidecar",
            Self::Token => "token",
            Self::Session => "session",
            Self::Readiness => "readiness",
            Self::Crd => "crd",
            Self::Registration => "registration",
            Self::Probe => "probe",
            Self::Visibility => "visibility",
            Self::Catalogue => "catalogue",
        }
    }

    fn good(self, says: impl Into<String>) -> Step {
        Step { link: self, state: State::Good, says: says.into(), remedy: None }
    }

    fn note(self, says: impl Into<String>, remedy: impl Into<String>) -> Step {
        Step { link: self, state: State::Note, says: says.into(), remedy: Some(remedy.into()) }
    }

    fn unknown(self, says: impl Into<String>, remedy: impl Into<String>) -> Step {
        Step { link: self, state: State::Unknown, says: says.into(), remedy: Some(remedy.into()) }
    }

    fn broken(self, says: impl Into<String>, remedy: impl Into<String>) -> Step {
        Step { link: self, state: State::Broken, says: says.into(), remedy: Some(remedy.into()) }
    }
}

/// The way, up to its first broken link: what comes behind that one follows from it.
pub(super) fn walk(facts: &PodFacts) -> Vec<Step> {
    const LINKS: [fn(&PodFacts) -> Option<Step>; 12] = [
        controller,
        annotation,
        injection,
        sidecar,
        token,
        session,
        readiness,
        crd,
        registration,
        probe,
        visibility,
        catalogue,
    ];
    let mut steps = Vec::new();
    for link in LINKS {
        let Some(step) = link(facts) else { continue };
        let broken = step.state == State::Broken;
        steps.push(step);
        if broken {
            break;
        }
    }
    steps
}

fn controller(facts: &PodFacts) -> Option<Step> {
    const MEANWHILE: &str = "lookups go on from the last state, and nothing new comes to be known";
    const CHECK: &str = "`rollcall check` says more of them";
    let link = Link::Controller;
    Some(match &facts.controllers {
        Controllers::Ready(number) => link.good(format!("{} ready", counted(*number, "controller"))),
        Controllers::NoneReady(why) => link.broken(
            format!("no controller is ready ({}): {MEANWHILE}", first_of(why, NAMED_MAX)),
            CHECK,
        ),
        Controllers::ScaledToZero => link.broken(
            format!("the controllers are scaled to 0: {MEANWHILE}"),
            "scale the Deployment rollcall-controller up again: `kubectl scale --replicas=2`, in its namespace",
        ),
        Controllers::NotMade(why) => {
            let why = why.as_deref().unwrap_or("its Deployment does not say why");
            link.broken(format!("no controller is made ({why}): {MEANWHILE}"), CHECK)
        }
        Controllers::NotInstalled => link
            .broken("there is no controller", "install Rollcall, or say where it is by --system-namespace"),
        Controllers::NotSeen(why) => link
            .unknown(format!("the controllers were not seen: {why}"), "ask somebody who may list their pods"),
    })
}

fn annotation(facts: &PodFacts) -> Option<Step> {
    let link = Link::Annotation;
    if let Some(astray) = &facts.astray {
        return Some(link.broken(&astray.says, &astray.remedy));
    }
    if !facts.problems.is_empty() {
        return Some(link.broken(
            first_of(&facts.problems, NAMED_MAX),
            "correct it in the pod's template; what else the annotations say still counts",
        ));
    }
    Some(match facts.annotations.get("rollcall.dev/service") {
        Some(service) => link.good(format!("it says that the pod is `{service}`")),
        None => link.good("none names a service: by its annotations the pod only looks others up"),
    })
}

fn readiness(facts: &PodFacts) -> Option<Step> {
    let link = Link::Readiness;
    Some(if facts.ending {
        link.broken("Kubernetes ends it", "its successor takes its place")
    } else if matches!(facts.phase.as_str(), "Succeeded" | "Failed") {
        link.broken(format!("it has ended: {}", facts.phase), "a pod that has ended serves nobody")
    } else if facts.unready.is_empty() {
        link.good("all its containers are ready")
    } else {
        link.broken(
            format!("not ready: {}", first_of(&facts.unready, NAMED_MAX)),
            format!(
                "`kubectl -n {} describe pod {}` says what its readiness probes get, and what it waits for",
                facts.namespace, facts.pod
            ),
        )
    })
}
