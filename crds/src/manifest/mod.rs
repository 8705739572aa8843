//! Manifests as people write them, read without an API server: each bad value with its line and its remedy.

mod documents;
mod fields;
mod lines;

use std::fmt;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::core::ObjectMeta;
use rollcall_catalogue::{Namespace, Reach, Registration, shortened};
use serde_json::Value;

use self::{
    documents::documents,
    lines::{Lines, Unreadable},
};
use crate::{SpecError, convert::registration_for, resource::ServiceRegistration};

/// The newest thing that is read here, as it is written.
const API_VERSION: &str = "rollcall.dev/v1alpha1";
const KIND: &str = "ServiceRegistration";

/// Holds what one object of a manifest came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Where it begins, in its file.
    pub line: usize,
    pub what: What,
}

/// Says what an object of a manifest is.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Registration {
        name: String,
        registration: Box<Registration>,
    },
    /// An object that is ours to read, and bad.
    Bad {
        /// Its namespace and name, where they can be read.
        named: Option<(Namespace, String)>,
        problems: Vec<Problem>,
    },
    /// An object that somebody else reads.
    Other {
        kind: String,
    },
}

/// Holds what is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Of its file, from 1 on.
    pub line: usize,
    pub sentence: String,
}

/// All objects of a file, in their order. `home` is the namespace of those that name none. Of files none is older than another,
/// so that of two that disagree the name decides.
pub fn manifests(text: &str, home: &Namespace, reach: Reach) -> Vec<Read> {
    let mut all = Vec::new();
    for document in documents(text) {
        match document {
            Ok(document) => objects(&document, home, reach, &mut all),
            Err(Unreadable { line, why }) => {
                let problem = Problem { line, sentence: format!("cannot be read: {why}") };
                let what = What::Bad { named: None, problems: vec![problem] };
                all.push(Read { line, what });
            }
        }
    }
    all
}

/// The objects of a document: it may be a list of them.
fn objects(document: &Lines, home: &Namespace, reach: Reach, all: &mut Vec<Read>) {
    let value = document.value();
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match is_list && value.get("items").is_some_and(Value::is_array) {
        true => all.extend(document.items("items").iter().map(|item| object(item, home, reach))),
        false => all.push(object(document, home, reach)),
    }
}

fn object(lines: &Lines, home: &Namespace, reach: Reach) -> Read {
    let value = &lines.value();
    let line = lines.line();
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let bad = |field: &str, sentence: String| What::Bad {
        named: None,
        problems: vec![Problem { line: lines.of_field(field), sentence }],
    };
    let what = match (text("kind"), text("apiVersion")) {
        (None, _) => {
            bad("kind", format!("kind: missing; use `kind: {KIND}` and `apiVersion: {API_VERSION}`"))
        }
        (Some(KIND), Some(API_VERSION)) => registration(value, lines, home, reach),
        (Some(KIND), version) => {
            let said = version.map_or_else(|| "missing".to_owned(), |said| format!("`{}`", shortened(said)));
            bad("apiVersion", format!("apiVersion: {said}; use {API_VERSION}"))
        }
        (Some(kind), _) => What::Other { kind: shortened(kind) },
    };
    Read { line, what }
}

fn registration(value: &Value, lines: &Lines, home: &Namespace, reach: Reach) -> What {
    let meta = |field: &str| value.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str);
    let name = meta("name").map(str::to_owned);
    let namespace = match meta("namespace") {
        Some(said) => said.parse().ok(),
        None => Some(home.clone()),
    };
    let named = namespace.zip(name.clone());
    let mut problems: Vec<_> = fields::unknown(value)
        .into_iter()
        .map(|unknown| Problem { line: lines.of_field(&unknown.path), sentence: unknown.to_string() })
        .collect();
    let twice = fields::twice(value).into_iter();
    problems.extend(
        twice.map(|twice| Problem { line: lines.of_field(&twice.path), sentence: twice.to_string() }),
    );
    match read(value, home, reach) {
        Ok(registration) if problems.is_empty() => {
            let name = name.unwrap_or_default();
            return What::Registration { name, registration: Box::new(registration) };
        }
        Ok(_) => {}
        Err(errors) => problems.extend(
            errors.into_iter().map(|(field, sentence)| Problem { line: lines.of_field(&field), sentence }),
        ),
    }
    problems.sort();
    What::Bad { named, problems }
}

/// The registration, or each field that is bad with its sentence.
fn read(value: &Value, home: &Namespace, reach: Reach) -> Result<Registration, Vec<(String, String)>> {
    let mut object: ServiceRegistration =
        serde_path(value).map_err(|(field, why)| vec![(field.clone(), format!("{field}: {why}"))])?;
    if object.metadata.name.is_none() {
        let sentence = "metadata.name: missing; give the object a name, as orders".to_owned();
        return Err(vec![("metadata".to_owned(), sentence)]);
    }
    object.metadata = ObjectMeta {
        name: object.metadata.name.take(),
        namespace: object.metadata.namespace.take().or_else(|| Some(home.as_str().to_owned())),
        creation_timestamp: Some(Time(Timestamp::UNIX_EPOCH)),
        ..ObjectMeta::default()
    };
    registration_for(&object, reach)
        .map_err(|errors| errors.iter().map(|error| (field_of(error), error.to_string())).collect())
}

/// Reads it part by part, so that a value of a wrong kind is named by its field: serde itself says only what it expected.
fn serde_path(value: &Value) -> Result<ServiceRegistration, (String, String)> {
    let whole = serde_json::from_value(value.clone());
    let Err(error) = whole else { return whole.map_err(|error| (String::new(), error.to_string())) };
    Err(fields::of_wrong_kind(value)
        .map_or_else(|| ("spec".to_owned(), error.to_string()), |wrong| (wrong.path, wrong.why)))
}

/// Which field an error is about, as a path from the object's own beginning.
fn field_of(error: &SpecError) -> String {
    let text = error.to_string();
    let end = text.find([':', ' ', ',']).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.sentence)
    }
}
