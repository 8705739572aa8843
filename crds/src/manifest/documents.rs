//! A file of documents, read as kubectl reads it.

use serde_json::Value;

/// Deeper than any schema in a CRD: those are the deepest of what people apply.
const DEPTH_MAX: usize = 256;
/// Values of one document: etcd holds none that has more.
const NODES_MAX: usize = 1_000_000;
/// Documents of one file that are looked at one by one: an installation as a whole has some hundreds.
pub const DOCUMENTS_MAX: usize = 10_000;

/// Holds one document, as it was written and as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub text: String,
    /// Of the file, at which its text begins; from 1 on.
    pub line: usize,
    pub value: Value,
}

/// Holds what keeps a document from being read; the others may be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDocument {
    pub line: usize,
    pub why: String,
}

/// Every document of a file, in order: YAML, or objects of JSON one after the other. Those that say nothing are left out.
pub fn documents(text: &str) -> Vec<Result<Document, BadDocument>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{')
        && let Some(documents) = json(text)
    {
        return documents.into_iter().map(Ok).collect();
    }
    let mut all: Vec<_> = split(text).into_iter().map(|(line, text)| document(line, text)).collect();
    if all.len() > DOCUMENTS_MAX {
        all.truncate(DOCUMENTS_MAX);
        let why = format!("the file has more than {DOCUMENTS_MAX} documents; use several files");
        all.push(Err(BadDocument { line: 1, why }));
    }
    all
}

fn document(line: usize, text: String) -> Result<Document, BadDocument> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
        // As in `defaultMode: 0644`, and as kubectl reads it.
        legacy_octal_numbers: true,
    };
    match serde_saphyr::from_str_with_options::<Value>(&text, options) {
        Ok(value) => Ok(Document { text, line, value }),
        Err(error) => {
            let within = error.location().map_or(1, |at| usize::try_from(at.line()).unwrap_or(1).max(1));
            // The first line says where within the document, and what; those below show the text itself.
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default();
            let what = said.split_once(" column ").and_then(|(_, rest)| rest.split_once(": "));
            let what = what.map_or(said, |(_, what)| what);
            Err(BadDocument { line: line + within - 1, why: format!("no YAML: {what}") })
        }
    }
}

/// Documents of YAML with the line at which each begins, where a line of its own separates them: no text can hold such a line.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (place, line) in text.split_inclusive('\n').enumerate() {
        let rest =
            line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if let Some(rest) = rest {
            // `--- # of this file`, or a document that begins there.
            if rest.trim().is_empty() {
                documents.push((place + 2, String::new()));
                continue;
            }
            documents.push((place + 1, String::new()));
        }
        if let Some((_, document)) = documents.last_mut() {
            document.push_str(rest.unwrap_or(line));
        }
    }
    let says =
        |line: &str| !(line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'));
    documents.retain(|(_, document)| document.lines().any(says));
    documents
}

/// Objects of JSON, one after the other; none where it is no JSON.
fn json(text: &str) -> Option<Vec<Document>> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut begin = 0;
    while let Some(value) = stream.next() {
        let (value, end) = (value.ok()?, stream.byte_offset());
        let between = text.get(begin..end)?;
        let leading = between.len() - between.trim_start().len();
        let line = text.get(..begin + leading)?.matches('\n').count() + 1;
        documents.push(Document { text: between.trim().to_owned(), line, value });
        begin = end;
    }
    Some(documents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_begin_where_they_stand_in_the_file() {
        let text = "# of this file\n---\na: 1\n--- # one more\nb: 2\n---\n\n---\n- c\n---\n{d: [}\n---\ne: 5";
        let read: Vec<_> = documents(text)
            .into_iter()
            .map(|read| match read {
                Ok(document) => (document.line, document.value),
                Err(bad) => (bad.line, json!(bad.why.starts_with("no YAML"))),
            })
            .collect();
        let expected = [
            (3, json!({"a": 1})),
            (4, json!({"b": 2})),
            (9, json!(["c"])),
            (11, json!(true)),
            (13, json!({"e": 5})),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn json_is_read_as_such() {
        let read: Vec<_> = documents("{\"a\": 1}\n\n{\"b\":\n 2}").into_iter().map(Result::unwrap).collect();
        let lines: Vec<_> = read.iter().map(|document| document.line).collect();
        assert_eq!(lines, [1, 3]);
        assert_eq!(read[1].value, json!({"b": 2}));
        assert_eq!(documents("{\"a\": 1").len(), 1, "YAML that is broken too");
    }
}
