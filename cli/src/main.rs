//! The `rollcall` command, which is `kubectl rollcall` under the name `kubectl-rollcall`.

mod check;
mod complete;
mod dev;
mod explain;
mod failure;
mod inject;
mod names;
mod options;
mod pods;
mod policies;
mod print;
mod reach;
mod verbs;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;
use failure::Failure;

/// The name by which kubectl finds its plugin.
const PLUGIN: &str = "kubectl-rollcall";

/// Longer lines are hard to read on any terminal.
const HELP_COLUMNS_MAX: usize = 100;

/// The workspace's version; in what is released, with the commit that it was built from.
const VERSION: &str = match option_env!("ROLLCALL_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Rollcall: a service registry for Kubernetes.
#[derive(Parser)]
#[command(name = "rollcall", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the registry on this machine, without a cluster.
    Dev(dev::Dev),
    /// Find what is wrong with an installation, or with a cluster before one.
    Check(check::Check),
    /// List the services of a namespace, or of all.
    Services(verbs::Services),
    /// List the pods that look a service up, and how they fare.
    Consumers(verbs::Consumers),
    /// Print who serves a service, an ip:port a line.
    Resolve(verbs::Resolve),
    /// Say why the instances of a service, or a pod, are as they are.
    Explain(explain::Explain),
    /// List the pods that have a sidecar, and whether it is in session.
    Sidecars(verbs::Sidecars),
    /// Print what changes in a service.
    Watch(verbs::Watch),
    /// Take a pod out of the lookups, and wait until its callers know.
    Drain(verbs::Drain),
    /// Print manifests with the sidecar that the webhook would give their pods, for `kubectl apply -f -`.
    Inject(inject::Inject),
    /// Print the ServiceRegistration CRD, for `kubectl apply -f -`.
    Crd,
    /// Print a completion script for a shell.
    Completion { shell: Shell },
}

/// Exit codes: 0 ok, 1 a check failed or nothing found, 2 usage (clap's own, too), 3 unreachable.
fn main() -> ExitCode {
    if called() == complete::COMPLETER {
        return completed();
    }
    let arguments = options::joined(env::args_os());
    let matches =
        command().try_get_matches_from(&arguments).unwrap_or_else(|error| hinted(error, &arguments).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(sentence) = failure.sentence() {
                // Where nobody hears it, the code still tells.
                drop(writeln!(io::stderr(), "rollcall: {sentence}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// The name that it was called by, without its folder and its kind.
fn called() -> OsString {
    let called = env::args_os().next().unwrap_or_default();
    Path::new(&called).file_stem().map(OsString::from).unwrap_or_default()
}

/// The command by the name that it was called by.
fn command() -> clap::Command {
    let command = Cli::command();
    let command = if called() == PLUGIN { command.bin_name("kubectl rollcall") } else { command };
    match print::columns() {
        Some(columns) => command.term_width(columns.min(HELP_COLUMNS_MAX)),
        None => command,
    }
}

/// The same error, with what is to be known of flags that stand before the verb, as kubectl takes them.
fn hinted(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let begins_with_flag = arguments.get(1).is_some_and(|first| first.as_encoded_bytes().starts_with(b"-"));
    if begins_with_flag && error.kind() == ErrorKind::UnknownArgument {
        let tip = StyledStr::from("flags stand behind the verb, as in `rollcall services --namespace shop`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// Answers kubectl, which asks what may stand behind `kubectl rollcall`.
fn completed() -> ExitCode {
    let mut command = Cli::command();
    command.build();
    let words: Vec<_> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match print(complete::answer(&command, &words).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code()),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let on_cluster = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let on_cluster = on_cluster.map_err(anyhow::Error::from)?;
    match command {
        Command::Dev(dev) => dev.run(),
        Command::Check(check) => on_cluster.block_on(check.run()),
        Command::Services(services) => on_cluster.block_on(services.run()),
        Command::Consumers(consumers) => on_cluster.block_on(consumers.run()),
        Command::Resolve(resolve) => on_cluster.block_on(resolve.run()),
        Command::Explain(explain) => on_cluster.block_on(explain.run()),
        Command::Sidecars(sidecars) => on_cluster.block_on(sidecars.run()),
        Command::Watch(watch) => on_cluster.block_on(watch.run()),
        Command::Drain(drain) => on_cluster.block_on(drain.run()),
        Command::Inject(inject) => print(inject.run()?.as_bytes()),
        Command::Crd => print(rollcall_crds::crd_yaml().map_err(anyhow::Error::from)?.as_bytes()),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rollcall", &mut script);
            print(&script)
        }
    }
}

/// Writes it to standard output. Whoever reads no further has read enough.
fn print(text: &[u8]) -> Result<(), Failure> {
    is_read(&mut io::stdout().lock(), text).map(drop)
}

/// Writes it, and says whether somebody still reads.
fn is_read(output: &mut impl Write, text: &[u8]) -> Result<bool, Failure> {
    match output.write_all(text).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// A body as it came, in a line of its own.
fn print_body(body: &[u8]) -> Result<(), Failure> {
    print(body)?;
    if body.ends_with(b"\n") { Ok(()) } else { print(b"\n") }
}
