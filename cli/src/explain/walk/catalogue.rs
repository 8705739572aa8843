//! The links of the catalogue: who names the pod, what its app answers, who may see it, and whether it is served.

use rollcall_catalogue::{Namespace, Visibility};

use super::{Link, NAMED_MAX, Step};
use crate::{
    check::judge::crd::{Age, dropped},
    explain::{
        facts::{Crd, Member, PodFacts},
        gather::seen_by,
        registrations::{Aim, Registration, hiding},
    },
    print::first_of,
};

fn members(facts: &PodFacts) -> Option<&[Member]> {
    facts.instances.as_deref().filter(|members| !members.is_empty())
}

/// Whether the cluster can hold what is said of the pod. What its annotations say needs no CRD.
pub(super) fn crd(facts: &PodFacts) -> Option<Step> {
    const REMEDY: &str = "upgrade the installation; where the CRD is applied by hand, `rollcall crd | kubectl apply --server-side --force-conflicts -f -`";
    let link = Link::Crd;
    let is_member = facts.instances.as_ref().is_none_or(|members| !members.is_empty());
    let names_itself = facts.annotations.contains_key("rollcall.dev/service");
    match &facts.crd {
        Crd::Missing if !is_member && !names_itself => {
            Some(link.broken("there is no CRD of ServiceRegistration, so that none can name the pod", REMEDY))
        }
        Crd::Missing => Some(
            link.note("there is no CRD of ServiceRegistration: what is no annotation counts nothing", REMEDY),
        ),
        Crd::Seen(Age::Older, lacking) => {
            let says = format!(
                "the cluster's CRD is older than this `rollcall`{}",
                match lacking.as_slice() {
                    [] => ", and fields that it does not know are dropped".to_owned(),
                    lacking => dropped(lacking),
                }
            );
            Some(if is_member { link.note(says, REMEDY) } else { link.broken(says, REMEDY) })
        }
        Crd::Seen(Age::Same | Age::Newer, _) => None,
        Crd::Seen(Age::Other, lacking) => {
            let says = format!("the CRD is another one than this build's{}", dropped(lacking));
            let remedy = "`rollcall check` says more of it";
            Some(if is_member { link.note(says, remedy) } else { link.unknown(says, remedy) })
        }
        Crd::NotSeen if is_member => None,
        Crd::NotSeen => Some(link.unknown("the CRD was not seen", "see `rollcall check`")),
    }
}

pub(super) fn registration(facts: &PodFacts) -> Option<Step> {
    let link = Link::Registration;
    let Some(members) = &facts.instances else {
        return Some(link.unknown("the catalogue was not told", "see `rollcall check`"));
    };
    let registrations = facts.registrations.as_deref().unwrap_or_default();
    let means_it = |one: &&Registration| match one.aim {
        Aim::This => true,
        Aim::Unclear => members.is_empty(),
        Aim::Other(_) => false,
    };
    let refused: Vec<_> = registrations
        .iter()
        .filter(means_it)
        .filter_map(|one| Some(format!("{}: {}", one.name, one.refused.as_ref()?)))
        .collect();
    if !refused.is_empty() {
        return Some(link.broken(
            format!("a registration that means it is refused: {}", first_of(&refused, NAMED_MAX)),
            format!(
                "correct it; `kubectl -n {} describe sreg` says which field and what to do",
                facts.namespace
            ),
        ));
    }
    if !members.is_empty() {
        let services: Vec<_> = members
            .iter()
            .map(|one| format!("{}.{} at port {}", one.service, one.namespace, one.port))
            .collect();
        return Some(link.good(first_of(&services, NAMED_MAX)));
    }
    if facts.annotations.contains_key("rollcall.dev/service") {
        return Some(named_by_itself(facts));
    }
    Some(named_by_others(facts, registrations))
}

/// Its annotations name a service, and the catalogue has it not.
fn named_by_itself(facts: &PodFacts) -> Step {
    let link = Link::Registration;
    if facts.declared_ports.is_empty() && !facts.annotations.contains_key("rollcall.dev/port") {
        return link.broken(
            "its annotations name a service, and nothing says at which port",
            "annotate it with rollcall.dev/port, or declare the port in its container",
        );
    }
    link.broken(
        "its annotations name a service, and the catalogue has it not",
        "wait a moment, and ask again; then `rollcall check` says whether the controllers are in step",
    )
}

/// Registrations alone could name it, and none does.
fn named_by_others(facts: &PodFacts, registrations: &[Registration]) -> Step {
    let link = Link::Registration;
    let of_this = registrations.iter().find(|one| one.aim == Aim::This);
    if let Some(one) = of_this {
        let why = match (&one.unresolved, one.is_judged) {
            (Some(unresolved), _) => unresolved.as_str(),
            (None, false) => "no controller has looked at it yet",
            (None, true) => "the controllers take it, and do not have the pod yet",
        };
        return link.broken(
            format!("the registration {} means it, and the catalogue has it not: {why}", one.name),
            "wait a moment, and ask again; then `rollcall check` says whether the controllers are in step",
        );
    }
    let near = registrations.iter().find_map(|one| match &one.aim {
        Aim::Other(Some(slip)) => Some((one, slip)),
        _ => None,
    });
    if let Some((one, slip)) = near {
        return link.broken(
            format!("no registration means it; but {} {slip}", one.name),
            format!("correct one of the two: `kubectl -n {} edit sreg {}`", facts.namespace, one.name),
        );
    }
    let idle: Vec<_> = registrations
        .iter()
        .filter_map(|one| Some(format!("{} ({})", one.name, one.unresolved.as_ref()?)))
        .collect();
    let says = "nothing names it as a service: it only looks others up";
    match idle.as_slice() {
        [] => link.good(says),
        idle => link.note(
            format!(
                "{says}; of its namespace's registrations these mean nobody: {}",
                first_of(idle, NAMED_MAX)
            ),
            "if one of them is to mean it, compare what it wants with the pod's labels",
        ),
    }
}

