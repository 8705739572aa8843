//! What a pod's annotations register. A bad value costs itself alone: the rest still counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    limits::{METADATA_KEYS_MAX, TAGS_MAX, VISIBLE_NAMESPACES_MAX, WEIGHT_MAX},
    names::{Namespace, ServiceKey, shortened},
    needs::Need,
    registration::{
        Attributes, Port, Registration, Source, Target, ValueError, Visibility,
        attributes::port_number,
        probe::PROBE_REMEDY,
        words::{is_metadata_key, is_metadata_value, is_tag},
    },
    tags::Tags,
    texts::Texts,
};

const SERVICE: &str = "rollcall.dev/service";
const VERSION: &str = "rollcall.dev/version";
const PORT: &str = "rollcall.dev/port";
const TAGS: &str = "rollcall.dev/tags";
const METADATA: &str = "rollcall.dev/metadata";
const WEIGHT: &str = "rollcall.dev/weight";
const PROBE: &str = "rollcall.dev/probe";
const VISIBILITY: &str = "rollcall.dev/visibility";
const DRAIN: &str = "rollcall.dev/drain";
const INJECT: &str = "rollcall.dev/inject";
const PRESTOP: &str = "rollcall.dev/prestop";
const DNS: &str = "rollcall.dev/dns";
const REQUIRES: &str = "rollcall.dev/requires";

/// The annotations that register nothing and take one word: what follows from it, others decide.
const ONE_WORD: [(&str, &[&str], &str); 4] = [
    (INJECT, &["true", "enabled", "false", "disabled"], "use true or false; until then it says nothing"),
    (PRESTOP, &["true", "false"], "use true or false; until then the hook is there"),
    (DRAIN, &["true", "false"], "use true or false; until then the pod is not drained"),
    (DNS, &["resolver"], "use resolver; until then the pod resolves names as it did"),
];

/// A port that cannot be read is not guessed: callers sent to a wrong one are worse off than callers sent nowhere.
const PORT_REMEDY: &str =
    "use `8080` or `http:8080,grpc:9090`; until then the pod is not listed by its annotations";

/// Holds the annotations of a pod while they are read, and what is wrong with them.
struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    problems: Vec<ValueError>,
}

/// Counts the bad entries of one annotation, and holds what is wrong with the first.
#[derive(Default)]
struct Refused {
    first: Option<String>,
    more: usize,
}

/// The pod's own registration, if its annotations name a service, and every bad value in them, of those too that register
/// nothing. `declared` is the
/// first port that its containers declare.
pub fn by_annotations(
    namespace: &Namespace,
    annotations: &BTreeMap<String, String>,
    declared: Option<Port>,
) -> (Option<Registration>, Vec<ValueError>) {
    let mut reader = Reader { annotations, problems: Vec::new() };
    let registration = reader.registration(namespace, declared);
    reader.others();
    (registration, reader.problems)
}

/// Whether the pod is to be drained.
pub fn asks_to_drain(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(DRAIN).is_some_and(|wanted| wanted == "true")
}

// === impl Refused ===

impl Refused {
    fn note(&mut self, problem: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some(problem()),
            Some(_) => self.more += 1,
        }
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn registration(&mut self, namespace: &Namespace, declared: Option<Port>) -> Option<Registration> {
        let service = self.read(SERVICE, "rename it; until then the pod is no instance", |text| {
            text.parse().map_err(|error: crate::NameError| error.to_string())
        })?;
        let attributes = Attributes {
            version: self.read(
                VERSION,
                "use three numbers as in 1.4.2; until then it has no version",
                |text| text.parse().map_err(|_| format!("`{}` is no semantic version", shortened(text))),
            ),
            ports: self.ports(declared),
            tags: self.tags(),
            metadata: self.metadata(),
            weight: self.read(WEIGHT, "use 0 to 1000", |text| {
                let weight = text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
                weight.ok_or_else(|| format!("`{}` is no weight", shortened(text)))
            }),
            probe: self
                .read(PROBE, PROBE_REMEDY, |text| text.parse().map_err(|error: ValueError| error.problem)),
            heartbeat: None,
        };
        Some(Registration {
            key: ServiceKey { namespace: namespace.clone(), service },
            source: Source::Annotation,
            target: Target::Own,
            attributes,
            policy: None,
            visibility: self.visibility(),
        })
    }

    fn others(&mut self) {
        for (field, words, remedy) in ONE_WORD {
            if let Some(word) = self.annotations.get(field).filter(|word| !words.contains(&word.as_str())) {
                self.refuse(field, format!("`{}` is no word for it", shortened(word)), remedy);
            }
        }
        if let Some(Err(error)) = self.annotations.get(REQUIRES).map(|text| Need::list(text)) {
            let remedy = "use `orders>=2,billing`; until then the pod waits for nothing";
            self.refuse(REQUIRES, error.to_string(), remedy);
        }
    }

