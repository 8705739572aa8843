//! Faults of single processes: those of a pod, and the API server's.

use crate::cluster::Cluster;
use crate::control_plane::API_SERVER;
use crate::layout::Role;
use crate::process::ProcessId;
use crate::run::{Poll, wait_for};
use crate::{Error, control_plane};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A killed process is gone within milliseconds; one that the disk holds needs seconds.
const END_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Holds a process of a cluster, by which this machine knows it; it may have ended since.
#[derive(Debug, Clone)]
pub struct Process {
    id: ProcessId,
    /// The program and its arguments.
    pub command: Vec<String>,
}

// === impl Cluster ===

impl Cluster {
    /// All processes of the pod with this UID, on whichever node it is. One of them only holds its network.
    pub fn processes_of_pod(&self, uid: &str) -> Vec<Process> {
        let pids = self.hierarchies.processes_below(&self.layout.cgroup(), &format!("pod{uid}"));
        pids.into_iter().filter_map(Process::of).collect()
    }

    /// The API server's process; an error where there is none.
    pub fn api_server(&self) -> Result<Process, Error> {
        self.find_api_server().ok_or_else(|| {
            Error::unmet("the API server does not run", "start it again, as whoever ended it should have")
        })
    }

    /// Ends the API server by SIGKILL: asked to end, it would wait a minute for those who watch.
    pub fn kill_api_server(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        let process = self.api_server()?;
        process.signal(Signal::SIGKILL)?;
        wait_for("the end of the API server", END_LIMIT, LOOK_EVERY, Path::new("/proc"), || {
            Ok(if process.is_alive() { Poll::NotYet("it still runs".into()) } else { Poll::Ready(()) })
        })
    }

    /// Starts the API server that was killed; returns when it is ready.
    pub fn start_api_server(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        let machine = self.control_plane()?;
        if self.find_api_server().is_none() {
            control_plane::start_api_server(&self.layout, &machine, &self.record)?;
        }
        control_plane::wait_until_ready(&self.layout, &self.record.tools, &machine)
    }

    fn find_api_server(&self) -> Option<Process> {
        let daemons = self.hierarchies.processes(&self.layout.system_cgroup_of(Role::ControlPlane));
        daemons.into_iter().filter_map(Process::of).find(|process| process.program() == API_SERVER)
    }
}

// === impl Process ===

impl Process {
    /// None where it has ended, or is not a program any more.
    fn of(pid: i32) -> Option<Self> {
        let id = ProcessId::of(pid.unsigned_abs())?;
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let command: Vec<_> = line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        (!line.is_empty()).then_some(Self { id, command })
    }

    pub fn pid(&self) -> u32 {
        self.id.pid()
    }

    /// The name of its program, without the way to it.
    pub fn program(&self) -> &str {
        let path = self.command.first().map(String::as_str).unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    pub fn is_alive(&self) -> bool {
        self.id.is_alive() && !self.id.is_unburied()
    }

    /// An error where it has ended: its number may be somebody else's by now.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let gone = || {
            Error::unmet(
                format!("{} of process {} is gone", self.program(), self.pid()),
                "look for the process that is there in its place",
            )
        };
        if !self.is_alive() {
            return Err(gone());
        }
        let pid = i32::try_from(self.pid()).map_err(|_| gone())?;
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) => Err(gone()),
            Err(errno) => Err(Error::unmet(
                format!("{} cannot be sent to process {pid} ({errno})", signal.as_str()),
                "run the command as root",
            )),
        }
    }

    /// The network that it is in.
    pub fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    /// A command of this machine, in the network of that process.
    pub fn command_in_its_network(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network().display())).arg("--").arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_its_program_and_not_signalled_after_its_end() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Before it is the program, it is a copy of this one.
        let process = loop {
            if let Some(process) = Process::of(pid).filter(|process| process.program() == "sleep") {
                break process;
            }
        };
        assert_eq!(
            (process.command.as_slice(), process.pid()),
            (&["sleep", "60"].map(str::to_owned)[..], child.id())
        );
        process.signal(Signal::SIGSTOP).unwrap();
        assert!(process.is_alive());
        process.signal(Signal::SIGKILL).unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        assert!(process.signal(Signal::SIGCONT).unwrap_err().to_string().contains("gone"));
        child.wait().unwrap();
        assert!(Process::of(pid).is_none_or(|other| other.program() != "sleep"));
    }
}
