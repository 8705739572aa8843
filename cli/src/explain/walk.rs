//! The way of a pod into the catalogue, link by link, up to the first that is broken. A function of what was gathered.

use rollcall_injection::Wish;
use serde::Serialize;

use super::facts::{Controllers, Member, PodFacts, Sidecar};
use crate::{
    check::judge::crd::Age,
    names::distance,
    print::{counted, first_of},
};

/// Whom a sidecar's token must be for.
const AUDIENCE: &str = "rollcall";
const NAMED_MAX: usize = 3;

/// The annotations that mean something on a pod (docs/resource.md, docs/injection.md).
const KNOWN: [&str; 15] = [
    "inject",
    "service",
    "version",
    "port",
    "tags",
    "metadata",
    "weight",
    "probe",
    "visibility",
    "requires",
    "prestop",
    "drain",
    "dns",
    "dialects",
    "status",
];

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
    let link = Link::Controller;
    Some(match &facts.controllers {
        Controllers::Ready(number) => link.good(format!("{} ready", counted(*number, "controller"))),
        Controllers::NoneReady(number) => link.broken(
            format!(
                "none of {} is ready: lookups go on from the last state, and nothing new comes to be known",
                counted(*number, "controller")
            ),
            "`rollcall check` says what is wrong with them",
        ),
        Controllers::NotInstalled => link.broken(
            "there is no controller",
            "install Rollcall, scale it up, or say where it is by --system-namespace",
        ),
        Controllers::NotSeen(why) => link
            .unknown(format!("the controllers were not seen: {why}"), "ask somebody who may list their pods"),
    })
}

fn annotation(facts: &PodFacts) -> Option<Step> {
    let link = Link::Annotation;
    for name in facts.annotations.keys() {
        let Some(short) = name.strip_prefix("rollcall.dev/").filter(|short| !KNOWN.contains(short)) else {
            continue;
        };
        let meant = KNOWN.iter().map(|known| (distance(short, known), known)).min();
        let remedy = match meant {
            Some((away, known)) if away <= 2 => format!("did you mean rollcall.dev/{known}?"),
            _ => "docs/resource.md has all of them".to_owned(),
        };
        return Some(link.broken(format!("{name} means nothing"), remedy));
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

fn injection(facts: &PodFacts) -> Option<Step> {
    let link = Link::Injection;
    if facts.sidecar.is_some() {
        return Some(link.good("it has a sidecar"));
    }
    if let Some(exempt) = &facts.exempt {
        return Some(link.broken(
            format!("it can have no sidecar: {exempt}"),
            "a ServiceRegistration can name its pods all the same (docs/resource.md)",
        ));
    }
    let is_member = facts.instances.as_ref().is_some_and(|members| !members.is_empty());
    Some(match facts.wish {
        Wish::Asked => link.broken(
            "it asked for a sidecar and has none: it was made while the webhook did not answer, or before its namespace asked",
            "delete it, so that it is made anew; `rollcall check` says whether the webhook is well",
        ),
        Wish::Declined | Wish::None if is_member => {
            link.good("it has no sidecar, and is in the catalogue all the same")
        }
        Wish::Declined => link.broken(
            "its annotation rollcall.dev/inject declines a sidecar",
            "take that out of its template, and make the pod anew",
        ),
        Wish::None => link.broken(
            "nobody asked for a sidecar",
            format!(
                "`kubectl label namespace {} rollcall.dev/inject=enabled`, or annotate the pod's template with rollcall.dev/inject: \"true\"; then make the pod anew",
                facts.namespace
            ),
        ),
    })
}

fn sidecar(facts: &PodFacts) -> Option<Step> {
    let Sidecar { running, why, .. } = facts.sidecar.as_ref()?;
    let describe = format!("`kubectl -n {} describe pod {}` has the Events", facts.namespace, facts.pod);
    Some(match running {
        true => Link::Sidecar.good("it runs"),
        false => Link::Sidecar.broken(format!("it does not run: {why}"), describe),
    })
}

fn token(facts: &PodFacts) -> Option<Step> {
    const REMEDY: &str =
        "let the webhook or `rollcall inject` give the pod its sidecar: each writes the token too";
    let sidecar = facts.sidecar.as_ref()?;
    Some(match sidecar.audience.as_deref() {
        Some(AUDIENCE) => Link::Token.good(format!("it is for the audience {AUDIENCE}")),
        Some(other) => {
            Link::Token.broken(format!("it is for the audience `{other}`, and not for {AUDIENCE}"), REMEDY)
        }
        None => Link::Token.broken("the sidecar has no token of its own", REMEDY),
    })
}

fn session(facts: &PodFacts) -> Option<Step> {
    let link = Link::Session;
    let sidecar = facts.sidecar.as_ref()?;
    let word = match sidecar.session.as_deref() {
        Some(word @ ("live" | "heard-by-peer")) => return Some(link.good(word)),
        Some(word) => word,
        None => return Some(link.unknown("nobody says whether it is heard", "upgrade the controllers")),
    };
    let Some(error) = &sidecar.last_error else {
        return Some(link.broken(
            format!("{word}, and its log does not say why"),
            format!(
                "`kubectl -n {} logs {} -c rollcall-sidecar`; let it reach port 7310 of the controllers (NetworkPolicies)",
                facts.namespace, facts.pod
            ),
        ));
    };
    let no_way = ["cannot be reached", "did not answer in time"].iter().any(|said| error.contains(said));
    let no_entry = ["with 401", "with 403"].iter().any(|said| error.contains(said));
    Some(if no_way {
        link.broken(
            format!("{word}: {error}"),
            format!("let the pods of {} reach port 7310 of the controllers: a NetworkPolicy for egress stands in between, or none leads there", facts.namespace),
        )
    } else if no_entry {
        link.broken(
            format!("{word}: {error}"),
            "its token is not taken: the pod must be known to the controllers, and its token its own",
        )
    } else {
        link.broken(
            format!("{word}: {error}"),
            "docs/security.md tells how sidecar and controller know each other",
        )
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
                "`kubectl -n {} describe pod {}` says what its readiness probes get",
                facts.namespace, facts.pod
            ),
        )
    })
}

