//! What becomes of a pod.

use rollcall_catalogue::{Port, by_annotations};
use serde_json::Value;
use thiserror::Error;

use crate::{
    Exemption, INJECT, INJECTED, Install, STATUS, Shape, Wish, app, container, exemption,
    patch::between,
    pod::{Object, annotations, entry, is_ours, list, object},
    ports, resolver,
    said::Said,
    wish,
};

/// The label by which a service's pods are found.
const SERVICE: &str = "rollcall.dev/service";

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
    let annotations = annotations(pod)?;
    if wish(None, annotations.get(INJECT).map(String::as_str)) == Wish::Declined {
        return Ok(Decision::Left(None));
    }
    if let Some(exemption) = exemption(Shape::of(pod)) {
        return Ok(Decision::Left(Some(exemption)));
    }
    let home = namespace.parse().map_err(|_| NotAPod { field: "namespace", problem: "is no name of one" })?;
    let mut wanted = pod.clone();
    let whole = wanted.as_object_mut().ok_or(NotAPod { field: "the pod", problem: "is no object" })?;

    let spec = object(whole, "spec")?;
    for field in ["spec.initContainers", "spec.containers", "spec.volumes"] {
        for part in list(spec, field)? {
            entry(part, field)?;
        }
    }
    let (registration, problems) = by_annotations(&home, &annotations, first_port(spec));
    let said = Said::read(&annotations, spec, install.dns);
    let mut warnings: Vec<_> = problems.iter().map(ToString::to_string).collect();
    warnings.extend(said.warnings);

    app::add(spec, said.hook)?;
    warnings.extend(ports::taken(spec, said.dns.is_some()));
    let again = annotations.get(STATUS).is_some_and(|status| status == INJECTED);
    warnings.extend(container::add(spec, install, said.dns, &said.needs, again)?);
    if let Some(dns) = said.dns {
        resolver::add(spec, namespace, dns)?;
    }

    let metadata = object(whole, "metadata")?;
    object(metadata, "metadata.annotations")?.insert(STATUS.to_owned(), INJECTED.into());
    if let Some(registration) = registration {
        let service = registration.key.service.as_str();
        object(metadata, "metadata.labels")?.insert(SERVICE.to_owned(), service.into());
    }
    Ok(Decision::Injected(Injected { additions: between(pod, &wanted), warnings }))
}

/// The first port that a container of the app declares.
fn first_port(spec: &Object) -> Option<Port> {
    let containers = spec.get("containers")?.as_array()?.iter().filter(|container| !is_ours(container));
    let mut ports = containers.filter_map(|container| container.get("ports")?.as_array()).flatten();
    ports.find_map(|port| {
        let number = u16::try_from(port.get("containerPort")?.as_u64()?).ok()?;
        Some(Port::tcp(port.get("name").and_then(Value::as_str), number))
    })
}
