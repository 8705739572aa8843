//! What pages tell to run without a cluster, run: in copies of the checkout, beside `rollcall dev`. As root, since each act has
//! a network of its own, in which all ports of the pages are free.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

use anyhow::{Result, ensure};
use nix::sched::{CloneFlags, unshare};
use rollcall_docs::{
    Act, Cue, DEV_ANSWERS, Manner, Page, Printed, Programs, Row, Scratch, Stage, TABLE, acts, built, pages,
};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Where pages have the app of which they speak.
const APP: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 8080);
/// A page's commands take seconds; on a busy machine a minute.
const ACT_MAX: Duration = Duration::from_secs(120);
/// An address of the orders, which a page may ask for.
const ORDERS: &str = "127.0.0.1";
/// What is there before an app asks its first question: some orders, and all of them were asked whether they are well.
const DEV: [(&str, Manner); 3] = [
    ("mkdir .rollcall && cp tests/docs/manifests/dev.yaml .rollcall/", Manner::Unseen),
    ("rollcall dev", Manner::GoesOn),
    (
        "_serves() { curl 127.0.0.1:7300/v1/services/orders | grep '\"Serving\"'; }\neventually _serves",
        Manner::Unseen,
    ),
];

#[test]
fn what_needs_no_cluster_runs_as_it_is_pasted() {
    let (pages, rollcall) = (pages().unwrap(), built().unwrap());
    let programs = Programs(vec![("rollcall", rollcall.clone()), ("kubectl-rollcall", rollcall)]);
    // What a page starts itself has the ports that the tests' own would have.
    let all: Vec<_> =
        [Stage::Here, Stage::Dev, Stage::App].map(|stage| acts(TABLE, &pages, &[stage])).concat();
    assert!(all.iter().any(Act::starts_dev));
    let failed: Vec<_> = thread::scope(|scope| {
        let acting = |act| played(act, &Scratch::new(&programs)?);
        let acting: Vec<_> = all.iter().map(|act| scope.spawn(move || acting(act))).collect();
        acting.into_iter().filter_map(|acting| acting.join().unwrap().err()).collect()
    });
    let told: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

/// What is printed before its last line, which is prose, and from its first comment on.
fn block_of(printed: &str) -> String {
    let commands = printed.lines().skip_while(|line| !line.starts_with('#'));
    let commands: Vec<_> = commands.take_while(|line| !line.starts_with("More:")).collect();
    format!("```sh\nrollcall dev\n```\n```sh\n{}\n```\n", commands.join("\n"))
}

/// It prints a page itself, for whoever has started it.
#[test]
fn what_dev_prints_runs_as_it_is_pasted() {
    let row = |begins, going_on, after| {
        let (page, stage, words, before) = ("`rollcall dev`", Stage::Dev, &[][..], "");
        Row { page, begins, stage, words, going_on, before, after }
    };
    let table = [
        row("rollcall dev", &["rollcall dev"], DEV_ANSWERS),
        row("#", &["curl -N"], "curl 127.0.0.1:7300/v1/services/hello-too | grep 127.0.0.1"),
    ];
    let page = |text: String| [Page::new("`rollcall dev`".to_owned(), text)];
    // Both times in one folder, which it names.
    let scratch = Scratch::new(&Programs(vec![("rollcall", built().unwrap())])).unwrap();
    let run = |page: &[Page]| {
        let [act] = &acts(&table, page, &[Stage::Dev])[..] else { panic!("one act") };
        thread::scope(|scope| scope.spawn(|| played(act, &scratch)).join()).unwrap().unwrap()
    };
    let printed = run(&page("```sh\nrollcall dev\n```\n".to_owned()));
    let block = block_of(&printed[0].text);
    assert!(
        block.contains("curl") && block.contains("dig") && block.contains("kind: ServiceRegistration"),
        "{block}"
    );
    run(&page(block));
}

/// A page whose third command fails, after an app was asked and something goes on.
const BROKEN: &str =
    "# A\n```sh\ncurl 127.0.0.1:8080 | tee got\nsleep 60 # NAME\ncat got nothing\necho never\n```\n";

#[test]
fn what_fails_is_told_with_its_page_line_command_and_output() {
    let row = Row {
        page: "docs/x.md",
        begins: "curl",
        stage: Stage::App,
        words: &[("NAME", "name"), ("sleep", "echo begun; sleep")],
        going_on: &["echo begun"],
        before: "",
        after: "",
    };
    let (page, table) = ([Page::new("docs/x.md".to_owned(), BROKEN.to_owned())], [row]);
    let [act] = &acts(&table, &page, &[Stage::App])[..] else { panic!("one act") };
    let told = thread::scope(|scope| {
        let acting = || {
            let scratch = Scratch::new(&Programs::default())?;
            apart()?;
            serve()?;
            scratch.play(act, &act.cues()?, &[], &[], ACT_MAX)
        };
        scope.spawn(acting).join().unwrap().unwrap_err().to_string()
    });
    let expected = "docs/x.md:5: this ended with 1, and 0 was meant\n\n    cat got nothing\n\norders\ncat: nothing: No such file or directory\n";
    assert!(told.starts_with(expected), "{told}");
}

/// Runs all of an act in a network of its own. The thread that does so never comes back to that of the machine.
fn played(act: &Act<'_>, scratch: &Scratch) -> Result<Vec<Printed>> {
    apart()?;
    let mut cues = act.cues()?;
    if act.blocks.iter().any(|(_, row)| row.stage == Stage::App) {
        serve()?;
        let dev = DEV.map(|(text, manner)| Cue { line: 0, block: 0, text: text.to_owned(), manner });
        cues.splice(0..0, dev);
    }
    scratch.play(act, &cues, &[], &[("orders_address", ORDERS.to_owned())], ACT_MAX)
}

/// Leaves the network of the machine for good, which root may.
fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    ensure!(Command::new("ip").args(["link", "set", "lo", "up"]).status()?.success(), "no loopback");
    Ok(())
}

/// An app that says the same to everybody, for as long as this process lives.
fn serve() -> Result<()> {
    let listener = TcpListener::bind(APP)?;
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            // Who goes without an answer, as a probe does, wanted none.
            let _ = caller.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = caller.read(&mut [0; 1024]);
            let _ = caller
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\norders\n");
        }
    });
    Ok(())
}
