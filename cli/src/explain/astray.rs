//! Words that are meant for Rollcall and stand where nobody reads them.

use std::collections::BTreeMap;

use crate::names::distance;

/// What our annotations begin with.
pub(super) const PREFIX: &str = "rollcall.dev/";
const DOMAIN: &str = "rollcall.dev";
/// More letters apart, and another word was meant.
const SLIPS_MAX: usize = 2;

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

/// Labels and annotations by their names.
pub(super) type Words = BTreeMap<String, String>;

/// Holds whoever made a pod, by what it says of itself and not of its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// As `Deployment`.
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) annotations: Words,
}

/// Holds what nobody reads, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Astray {
    pub(super) says: String,
    pub(super) remedy: String,
}

/// The first word of a pod, or of whoever made it, that is read by nobody: a name that is misspelt, a label that is to be an
/// annotation, an annotation that is to stand in the template.
pub(super) fn astray(annotations: &Words, labels: &Words, owners: &[Owner]) -> Option<Astray> {
    annotations
        .keys()
        .find_map(|name| misspelt(name))
        .or_else(|| labels.keys().find_map(|name| label(name, annotations)))
        .or_else(|| owners.iter().rev().find_map(|owner| on_owner(owner, annotations)))
}

/// A name that is nearly one of ours.
fn misspelt(name: &str) -> Option<Astray> {
    let (domain, short) = name.split_once('/').unwrap_or((name, ""));
    let is_ours = domain == DOMAIN;
    // What ends with our domain is somebody's own name below it.
    let is_like_ours = !domain.ends_with(".rollcall.dev")
        && (domain.contains("rollcall") || distance(domain, DOMAIN) <= SLIPS_MAX);
    if !is_like_ours || (is_ours && KNOWN.contains(&short)) {
        return None;
    }
    let meant = KNOWN.iter().map(|known| (distance(short, known), known)).min();
    let remedy = match meant {
        Some((away, known)) if away <= SLIPS_MAX => format!("did you mean {PREFIX}{known}?"),
        _ if is_ours => "docs/resource.md has all of them".to_owned(),
        _ => format!("ours begin with {PREFIX}; docs/resource.md has all of them"),
    };
    Some(Astray { says: format!("{name} means nothing"), remedy })
}

/// A label by the name of an annotation; `service` is one that injection itself adds beside the annotation.
fn label(name: &str, annotations: &Words) -> Option<Astray> {
    let short = name.strip_prefix(PREFIX)?;
    if !KNOWN.contains(&short) || annotations.contains_key(name) {
        return None;
    }
    Some(Astray {
        says: format!("{name} is a label of the pod, which nobody reads"),
        remedy: "write it as an annotation, in the pod's template; it is a label of namespaces alone"
            .to_owned(),
    })
}

/// What is said of the owner, and was meant for its pods.
fn on_owner(owner: &Owner, annotations: &Words) -> Option<Astray> {
    let Owner { kind, name, annotations: said } = owner;
    let known = |found: &&String| found.strip_prefix(PREFIX).is_some_and(|short| KNOWN.contains(&short));
    let lacking = said.keys().filter(known).find(|found| !annotations.contains_key(*found))?;
    Some(Astray {
        says: format!("{lacking} is an annotation of the {kind} {name} itself, and not of its pods"),
        remedy: "write it in its template: spec.template.metadata.annotations".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(names: &[&str]) -> Words {
        names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn what_nobody_reads_is_named_with_what_was_meant() {
        for (name, told) in [
            ("rollcall.dev/servce", "did you mean rollcall.dev/service?"),
            ("rollcall.dev/sevice", "did you mean rollcall.dev/service?"),
            ("rollcall.dev/Service", "did you mean rollcall.dev/service?"),
            ("rollcall.dev/ports", "did you mean rollcall.dev/port?"),
            ("rollcall.dev/something-else", "docs/resource.md"),
            ("rollcall.io/service", "did you mean rollcall.dev/service?"),
            ("rolcall.dev/service", "did you mean rollcall.dev/service?"),
            ("rollcall/service", "did you mean rollcall.dev/service?"),
            ("rollcall.dev", "docs/resource.md"),
            ("rollcall.example/x", "ours begin with rollcall.dev/"),
            ("service.rollcall.dev", ""),
            ("mine.rollcall.dev/service", ""),
            ("rollcall.dev/service", ""),
            ("prometheus.io/port", ""),
            ("kubectl.kubernetes.io/default-container", ""),
        ] {
            let found = astray(&words(&[name]), &Words::new(), &[]).map(|one| one.remedy).unwrap_or_default();
            assert!(if told.is_empty() { found.is_empty() } else { found.contains(told) }, "{name}: {found}");
        }
    }

    #[test]
    fn what_stands_in_another_place_is_named_with_its_own() {
        let none = Words::new();
        let on_label = |annotations: &Words| astray(annotations, &words(&["rollcall.dev/service"]), &[]);
        assert!(on_label(&none).unwrap().says.contains("label of the pod"));
        assert_eq!(on_label(&words(&["rollcall.dev/service"])), None, "the label that injection adds");
        let owner = |kind: &str, names: &[&str]| Owner {
            kind: kind.to_owned(),
            name: "orders".to_owned(),
            annotations: words(names),
        };
        // Kubernetes copies a Deployment's annotations to its ReplicaSets.
        let owners =
            ["ReplicaSet", "Deployment"].map(|kind| owner(kind, &["rollcall.dev/service", "other/x"]));
        let found = astray(&none, &none, &owners).unwrap();
        assert!(found.says.contains("the Deployment orders itself"), "{found:?}");
        assert!(found.remedy.contains("spec.template.metadata.annotations"), "{found:?}");
        assert_eq!(astray(&words(&["rollcall.dev/service"]), &none, &owners), None, "it stands in both");
    }
}
