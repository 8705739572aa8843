//! The exact commands that the kind provider runs, held against a recorded list: there need not be a Docker here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollcall_cluster::kind::Kind;
use rollcall_cluster::{Home, Name};
use std::path::Path;

#[test]
fn runs_just_the_recorded_commands() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let kind = Kind::new(&home, Name::parse("rollcall").unwrap(), 3).unwrap();
    let mut said = vec![kind.configuration()];
    let mut say = |words: Vec<String>| {
        said.push(words.join(" ").replace(&home.path().display().to_string(), "HOME") + "\n");
    };
    say(kind.up_command());
    say(kind.load_command(Path::new("target/images/controller.tar")));
    for node in ["node1", "node3"] {
        say(kind.cut_command(node).unwrap());
        kind.heal_commands(node).unwrap().into_iter().for_each(&mut say);
        say(kind.kill_command(node).unwrap());
    }
    say(kind.down_command());
    assert_eq!(said.concat(), include_str!("kind-commands.txt"));
}

#[test]
fn knows_only_the_nodes_that_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let kind = Kind::new(&home, Name::parse("one").unwrap(), 1).unwrap();
    assert_eq!(kind.container("node1").unwrap(), "one-worker");
    assert!(kind.kill_command("node2").unwrap_err().to_string().contains("node1"));
}
