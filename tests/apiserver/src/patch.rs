//! Patches: what becomes of an object by each kind of them.

use serde_json::{Map, Value, json};

use crate::{fields::join, kinds::Kind, refusal::Refusal};

/// RFC 7386.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (name, value) in patch {
        if value.is_null() {
            into.as_object_mut().and_then(|fields| fields.remove(name));
        } else {
            merge(&mut into[name.as_str()], value);
        }
    }
}

/// As a merge, but for lists whose entries are known by a field. Kubernetes' own kinds alone take it.
pub(crate) fn strategic(kind: &Kind, into: &mut Value, patch: &Value, place: &str) {
    match (patch, &mut *into) {
        (Value::Object(patch), Value::Object(fields)) => {
            for (name, value) in patch {
                if value.is_null() {
                    fields.remove(name);
                } else {
                    let held = fields.entry(name.clone()).or_insert(Value::Null);
                    strategic(kind, held, value, &join(place, name));
                }
            }
        }
        (Value::Array(patch), Value::Array(held)) if kind.key_of(place).is_some() => {
            let by = kind.key_of(place).unwrap_or_default();
            for value in patch {
                let same = |held: &Value| if by.is_empty() { held == value } else { held[by] == value[by] };
                if value["$patch"] == "delete" {
                    held.retain(|held| !same(held));
                } else if let Some(held) = held.iter_mut().find(|held| same(held)) {
                    strategic(kind, held, value, place);
                } else {
                    held.push(value.clone());
                }
            }
        }
        (Value::Object(_), into) if !into.is_object() => {
            *into = json!({});
            strategic(kind, into, patch, place);
        }
        _ => *into = patch.clone(),
    }
}

/// RFC 6902, as far as anybody here uses it: `test`, `add`, `replace`, `remove`.
pub(crate) fn by_operations(kind: &Kind, name: &str, into: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let Some(operations) = patch.as_array() else {
        return Err(Refusal::bad_request("no list of operations"));
    };
    for operation in operations {
        let path = operation["path"].as_str().unwrap_or_default();
        let fails =
            || Refusal::invalid(kind, name, "the server rejected our request due to an error in our request");
        let (parent, last) = path.rsplit_once('/').ok_or_else(fails)?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        let parent = into.pointer_mut(parent).ok_or_else(fails)?;
        match (operation["op"].as_str(), parent) {
            (Some("test"), parent) => {
                let index = last.parse::<usize>().ok();
                let is = index.map_or_else(|| parent.get(&last), |index| parent.get(index));
                if is.unwrap_or(&Value::Null) != &value {
                    return Err(fails());
                }
            }
            (Some("remove"), Value::Object(fields)) => {
                fields.remove(&last).ok_or_else(fails)?;
            }
            (Some("remove"), Value::Array(entries)) => {
                let index = last.parse().ok().filter(|index| *index < entries.len()).ok_or_else(fails)?;
                entries.remove(index);
            }
            (Some("replace"), Value::Object(fields)) => {
                *fields.get_mut(&last).ok_or_else(fails)? = value;
            }
            (Some("add"), Value::Object(fields)) => {
                fields.insert(last, value);
            }
            (Some("add"), Value::Array(entries)) if last == "-" => entries.push(value),
            (Some("add" | "replace"), Value::Array(entries)) => {
                let index = last.parse().ok().filter(|index| *index <= entries.len()).ok_or_else(fails)?;
                if operation["op"] == "add" {
                    entries.insert(index, value);
                } else {
                    *entries.get_mut(index).ok_or_else(fails)? = value;
                }
            }
            _ => return Err(fails()),
        }
    }
    Ok(())
}