    /// The value of an annotation as `parse` reads it; what it cannot read is noted.
    fn read<T>(
        &mut self,
        field: &'static str,
        remedy: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.annotations.get(field)?.trim();
        parse(text).map_err(|problem| self.refuse(field, problem, remedy)).ok()
    }

    fn refuse(&mut self, field: &'static str, problem: String, remedy: &'static str) {
        self.problems.push(ValueError { field, problem, remedy });
    }

    fn ports(&mut self, declared: Option<Port>) -> Vec<Port> {
        if !self.annotations.contains_key(PORT) {
            if declared.is_none() {
                let remedy = "set it, or a containerPort; until then the pod is in no lookup";
                self.refuse(PORT, "missing, and no container declares a port".to_owned(), remedy);
            }
            return declared.into_iter().collect();
        }
        let ports = self.read(PORT, PORT_REMEDY, |text| {
            let ports: Vec<Port> = text.split(',').map(port).collect::<Result<_, _>>()?;
            match (Attributes { ports: ports.clone(), ..Attributes::default() }).check().into_iter().next() {
                Some(error) => Err(error.problem),
                None => Ok(ports),
            }
        });
        ports.unwrap_or_default()
    }

    fn tags(&mut self) -> Tags {
        let remedy = "use `a,b`: at most 64 of 1 to 63 printable characters; until then it is left out";
        let mut tags = BTreeSet::new();
        let mut refused = Refused::default();
        for tag in self.list(TAGS) {
            if !is_tag(tag) {
                refused.note(|| format!("`{}` is no tag", shortened(tag)));
            } else if tags.len() >= TAGS_MAX && !tags.contains(tag) {
                refused.note(|| format!("`{}` is one too many", shortened(tag)));
            } else {
                tags.insert(tag.to_owned());
            }
        }
        self.refuse_all(TAGS, refused, remedy);
        tags.into_iter().collect()
    }

    fn metadata(&mut self) -> Texts {
        let remedy =
            "use `k=v,k=v`: at most 64 keys of 1 to 128 printable characters; until then it is left out";
        let mut metadata = BTreeMap::new();
        let mut refused = Refused::default();
        for entry in self.list(METADATA) {
            let pair = entry.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            match pair.filter(|(key, value)| is_metadata_key(key) && is_metadata_value(value)) {
                None => refused.note(|| format!("`{}` is no key with a value", shortened(entry))),
                Some((key, _)) if metadata.len() >= METADATA_KEYS_MAX && !metadata.contains_key(key) => {
                    refused.note(|| format!("`{}` is one too many", shortened(key)));
                }
                Some((key, value)) => drop(metadata.insert(key, value)),
            }
        }
        self.refuse_all(METADATA, refused, remedy);
        metadata.into_iter().collect()
    }

    /// One problem, however many entries are bad: an annotation may be 256 kB of them.
    fn refuse_all(&mut self, field: &'static str, refused: Refused, remedy: &'static str) {
        let Some(first) = refused.first else { return };
        let problem = match refused.more {
            0 => first,
            more => format!("{first}, and {more} more"),
        };
        self.refuse(field, problem, remedy);
    }

    fn list(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.annotations.get(field).map(|text| text.trim()).filter(|text| !text.is_empty());
        text.into_iter().flat_map(|text| text.split(',')).map(str::trim)
    }

    /// What cannot be read hides the service: to show too much cannot be taken back.
    fn visibility(&mut self) -> Option<Visibility> {
        self.annotations.get(VISIBILITY)?;
        let remedy =
            "use cluster, namespace or ns-a,ns-b; until then the service is seen in its own namespace only";
        let read = self.read(VISIBILITY, remedy, |text| match text {
            "cluster" => Ok(Visibility::Cluster),
            "namespace" => Ok(Visibility::own()),
            names => {
                let names: Result<BTreeSet<Namespace>, _> =
                    names.split(',').map(|name| name.trim().parse()).collect();
                let names = names.map_err(|error: crate::NameError| error.to_string())?;
                let few = names.len() <= VISIBLE_NAMESPACES_MAX;
                few.then_some(Visibility::Namespaces(names))
                    .ok_or_else(|| "more than 64 namespaces".to_owned())
            }
        });
        Some(read.unwrap_or(Visibility::own()))
    }
}

/// `8080` or `http:8080`.
fn port(text: &str) -> Result<Port, String> {
    let (name, number) = match text.trim().split_once(':') {
        Some((name, number)) => (Some(name), number),
        None => (None, text.trim()),
    };
    match port_number(number) {
        None => Err(format!("`{}` holds no port of 1 to 65535", shortened(text))),
        Some(number) => Ok(Port::tcp(name, number)),
    }
}

#[cfg(test)]
#[path = "annotations_tests.rs"]
mod tests;
