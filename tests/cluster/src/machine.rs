//! One machine of the cluster: pid, mount, network, uts and ipc namespaces of its own under a PID 1 of its own.
//!
//! Ending that PID 1 is pulling the plug: the kernel ends every process of the machine and drops its mounts, links,
//! routes and firewall rules. Nothing has to be hunted down.

use crate::Error;
use crate::cgroup::Hierarchies;
use crate::layout::{Layout, Role};
use crate::run::{Poll, output_of, read_tail, wait_for};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The name of PID 1's program: how a machine is found again.
pub(crate) const INIT: &str = "rollcall-init";

/// Namespaces come up within a quarter of a second; a loaded machine may need much longer.
const BOOT_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running machine.
pub(crate) struct Machine {
    role: Role,
    init_pid: i32,
    logs: PathBuf,
    cgroup_folders: Vec<PathBuf>,
    /// What this process started in the machine, by pid inside of it, to notice when it ends early.
    daemons: Mutex<Vec<(String, u32)>>,
}

impl Machine {
    /// Boots a machine: `set_up` is a shell script run in the new namespaces just before PID 1 takes over.
    pub(crate) fn boot(
        layout: &Layout,
        hierarchies: &Hierarchies,
        role: Role,
        init: &Path,
        set_up: &str,
    ) -> Result<Self, Error> {
        let logs = layout.logs_of(role);
        fs::create_dir_all(&logs).map_err(Error::file("make", &logs))?;
        let cgroup = layout.system_cgroup_of(role);
        hierarchies.create(&cgroup)?;

        let script = layout.folder_of(role).join("set-up.sh");
        fs::write(&script, format!("set -eu\n{set_up}\nexec {}\n", init.display()))
            .map_err(Error::file("write", &script))?;
        let log = logs.join("init.log");
        let cgroup_folders: Vec<PathBuf> = hierarchies.folders(&cgroup).collect();
        let mut unshare = in_cgroup(&cgroup_folders);
        unshare.args([
            "setsid",
            "unshare",
            "--fork",
            "--pid",
            "--mount",
            "--propagation",
            "slave",
            "--net",
            "--uts",
            "--ipc",
            "sh",
        ]);
        unshare.arg(&script);
        let mut unshare = spawn_logged(&mut unshare, &log)?;

        let init_pid = wait_for(&format!("PID 1 of {role}"), BOOT_LIMIT, LOOK_EVERY, &logs, || {
            if let Some(pid) = init_of(hierarchies, &cgroup) {
                return Ok(Poll::Ready(pid));
            }
            if unshare.try_wait().ok().flatten().is_some() {
                return Err(Error::DaemonEnded {
                    daemon: format!("PID 1 of {role}"),
                    output: read_tail(&log),
                    log: log.clone(),
                });
            }
            Ok(Poll::NotYet("namespaces being made".into()))
        })?;
        // It waits for PID 1, and is waited for here: else it would stay in the process table until this process ends.
        std::thread::spawn(move || unshare.wait());
        Ok(Self { role, init_pid, logs, cgroup_folders, daemons: Mutex::default() })
    }

    /// The running machine of that role, if there is one.
    pub(crate) fn find(layout: &Layout, hierarchies: &Hierarchies, role: Role) -> Option<Self> {
        let cgroup = layout.system_cgroup_of(role);
        let init_pid = init_of(hierarchies, &cgroup)?;
        let cgroup_folders = hierarchies.folders(&cgroup).collect();
        Some(Self { role, init_pid, logs: layout.logs_of(role), cgroup_folders, daemons: Mutex::default() })
    }

    pub(crate) fn init_pid(&self) -> i32 {
        self.init_pid
    }

