//! What processes hold, as the kernel says.

use std::{fs, ops::Add, time::Duration};

use anyhow::Context;
use tokio::time::{Instant, sleep};

/// Holds what processes hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Resident {
    /// All of it, programs and mapped files included.
    pub(crate) rss_mib: f64,
    /// What they have filled themselves, and would have to be written away before it could be had again.
    pub(crate) anonymous_mib: f64,
}

/// Watches memory until it stays as it is.
#[derive(Debug, Default)]
struct Settling {
    /// When a window began, and what was held then.
    since: Option<(Duration, Resident)>,
}

/// Memory that has stayed as it is for so long has settled.
const WINDOW: Duration = Duration::from_secs(10);
/// What it may move by in that time: this share of it, or so much where that is more.
const SHARE: f64 = 0.01;
const LEAST_MIB: f64 = 0.25;
/// What does not settle by then is taken as it is, and said to be so.
const SETTLED_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

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

    /// Of these processes, once it stays as it is; and how long that took. None: it never did, and this is the last that was seen.
    pub(crate) async fn settled(pids: &[u32]) -> anyhow::Result<(Self, Option<Duration>)> {
        let (begin, mut settling) = (Instant::now(), Settling::default());
        loop {
            let now = Self::of(pids)?;
            if settling.see(begin.elapsed(), now) {
                return Ok((now, Some(begin.elapsed())));
            }
            if begin.elapsed() > SETTLED_MAX {
                return Ok((now, None));
            }
            sleep(LOOK_EVERY).await;
        }
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

// === impl Settling ===

impl Settling {
    /// Whether what is held now, at this time of whoever watches, is what has been held for a whole window.
    fn see(&mut self, at: Duration, now: Resident) -> bool {
        match self.since {
            Some((begin, then))
                if near(then.rss_mib, now.rss_mib) && near(then.anonymous_mib, now.anonymous_mib) =>
            {
                at.saturating_sub(begin) >= WINDOW
            }
            _ => {
                self.since = Some((at, now));
                false
            }
        }
    }
}

fn near(then_mib: f64, now_mib: f64) -> bool {
    (now_mib - then_mib).abs() <= (then_mib * SHARE).max(LEAST_MIB)
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

    fn held(rss_mib: f64) -> Resident {
        Resident { rss_mib, anonymous_mib: rss_mib / 2.0 }
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let read = Resident::read(ROLLUP).expect("read");
        assert_eq!(read, Resident { rss_mib: 12.0, anonymous_mib: 3.0 });
        assert!(Resident::read("Rss: 1 kB\n").is_err());
    }

    #[test]
    fn memory_has_settled_once_it_stays_for_a_window() {
        // At which second, what was held then, and whether it has settled.
        for series in [
            &[(0, 50.0, false), (9, 50.2, false), (10, 50.4, true)][..],
            // What grows slowly is held against where the window began.
            &[(0, 50.0, false), (5, 50.4, false), (10, 50.8, false), (15, 51.0, false), (20, 51.1, true)],
            // What jumps begins anew, and so does what falls.
            &[(0, 50.0, false), (9, 90.0, false), (10, 90.0, false), (19, 90.0, true)],
            &[(0, 90.0, false), (9, 50.0, false), (18, 50.0, false), (19, 50.0, true)],
            // A small one may move by a quarter of a MiB.
            &[(0, 4.0, false), (10, 4.2, true)],
        ] {
            let mut settling = Settling::default();
            for (second, mib, expected) in series {
                let said = settling.see(Duration::from_secs(*second), held(*mib));
                assert_eq!(said, *expected, "{series:?} at {second}");
            }
        }
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
