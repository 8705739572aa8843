//! Peers that run on Java. They have one processor, and so Java takes its serial collector by itself; how much memory it takes
//! is left to what the peer's makers ship, or to Java.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use rollcall_cluster::{MavenProgram, companion::Companion, java_version};
use rollcall_results::Program;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::local::measured;

/// On a busy machine Spring's applications take most of a minute to start.
const START_MAX: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where it prints what it has to say.
const LOG: &str = "log";

/// Holds how a program is started.
pub(super) struct Java<'a> {
    pub(super) program: &'a MavenProgram,
    /// The folder that it was built into.
    pub(super) jars: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The folder of its files.
    pub(super) data: TempDir,
}

/// Holds a program that runs, and its files for as long.
pub(super) struct Jvm {
    process: Companion,
    program: Program,
    data: TempDir,
}

// === impl Java ===

impl Java<'_> {
    pub(super) fn start(self) -> anyhow::Result<Jvm> {
        let Self { program, jars, arguments, data } = self;
        let program = Program {
            name: program.name.to_owned(),
            version: format!("{}, {}", program.version()?, java_version()?),
            command: shown(&arguments, &[(&jars, program.name), (data.path(), "DATA")]),
        };
        let log = File::create(data.path().join(LOG))?;
        let errors = log.try_clone()?;
        let process = measured(&format!("starting {}", program.name), Path::new("java"), move |java| {
            java.args(arguments).stdout(log).stderr(errors);
        })?;
        Ok(Jvm { process, program, data })
    }
}

/// The command without folders of this machine.
fn shown(arguments: &[String], folders: &[(&Path, &str)]) -> String {
    let said = arguments.iter().map(|argument| {
        folders
            .iter()
            .fold(argument.clone(), |said, (folder, name)| said.replace(&*folder.to_string_lossy(), name))
    });
    std::iter::once("java".to_owned()).chain(said).collect::<Vec<_>>().join(" ")
}

// === impl Jvm ===

impl Jvm {
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// What it answers once it answers well.
    pub(super) async fn answer<T, F>(&self, ask: impl Fn() -> F + Send) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<T>> + Send,
    {
        let begin = Instant::now();
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let said = || fs::read_to_string(self.data.path().join(LOG)).unwrap_or_default();
            if let Some(ended) = self.process.ended() {
                bail!("{} ended by itself: {ended}\n{}", self.program.name, said());
            }
            if begin.elapsed() > START_MAX {
                return Err(error.context(format!("{} does not answer\n{}", self.program.name, said())));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_folders_of_the_machine() {
        let said = shown(
            &["-cp".to_owned(), "/home/me/jars/*:/tmp/x".to_owned(), "/tmp/x/zoo.cfg".to_owned()],
            &[(Path::new("/home/me/jars"), "zookeeper"), (Path::new("/tmp/x"), "DATA")],
        );
        assert_eq!(said, "java -cp zookeeper/*:DATA DATA/zoo.cfg");
    }
}
