//! A file of documents, read as kubectl reads it.

use serde::de::IgnoredAny;

use super::lines::{Lines, Unreadable};

/// Documents of one file: an installation as a whole has some hundreds, and whoever has more has several files.
const DOCUMENTS_MAX: usize = 1_000;

/// Every document of a file, in order, or why it cannot be read: YAML, or objects of JSON one after the other. Those that say
/// nothing are left out.
pub(super) fn documents(text: &str) -> Vec<Result<Lines, Unreadable>> {
    let text = text.trim_start_matches('\u{feff}');
    let is_json = text.trim_start().starts_with('{');
    let (parts, more) = match is_json.then(|| json(text)).flatten() {
        Some(parts) => parts,
        None => split(text),
    };
    let mut all: Vec<_> = parts.into_iter().map(|(line, text)| Lines::of(&text, line)).collect();
    if more {
        let why = format!(
            "the file has more than {DOCUMENTS_MAX} documents, of which the rest is not read; use several files"
        );
        all.push(Err(Unreadable { line: 1, why }));
    }
    all
}

/// Documents of YAML with the line at which each begins, where a line of its own separates them: no text can hold such a line.
/// Whether there were more.
fn split(text: &str) -> (Vec<(usize, String)>, bool) {
    let mut documents = vec![(1, String::new())];
    for (place, line) in text.split_inclusive('\n').enumerate() {
        let rest =
            line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if let Some(rest) = rest {
            documents.retain(|(_, document)| says_something(document));
            if documents.len() >= DOCUMENTS_MAX {
                return (documents, true);
            }
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
    documents.retain(|(_, document)| says_something(document));
    (documents, false)
}

fn says_something(document: &str) -> bool {
    let says =
        |line: &str| !(line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'));
    document.lines().any(says)
}

/// Objects of JSON, one after the other; none where it is no JSON. Whether there were more.
fn json(text: &str) -> Option<(Vec<(usize, String)>, bool)> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut begin, mut line) = (0, 1);
    while let Some(value) = stream.next() {
        value.ok()?;
        if documents.len() >= DOCUMENTS_MAX {
            return Some((documents, true));
        }
        let between = text.get(begin..stream.byte_offset())?;
        let (leading, own) = between.split_at(between.len() - between.trim_start().len());
        line += leading.matches('\n').count();
        documents.push((line, own.to_owned()));
        line += own.matches('\n').count();
        begin = stream.byte_offset();
    }
    Some((documents, false))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Vec<(usize, Value)> {
        let all = documents(text).into_iter().map(|read| match read {
            Ok(lines) => (lines.line(), lines.value()),
            Err(bad) => (bad.line, json!(bad.why)),
        });
        all.collect()
    }

    #[test]
    fn documents_begin_where_they_stand_in_the_file() {
        let text = "# of this file\n---\na: 1\n--- # one more\nb: 2\n---\n\n---\n- c\n---\n{d: [}\n---\ne: 5";
        let mut read = read(text);
        let broken = read.remove(3);
        assert!(broken.0 == 11 && broken.1.as_str().is_some_and(|why| why.contains('[')), "{broken:?}");
        let expected = [(3, json!({"a": 1})), (5, json!({"b": 2})), (9, json!(["c"])), (13, json!({"e": 5}))];
        assert_eq!(read, expected);
    }

    #[test]
    fn json_is_read_as_such() {
        let text = "{\"a\": 1}\n\n{\"b\":\n 2} {\"c\": 3}";
        assert_eq!(read(text), [(1, json!({"a": 1})), (3, json!({"b": 2})), (4, json!({"c": 3}))]);
        assert_eq!(read("{\"a\": 1").len(), 1, "broken");
        assert!(read("{\"a\": 1, \"a\": 2}").iter().all(|(_, why)| why.as_str().is_some()), "a key twice");
    }

    #[test]
    fn no_file_is_too_long_to_be_looked_at() {
        for text in ["{}\n".repeat(300_000), "---\na: 1\n".repeat(100_000)] {
            let read = read(&text);
            assert_eq!(read.len(), DOCUMENTS_MAX + 1);
            assert!(read.last().is_some_and(|(_, why)| why.to_string().contains("several files")));
        }
    }
}