    /// A command that will run inside the machine.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entering()).arg("--").arg(program.as_ref());
        command
    }

    /// Runs a shell script inside the machine to its end.
    pub(crate) fn script(&self, step: &str, script: &str) -> Result<String, Error> {
        output_of(step, self.command("sh").args(["-ec", script]))
    }

    /// Starts a daemon inside the machine; it outlives this process.
    pub(crate) fn start(&self, name: &str, program: &Path, arguments: &[String]) -> Result<(), Error> {
        // The shell ends and leaves the daemon to the machine's PID 1. A daemon with a parent outside would, when the plug is
        // pulled, have to wait for that parent or the host's PID 1 to bury it.
        const LEFT_BEHIND: &str = r#"log="$1"; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!"#;
        let mut command = in_cgroup(&self.cgroup_folders);
        command.arg("nsenter").args(self.entering()).args(["--", "sh", "-c", LEFT_BEHIND, "sh"]);
        command.arg(self.log_of(name)).arg(program).args(arguments);
        let step = format!("starting {name} of {}", self.role);
        let said = output_of(&step, &mut command)?;
        let pid = said
            .trim()
            .parse()
            .map_err(|_| Error::unmet(format!("{step} gave no pid but `{said}`"), "run it again"))?;
        self.daemons.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), pid));
        Ok(())
    }

    /// Whether processes of these names run among the machine's daemons.
    pub(crate) fn runs(&self, names: &[&str], hierarchies: &Hierarchies, layout: &Layout) -> bool {
        let running: Vec<String> = hierarchies
            .processes(&layout.system_cgroup_of(self.role))
            .into_iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
            .collect();
        names.iter().all(|name| running.iter().any(|comm| comm.trim() == *name))
    }

    /// Fails if something that this process started in the machine has ended.
    pub(crate) fn check_daemons(&self) -> Result<(), Error> {
        for (name, pid) in self.daemons.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // The machine's own view of its processes; its PID 1 buries the dead at once.
            if !Path::new(&format!("/proc/{}/root/proc/{pid}", self.init_pid)).exists() {
                let log = self.log_of(name);
                return Err(Error::DaemonEnded {
                    daemon: format!("{name} of {}", self.role),
                    output: read_tail(&log),
                    log,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn logs(&self) -> &Path {
        &self.logs
    }

    fn log_of(&self, daemon: &str) -> PathBuf {
        self.logs.join(format!("{daemon}.log"))
    }

    fn entering(&self) -> [String; 7] {
        let pid = self.init_pid.to_string();
        ["-t".into(), pid, "-m".into(), "-n".into(), "-p".into(), "-u".into(), "-i".into()]
    }
}

/// A command that first moves itself into a cgroup, so that no daemon of a cluster ever runs outside of it.
///
/// Where the cgroup was removed meanwhile, by a `down` at the same time, the command ends before it did anything.
fn in_cgroup(folders: &[PathBuf]) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-ec",
        r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@""#,
        "sh",
    ]);
    command.args(folders).arg("--");
    command
}

fn spawn_logged(command: &mut Command, log: &Path) -> Result<Child, Error> {
    let file = File::options().create(true).append(true).open(log).map_err(Error::file("write", log))?;
    let errors = file.try_clone().map_err(Error::file("write", log))?;
    command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(Error::file("start a process that logs to", log))
}

/// The PID 1 among a cgroup's processes. It is asked from the kernel each time: a noted pid may be someone else's by now.
fn init_of(hierarchies: &Hierarchies, cgroup: &Path) -> Option<i32> {
    hierarchies.processes(cgroup).into_iter().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        is_init(&status)
    })
}

/// Whether a process status is the one of a machine's PID 1 that has taken over.
fn is_init(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    field("Name:") == Some(INIT)
        && field("NSpid:").is_some_and(|pids| pids.split_whitespace().count() == 2 && pids.ends_with("\t1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_one_is_told_from_all_other_processes() {
        assert!(is_init("Name:\trollcall-init\nState:\tS\nNSpid:\t4711\t1\n"));
        // The pause container of a pod runs the same program, one pid namespace further down.
        assert!(!is_init("Name:\trollcall-init\nNSpid:\t4712\t45\t1\n"));
        assert!(!is_init("Name:\trollcall-init\nNSpid:\t4711\t21\n"));
        assert!(!is_init("Name:\tsh\nNSpid:\t4711\t1\n"));
        assert!(!is_init("Name:\trollcall-init\nNSpid:\t1\n"));
        assert!(!is_init(""));
    }
}
