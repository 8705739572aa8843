//! The links of a pod's own sidecar: whether it has one, whether that runs, who it is to the controllers, and whether they hear it.

use rollcall_injection::{ENABLED, INJECT, Wish};

use super::{Link, NAMED_MAX, Step};
use crate::{
    explain::facts::{LastWord, PodFacts, Sidecar},
    print::first_of,
};

/// Whom a sidecar's token must be for.
const AUDIENCE: &str = "rollcall";

pub(super) fn injection(facts: &PodFacts) -> Option<Step> {
    let link = Link::Injection;
    if facts.sidecar.is_some() {
        return Some(link.good("it has a sidecar"));
    }
    let is_member = facts.instances.as_ref().is_some_and(|members| !members.is_empty());
    if let Some(exempt) = &facts.exempt {
        if is_member && facts.wish != Wish::Asked {
            return Some(link.good(format!("{exempt}; it is in the catalogue all the same")));
        }
        return Some(link.broken(
            format!("it can have no sidecar: {exempt}"),
            "a ServiceRegistration can name it all the same (docs/resource.md); annotate it with rollcall.dev/inject: \"false\", since it can have none",
        ));
    }
    Some(match facts.wish {
        Wish::Asked => missed(facts),
        Wish::Declined if is_member => {
            link.good("it declines a sidecar, and is in the catalogue all the same")
        }
        Wish::Declined => link.broken(
            "its annotation rollcall.dev/inject declines a sidecar",
            format!("take that out of its template, and make the pod anew: {}", facts.anew),
        ),
        // Whoever writes our annotations wants what they do; who wants a registration alone has written that.
        Wish::None if is_member && facts.annotations.is_empty() => {
            link.good("it has no sidecar, and is in the catalogue all the same")
        }
        Wish::None => nobody_asked(facts, is_member),
    })
}

/// It asked, and nobody gave it one.
fn missed(facts: &PodFacts) -> Step {
    let link = Link::Injection;
    if let Some((wrong, remedy)) = &facts.injection.webhook {
        return link.broken(
            format!("it asked for a sidecar and has none: {wrong}"),
            format!("{remedy}; then make the pod anew: {}", facts.anew),
        );
    }
    if facts.injection.is_older_than_label && !facts.annotations.contains_key(INJECT) {
        return link.broken(
            "it asked for a sidecar and has none: it is older than the label of its namespace",
            format!("make it anew: {}", facts.anew),
        );
    }
    link.broken(
        "it asked for a sidecar and has none: it was made while the webhook did not answer, or before it or its namespace asked",
        format!("make it anew: {}; `rollcall check` says whether the webhook is well", facts.anew),
    )
}

fn nobody_asked(facts: &PodFacts, is_member: bool) -> Step {
    let namespace = &facts.namespace;
    let why = match &facts.injection.label {
        Some(label) => {
            format!("the label {INJECT} of the namespace {namespace} is `{label}`, and must be `{ENABLED}`")
        }
        None if facts.injection.is_annotation => {
            format!("{INJECT} is an annotation of the namespace {namespace}, and must be its label")
        }
        None => "nobody asked for one".to_owned(),
    };
    let declines = match is_member {
        true => format!("; or, where that is meant, annotate it with {INJECT}: \"false\""),
        false => String::new(),
    };
    Link::Injection.broken(
        format!("it has no sidecar, and nothing answers its lookups: {why}"),
        format!(
            "`kubectl label namespace {namespace} --overwrite {INJECT}={ENABLED}`, or annotate the pod's template with {INJECT}: \"true\"; then make the pod anew: {}{declines}",
            facts.anew
        ),
    )
}

pub(super) fn sidecar(facts: &PodFacts) -> Option<Step> {
    let Sidecar { running, why, .. } = facts.sidecar.as_ref()?;
    let describe = format!("`kubectl -n {} describe pod {}` has the Events", facts.namespace, facts.pod);
    Some(match (running, why) {
        (true, _) => Link::Sidecar.good("it runs"),
        // What ends or begins with its pod is no fault of its own.
        (false, _) if facts.ending || matches!(facts.phase.as_str(), "Succeeded" | "Failed") => return None,
        (false, None) if !facts.unready.is_empty() => return None,
        (false, None) => Link::Sidecar.broken("it is not begun yet", describe),
        (false, Some(why)) => Link::Sidecar.broken(format!("it does not run: {why}"), describe),
    })
}

pub(super) fn token(facts: &PodFacts) -> Option<Step> {
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

pub(super) fn session(facts: &PodFacts) -> Option<Step> {
    let link = Link::Session;
    let sidecar = facts.sidecar.as_ref().filter(|sidecar| sidecar.running)?;
    let word = match sidecar.session.as_deref() {
        Some(word @ ("live" | "heard-by-peer")) => return Some(link.good(word)),
        Some(word) => word,
        None => {
            let remedy = "`rollcall check` says whether the controllers answer; older ones do not tell";
            return Some(link.unknown("nobody says whether it is heard", remedy));
        }
    };
    let logs = format!("`kubectl -n {} logs {} -c rollcall-sidecar`", facts.namespace, facts.pod);
    let error = match &sidecar.last_word {
        LastWord::NoSession(error) => error,
        LastWord::Nothing if facts.walls.is_empty() => {
            return Some(link.broken(
                format!("{word}, and its log does not say why"),
                format!("look at {logs}; let it reach port 7310 of the controllers (NetworkPolicies)"),
            ));
        }
        LastWord::Nothing => return Some(no_way(facts, word)),
        LastWord::NotRead(why) => {
            let told = format!("{word}, and its log was not read: {why}");
            return Some(match facts.walls.as_slice() {
                [] => link.broken(
                    told,
                    format!("let somebody look who may: {logs}; let it reach port 7310 of the controllers"),
                ),
                _ => no_way(facts, &told),
            });
        }
    };
    let said = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let told = format!("{word}: {error}");
    Some(if said(&["cannot be reached", "did not answer in time", "silent for too long", "broke off"]) {
        no_way(facts, &told)
    } else if said(&["with 401", "with 403"]) {
        link.broken(
            told,
            "its token is not taken: the pod must be known to the controllers, and its token its own",
        )
    } else if said(&["token", "cannot be read"]) {
        link.broken(
            told,
            "let the webhook or `rollcall inject` give the pod its sidecar: each writes the token too",
        )
    } else if said(&["certificate", "authority"]) {
        link.broken(
            told,
            format!(
                "docs/certificates.md tells who believes whom; a pod made anew believes whom it should: {}",
                facts.anew
            ),
        )
    } else {
        link.broken(told, "docs/security.md tells how sidecar and controller know each other")
    })
}

/// Nothing of it arrives: what stands in between is named where it can be seen.
fn no_way(facts: &PodFacts, told: &str) -> Step {
    let link = Link::Session;
    match facts.walls.as_slice() {
        [] => link.broken(
            format!("no way to port 7310 of the controllers: {told}"),
            format!(
                "let the pods of {} reach it: no NetworkPolicy that can be seen forbids it, so look at policies of the network's own kinds, and at what stands between the nodes",
                facts.namespace
            ),
        ),
        walls => link.broken(
            format!(
                "no way to port 7310 of the controllers, and a NetworkPolicy forbids it: {}; {told}",
                first_of(walls, NAMED_MAX)
            ),
            "allow TCP 7310 to the controllers' namespace there (docs/security.md)",
        ),
    }
}
