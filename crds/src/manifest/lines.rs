//! A document with the line of each of its values: read once, so that what is read and where it stands are of one reading.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// Values within each other: a registration has ten, and what reads them takes some 30 KiB of a thread's stack for each.
const DEPTH_MAX: usize = 32;
/// Values of one document, those that stand there by a reference included: a registration of 256 addresses has a thousand.
const NODES_MAX: usize = 100_000;

/// Holds a value of a document, and the lines of all that is in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lines {
    /// Of what is before the document in its file.
    before: usize,
    line: usize,
    node: Node,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Map(Vec<(String, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
    One(Value),
}

/// Holds what keeps a text from being read, and the line of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) why: String,
}

// === impl Lines ===

impl Lines {
    /// Reads a document that begins there in its file.
    pub(super) fn of(text: &str, line: usize) -> Result<Self, Unreadable> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_depth: DEPTH_MAX },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
            // As in `defaultMode: 0644`, and as kubectl reads it.
            legacy_octal_numbers: true,
        };
        let before = line - 1;
        let node = serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
            let within = error.location().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1).max(1);
            // The first line says where within the document, and what; those below show the text itself.
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default();
            let what = said.split_once(" column ").and_then(|(_, rest)| rest.split_once(": "));
            Unreadable { line: before + within, why: in_words(what.map_or(said, |(_, what)| what)) }
        })?;
        let says = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        Ok(Self { before, line: line + text.lines().take_while(says).count(), node })
    }

    /// Where it begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// What it says, without its lines.
    pub(super) fn value(&self) -> Value {
        self.node.value()
    }

    /// The entries of a list.
    pub(super) fn items(&self, field: &str) -> Vec<Self> {
        let Some(Node::List(items)) = self.node.field(field).map(|spanned| &spanned.value) else {
            return Vec::new();
        };
        let lines = |item: &Spanned<Node>| Self {
            before: self.before,
            line: self.before + line_of(item),
            node: item.value.clone(),
        };
        items.iter().map(lines).collect()
    }

    /// The line of a field, named as `spec.ports`; where it is missing, that of the closest that holds it.
    pub(super) fn of_field(&self, path: &str) -> usize {
        let (mut node, mut line) = (&self.node, self.line);
        for part in path.split(['.', '[']) {
            let next = match node {
                Node::Map(_) => node.field(part),
                Node::List(items) => {
                    part.trim_end_matches(']').parse().ok().and_then(|place: usize| items.get(place))
                }
                Node::One(_) => None,
            };
            let Some(next) = next else { break };
            (node, line) = (&next.value, self.before + line_of(next));
        }
        line
    }
}

/// What the reader says of its limits is for programmers.
fn in_words(why: &str) -> String {
    if why.contains("Depth") || why.contains("recursion limit") {
        return format!("its values are nested more than {DEPTH_MAX} deep");
    }
    match why.contains("budget") {
        true => format!("it has more than {NODES_MAX} values"),
        false => why.to_owned(),
    }
}

fn line_of(spanned: &Spanned<Node>) -> usize {
    usize::try_from(spanned.referenced.line()).unwrap_or(1).max(1)
}

// === impl Node ===

impl Node {
    fn field(&self, name: &str) -> Option<&Spanned<Self>> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn value(&self) -> Value {
        match self {
            Self::Map(fields) => {
                let fields = fields.iter().map(|(name, node)| (name.clone(), node.value.value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Self::List(items) => Value::Array(items.iter().map(|item| item.value.value()).collect()),
            Self::One(value) => value.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            fields.push((key, map.next_value()?));
        }
        Ok(Node::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::One(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::One(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::One(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number =
            Number::from_f64(value).ok_or_else(|| E::custom("a number that is none, or has no end"))?;
        Ok(Node::One(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::One(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::One(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::One(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_stands_in_its_line_and_a_missing_one_where_it_would() {
        let text = "# about\nkind: X\nspec:\n  version: v1\n  ports:\n    - name: a\n      port: 0\n    - {name: b, port: 1}\n  empty:\n";
        let lines = Lines::of(text, 10).unwrap();
        let table = [
            ("kind", 11),
            ("spec.version", 13),
            ("spec.ports", 15),
            ("spec.ports[0].port", 16),
            ("spec.ports[1]", 17),
            ("spec.ports[7]", 15),
            ("spec.probe.http", 13),
            ("metadata.name", 11),
        ];
        for (path, line) in table {
            assert_eq!(lines.of_field(path), line, "{path}");
        }
        assert_eq!(lines.line(), 11);
        let expected = json!({"kind": "X", "spec": {"version": "v1", "empty": null,
            "ports": [{"name": "a", "port": 0}, {"name": "b", "port": 1}]}});
        assert_eq!(lines.value(), expected);
        let items = Lines::of("items:\n- a: 1\n- b: 2\n", 1).unwrap().items("items");
        assert_eq!(items.iter().map(|item| item.of_field("b")).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let deep = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Lines::of(&deep(20), 1).is_ok());
        for (text, line, why) in [
            ("x: 1\na: [", 6, "unclosed bracket"),
            ("a: 1\na: 2", 6, "duplicate"),
            (&deep(100), 5, "nested"),
            (&deep(10_000), 5, "nested"),
        ] {
            let unreadable = Lines::of(text, 5).unwrap_err();
            assert!(unreadable.why.to_lowercase().contains(why), "{unreadable:?}");
            assert!(unreadable.line <= line && unreadable.line >= 5, "{unreadable:?}");
        }
    }
}
