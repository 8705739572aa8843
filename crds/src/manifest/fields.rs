//! What of an object its schema does not know, or knows as something else: the API server says so, and a file is read without
//! one.

use std::{fmt, sync::LazyLock};

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::resource::ServiceRegistration;

/// Bad fields of one object that are named: one with more of them is not mended in one go anyway.
const NAMED_MAX: usize = 8;
/// Entries of a set that are compared: no schema of ours lets in more than 256.
const ENTRIES_MAX: usize = 1_024;
/// Changes of letters after which a name is no slip of the pen any more.
const SLIPS_MAX: usize = 2;
/// What stands beside the spec in every object.
const BESIDE: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// The schema of a spec: the same for all objects, and work to make.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(ServiceRegistration::crd()).unwrap_or_default();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    schema.cloned().unwrap_or_default()
});

/// Holds a field that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) path: String,
    /// The one that may have been meant.
    meant: Option<String>,
}

/// Holds an entry of a set that stands there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Twice {
    pub(super) path: String,
}

/// Holds a field whose value is of another kind than the schema's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongKind {
    pub(super) path: String,
    pub(super) why: String,
}

/// The fields of the object that its schema does not have.
pub(super) fn unknown(object: &Value) -> Vec<Unknown> {
    let mut all = Vec::new();
    walk(object, &mut |path, value, schema| {
        let (Some(fields), Some(known)) = (value.as_object(), properties(schema)) else { return };
        let is_free = schema.get("additionalProperties").is_some();
        for name in fields.keys().filter(|name| !is_free && !known.contains_key(*name)) {
            if all.len() < NAMED_MAX {
                let meant = known.keys().find(|known| slips(known, name) <= SLIPS_MAX).cloned();
                all.push(Unknown { path: joined(path, name), meant });
            }
        }
    });
    let beside = object.as_object().into_iter().flat_map(Map::keys);
    let beside = beside.filter(|name| *name != "spec" && !BESIDE.contains(&name.as_str()));
    all.extend(beside.take(NAMED_MAX).map(|name| Unknown { path: name.clone(), meant: None }));
    all
}

/// The entries of sets that stand there twice.
pub(super) fn twice(object: &Value) -> Vec<Twice> {
    let mut all = Vec::new();
    walk(object, &mut |path, value, schema| {
        let Some(items) = value.as_array() else { return };
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        // What tells an entry from another one.
        let tells = |item: &Value| match keys {
            Some(keys) => {
                keys.iter().map(|key| key.as_str().and_then(|key| item.get(key)).cloned()).collect()
            }
            None => vec![Some(item.clone())],
        };
        if !is_set && keys.is_none() {
            return;
        }
        let mut seen: Vec<Vec<Option<Value>>> = Vec::new();
        for (place, item) in items.iter().enumerate().take(ENTRIES_MAX) {
            match seen.contains(&tells(item)) {
                true if all.len() < NAMED_MAX => all.push(Twice { path: format!("{path}[{place}]") }),
                true => {}
                false => seen.push(tells(item)),
            }
        }
    });
    all
}

/// The first field whose value is of another kind than its schema says.
pub(super) fn of_wrong_kind(object: &Value) -> Option<WrongKind> {
    let mut first = None;
    if object.get("spec").is_none_or(Value::is_null) {
        let why = "missing; say at least `target` and `ports`".to_owned();
        return Some(WrongKind { path: "spec".to_owned(), why });
    }
    walk(object, &mut |path, value, schema| {
        let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return };
        let required = schema.get("required").and_then(Value::as_array);
        let mut required = required.into_iter().flatten().filter_map(Value::as_str);
        let missing = required.find(|name| value.is_object() && value.get(name).is_none());
        let why = match (is_of(value, wanted), missing) {
            (false, _) if value.is_number() && wanted == "integer" => {
                Some((path.to_owned(), "no whole number, or too large a one".to_owned()))
            }
            (false, _) => Some((
                path.to_owned(),
                format!("{}, where {} is wanted", kind_of(value), with_article(wanted)),
            )),
            (true, Some(name)) => Some((joined(path, name), "missing".to_owned())),
            (true, None) => None,
        };
        if let (None, Some((path, why))) = (&first, why) {
            first = Some(WrongKind { path, why });
        }
    });
    first
}

