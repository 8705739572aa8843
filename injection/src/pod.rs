//! A pod while it is changed: its parts are there when they are asked for, or it is none.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{NotAPod, REQUIRES, SIDECAR};

pub(crate) type Object = Map<String, Value>;

/// The part of this name, made where it is missing. `field` is its whole path, which ends with the name.
pub(crate) fn object<'a>(parent: &'a mut Object, field: &'static str) -> Result<&'a mut Object, NotAPod> {
    let part = part(parent, field, || Value::Object(Object::new()));
    part.as_object_mut().ok_or(NotAPod { field, problem: "is no object" })
}

/// The list of this name, made where it is missing.
pub(crate) fn list<'a>(parent: &'a mut Object, field: &'static str) -> Result<&'a mut Vec<Value>, NotAPod> {
    let part = part(parent, field, || Value::Array(Vec::new()));
    part.as_array_mut().ok_or(NotAPod { field, problem: "is no list" })
}

/// Where Kubernetes has nothing, a file may say null.
fn part<'a>(parent: &'a mut Object, field: &'static str, empty: fn() -> Value) -> &'a mut Value {
    let name = field.rsplit('.').next().unwrap_or(field);
    let part = parent.entry(name).or_insert(Value::Null);
    if part.is_null() {
        *part = empty();
    }
    part
}

/// An entry of a list of objects.
pub(crate) fn entry<'a>(entry: &'a mut Value, field: &'static str) -> Result<&'a mut Object, NotAPod> {
    entry.as_object_mut().ok_or(NotAPod { field, problem: "holds something that is no object" })
}

/// What stands under this name in an entry.
pub(crate) fn name(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}

/// Whether a container has one of our names.
pub(crate) fn is_ours(container: &Value) -> bool {
    matches!(name(container), Some(SIDECAR | REQUIRES))
}

/// The pod's own containers, those that begin it first.
pub(crate) fn own_containers(spec: &Object) -> impl Iterator<Item = &Value> {
    let listed = ["initContainers", "containers"].into_iter().filter_map(|name| spec.get(name)?.as_array());
    listed.flatten().filter(|container| !is_ours(container))
}

/// The pod's annotations.
pub(crate) fn annotations(pod: &Value) -> Result<BTreeMap<String, String>, NotAPod> {
    let field = "metadata.annotations";
    let none = Object::new();
    let annotations = match pod.pointer("/metadata/annotations") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(annotations)) => annotations,
        Some(_) => return Err(NotAPod { field, problem: "is no object" }),
    };
    let pairs = annotations.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
    pairs.collect::<Option<_>>().ok_or(NotAPod { field, problem: "holds something that is no string" })
}
