//! Commands as one script, which notes how far it came and keeps what each of them printed.

use std::fmt::Write;

/// What every script begins with.
///
/// The folder `$_play` holds `at`, the number of the command that runs; `NUMBER.out` and `NUMBER.err`, what it printed; and `code`,
/// with what the command ended that ended the script. With `done` all of them did as they were meant to.
const PROLOGUE: &str = r#"set -euo pipefail
trap 'echo "$?" >"$_play/code"' EXIT
_going=
# Tries until this command succeeds, for a minute: what takes longer does not happen.
eventually() {
    local until=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || { echo "never happened: $*" >&2; return 1; }
        sleep 0.1
    done
}
_ended() {
    [ "$1" = "$2" ] || exit "$1"
}
_has_printed() {
    [ -s "$_play/$2.out" ] || [ -s "$_play/$2.err" ] || ! kill -0 "$1" 2>/dev/null
}
_goes_on() {
    eventually _has_printed "$1" "$2"
    _still_going "$1:$2"
    _going="$_going $1:$2"
}
# It runs, or has come to its end as it should.
_still_going() {
    kill -0 "${1%:*}" 2>/dev/null || wait "${1%:*}" || { _code=$?; echo "${1#*:}" >"$_play/at"; exit "$_code"; }
}
"#;

/// And ends with.
const EPILOGUE: &str = r#"for _one in $_going; do _still_going "$_one"; done
: >"$_play/done"
"#;

/// Holds a command of a page, or of the table for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// The page's line; of what the table adds, that of its block.
    pub line: usize,
    /// The fence of the block that it belongs to.
    pub block: usize,
    pub text: String,
    pub manner: Manner,
}

/// Says how a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// By itself, with this code.
    Ends(u8),
    /// Not before the script does.
    GoesOn,
    /// By itself, and the page does not show it.
    Unseen,
}

/// All of these in one shell: what one of them sets the next ones know.
pub(crate) fn script(cues: &[Cue]) -> String {
    let mut script = PROLOGUE.to_owned();
    for (number, cue) in cues.iter().enumerate() {
        // Writing into a text does not fail.
        let _ = cue.write(number, &mut script);
    }
    script + EPILOGUE
}

// === impl Cue ===

impl Cue {
    fn write(&self, number: usize, script: &mut String) -> std::fmt::Result {
        let text = &self.text;
        writeln!(script, r#"echo {number} >"$_play/at""#)?;
        // In brackets that start no shell of their own, on lines of their own: a command may end in a comment.
        let files = format!(r#">"$_play/{number}.out" 2>"$_play/{number}.err" </dev/null"#);
        let group = format!("{{\n{text}\n}} {files}");
        match self.manner {
            // A list such as `a && b` that fails at `a` does not end a shell by itself.
            Manner::Ends(0) | Manner::Unseen => writeln!(script, "{group}\n_ended \"$?\" 0"),
            Manner::Ends(code) => {
                writeln!(script, "set +e\n{group}\n_code=$?\nset -e\n_ended \"$_code\" {code}")
            }
            Manner::GoesOn => writeln!(script, "{group} &\n_goes_on \"$!\" {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    /// Commands, and how far they come.
    type Case = (&'static [(&'static str, Manner)], (&'static str, &'static str, bool));

    fn cue(text: &str, manner: Manner) -> Cue {
        Cue { line: 7, block: 6, text: text.to_owned(), manner }
    }

    /// How far these came: the number of the last one, its code, and whether that is as it was meant.
    fn played(cues: &[Cue]) -> (String, String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-c", &script(cues)]).env("_play", folder.path());
        let status = bash.status().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap().trim().to_owned();
        let done = Path::new(folder.path()).join("done").exists();
        assert!(!done || status.success());
        (read("at"), read("code"), done)
    }

    #[test]
    fn a_script_stops_at_the_first_command_that_ends_otherwise() {
        use Manner::{Ends, GoesOn, Unseen};
        let table: &[Case] = &[
            (&[("true", Ends(0)), ("echo a # b", Ends(0))], ("1", "0", true)),
            (&[("true", Ends(0)), ("(exit 7)", Ends(0)), ("true", Ends(0))], ("1", "7", false)),
            (&[("false && true", Ends(0)), ("true", Ends(0))], ("0", "1", false)),
            (&[("false | true", Ends(0))], ("0", "1", false)),
            (&[("echo $nobody_set_it", Ends(0))], ("0", "1", false)),
            (&[("(exit 3)", Ends(3)), ("true", Ends(0))], ("1", "0", true)),
            (&[("true", Ends(3))], ("0", "0", false)),
            (&[("a=1", Ends(0)), ("[ $a = 1 ]", Unseen)], ("1", "0", true)),
            (&[("for i in 1 2; do (exit $i); done", Ends(0))], ("0", "1", false)),
            (&[("cat <<E\nx\nE", Ends(0))], ("0", "0", true)),
            (&[("echo up; exec sleep 60", GoesOn), ("true", Ends(0))], ("1", "0", true)),
            (&[("exit 4", GoesOn), ("true", Ends(0))], ("0", "4", false)),
            // It had begun well, and ended before the others did.
            (&[("echo up; sleep 0.2; exit 5", GoesOn), ("sleep 1", Ends(0))], ("0", "5", false)),
            (&[("echo all", GoesOn), ("sleep 0.3", Ends(0))], ("1", "0", true)),
        ];
        for (cues, (at, code, done)) in table {
            let cues: Vec<_> = cues.iter().map(|(text, manner)| cue(text, *manner)).collect();
            assert_eq!(played(&cues), ((*at).to_owned(), (*code).to_owned(), *done), "{cues:?}");
        }
    }
}
