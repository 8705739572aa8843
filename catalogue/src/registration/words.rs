//! The grammar of the single words in a registration: the schema's patterns, once more, for what comes another way.

use crate::limits::{
    APP_PROTOCOL_CHARS_MAX, LABEL_DOMAIN_CHARS_MAX, LABEL_WORD_CHARS_MAX, METADATA_KEY_CHARS_MAX,
    METADATA_VALUE_CHARS_MAX, POD_NAME_CHARS_MAX, POD_UID_CHARS_MAX, TAG_CHARS_MAX,
};

pub(super) fn is_tag(text: &str) -> bool {
    is_printable(text, TAG_CHARS_MAX)
}

pub(super) fn is_metadata_key(text: &str) -> bool {
    is_printable(text, METADATA_KEY_CHARS_MAX)
}

/// Any text: callers may want to know what is in a file. JSON escapes what must be.
pub(super) fn is_metadata_value(text: &str) -> bool {
    text.chars().count() <= METADATA_VALUE_CHARS_MAX
}

/// A label's key as Kubernetes knows it: a name, with or without a domain before it.
pub(super) fn is_label_key(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((domain, name)) if is_subdomain(domain, LABEL_DOMAIN_CHARS_MAX) => name,
        Some(_) => return false,
        None => text,
    };
    is_word(name) && name.len() <= LABEL_WORD_CHARS_MAX
}

pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_zone(text)
}

/// Zones are values of a label of the nodes; one without a name is no zone.
pub(super) fn is_zone(text: &str) -> bool {
    is_word(text) && text.len() <= LABEL_WORD_CHARS_MAX
}

pub(super) fn is_pod_name(text: &str) -> bool {
    is_subdomain(text, POD_NAME_CHARS_MAX)
}

pub(super) fn is_pod_uid(text: &str) -> bool {
    text.len() <= POD_UID_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// As Kubernetes: the name of a label, with or without a domain before it.
pub(super) fn is_app_protocol(text: &str) -> bool {
    text.len() <= APP_PROTOCOL_CHARS_MAX && text.split('/').count() <= 2 && text.split('/').all(is_word)
}

/// Printable in any script, so that two words that read alike are alike: no control characters, no ends of lines, no
/// marks that turn the direction of text around, and nothing else that nobody sees. The joiners stay (U+200C and
/// U+200D): Persian, Hindi and emoji are written with them. Something must be there to see.
fn is_printable(text: &str, chars_max: usize) -> bool {
    let seen = |c: char| !c.is_whitespace() && !matches!(c, '\u{200c}' | '\u{200d}');
    text.chars().count() <= chars_max && !text.chars().any(is_unseen) && text.chars().any(seen)
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Letters, digits, `-`, `_` and `.`, beginning and ending with a letter or a digit.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// DNS-1123 labels joined by dots; Kubernetes bounds the whole, and leaves each label its length.
fn is_subdomain(text: &str, chars_max: usize) -> bool {
    let label = |label: &str| {
        is_word(label) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= chars_max && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds for all of these, and for none of those.
    fn table(judge: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(judge(text), "{text:?} is refused");
        }
        for text in bad {
            assert!(!judge(text), "{text:?} passes");
        }
    }

    #[test]
    fn tags_and_keys_are_what_one_can_see() {
        let scripts =
            ["blue", "ü", "数据", "می\u{200c}خواهم", "क्\u{200d}ष", "👩\u{200d}🚀", "a b", "❤\u{fe0f}"];
        let unseen = [
            "",
            " ",
            "\u{a0}",
            "\u{3000} ",
            "\u{200d}",
            "a\nb",
            "a\u{85}",
            "\u{1b}[2J",
            "a\u{ad}b",
            "a\u{61c}",
            "a\u{180e}",
            "a\u{200b}b",
            "\u{200e}a",
            "\u{200f}a",
            "a\u{2028}",
            "a\u{202a}",
            "a\u{202e}b",
            "a\u{2060}b",
            "a\u{2066}",
            "a\u{206a}",
            "\u{feff}a",
            "a\u{fffb}",
            "a\u{e0041}",
            "a\u{e007f}",
        ];
        for judge in [is_tag, is_metadata_key] {
            table(judge, &scripts, &unseen);
        }
        let (longest, longer) = ("🦀".repeat(63), "🦀".repeat(64));
        table(is_tag, &[&longest], &[&longer]);
        let (longest, longer) = ("🦀".repeat(128), "🦀".repeat(129));
        table(is_metadata_key, &[&longest], &[&longer]);
        let (longest, longer) = ("🦀".repeat(1_024), "🦀".repeat(1_025));
        table(is_metadata_value, &["", "\u{1b}\n\u{202e}", &longest], &[&longer]);
    }

    #[test]
    fn labels_are_those_of_kubernetes() {
        let (name, long_name) = ("a".repeat(63), "a".repeat(64));
        let (domain, long_domain) = (format!("{}/a", "d".repeat(253)), format!("{}/a", "d".repeat(254)));
        table(
            is_label_key,
            &["app", "App_1.x", "app.kubernetes.io/name", &name, &domain],
            &[
                "",
                "/",
                "a/",
                "/a",
                "-x/app",
                "Example.COM/app",
                "a..b/app",
                "app name",
                "a/b/c",
                "app\n",
                "_a",
                &long_name,
                &long_domain,
            ],
        );
        table(is_label_value, &["", "a", "A_1.x-y", &name], &["not a label!", "a\n", "-a", "a-", &long_name]);
        table(is_zone, &["a", "eu-west-1a", &name], &["", "eu west", "a\n", "a.", &long_name]);
        table(is_app_protocol, &["http", "kubernetes.io/h2c"], &["", "a b", "a/b/c", "/a", "a/"]);
    }

    #[test]
    fn pods_are_named_as_kubernetes_names_them() {
        let (longest, longer) = ("p".repeat(253), "p".repeat(254));
        table(
            is_pod_name,
            &["orders-1", "orders.1", "a--b", &longest],
            &["", "Orders-1", "-a", "a-", "a.", ".a", "a..b", "a.-b", "a_b", "a\n", &longer],
        );
        let (longest, longer) = ("u".repeat(128), "u".repeat(129));
        table(
            is_pod_uid,
            &["u", "0b5e6a4c-58a4-4f0e-9c0e-6d2f5b1f3a77", &longest],
            &["", "-a", "a b", "a\n", "ü", &longer],
        );
    }
}
