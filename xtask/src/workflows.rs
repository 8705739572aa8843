//! Whatever a CI or a page tells to run of `cargo xtask` is something that it can run.

use crate::Arguments;
use clap::Parser;
use rollcall_cluster::static_build::workspace;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The commands of a shell script that are ours, each in its words.
fn ours(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let commands = joined.lines().flat_map(|line| line.split(['#', ';', '|', '&', '(', ')']));
    commands
        .filter_map(|command| {
            let (_, rest) = command.split_once("cargo xtask")?;
            // All arguments of a script may be none, and another variable is one word.
            let words = rest.split_whitespace().filter(|word| *word != "\"$@\"");
            Some(words.map(|word| word.trim_matches(['"', '\'', '`']).to_owned()).collect())
        })
        .collect()
}

fn must_parse(script: &str, place: &str) -> usize {
    let commands = ours(script);
    for words in &commands {
        let all = ["cargo xtask"].into_iter().chain(words.iter().map(String::as_str));
        if let Err(error) = Arguments::try_parse_from(all) {
            panic!("{place}: cargo xtask {}: {error}", words.join(" "));
        }
    }
    commands.len()
}

/// The files of a folder of the workspace.
fn files(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(workspace().join(folder)).unwrap().map(|file| file.unwrap().path()).collect()
}

/// What the steps of a workflow run.
fn scripts(workflow: &Value) -> Vec<&str> {
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    steps.filter_map(|step| step["run"].as_str()).collect()
}

#[test]
fn the_steps_of_every_workflow_parse() {
    let mut found = 0;
    for file in files(".github/workflows") {
        let place = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let workflow: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{place}: {error}"));
        let in_steps: usize = scripts(&workflow).iter().map(|script| must_parse(script, &place)).sum();
        let in_text = text.matches("cargo xtask").count();
        assert_eq!(in_steps, in_text, "{place}: all that it names is in the steps that run something");
        found += in_steps;
    }
    assert!(found >= 3, "{found}");
    let ci = fs::read_to_string(workspace().join(".ci/run")).unwrap();
    assert!(must_parse(&ci, ".ci/run") >= 2);
}

#[test]
fn what_pages_tell_to_run_parses() {
    let mut found = 0;
    for page in rollcall_docs::pages().unwrap() {
        for block in page.shell_blocks() {
            found += must_parse(&block.body, &format!("{}:{}", page.path, block.line));
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn a_release_is_made_of_a_tag_and_what_it_uploads_is_where_it_was_made() {
    let release = fs::read_to_string(workspace().join(".github/workflows/release.yml")).unwrap();
    let workflow: Value = serde_saphyr::from_str(&release).unwrap();
    assert_eq!(workflow["on"]["push"]["tags"][0], "v*");
    let made = scripts(&workflow).into_iter().flat_map(ours).find(|words| words[0] == "release").unwrap();
    assert!(made.contains(&"--tag".to_owned()) && !made.contains(&"--allow-dirty".to_owned()), "{made:?}");
    assert!(release.contains("target/release-$VERSION"), "the folder of `cargo xtask release`");
}

#[test]
fn commands_are_found_in_scripts_as_people_write_them() {
    let script = "eval \"$(cargo xtask cluster up --nodes 3)\"\ncargo xtask image && for i in a; do cargo xtask cluster load $i; done\n\
                  cargo xtask \\\n  test --provider kind # and so on\nrun test cargo xtask test \"$@\"";
    let words: Vec<String> = ours(script).iter().map(|words| words.join(" ")).collect();
    assert_eq!(words, ["cluster up --nodes 3", "image", "cluster load $i", "test --provider kind", "test"]);
}
