//! What people see: tables, and colours where there is a terminal.

mod paint;
mod progress;
mod table;

pub(crate) use paint::{Paint, Tone, columns};
pub(crate) use progress::shown;
pub(crate) use table::{Cell, Table};

/// A piece of a line as a terminal may have it: what comes from a cluster steers none, and makes no line of its own.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A time as people read it: the two largest of its units.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `1 pod`, `2 pods`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The first few of them, and how many more there are.
pub(crate) fn first_of<T: AsRef<str>>(names: &[T], max: usize) -> String {
    let mut told = names.iter().take(max).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > max {
        told.push_str(&format!(" and {} more", names.len() - max));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_cluster_steers_no_terminal_and_forges_no_line() {
        assert_eq!(
            plain("größe \u{1b}[2J\n  ok  all\r\u{9b}1m"),
            "größe \u{fffd}[2J\u{fffd}  ok  all\u{fffd}\u{fffd}1m"
        );
    }

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        for (seconds, told) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")] {
            assert_eq!(ago(seconds), told);
        }
        assert_eq!(counted(1, "pod") + &counted(2, "pod"), "1 pod2 pods");
        assert_eq!(first_of(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(first_of(&["a", "b"], 2), "a, b");
    }
}