/// Whether the cluster can hold what is said of the pod: of interest where it is not in the catalogue.
fn crd(facts: &PodFacts) -> Option<Step> {
    let link = Link::Crd;
    let is_member = facts.instances.as_ref().is_none_or(|members| !members.is_empty());
    if is_member {
        return None;
    }
    match facts.crd {
        Some(Age::Older) => Some(link.broken(
            "the cluster's CRD is older than this `rollcall`: fields that it does not know are dropped",
            "upgrade the installation; where the CRD is applied by hand, `rollcall crd | kubectl apply --server-side --force-conflicts -f -`",
        )),
        Some(Age::Same | Age::Newer) => None,
        Some(Age::Other) => Some(link.unknown("the CRD is another one than this build's", "see `rollcall check`")),
        None => Some(link.unknown("the CRD was not seen", "see `rollcall check`")),
    }
}

fn registration(facts: &PodFacts) -> Option<Step> {
    let link = Link::Registration;
    let Some(members) = &facts.instances else {
        return Some(link.unknown("the catalogue was not told", "see `rollcall check`"));
    };
    if !members.is_empty() {
        let services: Vec<_> = members
            .iter()
            .map(|one| format!("{}.{} at port {}", one.service, one.namespace, one.port))
            .collect();
        return Some(link.good(first_of(&services, NAMED_MAX)));
    }
    if !facts.refused.is_empty() {
        let named: Vec<_> =
            facts.refused.iter().map(|one| format!("{}: {}", one.name, one.message)).collect();
        return Some(link.broken(
            format!("registrations of its namespace are refused: {}", first_of(&named, NAMED_MAX)),
            format!(
                "correct them; `kubectl -n {} describe sreg` says which field and what to do",
                facts.namespace
            ),
        ));
    }
    if facts.annotations.contains_key("rollcall.dev/service") {
        let remedy =
            "wait a moment, and ask again; then `rollcall check` says whether the controllers are in step";
        return Some(
            match facts.declared_ports.is_empty() && !facts.annotations.contains_key("rollcall.dev/port") {
                true => link.broken(
                    "its annotations name a service, and nothing says at which port",
                    "annotate it with rollcall.dev/port, or declare the port in its container",
                ),
                false => link.broken("its annotations name a service, and the catalogue has it not", remedy),
            },
        );
    }
    Some(link.good("nothing names it as a service: it only looks others up"))
}

