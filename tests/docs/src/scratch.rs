//! A place of its own for each act: a copy of what people have checked out, programs that are built already, and an empty home.

use crate::script::script;
use crate::{Act, Cue, Manner, Printed};
use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::companion::Companion;
use rollcall_cluster::program;
use rollcall_cluster::static_build::workspace;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What of a checkout commands of pages name. Nothing is built in the copy.
const CHECKED_OUT: [&str; 6] = ["README.md", "charts", "crds", "docs", "examples", "tests/docs/manifests"];
/// Programs of the machine.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a page's cargo would build is built already. Anything else that a page asks of it, a row of the table says who does.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release -- "*) shift 3; exec rollcall "$@" ;;
"build --release -p rollcall" | "install --path cli" | "install --locked --path cli") exit 0 ;;
*) echo "a row of the table has to say who runs: cargo $*" >&2; exit 64 ;;
esac
"#;
/// A curl that fails where the answer is an error, and is else as people have it.
const CURLRC: &str = "fail-with-body\nsilent\nshow-error\n";
/// The command, where `cargo xtask test` has built it already.
const PROGRAM: &str = "ROLLCALL_COMMAND_PROGRAM";
/// A dig that fails where the answer is an error, or where what is short is nothing.
const DIG: &str = r#"#!/bin/sh
said=$(PATH="${PATH#*:}" dig "$@") || { code=$?; echo "$said"; exit $code; }
echo "$said"
case "$*" in *+short*) [ -n "$said" ] || exit 9 ;; *) case "$said" in *"status: NOERROR"*) ;; *) exit 9 ;; esac ;; esac
"#;
/// How often a script that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of what a command printed that a failure shows: more would hide what is wrong.
const LINES_SHOWN: usize = 60;

/// Holds the programs that an act finds by their names besides those of the machine.
#[derive(Debug, Clone, Default)]
pub struct Programs(pub Vec<(&'static str, PathBuf)>);

/// Holds a place for one act, gone again when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

/// The command `rollcall` of this tree.
pub fn built() -> Result<PathBuf> {
    Ok(program(PROGRAM, "rollcall")?)
}

// === impl Scratch ===

impl Scratch {
    pub fn new(programs: &Programs) -> Result<Self> {
        let scratch = Self { folder: tempfile::Builder::new().prefix("rollcall-docs-").tempdir()? };
        for folder in ["bin", "home", "play"] {
            fs::create_dir(scratch.folder.path().join(folder))?;
        }
        for path in CHECKED_OUT {
            let (from, to) = (workspace().join(path), scratch.checkout().join(path));
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            let copied = Command::new("cp").arg("-r").args([&from, &to]).status()?;
            ensure!(copied.success(), "{path} cannot be copied");
        }
        let bin = scratch.folder.path().join("bin");
        for (name, program) in &programs.0 {
            symlink(program, bin.join(name)).with_context(|| (*name).to_owned())?;
        }
        for (name, text) in [("cargo", CARGO), ("dig", DIG)] {
            fs::write(bin.join(name), text)?;
            fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755))?;
        }
        fs::write(scratch.home().join(".curlrc"), CURLRC)?;
        Ok(scratch)
    }

    /// The copy of the checkout, in which commands run.
    fn checkout(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// What a clean shell has here.
    fn environment(&self) -> Vec<(String, String)> {
        let (bin, home) = (self.folder.path().join("bin"), self.home().display().to_string());
        let mut all = vec![
            ("PATH", format!("{}:{PATH}", bin.display())),
            ("HOME", home.clone()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        all.extend(
            ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, home.clone())),
        );
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Runs all of an act within a time, and gives what it printed. `entered` is what leads to the place where it runs, as `nsenter` with its options.
    /// Needs root: what is still running at the end goes with a namespace of its own.
    pub fn play(
        &self,
        act: &Act<'_>,
        cues: &[Cue],
        entered: &[String],
        environment: &[(&str, String)],
        limit: Duration,
    ) -> Result<Vec<Printed>> {
        let play = self.folder.path().join("play");
        fs::write(play.join("script"), script(cues))?;
        let own = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"].map(str::to_owned);
        let mut words = entered.iter().cloned().chain(own);
        let program = words.next().unwrap_or_default();
        let arguments: Vec<_> = words.chain([play.join("script").display().to_string()]).collect();
        let mut all = self.environment();
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        all.push(("_play".to_owned(), play.display().to_string()));
        let (checkout, log) = (self.checkout(), File::create(play.join("log"))?);
        let set = move |shell: &mut Command| {
            shell.env_clear().envs(all).current_dir(checkout).args(arguments);
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        };
        let shell = Companion::start("starting a shell (as root)", Path::new(&program), set)?;
        let begin = Instant::now();
        while shell.ended().is_none() && begin.elapsed() < limit {
            sleep(LOOK_EVERY);
        }
        let in_time = shell.ended().is_some();
        drop(shell);
        if !play.join("done").exists() {
            bail!("{}", failure(act, cues, &play, in_time));
        }
        println!("{}: all of it ran in {:.1} s", act.page.path, begin.elapsed().as_secs_f32());
        let printed = printed(cues, &play);
        act.showed(&printed)?;
        Ok(printed)
    }
}

fn printed(cues: &[Cue], play: &Path) -> Vec<Printed> {
    let all = cues.iter().enumerate();
    all.map(|(number, cue)| Printed { cue: cue.clone(), text: read(&play.join(format!("{number}.out"))) })
        .collect()
}

/// Names page, line, command, and what it printed; and what goes on beside it.
fn failure(act: &Act<'_>, cues: &[Cue], play: &Path, in_time: bool) -> String {
    let path = &act.page.path;
    let log = read(&play.join("log"));
    let at = read(&play.join("at")).trim().parse::<usize>().ok();
    let Some((at, cue)) = at.and_then(|at| Some((at, cues.get(at)?))) else {
        return format!("{path}: nothing of it began\n{log}");
    };
    let code = read(&play.join("code"));
    let how = match (in_time, cue.manner) {
        (false, _) => "had not ended when the page's time was over".to_owned(),
        (true, Manner::Ends(meant)) => format!("ended with {}, and {meant} was meant", code.trim()),
        (true, Manner::GoesOn) => format!("ended with {}, and was meant to go on", code.trim()),
        (true, Manner::Unseen) => format!("(of the table) ended with {}", code.trim()),
    };
    let (line, text) = (cue.line, cue.text.replace('\n', "\n    "));
    let mut told = format!("{path}:{line}: this {how}\n\n    {text}\n\n{}\n{log}", last_words(play, at));
    let beside = cues.iter().enumerate().filter(|(number, cue)| *number < at && cue.manner == Manner::GoesOn);
    for (number, cue) in beside {
        told += &format!("\n`{}` beside it:\n{}\n", cue.text, last_words(play, number));
    }
    told
}

/// The end of what a command printed and complained of.
fn last_words(play: &Path, number: usize) -> String {
    let output = ["out", "err"].map(|kind| read(&play.join(format!("{number}.{kind}"))));
    let all: Vec<_> = output.iter().flat_map(|text| text.lines()).collect();
    all.get(all.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default().join("\n")
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
