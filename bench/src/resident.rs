//! What processes hold, as the kernel says.

use std::{fs, ops::Add};

use anyhow::Context;

/// Holds what processes hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Resident {
    /// All of it, programs and mapped files included.
    pub(crate) rss_mib: f64,
    /// What they have filled themselves, and would have to be written away before it could be had again.
    pub(crate) anonymous_mib: f64,
}

// === impl Resident ===

impl Resident {
    /// Of these processes together.
    pub(crate) fn of(pids: &[u32]) -> anyhow::Result<Self> {
        pids.iter().try_fold(Self::default(), |all, pid| {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            Ok(all + Self::read(&text).with_context(|| path)?)
        })
    }

    fn read(rollup: &str) -> anyhow::Result<Self> {
        let mib = |name: &str| {
            let line =
                rollup.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
        };
        Ok(Self { rss_mib: mib("Rss:")?, anonymous_mib: mib("Anonymous:")? })
    }
}

impl Add for Resident {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rss_mib: self.rss_mib + other.rss_mib,
            anonymous_mib: self.anonymous_mib + other.anonymous_mib,
        }
    }
}

/// From now on the kernel counts this process' most anew.
pub(crate) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// The most that was resident since then.
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
}

/// How many files and sockets a process has open.
pub(crate) fn descriptors(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

pub(crate) fn threads(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "\
559d4e000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               12288 kB
Pss:                9000 kB
Pss_Anon:           2048 kB
Anonymous:          3072 kB
Swap:                  0 kB
";

    #[test]
    fn what_the_kernel_says_is_read() {
        let read = Resident::read(ROLLUP).expect("read");
        assert_eq!(read, Resident { rss_mib: 12.0, anonymous_mib: 3.0 });
        assert!(Resident::read("Rss: 1 kB\n").is_err());
    }

    #[test]
    fn this_process_holds_something() {
        let pid = std::process::id();
        let held = Resident::of(&[pid, pid]).expect("ours");
        assert!(
            held.rss_mib > 0.0 && held.anonymous_mib > 0.0 && held.rss_mib >= held.anonymous_mib,
            "{held:?}"
        );
        assert!(descriptors(pid).expect("ours") >= 3 && threads(pid).expect("ours") >= 1);
        assert!(peak_mib(pid).expect("ours") > 0.0);
    }
}