pub(super) fn probe(facts: &PodFacts) -> Option<Step> {
    let link = Link::Probe;
    let members = members(facts)?;
    for one in members {
        let Member { port, service, .. } = one;
        let step = match one.probe.as_str() {
            "dead" => link.broken(
                format!("nobody listens at port {port} (`{service}`): the connection is refused"),
                elsewhere(facts, *port)
                    .unwrap_or_else(|| "look whether the app runs, and at which port it listens".to_owned()),
            ),
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
    // Of one that nobody asks, what its containers declare is all that there is to go by.
    let unasked = members.iter().filter(|one| matches!(one.probe.as_str(), "not-asked" | "pending"));
    let doubtful = unasked.filter_map(|one| Some((one.port, elsewhere(facts, one.port)?))).next();
    if let Some((port, hint)) = doubtful {
        return Some(link.note(format!("nobody has asked whether the app listens at port {port}"), hint));
    }
    let words: Vec<_> = members.iter().map(|one| one.probe.as_str()).collect();
    Some(link.good(first_of(&words, NAMED_MAX)))
}

/// Where the app may be instead of this port, by what its containers declare.
fn elsewhere(facts: &PodFacts, port: u16) -> Option<String> {
    let declared = &facts.declared_ports;
    let of_port: Vec<_> = declared.iter().filter(|one| one.port == port).collect();
    if declared.is_empty() || of_port.iter().any(|one| one.protocol == "TCP") {
        return None;
    }
    let told: Vec<_> = declared.iter().map(ToString::to_string).collect();
    Some(match of_port.is_empty() {
        true => format!(
            "its containers declare {}: correct rollcall.dev/port, or the registration's ports",
            told.join(", ")
        ),
        false => format!(
            "its containers declare {}: an annotation means TCP; say it by a ServiceRegistration, whose ports have a protocol",
            told.join(", ")
        ),
    })
}

pub(super) fn visibility(facts: &PodFacts) -> Option<Step> {
    let link = Link::Visibility;
    let members = members(facts)?;
    let mut told = Vec::new();
    for one in members {
        let Some(visibility) = &one.visibility else { continue };
        let by = match visibility {
            Visibility::Cluster => "all namespaces".to_owned(),
            Visibility::Namespaces(named) if named.is_empty() => "its own namespace alone".to_owned(),
            Visibility::Namespaces(_) => format!("its own namespace and {visibility} alone"),
        };
        told.push(format!("`{}` is seen by {by}", one.service));
        let Some(caller) = &facts.caller else { continue };
        let (home, from): (Namespace, Namespace) = (one.namespace.parse().ok()?, caller.parse().ok()?);
        if !visibility.includes(&home, &from) {
            return Some(link.broken(
                format!(
                    "pods of {caller} may not see `{}.{}` ({visibility}){}",
                    one.service,
                    one.namespace,
                    who_hides(facts, one, &home, &from)
                ),
                format!("add {caller} to rollcall.dev/visibility, and to spec.visibility of each registration of it: the narrowest counts"),
            ));
        }
    }
    if let Some(one) = members.iter().find(|one| !one.shut_out.is_empty()) {
        return Some(link.note(
            format!(
                "`{}.{}` is looked up by pods that may not see it: {}",
                one.service,
                one.namespace,
                first_of(&one.shut_out, NAMED_MAX)
            ),
            "`--from NAMESPACE` says who hides it from them; if that is meant, nothing is wrong",
        ));
    }
    Some(match told.as_slice() {
        [] => link.unknown("who may see it was not told", "see `rollcall check`"),
        told => link.good(first_of(told, NAMED_MAX)),
    })
}

/// Whose word it is that the service is hidden.
fn who_hides(facts: &PodFacts, member: &Member, home: &Namespace, from: &Namespace) -> String {
    // Registrations of other namespaces are of other services.
    let registrations = facts.registrations.as_deref().unwrap_or_default();
    let mut hiding: Vec<_> = hiding(registrations, &member.service, home, from)
        .into_iter()
        .map(|name| format!("the registration {name}"))
        .collect();
    let own = facts.annotations.get("rollcall.dev/visibility").map(|text| seen_by(text));
    if own.is_some_and(|own| own.is_none_or(|own| !own.includes(home, from))) {
        hiding.push("its annotation rollcall.dev/visibility".to_owned());
    }
    match hiding.as_slice() {
        [] => String::new(),
        hiding => format!(", by {}", first_of(hiding, NAMED_MAX)),
    }
}

pub(super) fn catalogue(facts: &PodFacts) -> Option<Step> {
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
