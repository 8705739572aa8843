//! Processes of this machine, told from later ones of the same pid.

use serde::{Deserialize, Serialize};
use std::fs;

/// A process: its pid, and when it started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pid: u32,
    /// In ticks since boot.
    started: u64,
}

impl ProcessId {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: fields(&stat)?.started })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn of_this_process() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it is dead but not yet buried by its parent. All that it held is free already.
    pub(crate) fn is_unburied(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        fields(&stat).is_some_and(|now| now.started == self.started && now.dead)
    }

    /// Whether it is still to be seen. A dead child that this process has yet to bury counts as gone.
    pub(crate) fn is_alive(&self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        fields(&stat)
            .is_some_and(|now| now.started == self.started && !(now.dead && now.parent == std::process::id()))
    }
}

struct Fields {
    dead: bool,
    parent: u32,
    started: u64,
}

/// What is of interest in proc(5)'s stat. The command's name may hold anything, so it is read from its closing bracket on.
fn fields(stat: &str) -> Option<Fields> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    // The 20th of all, of which two stand before the bracket and two have been read; and the 22nd.
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    // The first thread of a process that was killed may have ended before the others, which hold its ports meanwhile.
    let dead = ended && threads <= 1;
    Some(Fields { dead, parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_process_is_alive_and_a_later_one_of_its_pid_is_another() {
        let own = ProcessId::of_this_process().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { started: own.started + 1, ..own }.is_alive());
        assert!(!ProcessId { pid: u32::MAX, started: 0 }.is_alive());
    }

    #[test]
    fn a_dead_child_is_gone_before_it_is_buried() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        assert!(process.is_alive());
        child.kill().unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_name_with_brackets_is_no_trap() {
        let stat = "7 (a) b) R) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let fields = fields(stat).unwrap();
        assert!(fields.dead && fields.parent == 1 && fields.started == 4711);
        assert!(super::fields("garbage").is_none());
    }
}
