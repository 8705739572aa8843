//! JSON schemas, told in the rows of a table.

use serde_json::Value;

/// Holds one field, as a table tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// From the top: `instances[].ports`.
    pub(crate) path: String,
    /// Its form in words: `integer, 1 to 65535`.
    pub(crate) form: String,
    /// Whether it is there wherever what it is part of is.
    pub(crate) is_required: bool,
    pub(crate) description: String,
}

/// How deep fields may lie in one another; ours lie six deep, and a schema that holds itself has no end.
const DEPTH_MAX: usize = 12;

/// The fields of an object, each before those within it, in the order of their names.
pub(crate) fn fields(object: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    walk(object, "", 0, &mut found);
    found
}

fn walk(object: &Value, within: &str, depth: usize, found: &mut Vec<Field>) {
    let Some(properties) = object["properties"].as_object().filter(|_| depth < DEPTH_MAX) else { return };
    // Whether a map of JSON keeps its order is a feature that any crate of a build may switch on.
    let mut properties: Vec<_> = properties.iter().collect();
    properties.sort_by_key(|(name, _)| *name);
    for (name, schema) in properties {
        let path = format!("{within}{name}");
        let required = object["required"].as_array();
        let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
        let description = text(&schema["description"]).split_whitespace().collect::<Vec<_>>().join(" ");
        found.push(Field { path: path.clone(), form: form(schema), is_required, description });
        walk(schema, &format!("{path}."), depth + 1, found);
        walk(&schema["items"], &format!("{path}[]."), depth + 1, found);
    }
}

/// What a value looks like, in words.
pub(crate) fn form(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", text(word))).collect();
        return defaulted(format!("one of {}", words.join(", ")), schema);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect(),
        kind => vec![text(kind)],
    };
    let told: Vec<_> = kinds.into_iter().map(|kind| of_kind(kind, schema)).collect();
    defaulted(told.join(" or "), schema)
}

fn of_kind(kind: &str, schema: &Value) -> String {
    match kind {
        "integer" | "number" => {
            let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            match (least, most) {
                (Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
                (Some(least), None) => format!("{kind}, {least} or more"),
                (None, Some(most)) => format!("{kind}, up to {most}"),
                (None, None) => kind.to_owned(),
            }
        }
        "array" => match schema["maxItems"].as_u64() {
            Some(most) => format!("list of {}, up to {most}", form(&schema["items"])),
            None => format!("list of {}", form(&schema["items"])),
        },
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", form(&schema["additionalProperties"]))
        }
        // As the schema has it; of no kind at all is anything.
        "" => "any".to_owned(),
        kind => kind.to_owned(),
    }
}

fn defaulted(form: String, schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => form,
        Value::String(word) => format!("{form}; default `{word}`"),
        other => format!("{form}; default `{other}`"),
    }
}

/// The last part of what a schema refers to.
pub(crate) fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A text, or an empty one where there is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_told_in_words() {
        let cases = [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["string", "null"]}), "string or null"),
            (json!({"type": "integer", "minimum": 1, "maximum": 65535}), "integer, 1 to 65535"),
            (json!({"type": "integer", "minimum": 0}), "integer, 0 or more"),
            (json!({"type": "integer", "maximum": 9, "default": 5}), "integer, up to 9; default `5`"),
            (
                json!({"type": "string", "enum": ["TCP", "UDP"], "default": "TCP"}),
                "one of `TCP`, `UDP`; default `TCP`",
            ),
            (
                json!({"type": "array", "maxItems": 64, "items": {"type": "string"}}),
                "list of string, up to 64",
            ),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), "map of string"),
            (json!({"type": "object", "additionalProperties": true}), "object"),
            (json!({"$ref": "#/components/schemas/Instance"}), "[Instance](#instance)"),
            (json!({}), "any"),
        ];
        for (schema, expected) in cases {
            assert_eq!(form(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn fields_are_told_from_the_top_in_the_order_of_their_names() {
        let schema = json!({"required": ["b"], "properties": {
            "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "string"}}}},
            "a": {"type": "object", "description": "of\ntwo lines", "properties": {"d": {"type": "boolean"}}},
        }});
        let told: Vec<_> = fields(&schema)
            .into_iter()
            .map(|field| (field.path, field.is_required, field.description))
            .collect();
        let expected =
            [("a", false, "of two lines"), ("a.d", false, ""), ("b", true, ""), ("b[].c", false, "")];
        assert_eq!(told, expected.map(|(path, required, said)| (path.to_owned(), required, said.to_owned())));
    }

    #[test]
    fn a_schema_without_an_end_is_told_to_a_limit() {
        let mut schema = json!({"type": "object"});
        for _ in 0..50 {
            schema = json!({"type": "object", "properties": {"x": schema}});
        }
        assert_eq!(fields(&schema).len(), DEPTH_MAX);
    }
}
