//! A file of documents: read as kubectl reads it, and what nobody changes is written as it was.

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::written::written;

/// Deeper than any schema in a CRD: those are the deepest of what people apply.
const DEPTH_MAX: usize = 256;
/// Of one document: etcd holds none that is as large.
const NODES_MAX: usize = 1_000_000;

/// Holds the documents of a file, in their order.
#[derive(Debug)]
pub(super) struct Documents(Vec<Document>);

/// Holds one document, as it was written and as it is meant.
#[derive(Debug)]
struct Document {
    text: String,
    value: Value,
    changed: bool,
}

// === impl Documents ===

impl Documents {
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim_start().starts_with('{')
            && let Some(documents) = json(text)
        {
            return Ok(Self(documents));
        }
        let documents = split(text).into_iter().enumerate().map(|(place, text)| {
            let value = yaml(&text).with_context(|| format!("document {}", place + 1))?;
            Ok(Document { text, value, changed: false })
        });
        documents.collect::<anyhow::Result<_>>().map(Self)
    }

    /// Does this to each of them; it says whether it changed it.
    pub(super) fn each(
        &mut self,
        mut change: impl FnMut(&mut Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for document in &mut self.0 {
            document.changed = change(&mut document.value)?;
        }
        Ok(())
    }

    pub(super) fn written(&self) -> anyhow::Result<String> {
        let mut all = String::new();
        for (place, document) in self.0.iter().enumerate() {
            if place > 0 {
                all.push_str("---\n");
            }
            match document.changed {
                true => all.push_str(&written(&document.value)?),
                false => all.push_str(&document.text),
            }
            if !all.ends_with('\n') {
                all.push('\n');
            }
        }
        Ok(all)
    }
}

/// The first line says where and what; those below show the text itself.
pub(super) fn first_line(error: &serde_saphyr::Error) -> anyhow::Error {
    anyhow!("{}", error.to_string().lines().next().unwrap_or_default())
}

/// Documents of YAML, where a line of its own begins each: no text can hold such a line. Those that say nothing are left out.
fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let rest =
            line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if let Some(rest) = rest {
            documents.push(String::new());
            // `--- # of this file`, or a document that begins there.
            if rest.trim().is_empty() {
                continue;
            }
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(rest.unwrap_or(line));
        }
    }
    let says = |line: &str| !(line.trim().is_empty() || line.starts_with('%'));
    documents.retain(|document| document.lines().any(says));
    documents
}

pub(super) fn yaml(text: &str) -> anyhow::Result<Value> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
        // As in `defaultMode: 0644`, and as kubectl reads it.
        legacy_octal_numbers: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| first_line(&error))
}

/// Objects of JSON, one after the other; none where it is no JSON.
fn json(text: &str) -> Option<Vec<Document>> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut begin = 0;
    while let Some(value) = stream.next() {
        let (value, end) = (value.ok()?, stream.byte_offset());
        let text = text.get(begin..end)?.trim().to_owned();
        documents.push(Document { text, value, changed: false });
        begin = end;
    }
    Some(documents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        Documents::read(text).unwrap().0.into_iter().map(|document| document.value).collect()
    }

    #[test]
    fn documents_begin_where_kubectl_sees_them_begin() {
        for (text, expected) in [
            ("", vec![]),
            ("---\n---\n\n", vec![]),
            ("a: 1", vec![json!({"a": 1})]),
            ("%YAML 1.1\n---\na: 1\n", vec![json!({"a": 1})]),
            ("\u{feff}a: 1\r\n---\r\nb: 2\r\n", vec![json!({"a": 1}), json!({"b": 2})]),
            ("--- # Source: chart\na: 1\n--- {b: 2}\n", vec![json!({"a": 1}), json!({"b": 2})]),
            ("a: |\n  ---\n  x\n---x: 1\n", vec![json!({"a": "---\nx\n", "---x": 1})]),
            ("a: &x [1]\nb: *x\n", vec![json!({"a": [1], "b": [1]})]),
            ("mode: 0644\n", vec![json!({"mode": 420})]),
            ("{\"a\": 1} {\"b\": 2}\n{\"c\": 3}", vec![json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]),
            // Begins as JSON does, and is YAML.
            ("{a: 1}\n---\n{b: 2}\n", vec![json!({"a": 1}), json!({"b": 2})]),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
        for (bad, told) in
            [("a: 1\n---\nb: [\n", "document 2"), ("a: 1\na: 2\n", "document 1"), ("a: .inf\n", "document 1")]
        {
            let error = format!("{:#}", Documents::read(bad).unwrap_err());
            assert!(error.starts_with(told), "{bad}: {error}");
        }
    }

    #[test]
    fn what_nobody_changes_is_written_as_it_was() {
        let text = "# of a chart\na:   0x10   # sixteen\n---\nb: 'on'\n";
        let mut documents = Documents::read(text).unwrap();
        assert_eq!(documents.written().unwrap(), text);
        documents
            .each(|value| {
                let changed = value.get("b").is_some();
                if changed {
                    value["c"] = "1".into();
                }
                Ok(changed)
            })
            .unwrap();
        assert_eq!(
            documents.written().unwrap(),
            "# of a chart\na:   0x10   # sixteen\n---\nb: \"on\"\nc: \"1\"\n"
        );
    }
}
