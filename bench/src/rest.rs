//! A process at rest: it holds what it held, and computes as much as it did. What it holds and computes then is the base that
//! loads are held against.

use std::time::Duration;

use rollcall_cluster::interrupt;
use tokio::time::{Instant, sleep};

use crate::{
    local::{STOLEN_PERCENT_MAX, Ticks, cpu_of, median},
    resident::Resident,
};

/// Holds what processes held once they were at rest: medians of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) resident: Resident,
    /// None: they never were, and this is the last window.
    pub(crate) took: Option<Duration>,
}

/// Holds what was seen in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    resident: Resident,
    cpu_us_a_second: f64,
    stolen_percent: f64,
}

/// Two windows that follow each other and are alike make a rest.
const WINDOW: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Who is not at rest by then is taken as he is, and said to be so.
const REST_MAX: Duration = Duration::from_secs(60);
/// What memory may differ by: this share of it, or so much where that is more.
const SHARE: f64 = 0.01;
const LEAST_MIB: f64 = 0.25;
/// And processor time: a fifth, or a thousandth of a processor.
const CPU_SHARE: f64 = 0.2;
const CPU_LEAST_US: f64 = 1_000.0;

// === impl Rest ===

impl Rest {
    /// Of these processes together, once they are at rest.
    pub(crate) async fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let mut last: Option<Window> = None;
        loop {
            let window = Window::see(pids).await?;
            if last.is_some_and(|last| window.is_like(last)) {
                return Ok(Self { resident: window.resident, took: Some(begin.elapsed()) });
            }
            if begin.elapsed() > REST_MAX {
                return Ok(Self { resident: window.resident, took: None });
            }
            last = Some(window);
        }
    }
}

// === impl Window ===

impl Window {
    async fn see(pids: &[u32]) -> anyhow::Result<Self> {
        let (begin, computed, ticks) = (Instant::now(), cpu_of(pids)?, Ticks::now()?);
        let (mut rss, mut anonymous) = (Vec::new(), Vec::new());
        while begin.elapsed() < WINDOW {
            interrupt::check()?;
            let Resident { rss_mib, anonymous_mib } = Resident::of(pids)?;
            rss.push(rss_mib);
            anonymous.push(anonymous_mib);
            sleep(LOOK_EVERY).await;
        }
        let computed_us = cpu_of(pids)?.saturating_sub(computed).as_secs_f64() * 1e6;
        Ok(Self {
            resident: Resident { rss_mib: median(rss), anonymous_mib: median(anonymous) },
            cpu_us_a_second: computed_us / begin.elapsed().as_secs_f64(),
            stolen_percent: Ticks::now()?.stolen_percent_since(ticks),
        })
    }

    /// Nothing is said by a window of which the host took too much.
    fn is_like(self, before: Self) -> bool {
        let near = |one: f64, other: f64, share: f64, least: f64| {
            (one - other).abs() <= (one.max(other) * share).max(least)
        };
        let (this, that) = (self.resident, before.resident);
        self.stolen_percent.max(before.stolen_percent) <= STOLEN_PERCENT_MAX
            && near(this.rss_mib, that.rss_mib, SHARE, LEAST_MIB)
            && near(this.anonymous_mib, that.anonymous_mib, SHARE, LEAST_MIB)
            && near(self.cpu_us_a_second, before.cpu_us_a_second, CPU_SHARE, CPU_LEAST_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_that_are_alike_make_a_rest() {
        let window = |rss_mib: f64, cpu_us_a_second: f64, stolen_percent: f64| Window {
            resident: Resident { rss_mib, anonymous_mib: rss_mib / 2.0 },
            cpu_us_a_second,
            stolen_percent,
        };
        for (one, other, expected) in [
            (window(50.0, 10_000.0, 0.0), window(50.4, 11_000.0, 1.0), true),
            // It still grows.
            (window(50.0, 10_000.0, 0.0), window(51.0, 10_000.0, 0.0), false),
            // It holds what it held, and is still busy with something.
            (window(50.0, 400_000.0, 0.0), window(50.0, 10_000.0, 0.0), false),
            // A small one may move by a little more.
            (window(5.0, 300.0, 0.0), window(5.2, 1_200.0, 0.0), true),
            // The host took a share.
            (window(50.0, 10_000.0, 0.0), window(50.0, 10_000.0, 5.0), false),
            (window(50.0, 10_000.0, 5.0), window(50.0, 10_000.0, 0.0), false),
        ] {
            assert_eq!(other.is_like(one), expected, "{one:?} {other:?}");
        }
    }
}
