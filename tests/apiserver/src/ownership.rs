//! Server-side apply, and what other writes do to the list of who owns which field: coarse, as far as anybody here relies
//! on it.

use serde_json::{Map, Value, json};

use crate::{
    fields::{Fields, below, fields_of, join, spoken},
    kinds::Kind,
};

/// Says who writes, and by which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) applies: bool,
    pub(crate) of_status: bool,
}

/// Holds one entry of the list.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: Manager,
    time: Value,
    fields: Fields,
}

/// The object after this was applied to it; or the fields in the way, each with its owner.
pub(crate) fn apply(
    kind: &Kind,
    live: &Value,
    applied: &Value,
    manager: &Manager,
    force: bool,
    now: &str,
) -> Result<Value, Vec<(String, String)>> {
    let wanted = fields_of(kind, applied, manager.of_status);
    let (own, mut others): (Vec<_>, Vec<_>) =
        entries(live).into_iter().partition(|entry| entry.manager == *manager);
    let mut conflicts = Vec::new();
    for other in &mut others {
        for steps in wanted.shared(&other.fields) {
            if at(live, &steps) == at(applied, &steps) {
                continue;
            }
            conflicts.push((other.manager.name.clone(), spoken(&steps)));
            other.fields.without(&leaf(&steps));
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut kept = wanted.clone();
    others.iter().for_each(|other| kept.and(&other.fields));
    let mut left = own.first().map(|entry| entry.fields.clone()).unwrap_or_default();
    left.without(&kept);
    let mut merged = live.clone();
    left.remove_from(&mut merged);
    let mut said = applied.clone();
    if let Some(said) = said.as_object_mut() {
        said.retain(|field, _| {
            (field == "status") == manager.of_status || !kind.has_status || field == "metadata"
        });
    }
    merge(kind, &mut merged, &said, "");
    let time = match own.first() {
        Some(before) if before.fields == wanted && merged == *live => before.time.clone(),
        _ => json!(now),
    };
    others.push(Entry { manager: manager.clone(), time, fields: wanted });
    write(kind, &mut merged, others);
    Ok(merged)
}

/// Keeps the list right over a write that was no apply.
pub(crate) fn track(kind: &Kind, before: &Value, after: &mut Value, manager: &Manager, now: &str) {
    let (was, is) = (fields_of(kind, before, manager.of_status), fields_of(kind, after, manager.of_status));
    let changed = is.differing(before, after);
    let gone = was.differing(before, after);
    let mut all = entries(before);
    let mut own = None;
    for entry in &mut all {
        if entry.manager == *manager {
            own = Some(entry.clone());
        }
        entry.fields.without(&changed);
        let mut gone = gone.clone();
        gone.without(&changed);
        entry.fields.without(&gone);
    }
    all.retain(|entry| entry.manager != *manager);
    let mut fields = changed.clone();
    let mut time = json!(now);
    if let Some(own) = own {
        let mut kept = own.fields.clone();
        let mut gone = gone;
        gone.without(&changed);
        kept.without(&gone);
        if changed.is_empty() && kept == own.fields {
            time = own.time;
        }
        fields.and(&kept);
    }
    all.push(Entry { manager: manager.clone(), time, fields });
    write(kind, after, all);
}

fn entries(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entry = |value: &Value| Entry {
        manager: Manager {
            name: value["manager"].as_str().unwrap_or_default().to_owned(),
            applies: value["operation"] == "Apply",
            of_status: value["subresource"] == "status",
        },
        time: value["time"].clone(),
        fields: Fields(value["fieldsV1"].as_object().cloned().unwrap_or_default()),
    };
    list.into_iter().flatten().map(entry).collect()
}

fn write(kind: &Kind, object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by_key(|entry| {
        let Manager { name, applies, of_status } = &entry.manager;
        (!applies, name.clone(), *of_status)
    });
    let list: Vec<_> = entries
        .into_iter()
        .map(|Entry { manager, time, fields }| {
            let mut entry = json!({"manager": manager.name, "apiVersion": kind.api_version(), "time": time,
                "operation": if manager.applies { "Apply" } else { "Update" },
                "fieldsType": "FieldsV1", "fieldsV1": fields.0});
            if manager.of_status {
                entry["subresource"] = json!("status");
            }
            entry
        })
        .collect();
    object["metadata"]["managedFields"] = list.into();
}

fn at<'a>(value: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| below(value, step))
}

fn leaf(steps: &[String]) -> Fields {
    let mut tree = json!({});
    for step in steps.iter().rev() {
        tree = json!({step.as_str(): tree});
    }
    Fields(tree.as_object().cloned().unwrap_or_default())
}

/// Puts what is applied into what is there: entries of known lists by their keys, all other lists as a whole.
fn merge(kind: &Kind, into: &mut Value, from: &Value, place: &str) {
    match (from, &mut *into) {
        (Value::Object(from), Value::Object(into)) => {
            for (name, value) in from {
                if place == "metadata" && name == "managedFields" {
                    continue;
                }
                let held = into.entry(name.clone()).or_insert(Value::Null);
                merge(kind, held, value, &join(place, name));
            }
        }
        (Value::Array(from), Value::Array(held)) if kind.key_of(place).is_some() => {
            let by = kind.key_of(place).unwrap_or_default();
            for value in from {
                let same =
                    |held: &&mut Value| if by.is_empty() { **held == *value } else { held[by] == value[by] };
                match held.iter_mut().find(same) {
                    Some(held) => merge(kind, held, value, place),
                    None => held.push(value.clone()),
                }
            }
        }
        (Value::Object(from), into) if !into.is_object() => {
            *into = Value::Object(Map::new());
            merge(kind, into, &Value::Object(from.clone()), place);
        }
        _ => *into = from.clone(),
    }
}
