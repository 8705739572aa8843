//! Who owns which field, in the API server's own form: a tree whose leaves are owned.
//!
//! `f:name` is a field, `k:{"type":"Ready"}` an entry of a list that is known by a field of its own, `v:"x"` one that is
//! known by itself. Other lists are owned as a whole.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// What of the metadata nobody owns: the API server writes it.
const OF_THE_SERVER: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "generateName",
];

/// Holds a set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

/// What an object says, by the tree of its fields; of a status alone, or of all but that.
pub(crate) fn fields_of(kind: &Kind, object: &Value, of_status: bool) -> Fields {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.retain(|field, _| match field.as_str() {
        "apiVersion" | "kind" => false,
        "status" => of_status || !kind.has_status,
        _ => !of_status,
    });
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
    }
    if object.get("metadata").and_then(Value::as_object).is_some_and(Map::is_empty) {
        object.remove("metadata");
    }
    let tree = tree(kind, &Value::Object(object), "");
    Fields(tree.as_object().cloned().unwrap_or_default())
}

fn tree(kind: &Kind, value: &Value, place: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let entry = |(name, value): (&String, &Value)| {
                (format!("f:{name}"), tree(kind, value, &join(place, name)))
            };
            fields.iter().map(entry).collect::<Map<_, _>>().into()
        }
        Value::Array(entries) => {
            let Some(by) = kind.key_of(place) else { return json!({}) };
            let entry = |value: &Value| {
                let mut below = tree(kind, value, place);
                if let (false, Some(below)) = (by.is_empty(), below.as_object_mut()) {
                    below.insert(".".to_owned(), json!({}));
                }
                (element(by, value), below)
            };
            entries.iter().map(entry).collect::<Map<_, _>>().into()
        }
        _ => json!({}),
    }
}

/// The name of an entry in such a tree.
fn element(by: &str, value: &Value) -> String {
    if by.is_empty() { format!("v:{value}") } else { format!("k:{}", json!({by: value[by]})) }
}

pub(crate) fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// What is found in a value by one step of a tree.
pub(crate) fn below<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    let (sort, rest) = step.split_once(':')?;
    match sort {
        "f" => value.get(rest),
        "k" => {
            let key: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let fits = |entry: &&Value| key.iter().all(|(field, is)| entry.get(field) == Some(is));
            value.as_array()?.iter().find(fits)
        }
        "v" => {
            let is: Value = serde_json::from_str(rest).ok()?;
            value.as_array()?.iter().find(|entry| **entry == is)
        }
        _ => None,
    }
}

/// Takes what one step of a tree leads to out of a value.
fn take(value: &mut Value, step: &str) {
    if let Some(field) = step.strip_prefix("f:") {
        if let Some(fields) = value.as_object_mut() {
            fields.remove(field);
        }
    } else if let (Some(gone), Some(entries)) = (below(value, step).cloned(), value.as_array_mut()) {
        entries.retain(|entry| *entry != gone);
    }
}

fn below_mut<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Some(field) = step.strip_prefix("f:") {
        return value.get_mut(field);
    }
    let found = below(value, step)?.clone();
    value.as_array_mut()?.iter_mut().find(|entry| **entry == found)
}

// === impl Fields ===

impl Fields {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn and(&mut self, other: &Self) {
        fn add(into: &mut Map<String, Value>, from: &Map<String, Value>) {
            for (step, value) in from {
                let held = into.entry(step.clone()).or_insert_with(|| json!({}));
                if let (Some(held), Some(value)) = (held.as_object_mut(), value.as_object()) {
                    add(held, value);
                }
            }
        }
        add(&mut self.0, &other.0);
    }

    /// Without the leaves of another. An empty map is a leaf too, and other than what others have in it.
    pub(crate) fn without(&mut self, other: &Self) {
        fn remove(from: &mut Map<String, Value>, what: &Map<String, Value>) {
            for (step, value) in what {
                let Some(held) = from.get_mut(step).and_then(Value::as_object_mut) else { continue };
                match value.as_object().filter(|below| !below.is_empty()) {
                    Some(below) if !held.is_empty() => remove(held, below),
                    None if held.is_empty() => {}
                    _ => continue,
                }
                if held.is_empty() {
                    from.remove(step);
                }
            }
        }
        remove(&mut self.0, &other.0);
    }

    /// The leaves that both have, each by its steps.
    pub(crate) fn shared(&self, other: &Self) -> Vec<Vec<String>> {
        fn walk(
            ours: &Map<String, Value>,
            theirs: &Map<String, Value>,
            at: &[String],
            found: &mut Vec<Vec<String>>,
        ) {
            for (step, value) in ours {
                let Some(other) = theirs.get(step).and_then(Value::as_object) else { continue };
                let steps = [at, std::slice::from_ref(step)].concat();
                let value = value.as_object();
                match (value.filter(|value| !value.is_empty()), other.is_empty()) {
                    (Some(value), false) => walk(value, other, &steps, found),
                    // That an entry is there belongs to all who say something of it.
                    (None, true) if step != "." => found.push(steps),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &other.0, &[], &mut found);
        found
    }

    /// The leaves whose values differ between two objects.
    pub(crate) fn differing(&self, before: &Value, after: &Value) -> Self {
        fn walk(
            tree: &Map<String, Value>,
            before: Option<&Value>,
            after: Option<&Value>,
        ) -> Map<String, Value> {
            let mut found = Map::new();
            for (step, value) in tree {
                let inner = value.as_object().filter(|value| !value.is_empty());
                let (was, is) = if step == "." {
                    (before, after)
                } else {
                    (before.and_then(|value| below(value, step)), after.and_then(|value| below(value, step)))
                };
                match inner {
                    Some(inner) => {
                        let inner = walk(inner, was, is);
                        if !inner.is_empty() {
                            found.insert(step.clone(), inner.into());
                        }
                    }
                    None if step == "." && was.is_some() == is.is_some() => {}
                    None if was == is => {}
                    None => {
                        found.insert(step.clone(), json!({}));
                    }
                }
            }
            found
        }
        Self(walk(&self.0, Some(before), Some(after)))
    }

    /// Takes these fields out of an object, and what is left empty by that.
    pub(crate) fn remove_from(&self, object: &mut Value) {
        fn walk(tree: &Map<String, Value>, value: &mut Value) {
            for (step, below_it) in tree {
                let inner = below_it.as_object().filter(|inner| !inner.is_empty());
                match inner {
                    // Who owned that the entry is there takes all of it.
                    Some(inner) if !inner.contains_key(".") => {
                        let Some(held) = below_mut(value, step) else { continue };
                        walk(inner, held);
                        if held.as_object().is_some_and(Map::is_empty) || held == &json!([]) {
                            take(value, step);
                        }
                    }
                    _ => take(value, step),
                }
            }
        }
        walk(&self.0, object);
    }
}

/// As people read it: `.spec.version`.
pub(crate) fn spoken(steps: &[String]) -> String {
    let mut text = String::new();
    for step in steps {
        match step.split_once(':') {
            Some(("f", name)) => text += &format!(".{name}"),
            Some((_, rest)) => text += &format!("[{rest}]"),
            None => {}
        }
    }
    text
}
