//! What differs between two pods, as additions; and a pod with additions.

use serde_json::Value;

use crate::{Addition, NotAPod};

/// The additions that make one pod of the other.
pub(crate) fn between(from: &Value, to: &Value) -> Vec<Addition> {
    at(String::new(), from, to)
}

/// Does to a pod what the API server would do with the patch.
pub fn apply(pod: &mut Value, additions: &[Addition]) -> Result<(), NotAPod> {
    for Addition { path, value } in additions {
        let nowhere = NotAPod { field: "the patch", problem: "adds to what is not there" };
        let Some((parent, last)) = path.rsplit_once('/') else {
            *pod = value.clone();
            continue;
        };
        match pod.pointer_mut(parent) {
            Some(Value::Object(members)) => drop(members.insert(unescaped(last), value.clone())),
            Some(Value::Array(entries)) => {
                let place = if last == "-" { Some(entries.len()) } else { last.parse().ok() };
                let place = place.filter(|place| *place <= entries.len()).ok_or(nowhere)?;
                entries.insert(place, value.clone());
            }
            _ => return Err(nowhere),
        }
    }
    Ok(())
}

fn at(path: String, from: &Value, to: &Value) -> Vec<Addition> {
    below(&path, from, to).unwrap_or_else(|| vec![Addition { path, value: to.clone() }])
}

/// The additions below this path that make one of the other; none where only to replace the whole does, since an addition
/// takes nothing away, and replaces no entry of an array.
fn below(path: &str, from: &Value, to: &Value) -> Option<Vec<Addition>> {
    match (from, to) {
        _ if from == to => Some(Vec::new()),
        (Value::Object(from), Value::Object(to)) => {
            if from.keys().any(|name| !to.contains_key(name)) {
                return None;
            }
            let members = to.iter().flat_map(|(name, to)| {
                let path = format!("{path}/{}", escaped(name));
                match from.get(name) {
                    Some(from) => at(path, from, to),
                    None => vec![Addition { path, value: to.clone() }],
                }
            });
            Some(members.collect())
        }
        (Value::Array(from), Value::Array(to)) => {
            let (same, more) = to.split_at_checked(from.len())?;
            let mut additions = Vec::new();
            for (place, (from, to)) in from.iter().zip(same).enumerate() {
                additions.extend(below(&format!("{path}/{place}"), from, to)?);
            }
            let added = more.iter().map(|value| Addition { path: format!("{path}/-"), value: value.clone() });
            additions.extend(added);
            Some(additions)
        }
        _ => None,
    }
}

/// A member's name as a JSON pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn paths(from: Value, to: &Value) -> Vec<String> {
        let additions = between(&from, to);
        let mut made = from;
        apply(&mut made, &additions).unwrap();
        assert_eq!(made, *to);
        additions.into_iter().map(|addition| addition.path).collect()
    }

    #[test]
    fn additions_are_as_deep_as_they_can_be() {
        for (from, to, expected) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({}), json!({"a": {"b": 1}}), vec!["/a"]),
            (json!({"a": {}}), json!({"a": {"b/c~d": 1}}), vec!["/a/b~1c~0d"]),
            (json!({"a": null}), json!({"a": {"b": 1}}), vec!["/a"]),
            (json!({"a": [1]}), json!({"a": [1, 2, 3]}), vec!["/a/-", "/a/-"]),
            (json!({"a": [{}, 1]}), json!({"a": [{"b": 1}, 1]}), vec!["/a/0/b"]),
            // An entry cannot be replaced by itself, and nothing can be taken away.
            (json!({"a": [1, 2]}), json!({"a": [0, 2]}), vec!["/a"]),
            (json!({"a": [1, 2]}), json!({"a": [1]}), vec!["/a"]),
            (json!({"a": [{"b": 1}]}), json!({"a": [{}]}), vec!["/a"]),
            (json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {}}}), vec!["/a/b"]),
        ] {
            assert_eq!(paths(from.clone(), &to), expected, "{from} {to}");
        }
    }

    #[test]
    fn what_is_not_there_takes_no_addition() {
        for path in ["/a/b", "/list/2", "/list/x", "/text/b"] {
            let mut pod = json!({"list": [1], "text": ""});
            let addition = Addition { path: path.to_owned(), value: Value::Null };
            assert!(apply(&mut pod, &[addition]).is_err(), "{path}");
        }
    }

    fn any() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), Just(json!(""))];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab/~0-]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn additions_lead_from_anything_to_anything(from in any(), to in any()) {
            paths(from, &to);
        }
    }
}
