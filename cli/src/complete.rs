//! What kubectl may offer behind `kubectl rollcall`: it asks a program called `kubectl_complete-rollcall` for the words that may
//! stand where the cursor is.

use clap::{Arg, ArgAction, Command, ValueHint};

/// The name by which kubectl finds it.
pub(crate) const COMPLETER: &str = "kubectl_complete-rollcall";
/// To kubectl: these words, and no names of files.
const WORDS_ALONE: u8 = 4;
/// To kubectl: whatever the shell would offer, as names of files.
const AS_THE_SHELL: u8 = 0;

/// The answer to the words that stand there, the last of which is to be completed.
pub(crate) fn answer(command: &Command, words: &[String]) -> String {
    let (offered, directive) = offered(command, words);
    let lines: String = offered.into_iter().map(|word| format!("{word}\n")).collect();
    format!("{lines}:{directive}\n")
}

fn offered(root: &Command, words: &[String]) -> (Vec<String>, u8) {
    let (begun, before) = match words.split_last() {
        Some((begun, before)) => (begun.as_str(), before),
        None => ("", &[][..]),
    };
    let mut command = root;
    let mut awaiting: Option<&Arg> = None;
    let mut places = 0;
    for word in before {
        if awaiting.take().is_some() {
            continue;
        }
        match (flag(command, word), command.find_subcommand(word)) {
            (Some(found), _) => {
                awaiting = Some(found).filter(|found| takes_value(found) && !word.contains('='));
            }
            (None, Some(verb)) => (command, places) = (verb, 0),
            (None, None) => places += 1,
        }
    }
    if let Some(arg) = awaiting {
        return values(arg, "", begun);
    }
    if let (Some(found), Some((name, value))) = (flag(command, begun), begun.split_once('=')) {
        return values(found, &format!("{name}="), value);
    }
    if begun.starts_with('-') {
        let flags = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
        return (beginning(flags.map(|name| format!("--{name}")), begun), WORDS_ALONE);
    }
    if command.has_subcommands() {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        return (beginning(verbs.map(|verb| verb.get_name().to_owned()), begun), WORDS_ALONE);
    }
    match command.get_positionals().nth(places) {
        Some(arg) => values(arg, "", begun),
        None => (Vec::new(), WORDS_ALONE),
    }
}

/// The flag that a word is, with or without its value.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    command.get_arguments().find(|arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| name.strip_prefix('-') == Some(&*short.to_string()));
        long || short
    })
}

/// Whether its value is the next word.
fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
}

/// The values that it may have and that begin like this.
fn values(arg: &Arg, before: &str, begun: &str) -> (Vec<String>, u8) {
    if matches!(arg.get_value_hint(), ValueHint::AnyPath | ValueHint::FilePath) {
        return (Vec::new(), AS_THE_SHELL);
    }
    let possible = arg.get_possible_values();
    let names = possible.iter().map(|value| value.get_name().to_owned());
    (beginning(names, begun).into_iter().map(|value| format!("{before}{value}")).collect(), WORDS_ALONE)
}

fn beginning(words: impl Iterator<Item = String>, begun: &str) -> Vec<String> {
    words.filter(|word| word.starts_with(begun)).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    #[test]
    fn what_may_stand_there_is_offered() {
        let mut command = Cli::command();
        command.build();
        for (words, told) in [
            ("ser", "services\n:4\n"),
            ("services --all", "--all-namespaces\n:4\n"),
            ("services -o ", "wide\njson\n:4\n"),
            ("services --output=w", "--output=wide\n:4\n"),
            ("services -n shop --sys", "--system-namespace\n:4\n"),
            ("resolve -n shop ", ":4\n"),
            ("check --kubeconfig ", ":0\n"),
            ("inject ", ":0\n"),
            ("completion f", "fish\n:4\n"),
            ("completion fish ", ":4\n"),
            ("explain --local ord", ":4\n"),
            ("nothing", ":4\n"),
        ] {
            let given: Vec<_> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(answer(&command, &given), told, "{words:?}");
        }
        let all = answer(&command, &[String::new()]);
        for verb in ["check", "explain", "drain", "completion"] {
            assert!(all.lines().any(|line| line == verb), "{all}");
        }
        assert_eq!(answer(&command, &[]), all);
    }
}
