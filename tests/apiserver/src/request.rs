//! What a call asks for, read from its path, its parameters and its headers.

use std::collections::BTreeMap;

use http::{Method, Uri, header, request::Parts};

use crate::{kinds::Kind, refusal::Refusal};

/// Says what is to be done with what the path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteAll,
}

/// Holds one call, without its body.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) kind: &'static Kind,
    /// None: all of them.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) subresource: String,
    parameters: BTreeMap<String, String>,
    pub(crate) content_type: String,
    /// Nothing but names and the like is to be told.
    pub(crate) metadata_only: bool,
    agent: String,
}

/// Says which objects of a kind are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) namespace: Option<String>,
    name: Option<String>,
    labels: Vec<(String, String)>,
}

// === impl Verb ===

impl Verb {
    /// Whether something may be other than before.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

// === impl Call ===

impl Call {
    pub(crate) fn of(parts: &Parts) -> Result<Self, Refusal> {
        let path: Vec<_> = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let (group, version, rest) = match path.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Refusal::not_served()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, more @ ..] if !["status", "finalize"].contains(plural) => {
                (Some((*namespace).to_owned()), [&[*plural], more].concat())
            }
            _ => (None, rest.to_vec()),
        };
        let plural = rest.first().copied().unwrap_or_default();
        let kind = Kind::at(group, version, plural).ok_or_else(Refusal::not_served)?;
        if namespace.is_some() && !kind.is_namespaced {
            return Err(Refusal::not_served());
        }
        let place = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
        let (name, subresource) = (place(1), place(2));
        let parameters = parameters(&parts.uri);
        let watches = parameters.get("watch").is_some_and(|value| value == "true" || value == "1");
        let verb = match (&parts.method, name.is_empty()) {
            (&Method::GET, true) if watches => Verb::Watch,
            (&Method::GET, true) => Verb::List,
            (&Method::GET, false) => Verb::Get,
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) => Verb::Delete,
            (&Method::DELETE, true) => Verb::DeleteAll,
            _ => return Err(Refusal::not_served()),
        };
        if namespace.is_none() && kind.is_namespaced && !matches!(verb, Verb::List | Verb::Watch) {
            return Err(Refusal::not_served());
        }
        let text = |name| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        Ok(Self {
            verb,
            kind,
            namespace,
            name,
            subresource,
            parameters,
            content_type: text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().to_owned(),
            metadata_only: text(header::ACCEPT).contains("as=PartialObjectMetadata"),
            agent: text(header::USER_AGENT),
        })
    }

    /// A parameter that is there and not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let bad = |text: &str| Refusal::bad_request(format!("{name}: Invalid value: \"{text}\""));
        self.parameter(name).map(|text| text.parse().map_err(|_| bad(text))).transpose()
    }

    /// Who writes, where nobody says so: the program.
    pub(crate) fn manager(&self) -> String {
        let agent = self.agent.split('/').next().filter(|agent| !agent.is_empty()).unwrap_or("unknown");
        self.parameter("fieldManager").unwrap_or(agent).to_owned()
    }

    pub(crate) fn selection(&self) -> Result<Selection, Refusal> {
        let mut selection = Selection { namespace: self.namespace.clone(), ..Selection::default() };
        for term in self.parameter("fieldSelector").into_iter().flat_map(|text| text.split(',')) {
            match term.split_once('=').map(|(field, value)| (field, value.trim_start_matches('='))) {
                Some(("metadata.name", name)) => selection.name = Some(name.to_owned()),
                Some(("metadata.namespace", namespace)) => selection.namespace = Some(namespace.to_owned()),
                _ => return Err(Refusal::bad_request(format!("field label not supported: {term}"))),
            }
        }
        for term in self.parameter("labelSelector").into_iter().flat_map(|text| text.split(',')) {
            match term.split_once('=') {
                Some((label, value)) => {
                    selection.labels.push((label.to_owned(), value.trim_start_matches('=').to_owned()));
                }
                None => return Err(Refusal::bad_request(format!("label selector not known here: {term}"))),
            }
        }
        Ok(selection)
    }
}

// === impl Selection ===

impl Selection {
    pub(crate) fn has(&self, id: &crate::history::Id, object: &serde_json::Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.namespace.as_ref().is_none_or(|namespace| *namespace == id.namespace)
            && self.name.as_ref().is_none_or(|name| *name == id.name)
            && self.labels.iter().all(|(label, value)| labels[label] == value.as_str())
    }
}

fn parameters(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// A part of a URI as it was meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                    Some(byte) => {
                        bytes.push(byte);
                        rest = &rest[2..];
                    }
                    None => bytes.push(b'%'),
                }
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
