//! Which line of a file a field stands in.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// Holds the lines of an object's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    /// Of what is before the document in its file.
    before: usize,
    line: usize,
    node: Node,
}

/// Holds where the parts of a value stand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Map(BTreeMap<String, Spanned<Self>>),
    List(Vec<Spanned<Self>>),
    One,
}

// === impl Lines ===

impl Lines {
    /// Those of a document that begins there. One that cannot be read so has that line alone.
    pub(super) fn of(text: &str, line: usize) -> Self {
        let node = serde_saphyr::from_str::<Node>(text).unwrap_or(Node::One);
        let first =
            text.lines().take_while(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let before = line - 1;
        Self { before, line: line + first.count(), node }
    }

    /// Where the object begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Those of the entries of a list.
    pub(super) fn items(&self, field: &str) -> Vec<Self> {
        let Node::Map(fields) = &self.node else { return Vec::new() };
        let Some(Node::List(items)) = fields.get(field).map(|spanned| &spanned.value) else {
            return Vec::new();
        };
        let lines = |item: &Spanned<Node>| Self {
            before: self.before,
            line: self.before + line_of(item),
            node: item.value.clone(),
        };
        items.iter().map(lines).collect()
    }

    /// That of a field, named as `spec.ports`; where it is missing, that of the closest that holds it.
    pub(super) fn of_field(&self, path: &str) -> usize {
        let (mut node, mut line) = (&self.node, self.line);
        for part in path.split(['.', '[']) {
            let next = match node {
                Node::Map(fields) => fields.get(part),
                Node::List(items) => {
                    part.trim_end_matches(']').parse().ok().and_then(|place: usize| items.get(place))
                }
                Node::One => None,
            };
            let Some(next) = next else { break };
            (node, line) = (&next.value, self.before + line_of(next));
        }
        line
    }
}

fn line_of(spanned: &Spanned<Node>) -> usize {
    usize::try_from(spanned.referenced.line()).unwrap_or(1).max(1)
}

// === impl Node ===

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
        let mut fields = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            fields.insert(key, map.next_value()?);
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

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Node::One)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::One)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_in_its_line_and_a_missing_one_where_it_would() {
        let text = "# about\nkind: X\nspec:\n  version: v1\n  ports:\n    - name: a\n      port: 0\n    - {name: b, port: 1}\n  empty:\n";
        let lines = Lines::of(text, 10);
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
        let items = Lines::of("items:\n- a: 1\n- b: 2\n", 1).items("items");
        assert_eq!(items.iter().map(|item| item.of_field("b")).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_cannot_be_read_has_one_line() {
        assert_eq!(Lines::of("a: [", 5).of_field("a"), 5);
    }
}