fn members(facts: &PodFacts) -> Option<&[Member]> {
    facts.instances.as_deref().filter(|members| !members.is_empty())
}

fn probe(facts: &PodFacts) -> Option<Step> {
    let link = Link::Probe;
    let members = members(facts)?;
    for one in members {
        let Member { port, service, .. } = one;
        let declared: Vec<_> = facts.declared_ports.iter().map(ToString::to_string).collect();
        let step = match one.probe.as_str() {
            "dead" => {
                let elsewhere = !declared.is_empty() && !declared.contains(&port.to_string());
                let hint = match elsewhere {
                    true => format!(
                        "its containers declare {}: correct rollcall.dev/port, or the registration's ports",
                        declared.join(", ")
                    ),
                    false => "look whether the app runs, and at which port it listens".to_owned(),
                };
                link.broken(format!("nobody listens at port {port} (`{service}`)"), hint)
            }
            "loopback-only" => link.broken(
                format!("the app listens at port {port} of 127.0.0.1 alone"),
                "let it listen at 0.0.0.0, or at the pod's address",
            ),
            "unwell" => link.broken(
                format!("the app at port {port} answers its probe badly, or too late"),
                "look at the app's log; rollcall.dev/probe says how it is asked",
            ),
            "beat-missed" => link.broken(
                format!("the app's heartbeat for `{service}` did not come in time"),
                "let it beat within its ttl (docs/registering.md)",
            ),
            "says-failing" => link.broken(
                "the app says itself that it fails",
                "it takes that back by PUT /v1/self/health {\"state\":\"serving\"}",
            ),
            _ => continue,
        };
        return Some(step);
    }
    let words: Vec<_> = members.iter().map(|one| one.probe.as_str()).collect();
    Some(link.good(first_of(&words, NAMED_MAX)))
}

fn visibility(facts: &PodFacts) -> Option<Step> {
    let link = Link::Visibility;
    let members = members(facts)?;
    let mut told = Vec::new();
    for one in members {
        let Some(visibility) = &one.visibility else { continue };
        told.push(format!("{}: {visibility}", one.service));
        let Some(caller) = &facts.caller else { continue };
        let (home, from) = (one.namespace.parse().ok()?, caller.parse().ok()?);
        if !visibility.includes(&home, &from) {
            return Some(link.broken(
                format!("pods of {caller} may not see `{}.{}` ({visibility})", one.service, one.namespace),
                format!("add {caller} to rollcall.dev/visibility, and to spec.visibility of each registration of it: the narrowest counts"),
            ));
        }
    }
    Some(match told.as_slice() {
        [] => link.unknown("who may see it was not told", "see `rollcall check`"),
        told => link.good(first_of(told, NAMED_MAX)),
    })
}

fn catalogue(facts: &PodFacts) -> Option<Step> {
    let members = members(facts)?;
    for one in members {
        if !one.served {
            return Some(Link::Catalogue.broken(
                format!("`{}` lists it, but does not serve it: {}, {}", one.service, one.state, one.reason),
                format!(
                    "`rollcall explain {}.{}` has what each witness says; docs/liveness.md what it means",
                    one.service, one.namespace
                ),
            ));
        }
    }
    Some(Link::Catalogue.good("it is served"))
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
