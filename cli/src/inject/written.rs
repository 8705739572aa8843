//! A value as YAML that everybody reads alike.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::LitStr;

/// Holds a value that is to be written: lines of text stand as such where nothing about them is open to interpretation, and
/// all other text that needs quotes has them.
struct Written<'a>(&'a Value);

pub(super) fn written(value: &Value) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_with_options(&Written(value), options)?)
}

// === impl Written ===

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, Self(value))))
            }
            Value::Array(entries) => serializer.collect_seq(entries.iter().map(Self)),
            Value::String(text) if is_lines(text) => LitStr(text).serialize(serializer),
            other => other.serialize(serializer),
        }
    }
}

/// Lines that every reader of YAML makes the same text of: no blanks at their beginnings or ends that count, and nothing that
/// some take for the end of a line.
fn is_lines(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let plain = |c: char| {
        c == '\n'
            || (' '..='~').contains(&c)
            || c >= '\u{a1}' && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    lines.contains('\n')
        && !lines.starts_with([' ', '\n'])
        && !lines.ends_with('\n')
        && lines.lines().all(|line| !line.ends_with(' '))
        && lines.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inject::documents::yaml;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let texts = [
            "true",
            "8080",
            "1.10",
            "on",
            "null",
            "~",
            "",
            "yes",
            "y",
            "N",
            "0644",
            "0o17",
            "0x1F",
            "1e3",
            "1_000",
            "12:30:45",
            "2020-01-01",
            ".inf",
            "NaN",
            " blanks ",
            "colon: inside # hash",
            "- dash",
            "'one' \"two\" \\",
            "tab\tbell\u{7}",
            "{{ .Values.x }}",
            "*star",
            "&amp",
            "!bang",
            "%pct",
            "@at",
            "`tick",
            "---",
            "...",
            "=",
            "<<",
            "?",
            "ends with:",
            "a\nb\n",
            "a\nb",
            "a\n\n  b\n",
            "a\n\n",
            " a\nb\n",
            "\n\na\n",
            "a\r\nb\r\n",
            "a \nb\n",
            "a\tb\nc\n",
            "\n",
            " \n",
            "#a\n#b\n",
            "\ta\nb",
            "\u{85}",
            "\u{2028}\n\u{feff}x\n",
            "---\na\n---\n",
            "x: |\n  y\n",
            "é 😀\nü\n",
        ];
        let numbers =
            [json!(0), json!(-1), json!(u64::MAX), json!(i64::MIN), json!(1.5), json!(1e300), json!(1e-7)];
        let others = [
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!([[], [{}], [[1]]]),
            json!({"a": [{"b": [1, 2]}]}),
        ];
        let values = texts.map(Value::from).into_iter().chain(numbers).chain(others);
        for value in values {
            for value in [value.clone(), json!({"a": {"b": value}}), json!([value, {"a": value}])] {
                let yaml_text = written(&value).unwrap();
                assert_eq!(yaml(&yaml_text).unwrap(), value, "{yaml_text}");
            }
        }
        for name in texts {
            let value = json!({name: 1});
            let yaml_text = written(&value).unwrap();
            assert_eq!(yaml(&yaml_text).unwrap(), value, "{yaml_text}");
        }
    }

    #[test]
    fn lines_stand_as_such_and_doubtful_text_is_quoted() {
        for (value, expected) in [
            (
                json!({"a": "1.10", "b": "on", "c": 8080, "d": "plain"}),
                "a: \"1.10\"\nb: \"on\"\nc: 8080\nd: plain\n",
            ),
            (json!({"a": "one\n  two\n"}), "a: |\n  one\n    two\n"),
            (json!({"a": "one \ntwo\n"}), "a: \"one \\ntwo\\n\"\n"),
            (json!({"a": [{"b": [], "c": null}]}), "a:\n- b: []\n  c: null\n"),
            (
                json!({"a": "x".repeat(200) + " " + &"y".repeat(200)}),
                &format!("a: {} {}\n", "x".repeat(200), "y".repeat(200)),
            ),
        ] {
            assert_eq!(written(&value).unwrap(), *expected);
        }
    }
}
