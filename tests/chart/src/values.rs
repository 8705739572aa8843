//! What `values.yaml` says of itself.

use crate::section::row;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Holds one value that can be set, as its comment describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Documented {
    /// The keys on the way to it.
    pub path: Vec<String>,
    pub default: Value,
    pub description: String,
}

/// Begins a description; the comment's further lines belong to it.
const MARK: &str = "# -- ";

/// All values that have a description, in the order of the file.
pub fn documented(text: &str) -> Result<Vec<Documented>> {
    let values: Value = serde_saphyr::from_str(text).context("values.yaml")?;
    let mut found = Vec::new();
    let mut way: Vec<(usize, &str)> = Vec::new();
    let mut description = String::new();
    for line in text.lines() {
        let words = line.trim_start();
        let depth = line.len() - words.len();
        if let Some(begun) = words.strip_prefix(MARK) {
            ensure!(description.is_empty(), "values.yaml describes nothing: {description}");
            begun.clone_into(&mut description);
        } else if let Some(more) = words.strip_prefix("# ").filter(|_| !description.is_empty()) {
            description.push(' ');
            description.push_str(more);
        } else if let Some((key, _)) = words.split_once(':').filter(|(key, _)| is_key(key)) {
            way.retain(|(of, _)| *of < depth);
            way.push((depth, key));
            if !description.is_empty() {
                let path: Vec<_> = way.iter().map(|(_, key)| (*key).to_owned()).collect();
                let default =
                    at(&values, &path).with_context(|| format!("{} was misread", path.join(".")))?;
                found.push(Documented { default, path, description: std::mem::take(&mut description) });
            }
        }
    }
    ensure!(description.is_empty(), "values.yaml describes nothing: {description}");
    Ok(found)
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric())
}

fn at(values: &Value, path: &[String]) -> Option<Value> {
    path.iter().try_fold(values, |value, key| value.get(key)).cloned()
}

/// The table of the README.
pub(crate) fn table(values: &[Documented]) -> String {
    let head = row(&["Key", "Type", "Default", "Description"]) + "|---|---|---|---|\n";
    values.iter().fold(head, |table, value| {
        let default = format!("`{}`", value.default);
        table
            + &row(&[
                &format!("`{}`", value.path.join(".")),
                kind(&value.default),
                &default,
                &value.description,
            ])
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
# A file.

# -- How many
# of them.
replicas: 2

image:
  # -- Its name.
  repository: x
other:
  # -- A | list.
  list:
    - key: 1
";

    #[test]
    fn a_description_belongs_to_the_next_key() {
        let found = documented(SAMPLE).unwrap();
        let said: Vec<_> =
            found.iter().map(|value| (value.path.join("."), value.description.as_str())).collect();
        let expected = [
            ("replicas", "How many of them."),
            ("image.repository", "Its name."),
            ("other.list", "A | list."),
        ];
        assert_eq!(said, expected.map(|(path, description)| (path.to_owned(), description)));
        assert!(documented("a: 1\n# -- Of nothing.\n").is_err());
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let table = table(&documented(SAMPLE).unwrap());
        assert!(table.contains("| `replicas` | int | `2` | How many of them. |\n"), "{table}");
        assert!(table.contains(r#"| `other.list` | list | `[{"key":1}]` | A \| list. |"#), "{table}");
    }
}