/// Calls back for each value that the schema describes, with its path and its schema.
fn walk(object: &Value, each: &mut dyn FnMut(&str, &Value, &Value)) {
    if let Some(spec) = object.get("spec") {
        step("spec", spec, &SCHEMA, each);
    }
}

fn step(path: &str, value: &Value, schema: &Value, each: &mut dyn FnMut(&str, &Value, &Value)) {
    if value.is_null() {
        // As the API server has it: a null is left out.
        return;
    }
    each(path, value, schema);
    if let (Some(fields), Some(known)) = (value.as_object(), properties(schema)) {
        for (name, value) in fields {
            if let Some(schema) = known.get(name) {
                step(&joined(path, name), value, schema, each);
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for (place, item) in items.iter().enumerate() {
            step(&format!("{path}[{place}]"), item, schema, each);
        }
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn joined(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn with_article(kind: &str) -> &'static str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text (in quotes, if it looks like a number)",
        "boolean" => "true or false",
        _ => "a whole number",
    }
}

/// How many letters are other ones, missing or too many.
fn slips(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) =
        (one.to_lowercase().chars().collect(), other.to_lowercase().chars().take(64).collect());
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.iter().enumerate() {
        let mut before = place;
        let mut next = vec![place + 1];
        for (at, (theirs, above)) in other.iter().zip(row.iter().skip(1)).enumerate() {
            let left = next.get(at).copied().unwrap_or(usize::MAX - 1);
            next.push((before + usize::from(letter != theirs)).min(left + 1).min(above + 1));
            before = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

// === impl Unknown ===

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: no such field", self.path)?;
        match &self.meant {
            Some(meant) => write!(f, "; did you mean `{meant}`?"),
            None => write!(f, "; remove it, or see `kubectl explain sreg.spec` and docs/resource.md"),
        }
    }
}

// === impl Twice ===

impl fmt::Display for Twice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: stands there twice; remove one of the two", self.path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_nobody_knows_are_named_with_what_was_meant() {
        let object = json!({"kind": "X", "metadata": {"anything": 1}, "extra": 1, "spec": {
            "prots": [], "metadata": {"team": "a"}, "ports": [{"name": "a", "prot": 1}],
            "target": {"selector": {"matchLabels": {"free": "b"}}}, "colour": 1}});
        let said: Vec<_> = unknown(&object).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        for part in
            ["spec.prots: no such field; did you mean `ports`?", "spec.ports[0].prot", "spec.colour", "extra"]
        {
            assert!(said.iter().any(|said| said.starts_with(part)), "{part} in {said:?}");
        }
    }

    #[test]
    fn values_of_another_kind_are_named() {
        let table = [
            (json!({}), "spec", "missing"),
            (json!({"spec": null}), "spec", "missing"),
            (json!({"spec": {"weight": 1e30}}), "spec.weight", "too large"),
            (json!({"spec": {"version": 1.4}}), "spec.version", "in quotes"),
            (json!({"spec": {"ports": {"name": "a"}}}), "spec.ports", "an object, where a list"),
            (
                json!({"spec": {"ports": [{"name": "a", "port": "80"}]}}),
                "spec.ports[0].port",
                "a text, where a whole number",
            ),
            (
                json!({"spec": {"target": {"addresses": ["10.0.0.5"]}}}),
                "spec.target.addresses[0]",
                "a text, where an object",
            ),
        ];
        for (object, path, why) in table {
            let wrong = of_wrong_kind(&object).unwrap();
            assert_eq!(wrong.path, path, "{wrong:?}");
            assert!(wrong.why.contains(why), "{wrong:?}");
        }
        assert_eq!(of_wrong_kind(&json!({"spec": {"target": {"pod": null}}})).map(|wrong| wrong.path), None);
    }

    #[test]
    fn slips_of_the_pen_are_counted() {
        for (one, other, count) in
            [("ports", "prots", 2), ("ports", "port", 1), ("tags", "Tags", 0), ("a", "xyz", 3)]
        {
            assert_eq!(slips(one, other), count, "{one} {other}");
        }
    }
}
